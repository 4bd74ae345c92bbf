// Drives a controller with the npm package jenkins, as a person's script would: node client.js URL-WITH-LOGIN
const assert = require("assert");
const Jenkins = require("jenkins");
const jenkins = new Jenkins({ baseUrl: process.argv[2] });

const pipeline = (script, extra = "") => `<?xml version='1.1' encoding='UTF-8'?>
<flow-definition plugin="workflow-job">
  <description>made by npm</description>
  <properties>${extra}</properties>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition" plugin="workflow-cps">
    <script>${script}</script><sandbox>true</sandbox>
  </definition>
</flow-definition>`;

const parameter = `<hudson.model.ParametersDefinitionProperty><parameterDefinitions><hudson.model.StringParameterDefinition>
  <name>WHO</name><defaultValue>world</defaultValue></hudson.model.StringParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty>`;

async function until(what, ask) {
  for (const end = Date.now() + 60000; Date.now() < end; await new Promise((r) => setTimeout(r, 20))) {
    const got = await ask();
    if (got) return got;
  }
  throw new Error("waited too long for " + what);
}

const started = (id) => until("the item to leave the queue", async () => (await jenkins.queue.item(id)).executable);
const ended = (job, n) => until("the end of " + job, async () => { const b = await jenkins.build.get(job, n); return b.building ? null : b; });

async function jobs() {
  assert.strictEqual((await jenkins.info())._class, "hudson.model.Hudson");
  assert.strictEqual(await jenkins.job.exists("npm"), false);
  await jenkins.job.create("npm", pipeline("node('linux') { echo \"hello ${params.WHO}\" }", parameter));
  assert.strictEqual(await jenkins.job.exists("npm"), true);
  await assert.rejects(jenkins.job.create("npm", pipeline("echo 1")), /already exists/);
  assert.match(await jenkins.job.config("npm"), /made by npm/);
  assert.strictEqual((await jenkins.job.get("npm")).color, "notbuilt");

  const run = await started(await jenkins.job.build({ name: "npm", parameters: { WHO: "you & me" } }));
  const b = await ended("npm", run.number);
  assert.strictEqual(b.result, "SUCCESS");
  assert.strictEqual(typeof b.timestamp, "number");
  assert.match(await jenkins.build.log("npm", run.number), /hello you & me/);
  assert.strictEqual((await jenkins.job.get({ name: "npm", tree: "lastBuild[number],color" })).color, "blue");
  assert.ok((await jenkins.job.list()).some((j) => j.name === "npm"));

  await jenkins.job.disable("npm");
  assert.strictEqual((await jenkins.job.get("npm")).buildable, false);
  await assert.rejects(jenkins.job.build("npm"));
  await jenkins.job.enable("npm");
  await jenkins.job.copy("npm", "npm2");
  await jenkins.job.config("npm2", pipeline("echo 'changed'"));
  assert.match(await jenkins.job.config("npm2"), /changed/);
  await jenkins.job.create("team/app", pipeline("echo 'in a folder'"));
  assert.strictEqual((await jenkins.job.get("team/app")).fullName, "team/app");
  await jenkins.job.destroy("npm2");
  assert.strictEqual(await jenkins.job.exists("npm2"), false);
  await assert.rejects(jenkins.job.get("npm2"), /not found/);
}

async function stopping() {
  await jenkins.job.create("long", pipeline("node('linux') { sh 'echo begun; exec sleep 600' }"));
  const run = await started(await jenkins.job.build("long"));
  let text = "";
  await new Promise((resolve, reject) => {
    const log = jenkins.build.logStream("long", run.number, { delay: 20 });
    log.on("data", (t) => { text += t; if (!log.told && /\nbegun/.test(text)) { log.told = true; jenkins.build.stop("long", run.number).catch(reject); } });
    log.on("error", reject);
    log.on("end", resolve);
  });
  assert.match(text, /Finished: ABORTED/);
  assert.strictEqual((await ended("long", run.number)).result, "ABORTED");

  await jenkins.job.create("waits", pipeline("node('nobody-has-this') { }"));
  await jenkins.job.build("waits");
  const item = await until("the queue", async () => (await jenkins.queue.list()).find((i) => /nobody-has-this/.test(i.why)));
  assert.strictEqual(item.why, "There are no nodes with the label ‘nobody-has-this’");
  await jenkins.queue.cancel(item.id);
  assert.strictEqual((await ended("waits", 1)).result, "ABORTED");
}

async function nodes() {
  assert.ok((await jenkins.node.list()).some((n) => n.displayName === "n1"));
  assert.strictEqual((await jenkins.node.get("master"))._class, "hudson.model.Hudson$MasterComputer");
  await jenkins.node.create("made", { numExecutors: 3, remoteFS: "/srv/a", labelString: "linux made", nodeDescription: "by npm", exclusive: true });
  assert.strictEqual(await jenkins.node.exists("made"), true);
  const made = await jenkins.node.get("made");
  assert.strictEqual(made.numExecutors, 3);
  assert.strictEqual(made.launchSupported, false);
  assert.ok(made.assignedLabels.some((l) => l.name === "made"));
  await assert.rejects(jenkins.node.create("made"), /already exists/);
  assert.match(await jenkins.node.config("made"), /<mode>EXCLUSIVE<\/mode>/);
  await jenkins.node.config("made", (await jenkins.node.config("made")).replace("/srv/a", "/srv/b"));
  assert.match(await jenkins.node.config("made"), /<remoteFS>\/srv\/b</);
  await jenkins.node.destroy("made");
  assert.strictEqual(await jenkins.node.exists("made"), false);

  await jenkins.node.disable("n1", "new disk");
  let n1 = await jenkins.node.get("n1");
  assert.deepStrictEqual([n1.temporarilyOffline, n1.offline, n1.offlineCauseReason], [true, true, "new disk"]);
  await jenkins.node.disable("n1", "newer disk");
  assert.strictEqual((await jenkins.node.get("n1")).offlineCauseReason, "newer disk");
  await jenkins.node.enable("n1");
  await until("n1", async () => !(await jenkins.node.get("n1")).offline);
  await jenkins.node.disconnect("n1", "bye");
  await until("n1 to go", async () => (await jenkins.node.get("n1")).offline);
  assert.strictEqual((await jenkins.label.get("n1")).offline, true);
}

(async () => {
  await jobs();
  await stopping();
  await nodes();
})().then(() => console.log("ok"), (err) => { console.error(err); process.exit(1); });

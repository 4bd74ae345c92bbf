package jenkins_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/server/servertest"
)

const gitJob = `<?xml version='1.1' encoding='UTF-8'?>
<flow-definition plugin="workflow-job@1400">
  <actions/>
  <description>üñí &amp; co</description>
  <properties>
    <org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty><abortPrevious>true</abortPrevious></org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty>
    <jenkins.model.BuildDiscarderProperty><strategy class="hudson.tasks.LogRotator"><daysToKeep>-1</daysToKeep><numToKeep>20</numToKeep><artifactDaysToKeep>-1</artifactDaysToKeep><artifactNumToKeep>5</artifactNumToKeep></strategy></jenkins.model.BuildDiscarderProperty>
    <hudson.model.ParametersDefinitionProperty><parameterDefinitions>
      <hudson.model.StringParameterDefinition><name>S</name><description>d</description><defaultValue>x</defaultValue><trim>false</trim></hudson.model.StringParameterDefinition>
      <hudson.model.BooleanParameterDefinition><name>B</name><defaultValue>true</defaultValue></hudson.model.BooleanParameterDefinition>
      <hudson.model.ChoiceParameterDefinition><name>C</name><choices class="java.util.Arrays$ArrayList"><a class="string-array"><string>one</string><string>two</string></a></choices></hudson.model.ChoiceParameterDefinition>
    </parameterDefinitions></hudson.model.ParametersDefinitionProperty>
  </properties>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition" plugin="workflow-cps@4000">
    <scm class="hudson.plugins.git.GitSCM" plugin="git@5.7.0"><configVersion>2</configVersion>
      <userRemoteConfigs><hudson.plugins.git.UserRemoteConfig><url>https://git.example.org/app.git</url></hudson.plugins.git.UserRemoteConfig></userRemoteConfigs>
      <branches><hudson.plugins.git.BranchSpec><name>*/main</name></hudson.plugins.git.BranchSpec></branches>
      <doGenerateSubmoduleConfigurations>false</doGenerateSubmoduleConfigurations><submoduleCfg class="empty-list"/><extensions/></scm>
    <scriptPath>ci/Jenkinsfile</scriptPath><lightweight>true</lightweight>
  </definition>
  <triggers/>
  <disabled>true</disabled>
</flow-definition>`

func TestMakingJobs(t *testing.T) {
	f := servertest.New(t)
	c := admin(f)
	kept := func(name build.JobName) string {
		t.Helper()
		j, err := f.Ledger().Tables.Builds.Job(f.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal([]any{j.Description, j.Source, j.Disabled, j.Properties})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if resp, body := c.postXML("/job/team/job/web/createItem?name=app", gitJob); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	const want = `["üñí \u0026 co",{"git":{"url":"https://git.example.org/app.git","ref":"main","path":"ci/Jenkinsfile"}},true,` +
		`{"parameters":[{"name":"S","kind":"string","default":"x","description":"d"},{"name":"B","kind":"boolean","default":"true"},{"name":"C","kind":"choice","default":"one","choices":["one","two"]}],` +
		`"disableConcurrent":true,"abortPrevious":true,"keepBuilds":20,"keepArtifacts":5}]`
	if got := kept("team/web/app"); got != want {
		t.Errorf("made\n%s\nwants\n%s", got, want)
	}
	// What is read can be written: nothing changes.
	config := c.get("/job/team/job/web/job/app/config.xml")
	if resp, body := c.postXML("/createItem?name=again", config); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if got := kept("again"); got != want {
		t.Errorf("read and written\n%s\nwants\n%s", got, want)
	}
	if resp, body := c.postXML("/job/again/config.xml", config); resp.StatusCode != 200 || kept("again") != want {
		t.Errorf("written over itself: %s %s\n%s", resp.Status, body, kept("again"))
	}
	c.post("/job/team/createItem?name=copy&mode=copy&from=" + url.QueryEscape("/team/web/app"))
	if got := kept("team/copy"); got != want {
		t.Errorf("copied\n%s", got)
	}
	// Folders are shown where jobs have them.
	root := c.json("/api/json?tree=jobs[name,url,jobs[name,jobs[name]]]")
	const shape = "[map[_class:org.jenkinsci.plugins.workflow.job.WorkflowJob name:again url:URL/job/again/] map[_class:com.cloudbees.hudson.plugins.folder.Folder jobs:[map[_class:org.jenkinsci.plugins.workflow.job.WorkflowJob name:copy] " +
		"map[_class:com.cloudbees.hudson.plugins.folder.Folder jobs:[map[_class:org.jenkinsci.plugins.workflow.job.WorkflowJob name:app]] name:web]] name:team url:URL/job/team/]]"
	if got := strings.ReplaceAll(fmt.Sprint(root["jobs"]), f.URL(), "URL"); got != shape {
		t.Errorf("got  %s\nwant %s", got, shape)
	}
	if folder := c.json("/job/team/job/web/api/json"); folder["fullName"] != "team/web" || folder["fullDisplayName"] != "team » web" {
		t.Errorf("%v", folder)
	}
	if j := c.json("/job/again/api/json"); j["color"] != "disabled" || j["buildable"] != false || j["nextBuildNumber"] != 1.0 || j["lastBuild"] != nil {
		t.Errorf("%v", j)
	}
	if resp, body := c.ask("POST", "/job/again/build", ""); resp.StatusCode != 409 || !strings.Contains(body, "again is not buildable") {
		t.Errorf("a disabled job: %s %s", resp.Status, body)
	}
	c.post("/job/again/doDelete")
	if resp, _ := c.ask("GET", "/job/again/api/json", ""); resp.StatusCode != 404 {
		t.Errorf("a deleted job: %s", resp.Status)
	}
}

func TestWrongJobs(t *testing.T) {
	f := servertest.New(t)
	c := admin(f)
	with := func(old, new string) string { return strings.Replace(gitJob, old, new, 1) }
	for name, x := range map[string]struct{ path, doc, says string }{
		"nothing":             {"/createItem?name=x", "", "No mode given"},
		"no name":             {"/createItem", gitJob, "'name' is required"},
		"a bad name":          {"/createItem?name=a%3Fb", gitJob, "is not allowed"},
		"no XML":              {"/createItem?name=x", "<flow-definition", "config.xml:"},
		"two roots":           {"/createItem?name=x", "<a/><b/>", "one root"},
		"not UTF-8":           {"/createItem?name=x", "<a>\xff</a>", "UTF-8"},
		"a freestyle project": {"/createItem?name=x", "<project/>", "expected <flow-definition>"},
		"a folder":            {"/createItem?name=x", "<com.cloudbees.hudson.plugins.folder.Folder/>", "folders are not made"},
		"no definition":       {"/createItem?name=x", "<flow-definition/>", "definition"},
		"no script":           {"/createItem?name=x", `<flow-definition><definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"/></flow-definition>`, "expected a Jenkinsfile"},
		"another SCM":         {"/createItem?name=x", with("hudson.plugins.git.GitSCM", "hudson.scm.SubversionSCM"), "expected hudson.plugins.git.GitSCM"},
		"no URL":              {"/createItem?name=x", with("https://git.example.org/app.git", ""), "expected a url"},
		"many branches":       {"/createItem?name=x", with("*/main", "**"), "expected one branch"},
		"a file parameter":    {"/createItem?name=x", strings.ReplaceAll(gitJob, "StringParameterDefinition", "FileParameterDefinition"), "FileParameterDefinition"},
		"copied from nothing": {"/createItem?name=x&mode=copy&from=nope", "", "No such job: nope"},
		"nested":              {"/createItem?name=x", strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200), "nested too deep"},
	} {
		if resp, body := c.postXML(x.path, x.doc); resp.StatusCode != 400 || !strings.Contains(body, x.says) {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	if jobs := c.json("/api/json")["jobs"].([]any); len(jobs) != 0 {
		t.Errorf("made all the same: %v", jobs)
	}
}

// Parameters come in the query, in a form, or as the JSON of Jenkins' page. What the job does not declare is passed over.
func TestParameters(t *testing.T) {
	f := servertest.New(t)
	f.Job("j", `pipeline { agent none
  parameters { string(name: 'S', defaultValue: 'x'); booleanParam(name: 'B', defaultValue: false); password(name: 'P', defaultValue: '') }
  stages { stage('s') { steps { echo 'ok' } } } }`)
	f.Job("plain", "echo 1")
	c := admin(f)
	f.Ended(f.Build("j"))
	f.Ended(f.Build("plain"))
	ended := func(n int) map[string]any {
		t.Helper()
		f.Await("the end", func() bool {
			resp, body := c.ask("GET", fmt.Sprintf("/job/j/%d/api/json?tree=result", n), "")
			return resp.StatusCode == 200 && strings.Contains(body, "SUCCESS")
		})
		return c.json(fmt.Sprintf("/job/j/%d/api/json", n))
	}
	const form = "application/x-www-form-urlencoded"
	for i, x := range []struct{ path, body, want string }{
		{"/job/j/buildWithParameters?S=a%26b&B=true&delay=0sec&EXTRA=1", "", "S=a&b B=true"},
		{"/job/j/buildWithParameters", "S=form&P=secret", "S=form B=false"},
		{"/job/j/buildWithParameters?token=T&cause=because", "", "S=x B=false"},
		{"/job/j/build", "json=" + url.QueryEscape(`{"parameter": [{"name": "S", "value": "json"}, {"name": "B", "value": true}], "statusCode": "303"}`), "S=json B=true"},
		{"/job/j/build?delay=0", "json=" + url.QueryEscape(`{"parameter": {"name": "S", "value": "one"}}`), "S=one B=false"},
		{"/job/j/build", "", "S=x B=false"},
	} {
		resp, body := c.ask("POST", x.path, x.body, "Content-Type", form)
		if resp.StatusCode != 201 {
			t.Fatalf("%s: %s %s", x.path, resp.Status, body)
		}
		b := ended(i + 2)
		text, err := json.Marshal(b["actions"])
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, a := range b["actions"].([]any) {
			ps, _ := a.(map[string]any)["parameters"].([]any)
			for _, p := range ps {
				p := p.(map[string]any)
				if p["_class"] == "hudson.model.PasswordParameterValue" {
					continue
				}
				got += fmt.Sprintf(" %v=%v", p["name"], p["value"])
			}
		}
		if strings.TrimSpace(got) != x.want || strings.Contains(string(text), "secret") {
			t.Errorf("%s: %s, want %s: %s", x.path, got, x.want, text)
		}
	}
	for path, says := range map[string]string{
		"/job/plain/buildWithParameters?A=1": "plain is not parameterized",
		"/job/j/buildWithParameters?B=maybe": "expected true or false",
		"/job/j/build?delay=5min":            "builds are not held back",
		"/job/j/build?json=[":                "json",
	} {
		if resp, body := c.ask("POST", path, ""); resp.StatusCode != 400 || !strings.Contains(body, says) {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
}

// Objects come as JSON, XML and Python, whole, by depth, by names, and by XPath.
func TestForms(t *testing.T) {
	f := servertest.New(t)
	f.Run("j", "stage('one') { echo 1 }")
	f.Run("k", "error 'no'")
	c := admin(f)
	for path, want := range map[string]string{
		"/api/xml?xpath=//job[color='red']/name/text()":                      "k",
		"/api/xml?xpath=//job/name&wrapper=names":                            "<names><name>j</name><name>k</name></names>",
		"/api/xml?tree=jobs[name,color]&exclude=//job[name='j']":             `<hudson _class="hudson.model.Hudson"><job _class="org.jenkinsci.plugins.workflow.job.WorkflowJob"><name>k</name><color>red</color></job></hudson>`,
		"/job/j/lastBuild/api/xml?xpath=/workflowRun/result":                 "<result>SUCCESS</result>",
		"/api/python?tree=jobs[name,buildable]{0}":                           `{"_class":"hudson.model.Hudson","jobs":[{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowJob","name":"j","buildable":True}]}`,
		"/api/json?tree=jobs[name]{1,2}":                                     `{"_class":"hudson.model.Hudson","jobs":[{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowJob","name":"k"}]}`,
		"/job/j/1/buildNumber":                                               "1",
		"/view/all/api/json?tree=name,jobs[name]":                            `{"_class":"hudson.model.AllView","jobs":[{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowJob","name":"j"},{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowJob","name":"k"}],"name":"all"}`,
		"/job/k/lastFailedBuild/api/json?tree=number,result,fullDisplayName": `{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowRun","fullDisplayName":"k #1","number":1,"result":"FAILURE"}`,
	} {
		path, query, _ := strings.Cut(path, "?")
		if got := c.get(path + "?" + strings.NewReplacer("[", "%5B", "]", "%5D", "'", "%27").Replace(query)); got != want {
			t.Errorf("%s?%s:\n%s\nwants\n%s", path, query, got, want)
		}
	}
	if deep := c.json("/api/json?depth=1"); deep["jobs"].([]any)[0].(map[string]any)["lastBuild"].(map[string]any)["number"] != 1.0 {
		t.Errorf("depth 1: %v", deep)
	}
	for _, path := range []string{"/api/json?depth=x", "/api/json?tree=%5B", "/api/xml?xpath=//%5B", "/api/xml?xpath=//job&wrapper=%3Cx"} {
		if resp, _ := c.ask("GET", path, ""); resp.StatusCode != 400 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if resp, body := c.ask("GET", "/api/xml?xpath=//job", ""); resp.StatusCode != 500 || !strings.Contains(body, "matched 2 nodes") {
		t.Errorf("two nodes: %s %s", resp.Status, body)
	}
	if s := c.json("/job/j/1/wfapi/describe"); s["status"] != "SUCCESS" || s["stages"].([]any)[0].(map[string]any)["name"] != "one" {
		t.Errorf("stages: %v", s)
	}
	if resp, _ := c.ask("HEAD", "/job/j/api/json", ""); resp.StatusCode != 200 {
		t.Errorf("HEAD: %s", resp.Status)
	}
	c.post("/job/j/1/submitDescription?description=" + url.QueryEscape("first & best"))
	if b := c.json("/job/j/1/api/json"); b["description"] != "first & best" {
		t.Errorf("%v", b)
	}
	c.post("/job/j/1/doDelete")
	if resp, _ := c.ask("GET", "/job/j/1/api/json", ""); resp.StatusCode != 404 {
		t.Errorf("a deleted build: %s", resp.Status)
	}
}

// What cannot be honest is refused, with what to do instead (S1-28: agent.jar).
func TestRefused(t *testing.T) {
	f := servertest.New(t)
	f.Job("j", "echo 1")
	c := admin(f)
	for path, x := range map[string]struct {
		status int
		says   string
	}{
		"/scriptText": {403, "native API"}, "/script": {403, "native API"}, "/computer/(master)/scriptText": {403, "native API"},
		"/pluginManager/api/json?depth=1": {404, "no plugins"}, "/jnlpJars/agent.jar": {404, "outwork agent"}, "/computer/(built-in)/slave-agent.jnlp": {404, "outwork agent"},
		"/tcpSlaveAgentListener/": {404, "outwork agent"}, "/safeRestart": {403, "not over HTTP"}, "/cli": {404, "outwork command"}, "/createView?name=x": {404, "views"},
		"/credentials/": {404, "credentials"}, "/blue/rest/": {404, "/api/v1"}, "/view/mine/api/json": {404, "called all"}, "/job/j/doRename?newName=k": {404, "not renamed"},
		"/job/j/nope": {404, "docs/jenkins-api.md"}, "/computer/nope/nope": {404, "No such agent"}, "/queue/nope": {404, "docs/jenkins-api.md"}, "/user/nope/api/json": {404, "no user"},
	} {
		resp, body := c.ask("POST", path, "")
		if resp.StatusCode != x.status || !strings.Contains(body, x.says) || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
}

// A script makes itself a token, and works with it.
func TestTokens(t *testing.T) {
	f := servertest.New(t)
	c := client{f, "admin", f.Password()}
	_, body := c.ask("POST", "/user/admin/descriptorByName/jenkins.security.ApiTokenProperty/generateNewToken", "newTokenName=ci", "Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		Status string
		Data   struct{ TokenName, TokenValue string }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Status != "ok" || got.Data.TokenName != "ci" {
		t.Fatalf("%v %s", err, body)
	}
	if me := (client{f, "admin", got.Data.TokenValue}).json("/me/api/json"); me["id"] != "admin" {
		t.Errorf("%v", me)
	}
}

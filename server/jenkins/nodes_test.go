package jenkins_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
)

// S1-31, S1-77: a connection that a person ended is made again with launchSlaveAgent. S1-106: the log has both.
func TestDisconnectAndLaunch(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	c := admin(f)
	c.post("/computer/n1/doDisconnect?offlineMessage=" + url.QueryEscape("new cable"))
	f.Await("the end of the connection", func() bool { return c.json("/computer/n1/api/json")["offline"] == true })
	n := c.json("/computer/n1/api/json?depth=1")
	cause, _ := n["offlineCause"].(map[string]any)
	if n["offlineCauseReason"] != "new cable" || cause["_class"] != "hudson.slaves.OfflineCause$UserCause" || cause["description"] != "Disconnected by admin : new cable" || n["temporarilyOffline"] != false {
		t.Errorf("%v", n)
	}
	c.post("/computer/n1/launchSlaveAgent")
	f.Online()
	if n := c.json("/computer/n1/api/json"); n["offline"] != false || n["offlineCause"] != nil || n["offlineCauseReason"] != "" {
		t.Errorf("%v", n)
	}
	session := func() uint64 { st, _ := f.Roster().Node("n1"); return st.Session }
	before := session()
	c.post("/computer/n1/launchSlaveAgent") // is connected: stays so
	if session() != before {
		t.Error("a live connection was replaced")
	}
	log := c.get("/computer/n1/log")
	resp, piece := c.ask("GET", "/computer/n1/logText/progressiveText?start=0", "")
	if log == "" || piece != log || resp.Header.Get("X-Text-Size") != fmt.Sprint(len(log)) {
		t.Errorf("log %q, piece %q, %v", log, piece, resp.Header)
	}
}

// S1-76: a node is taken offline with a reason, who and when; it is kept over a restart, and what runs runs on.
func TestToggleOffline(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	f.Job("j", sleeper)
	c := admin(f)
	c.start("j")
	f.Await("the start", func() bool { return len(f.Queue().Snapshot()) == 1 })
	c.awaitLog(build.ID{Job: "j", Number: 1}, "\nbegun")
	c.post("/computer/n1/toggleOffline?offlineMessage=" + url.QueryEscape("größere Platte"))
	n := c.json("/computer/n1/api/json?depth=2")
	if n["temporarilyOffline"] != true || n["offline"] != true || n["idle"] != false || n["offlineCauseReason"] != "größere Platte" {
		t.Errorf("%v", n)
	}
	busy, _ := n["executors"].([]any)[0].(map[string]any)["currentExecutable"].(map[string]any)
	if busy["url"] != f.URL()+"/job/j/1/" {
		t.Errorf("executors %v", n["executors"])
	}
	f.Stop()
	f.Start()
	f.Await("the node again", func() bool { _, found := f.Roster().Node("n1"); return found })
	if n := c.json("/computer/n1/api/json"); n["offlineCauseReason"] != "größere Platte" {
		t.Errorf("after a restart: %v", n)
	}
	c.post("/computer/n1/changeOfflineCause?offlineMessage=later")
	if n := c.json("/computer/n1/api/json"); n["offlineCauseReason"] != "later" {
		t.Errorf("%v", n)
	}
	c.post("/computer/n1/toggleOffline")
	f.Online()
	if resp, body := c.ask("POST", "/computer/n1/changeOfflineCause?offlineMessage=x", ""); resp.StatusCode != 400 {
		t.Errorf("a cause of an online node: %s %s", resp.Status, body)
	}
	c.post("/job/j/1/stop")
	f.Await("the end", func() bool { return c.json("/job/j/1/api/json")["building"] == false })
}

const node = `<?xml version="1.1" encoding="UTF-8"?>
<slave>
  <name>ignored</name>
  <description>from &lt;XML&gt;</description>
  <remoteFS>/srv/a</remoteFS>
  <numExecutors>4</numExecutors>
  <mode>EXCLUSIVE</mode>
  <retentionStrategy class="hudson.slaves.RetentionStrategy$Demand"><inDemandDelay>1</inDemandDelay><idleDelay>10</idleDelay></retentionStrategy>
  <launcher class="hudson.slaves.JNLPLauncher"><workDirSettings><disabled>false</disabled></workDirSettings></launcher>
  <label>linux "two words"</label>
  <nodeProperties><hudson.slaves.EnvironmentVariablesNodeProperty><envVars serialization="custom"><unserializable-parents/>
    <tree-map><default><comparator class="java.lang.String$CaseInsensitiveComparator"/></default><int>2</int><string>A</string><string>1</string><string>B</string><string>x y</string></tree-map>
  </envVars></hudson.slaves.EnvironmentVariablesNodeProperty></nodeProperties>
</slave>`

// S1-103: a node is made by copying another. S1-104: then its folder is changed. S1-15: nodes stand under /computer. S1-34: an
// agent that dials cannot be launched.
func TestMakingNodes(t *testing.T) {
	f := servertest.New(t)
	c := admin(f)
	if resp, body := c.postXML("/computer/createItem?name=a", node); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	st, _ := f.Roster().Node("a")
	want := fleet.Node{Name: "a", Description: "from <XML>", Executors: 4, Labels: []string{"linux", "two words"}, Mode: fleet.Exclusive, RemoteRoot: "/srv/a",
		Env: map[string]string{"A": "1", "B": "x y"}, Launcher: fleet.LauncherSpec{Kind: "inbound"},
		Retention: fleet.RetentionSpec{Kind: "demand", Config: map[string]string{"inDemandDelay": "1", "idleDelay": "10"}}, Created: st.Node.Created}
	if g, w := dump(t, st.Node), dump(t, want); g != w {
		t.Errorf("made  %s\nwants %s", g, w)
	}
	shown := c.json("/computer/a/api/json")
	if shown["launchSupported"] != false || shown["jnlpAgent"] != true || shown["absoluteRemotePath"] != "/srv/a" || shown["offline"] != true || shown["numExecutors"] != 4.0 {
		t.Errorf("%v", shown)
	}
	c.post("/computer/doCreateItem?name=b&mode=copy&from=a")
	config := c.get("/computer/b/config.xml")
	if resp, body := c.postXML("/computer/b/config.xml", strings.Replace(config, "<remoteFS>/srv/a<", "<remoteFS>/srv/b<", 1)); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	st, _ = f.Roster().Node("b")
	want.Name, want.RemoteRoot, want.Created = "b", "/srv/b", st.Node.Created
	if g, w := dump(t, st.Node), dump(t, want); g != w {
		t.Errorf("copied  %s\nwants %s", g, w)
	}
	form := url.Values{"name": {"c"}, "type": {"hudson.slaves.DumbSlave$DescriptorImpl"}, "json": {`{"name": "c", "nodeDescription": "d", "numExecutors": "2", "remoteFS": "/srv/c",
		"labelString": "x y", "mode": "NORMAL", "type": "hudson.slaves.DumbSlave", "launcher": {"stapler-class": "hudson.slaves.JNLPLauncher", "$class": "hudson.slaves.JNLPLauncher"},
		"retentionsStrategy": {"stapler-class": "hudson.slaves.RetentionStrategy$Always"},
		"nodeProperties": {"stapler-class-bag": "true", "hudson-slaves-EnvironmentVariablesNodeProperty": {"env": [{"key": "K", "value": "v"}]}}}`}}
	c.post("/computer/doCreateItem?" + form.Encode()) // gojenkins sends the form in the query
	st, _ = f.Roster().Node("c")
	want = fleet.Node{Name: "c", Description: "d", Executors: 2, Labels: []string{"x", "y"}, Mode: fleet.Normal, RemoteRoot: "/srv/c", Env: map[string]string{"K": "v"},
		Launcher: fleet.LauncherSpec{Kind: "inbound"}, Created: st.Node.Created}
	if g, w := dump(t, st.Node), dump(t, want); g != w {
		t.Errorf("made  %s\nwants %s", g, w)
	}
	for path, says := range map[string]string{
		"/computer/createItem?name=a":                                                                            "Agent called ‘a’ already exists",
		"/computer/createItem?name=a%2Fb":                                                                        "is not allowed",
		"/computer/doCreateItem?name=master&json={}":                                                             "already exists",
		"/computer/doCreateItem?name=d&json=[":                                                                   "json:",
		"/computer/doCreateItem?name=d&mode=copy&from=nope":                                                      "No such agent: nope",
		"/computer/doCreateItem?name=d&type=hudson.Cloud":                                                        "expected hudson.slaves.DumbSlave",
		`/computer/doCreateItem?name=d&json={"numExecutors":"many"}`:                                             "expected a number",
		`/computer/doCreateItem?name=d&json={"launcher":{"stapler-class":"x.Y"}}`:                                "expected hudson.slaves.JNLPLauncher",
		`/computer/doCreateItem?name=d&json={"retentionStrategy":{"$class":"x.Y"}}`:                              "retentionStrategy",
		`/computer/doCreateItem?name=d&json={"labelString":"\"open"}`:                                            "labelString",
		`/computer/doCreateItem?name=d&json={"launcher":{"$class":"hudson.slaves.JNLPLauncher","tunnel":"h:1"}}`: "outwork agent --tunnel",
	} {
		path, query, _ := strings.Cut(path, "?")
		var values []string
		for _, kv := range strings.Split(query, "&") {
			k, v, _ := strings.Cut(kv, "=")
			if raw, err := url.PathUnescape(v); err == nil {
				v = raw
			}
			values = append(values, k+"="+url.QueryEscape(v))
		}
		if resp, body := c.postXML(path+"?"+strings.Join(values, "&"), node); resp.StatusCode != 400 || !strings.Contains(body, says) {
			t.Errorf("%s?%s: %s %s", path, query, resp.Status, body)
		}
	}
	if _, found := f.Roster().Node("d"); found {
		t.Error("a refused node was made")
	}
	if resp, body := c.ask("GET", "/computer/aa/api/json", ""); resp.StatusCode != 404 || !strings.Contains(body, `No such agent "aa" exists. Did you mean "a"?`) {
		t.Errorf("%s %s", resp.Status, body)
	}
	c.post("/computer/a/doDelete")
	if _, found := f.Roster().Node("a"); found {
		t.Error("a deleted node is there")
	}
}

func dump(t *testing.T, n fleet.Node) string {
	t.Helper()
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// S1-04: the controller's own node is there without executors too, under all of its names, and cannot be changed then.
func TestTheBuiltInNode(t *testing.T) {
	f := servertest.New(t)
	c := admin(f)
	for _, name := range []string{"(built-in)", "(master)", "master", "built-in", "Built-In%20Node"} {
		n := c.json("/computer/" + name + "/api/json")
		if n["_class"] != "hudson.model.Hudson$MasterComputer" || n["numExecutors"] != 0.0 || n["displayName"] != "Built-In Node" {
			t.Errorf("%s: %v", name, n)
		}
	}
	set := c.json("/computer/api/json")
	if all := set["computer"].([]any); len(all) != 1 || set["totalExecutors"] != 0.0 || set["busyExecutors"] != 0.0 {
		t.Errorf("%v", set)
	}
	if root := c.json("/api/json"); root["numExecutors"] != 0.0 {
		t.Errorf("%v", root)
	}
	if resp, _ := c.ask("POST", "/computer/(built-in)/toggleOffline", ""); resp.StatusCode != 400 {
		t.Errorf("toggleOffline: %s", resp.Status)
	}
}

// S1-02: a node more changes nothing of the jobs. Labels count their nodes' executors.
func TestLabels(t *testing.T) {
	f := servertest.New(t, "linux docker", "linux")
	f.Online()
	f.Job("j", "echo 1")
	c := admin(f)
	before := c.get("/job/j/api/json")
	for path, want := range map[string]string{
		"/label/linux": "4 0 4 false 2", "/label/docker": "2 0 2 false 1", "/label/linux%26%26!docker": "2 0 2 false 1", "/label/nope": "0 0 0 true 0",
	} {
		l := c.json(path + "/api/json")
		if got := fmt.Sprint(l["totalExecutors"], l["busyExecutors"], l["idleExecutors"], l["offline"], len(l["nodes"].([]any))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if resp, _ := c.ask("GET", "/label/linux%26%26/api/json", ""); resp.StatusCode != 400 {
		t.Errorf("half an expression: %s", resp.Status)
	}
	load := c.json("/overallLoad/api/json?depth=2")
	if got := fmt.Sprint(load["totalExecutors"]); got != "map[hour:map[latest:4] min:map[latest:4] sec10:map[latest:4]]" {
		t.Errorf("load %s", got)
	}
	if text := c.get("/prometheus/"); !strings.Contains(text, `default_jenkins_nodes_online{node="n2"} 1`) || !strings.Contains(text, `default_jenkins_executors_online{label="linux"} 4`) {
		t.Errorf("%s", text)
	}
	c.post("/computer/doCreateItem?name=more&json={}")
	if after := c.get("/job/j/api/json"); after != before {
		t.Errorf("a node more changed a job:\n%s\n%s", before, after)
	}
}

// S1-71, S1-72, S1-73: what is measured of a node stands under the names of Jenkins' monitors.
func TestMonitorData(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.Nodes = []server.Local{{Name: "n1", Executors: 1}}
	cfg.Heartbeat = 50 * time.Millisecond
	f := servertest.Start(t, cfg)
	f.Online()
	c := admin(f)
	const of = "hudson.node_monitors."
	f.Await("all six monitors", func() bool {
		m := c.json("/computer/n1/api/json")["monitorData"].(map[string]any)
		for _, v := range m {
			if v == nil {
				return false
			}
		}
		return len(m) == 6
	})
	m := c.json("/computer/n1/api/json")["monitorData"].(map[string]any)
	disk, swap := m[of+"DiskSpaceMonitor"].(map[string]any), m[of+"SwapSpaceMonitor"].(map[string]any)
	if disk["path"] == "" || disk["size"].(float64) <= 0 || disk["totalSize"].(float64) < disk["size"].(float64) || swap["totalPhysicalMemory"].(float64) <= 0 {
		t.Errorf("disk %v, swap %v", disk, swap)
	}
	if _, ok := m[of+"ClockMonitor"].(map[string]any)["diff"].(float64); !ok || !strings.Contains(fmt.Sprint(m[of+"ArchitectureMonitor"]), "(") {
		t.Errorf("%v", m)
	}
}

// In quiet mode nothing new is started; what waits says so, and goes on when it ends.
func TestQuietDown(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	f.Job("j", "node('linux') { echo 'now' }")
	c := admin(f)
	c.post("/quietDown?reason=" + url.QueryEscape("new kernel"))
	if root := c.json("/api/json"); root["quietingDown"] != true || root["quietDownReason"] != "new kernel" {
		t.Errorf("%v", root)
	}
	c.start("j")
	f.Await("the item", func() bool { return len(f.Queue().Snapshot()) == 1 })
	items := c.json("/queue/api/json")["items"].([]any)
	if why := items[0].(map[string]any)["why"]; why != "The controller is in quiet mode (new kernel): nothing new is started" {
		t.Errorf("why %v", why)
	}
	c.post("/cancelQuietDown")
	f.Await("the end", func() bool {
		resp, body := c.ask("GET", "/job/j/1/api/json?tree=result", "")
		return resp.StatusCode == 200 && strings.Contains(body, "SUCCESS")
	})
	if root := c.json("/api/json"); root["quietingDown"] != false || root["quietDownReason"] != nil {
		t.Errorf("%v", root)
	}
	if resp, _ := c.ask("POST", "/quietDown?block=true", ""); resp.StatusCode != 400 {
		t.Errorf("block: %s", resp.Status)
	}
}

package web_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
)

// post sends a form, which must be answered with a status.
func (b *browser) post(path string, status int, form url.Values) string {
	b.t.Helper()
	resp, text := b.do("POST", path, form)
	if resp.StatusCode != status {
		b.t.Fatalf("POST %s: %s\n%s", path, resp.Status, text)
	}
	return text
}

// whole is a form with something in every group of inputs.
func whole(name string) url.Values {
	return url.Values{"name": {name}, "description": {"the big <one>"}, "executors": {"3"}, "labels": {`linux "two words"`}, "mode": {"exclusive"}, "remoteRoot": {`C:\new\ci`},
		"launcher": {"ssh"}, "launcher.ssh.host": {"127.0.0.1"}, "launcher.ssh.port": {"1"}, "launcher.ssh.user": {"ci"}, "launcher.ssh.password": {"env:NODE_PASSWORD"}, "launcher.ssh.hostKey": {"none"},
		"launcher.ssh.copy": {"false"}, "launcher.ssh.agentPath": {"/opt/agent"}, "launcher.ssh.name": {"jump.1.user", ""}, "launcher.ssh.value": {"ops", ""}, "launcher.ssh.jump": {"127.0.0.1:2"},
		"launcher.command.command": {"left aside"},
		"retention":                {"schedule"}, "retention.schedule.start": {"0 8 * * 1-5"}, "retention.schedule.upTime": {"10h"}, "retention.schedule.keepWhenActive": {"true"}, "retention.cloud.idle": {"left aside"},
		"monitor.disk.action": {"warn"}, "monitor.disk.bad": {"5 GiB"}, "monitor.disk.warn": {"10GiB"}, "monitor.clock.action": {""}, "monitor.clock.bad": {"2s"},
		"env.name": {"PATH+X", "LINES", ""}, "env.value": {`C:\new;D:\tools`, "one\r\ntwo", ""}, "tool.name": {"jdk21"}, "tool.value": {"/opt/jdk-21"},
		"setup.files": {"/"}, "setup.command": {"echo one\r\necho two"}, "setup.timeout": {"20m"}, "hold": {"yes"}, "reason": {"not set up"}}
}

// S1-102, S1-103 and S1-104: with forms alone a node is made with all that can be set, copied, changed and deleted.
func TestANodeIsMadeCopiedAndDeletedWithoutJavaScript(t *testing.T) {
	t.Setenv("NODE_PASSWORD", "secret")
	f := servertest.New(t, "linux")
	f.Online()
	b := newBrowser(t, f).login("admin", f.Password())
	has(t, "the form", b.get("/new-node"), "By ssh", "By a command", "The agent dials", "On demand", "For one build")
	b.post("/new-node", 200, whole("big"))
	st, ok := f.Roster().Node("big")
	n := st.Node
	if !ok || n.Executors != 3 || !slices.Equal(n.Labels, []string{"linux", "two words"}) || n.Mode != fleet.Exclusive || n.RemoteRoot != `C:\new\ci` || n.Description != "the big <one>" {
		t.Errorf("%+v", n)
	}
	if c := n.Launcher.Config; n.Launcher.Kind != "ssh" || c["port"] != "1" || c["jump.1.user"] != "ops" || c["copy"] != "false" || c["command"] != "" || len(c) != 9 {
		t.Errorf("%+v", n.Launcher)
	}
	if c := n.Retention.Config; n.Retention.Kind != "schedule" || c["upTime"] != "10h" || c["keepWhenActive"] != "true" || len(c) != 3 {
		t.Errorf("%+v", n.Retention)
	}
	if n.Monitors["disk"] != (fleet.Limit{Action: fleet.Warn, Bad: 5 << 30, Warn: 10 << 30}) || n.Monitors["clock"] != (fleet.Limit{Bad: 2000}) || len(n.Monitors) != 2 {
		t.Errorf("%+v", n.Monitors)
	}
	if n.Env["PATH+X"] != `C:\new;D:\tools` || n.Env["LINES"] != "one\ntwo" || len(n.Env) != 2 || n.Tools["jdk21"] != "/opt/jdk-21" {
		t.Errorf("%q %q", n.Env, n.Tools)
	}
	if n.Setup == nil || *n.Setup != (fleet.Setup{Files: "/", Command: "echo one\necho two", Timeout: 20 * time.Minute}) {
		t.Errorf("%+v", n.Setup)
	}
	if n.Offline == nil || n.Offline.By != "admin" || !strings.Contains(n.Offline.Text, "not set up") {
		t.Errorf("%+v", n.Offline)
	}

	// What the form shows is what was kept: sent back as it is, nothing changes.
	sent := inputs(b.get("/nodes/big/config"))
	b.post("/nodes/big/config", 200, sent)
	if st, _ := f.Roster().Node("big"); !same(st.Node, n) {
		t.Errorf("saved as it was, it is %+v, and was %+v", st.Node, n)
	}
	copied := inputs(b.get("/new-node?from=big"))
	if copied.Get("name") != "" || copied.Get("launcher.ssh.user") != "ci" {
		t.Errorf("a copy begins with %v", copied)
	}
	copied.Set("name", "twin")
	copied.Set("remoteRoot", "/srv/ci")
	b.post("/new-node", 200, copied)
	if st, _ := f.Roster().Node("twin"); st.Node.RemoteRoot != "/srv/ci" || st.Node.Offline != nil || st.Node.Env["LINES"] != "one\ntwo" || st.Node.Retention.Kind != "schedule" {
		t.Errorf("%+v", st.Node)
	}
	has(t, "the question", b.get("/nodes/twin/delete"), "Delete twin?", "Keep it")
	b.post("/nodes/twin/delete", 200, nil)
	if _, ok := f.Roster().Node("twin"); ok {
		t.Error("twin is not deleted")
	}
	b.post("/nodes/twin/delete", http.StatusNotFound, nil)

	// A node that dials: the page gives the command.
	b.post("/new-node", 200, url.Values{"name": {"it's"}, "executors": {"1"}, "launcher": {"inbound"}})
	text := b.post("/nodes/it's/join", 200, nil)
	has(t, "the command", text, "outwork agent --url "+f.URL(), `--name &#39;it&#39;\&#39;&#39;s&#39;`)
	token := regexp.MustCompile(`--token (\S+)`).FindStringSubmatch(text)
	if _, err := f.As("").Join(f.Context(), api.Join{Name: "it's", Token: token[1]}); err != nil {
		t.Error(err)
	}
	b.post("/nodes/big/join", http.StatusConflict, nil)
}

func same(a, b fleet.Node) bool {
	return *a.Setup == *b.Setup && a.Launcher.Kind == b.Launcher.Kind && equal(a.Launcher.Config, b.Launcher.Config) && equal(a.Env, b.Env) && equal(a.Tools, b.Tools) && equal(a.Monitors, b.Monitors) &&
		equal(a.Retention.Config, b.Retention.Config) && a.Retention.Kind == b.Retention.Kind && slices.Equal(a.Labels, b.Labels) && a.Executors == b.Executors && a.Mode == b.Mode && a.Description == b.Description && a.RemoteRoot == b.RemoteRoot
}

func equal[V comparable](a, b map[string]V) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// What is wrong stands beside its input, all of it at once, and what was written is kept.
func TestWrongInputIsKept(t *testing.T) {
	f := servertest.New(t, "linux")
	b := newBrowser(t, f).login("admin", f.Password())
	beside := func(page, id, text string) {
		t.Helper()
		if !regexp.MustCompile(`id="` + regexp.QuoteMeta(id) + `-problem">[^<]*` + text).MatchString(page) {
			t.Errorf("%q is not beside %s", text, id)
		}
		if strings.HasSuffix(id, "-name") {
			return
		}
		if !regexp.MustCompile(`id="` + regexp.QuoteMeta(id) + `"[^>]*aria-describedby="[^"]*` + regexp.QuoteMeta(id) + `-problem`).MatchString(page) {
			t.Errorf("%s does not point at what is wrong with it", id)
		}
	}
	form := whole("n1")
	form.Set("executors", "many")
	form.Set("labels", `"open`)
	form.Set("launcher.ssh.port", "99999")
	form.Set("launcher.ssh.password", "")
	form.Set("launcher.ssh.hostKey", "first-use")
	form.Set("launcher.ssh.timeout", "soon")
	form["launcher.ssh.name"] = []string{"nonsense"}
	form.Set("retention.schedule.start", "8 o'clock")
	form.Set("monitor.disk.warn", "1GiB")
	form.Set("monitor.clock.bad", "late")
	form.Set("setup.files", "not whole")
	form.Set("setup.timeout", "soon")
	form["env.value"][0], form["env.name"][0] = "of what?", ""
	page := b.post("/new-node", http.StatusUnprocessableEntity, form)
	beside(page, "f-name", "there is a node")
	beside(page, "f-executors", "&#34;many&#34;: expected a number")
	beside(page, "f-labels", "")
	beside(page, "f-launcher-ssh-port", "expected a number from 1")
	beside(page, "f-launcher-ssh-key", "is missing")
	beside(page, "f-launcher-ssh-timeout", "expected a time")
	beside(page, "f-launcher-ssh-name", "nonsense: is not a setting")
	beside(page, "f-retention-schedule-start", "")
	beside(page, "f-monitor-disk-warn", "would never be seen")
	beside(page, "f-monitor-clock-bad", "expected a time")
	beside(page, "f-env-name", "has no name")
	beside(page, "f-setup-files", "expected the whole path")
	beside(page, "f-setup-timeout", "expected a time")
	has(t, "the page", page, `value="many"`, `value="99999"`, `8 o&#39;clock`, "the big &lt;one&gt;", "of what?", `<a href="#f-executors">Executors</a>`, "<title>Error: New node")
	if kept := inputs(page); kept.Get("launcher") != "ssh" || kept.Get("hold") != "yes" || kept.Get("reason") != "not set up" || kept.Get("launcher.command.command") != "left aside" {
		t.Errorf("kept: %v", kept)
	}
	if st, _ := f.Roster().Node("n1"); st.Node.Launcher.Kind != "local" {
		t.Error("a node was changed by the form of a new one")
	}
	has(t, "half a setup", b.post("/new-node", http.StatusUnprocessableEntity, url.Values{"name": {"x"}, "executors": {"1"}, "launcher": {"inbound"}, "setup.command": {""}, "setup.prepare": {"make"}}),
		`id="f-setup-command-problem">expected files or command`)
	for _, kind := range []string{"local", "nonsense"} {
		has(t, kind, b.post("/new-node", http.StatusUnprocessableEntity, url.Values{"name": {"x"}, "executors": {"1"}, "launcher": {kind}}), `id="f-launcher"`)
	}
	has(t, "no name", b.post("/new-node", http.StatusUnprocessableEntity, url.Values{"executors": {"1"}, "launcher": {"inbound"}}), `id="f-name-problem"`)
	if resp, _ := b.do("GET", "/new-node?from=nobody", nil); resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}

	// Of two who change a node at once, the second is told, and may still have his way.
	first, second := inputs(b.get("/nodes/n1/config")), inputs(b.get("/nodes/n1/config"))
	first.Set("description", "mine")
	second.Set("description", "yours")
	b.post("/nodes/n1/config", 200, first)
	page = b.post("/nodes/n1/config", http.StatusUnprocessableEntity, second)
	has(t, "the second", page, "somebody else has changed", `value="yours"`)
	b.post("/nodes/n1/config", 200, inputs(page))
	if st, _ := f.Roster().Node("n1"); st.Node.Description != "yours" || st.Node.Launcher.Kind != "local" {
		t.Errorf("%+v", st.Node)
	}
}

// Forms of nodes are an admin's.
func TestFormsAreAnAdmins(t *testing.T) {
	f := servertest.New(t, "linux")
	if _, err := f.Client.CreateUser(f.Context(), api.UserCreate{Name: "eve", Password: "evesecret123", Role: "user"}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, f).login("eve", "evesecret123")
	for _, p := range []string{"/new-node", "/nodes/n1/config", "/nodes/n1/delete", "/node-orders?where=linux"} {
		if resp, _ := b.do("GET", p, nil); resp.StatusCode != http.StatusForbidden {
			t.Errorf("GET %s: %s", p, resp.Status)
		}
	}
	for _, p := range []string{"/new-node", "/nodes/n1/config", "/nodes/n1/delete", "/nodes/n1/join", "/node-orders", "/node-orders/do"} {
		b.post(p, http.StatusForbidden, url.Values{})
	}
	for _, p := range []string{"/nodes", "/nodes?view=cells", "/nodes/n1"} {
		if page := b.get(p); strings.Contains(page, `name="node"`) || strings.Contains(page, "/config") || strings.Contains(page, "/new-node") {
			t.Errorf("%s offers what is not allowed", p)
		}
	}
	// From another site nothing is done, whoever it is.
	admin := newBrowser(t, f).login("admin", f.Password())
	if resp, _ := admin.do("POST", "/nodes/n1/delete", url.Values{}, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
}

// A node that a file looks after says so, and is changed there.
func TestAnOwnedNodeIsReadOnly(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.ConfigFile = filepath.Join(t.TempDir(), "farm.yaml")
	if err := os.WriteFile(cfg.ConfigFile, []byte("version: 1\nnodes:\n  - name: owned\n    executors: 2\n    launcher: {kind: inbound}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Nodes = []server.Local{{Name: "free", Executors: 1}}
	f := servertest.Start(t, cfg)
	if err := f.Reload(f.Context()); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, f).login("admin", f.Password())
	has(t, "its page", b.get("/nodes/owned"), "Owner", "farm.yaml")
	form := b.get("/nodes/owned/config")
	has(t, "its form", form, "Owner: <code>"+cfg.ConfigFile, `<fieldset class="all" disabled>`)
	if strings.Contains(form, ">Save<") {
		t.Error("it can be saved")
	}
	has(t, "the question", b.get("/nodes/owned/delete"), "take it out there")
	has(t, "a change", b.post("/nodes/owned/config", http.StatusConflict, inputs(form)), "is looked after by")
	b.post("/nodes/owned/delete", http.StatusConflict, nil)
	if st, ok := f.Roster().Node("owned"); !ok || st.Node.Executors != 2 {
		t.Errorf("%+v", st)
	}
	b.post("/nodes/owned/offline", 200, url.Values{"reason": {"fan"}}) // what is no configuration is not the file's
	if page := b.get("/nodes/free/config"); strings.Contains(page, "Owner:") || !strings.Contains(page, ">Save<") {
		t.Error("what the file does not name is owned")
	}
}

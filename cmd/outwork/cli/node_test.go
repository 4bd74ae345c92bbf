package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/server/servertest"
)

// nodeShell is a shell logged in to a farm, and the command with which an agent of a folder speaks over its standard streams.
func nodeShell(t *testing.T, f *servertest.Farm) (s *shell, agent string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s = newShell(t)
	s.vars["OUTWORK_URL"], s.vars["OUTWORK_TOKEN"] = f.URL(), f.Token
	return s, "exec '" + self + "' agent --stdio --root '" + filepath.Join(t.TempDir(), "root") + "'"
}

// S3-19: one command from nothing to a node that works. S1-103 and S1-104: a second by copying it.
func TestAddingANodeInOneGo(t *testing.T) {
	f := servertest.New(t)
	s, agent := nodeShell(t, f)
	code, out, errw := s.try("", "node", "add", "box", "--command", agent, "--yes")
	if code != exitOK {
		t.Fatalf("%d\n%s%s", code, out, errw)
	}
	for _, says := range []string{"Made node box", "  Starting", "Node box is online", "Ran a step in", "Hello from", "Took --labels", "Node box works"} {
		if !strings.Contains(out+errw, says) {
			t.Errorf("no %q in\n%s%s", says, out, errw)
		}
	}
	s.ok("OK, got PATH back from agent box.", "node", "check", "box", "--run")
	s.ok("Hello from", "node", "test", "box")
	s.ok("ok    link", "node", "doctor", "box")
	s.fails(exitConflict, "already", "node", "add", "box")
	s.ok("Made node third like box.", "copy-node", "box", "third", "--launcher", "inbound")
	s.ok("third", "get-node", "third")
	s.ok("Made node twin like box.", "node", "copy", "box", "twin", "--launcher-config", "command="+strings.Replace(agent, "root'", "other'", 1), "--executors", "3", "--monitor", "disk=bad:1MiB,action:warn", "--tool", "jdk=/opt/jdk")
	s.ok("", "node", "update", "box", "--labels", `linux docker,"two words"`)
	s.ok(`docker linux os:linux "two words"`, "node", "show", "box")
	s.ok("twin: online.", "node", "wait-online", "twin", "--timeout", "1m")
	s.ok("online", "node", "history", "twin")
	show := s.ok("process ", "node", "show", "twin")
	if !regexp.MustCompile(`Disk: .*free`).MatchString(show) {
		t.Errorf("no health in\n%s", show)
	}
	s.ok("Changed node twin.", "node", "update", "twin", "--env", "A=b", "--retention", "demand", "--retention-config", "idleDelay=2h", "--remote-root", "")
	for args, says := range map[string]string{"--env A": "NAME=VALUE", "--monitor disk": "SETTINGS", "--monitor disk=bad:x": "5GiB", "--monitor disk=odd:1": "expected action", "--retention odd": "retention"} {
		s.fails(exitUsage, says, append([]string{"node", "update", "twin"}, strings.Fields(args)...)...)
	}
}

// A machine that cannot be reached: the reason comes from its log, and the hop that fails by name. One that dials is told how.
func TestAddingWhatCannotBeReached(t *testing.T) {
	f := servertest.New(t)
	s, _ := nodeShell(t, f)
	s.fails(exitUnavailable, "exit status 3", "node", "add", "broken", "--command", "echo no agent here >&2; exit 3")
	s.fails(exitUnavailable, "it wrote: no agent here", "node", "doctor", "broken")
	s.fails(exitUsage, "one of them", "node", "add", "x", "--command", "a", "--ssh", "b")
	s.fails(exitUsage, "--ssh", "node", "add", "x", "--key", "k")
	s.fails(exitUsage, "--winrm", "node", "add", "x", "--password", "env:X")
	s.fails(exitUsage, "launcher.config.password", "node", "add", "x", "--winrm", `CORP\ci@localhost`)
	s.fails(exitUsage, "after the colon", "node", "add", "x", "--winrm", "ci@localhost:x")
	s.fails(exitUsage, "launcher.config.key", "node", "add", "x", "--ssh", "ci@localhost:2222")
	s.ok("--name mac", "node", "add", "mac", "--labels", "mac")
	s.fails(exitUnavailable, "not online within", "node", "wait-online", "mac", "--timeout", "100ms")
}

// S1-78, S1-79: many nodes by an expression, and the names that Jenkins' command line has for it. S3-22, S3-27: the report.
func TestManyNodesFromTheCommandLine(t *testing.T) {
	f := servertest.New(t, "linux", "linux old", "windows old")
	f.Online()
	s, _ := nodeShell(t, f)
	if out := s.ok("match", "node", "offline", "linux && old", "--reason", "kernel", "--dry-run"); out != "n2\n" {
		t.Errorf("%q", out)
	}
	s.ok("Took node n2 offline", "node", "offline", "linux && old", "--reason", "kernel")
	s.fails(exitNotFound, "no node matches", "node", "offline", "--where", "mac")
	s.fails(exitNotFound, "n9", "node", "offline", "n1", "n9")
	s.fails(exitUsage, "--where", "node", "offline")
	s.fails(exitUsage, "label", "node", "offline", "linux &&")
	out := s.ok("", "node", "check", "--all")
	want := regexp.MustCompile(`(?s)^NAME +OFFLINE +TEMPORARILY +ANSWER +CAUSE\nn1 +false +false +OK, got PATH back from agent n1\. *\nn2 +true +true +OK, got PATH back from agent n2\. +Disconnected by admin : kernel\nn3 +false .*Number of Offline Nodes: 1\nNumber of Nodes: 3\n$`)
	if !want.MatchString(out) {
		t.Errorf("the report:\n%s", out)
	}
	var r report
	if b, err := json.Marshal(s.json("node", "check", "--all")); err != nil || json.Unmarshal(b, &r) != nil || r.Offline != 1 || r.Total != 3 || !r.Nodes[1].TemporarilyOffline {
		t.Errorf("%+v", r)
	}
	s.ok("Node n2 gets work again.", "online-node", "n2")
	s.ok("n2: online.", "wait-node-online", "n2")
	s.ok("Took node n1 offline", "offline-node", "n1", "-m", "disk")
	s.ok("n1: offline.", "wait-node-offline", "n1", "n1")
	s.ok("Node n1 gets work again.", "node", "online", "--where", "suspended")
	s.ok("Disconnected node n3.", "disconnect-node", "n3", "-m", "rack")
	s.ok("n3: offline.", "node", "wait-offline", "n3")
	s.ok("Node n3 is being connected.", "connect-node", "n3")
	s.ok("n3: online.", "node", "wait-online", "n3")
	s.ok("n3", "node", "list", "--where", "windows && connected")
	s.ok("Node n1 drains", "node", "drain", "n1")
	s.json("node", "offline", "n1")
	s.json("node", "doctor", "n2")
	s.json("node", "history", "n1")
	s.json("node", "test", "n2")
}

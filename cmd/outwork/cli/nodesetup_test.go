package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/server/servertest"
)

// S1-20: a node whose setup fails stays offline with the reason, its output is in the node's log, and only administrators see and set
// it. When it is put right the node comes online, set up.
func TestSetupOfANode(t *testing.T) {
	f := servertest.New(t)
	s, agent := nodeShell(t, f)
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "settings.xml"), []byte("<settings/>"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.ok("", "node", "add", "seed")
	s.ok("", "node", "copy", "seed", "box", "--launcher", "command", "--launcher-config", "command="+agent, "--setup-files", files,
		"--setup-command", "echo no room for $NODE_TO_SETUP_NAME >&2; exit 3")
	f.Await("the setup to fail", func() bool {
		st, _ := f.Roster().Node("box")
		return st.Cause != nil && st.Cause.Text == "Setup failed: exit 3"
	})
	s.ok("Setup failed: exit 3", "node", "show", "box")
	s.ok("no room for box", "node", "log", "box")
	s.ok("Changed node box.", "node", "update", "box", "--setup-files", files, "--setup-prepare", "echo prepared > made", "--setup-command", "cat settings.xml made; echo labels $NODE_TO_SETUP_LABELS", "--setup-timeout", "1m")
	s.ok("box: online.", "node", "wait-online", "box", "--timeout", "1m")
	log := s.ok("<settings/>prepared", "node", "log", "box")
	if !strings.Contains(log, "labels arch:") {
		t.Errorf("no labels in\n%s", log)
	}
	if v := s.json("node", "show", "box").(map[string]any)["setup"].(map[string]any); v["timeout"] != "1m0s" || v["prepare"] != "echo prepared > made" || v["files"] != files {
		t.Errorf("%v", v)
	}
	s.fails(exitUsage, "expected a time", "node", "update", "box", "--setup-command", "x", "--setup-timeout", "soon")
	s.fails(exitUsage, "whole path", "node", "update", "box", "--setup-files", "relative")
	s.ok("Changed", "node", "update", "box", "--setup-command", "")
	if v := s.json("node", "show", "box").(map[string]any)["setup"]; v != nil {
		t.Errorf("still %v", v)
	}
	s.ok("box: online.", "node", "wait-online", "box", "--timeout", "1m")
}

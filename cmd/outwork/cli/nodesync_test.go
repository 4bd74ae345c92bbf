package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
)

// S1-58: the verb that takes the place of the script.
func TestSyncingNodes(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.Tools = t.TempDir()
	cfg.Nodes = []server.Local{{Name: "n1", Labels: []string{"gcc"}, Executors: 1}}
	if err := os.WriteFile(filepath.Join(cfg.Tools, "gcc"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(cfg.Tools, "etc")); err != nil {
		t.Fatal(err)
	}
	f := servertest.Start(t, cfg)
	f.Online()
	s, _ := nodeShell(t, f)
	s.ok("synced, 1 files (10 B) in ", "node", "sync")
	again := s.ok("nothing to do", "node", "sync", "gcc && online")
	if !strings.Contains(again, `warning: tools "--tools": left out: etc: `) {
		t.Errorf("no warning in\n%s", again)
	}
	s.ok("Tools:", "node", "show", "n1")
	s.ok(cfg.Tools, "node", "sync", "--folders")
	s.ok(`"state": "synced"`, "node", "sync", "n1", "--json")
	s.fails(exitNotFound, "nobody", "node", "sync", "nobody")
	if err := os.Remove(filepath.Join(cfg.Tools, "gcc")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(cfg.Tools, "etc")); err != nil {
		t.Fatal(err)
	}
	s.fails(exitUnavailable, "1 of 1 nodes could not be synced", "node", "sync")
	s.ok("is empty: is what should be there mounted?", "node", "sync", "--folders")
}

package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet/launch/winrm/winrmtest"
	"github.com/outwork-build/outwork/server/servertest"
)

// S1-23: from a Windows with nothing but WinRM to a node that works, in one command; when the node is deleted, nothing of it runs. The Windows is
// Wine, whose service manager starts the real agent.
func TestAddingAMachineByWinRMUnderWine(t *testing.T) {
	w := winrmtest.NewWine(t, "Administrator", "correct horse", "ProgramData/Outwork/agents/win1")
	cfg := servertest.Config(t)
	cfg.AgentsDir = t.TempDir()
	winrmtest.BuildForWindows(t, filepath.Join(cfg.AgentsDir, "outwork-agent-windows-amd64.exe"), "github.com/outwork-build/outwork/cmd/outwork-agent")
	t.Setenv("WIN1_PASSWORD", "correct horse")
	f := servertest.Start(t, cfg)
	s, _ := nodeShell(t, f)
	start := time.Now()
	code, out, errw := s.try("", "node", "add", "win1", "--winrm", "Administrator@"+w.Address, "--password", "env:WIN1_PASSWORD", "--yes")
	t.Logf("%v\n%s%s", time.Since(start), out, errw)
	if code != exitOK {
		t.Fatalf("exit %d after %v", code, time.Since(start))
	}
	for _, says := range []string{"Made node win1, launcher winrm.", "Node win1 is online", "Hello from", "Took --labels windows", "Node win1 works"} {
		if !strings.Contains(out+errw, says) {
			t.Errorf("no %q", says)
		}
	}
	if log := s.ok("set /p OUTWORK_SECRET=", "node", "log", "win1"); strings.Contains(log, "correct horse") || strings.Contains(log, "owa_") {
		t.Errorf("a secret in the log:\n%s", log)
	}
	s.ok("controller", "node", "doctor", "win1")
	awaitService := func(what string, good func(state string) bool) {
		t.Helper()
		for deadline := time.Now().Add(servertest.Patience); ; {
			st := w.Service("outwork-agent-win1")
			if good(st) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the service %s: %s", what, st)
			}
		}
	}
	s.ok("Disconnected", "node", "disconnect", "win1", "--reason", "test")
	awaitService("of a disconnected node runs", func(st string) bool { return strings.Contains(st, "STOPPED") })
	s.ok("", "node", "delete", "win1", "--yes")
	awaitService("of a deleted node is there", func(st string) bool { return !strings.Contains(st, "STOPPED") && !strings.Contains(st, "RUNNING") })
}

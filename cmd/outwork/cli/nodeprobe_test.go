package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/server/servertest"
)

// S1-75: a script of the node's own, run by a real agent, takes its node off; it is back when the monitor is taken away. A value has its
// limits and its history.
func TestAScriptAsMonitor(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.Heartbeat = time.Second
	f := servertest.Start(t, cfg)
	s, agent := nodeShell(t, f)
	flag := filepath.Join(t.TempDir(), "flag")
	s.ok("", "node", "add", "seed")
	s.ok("", "node", "copy", "seed", "box", "--launcher", "command", "--launcher-config", "command="+agent, "--probe", "flag=test -e '"+flag+"' || { echo the flag is gone; exit 3; }",
		"--probe", "gpu=echo gpu at temp=85.5", "--probe-settings", `flag=interval:5s`, "--probe-settings", `gpu=interval:5s,bad:90,warn:80,value:temp=([0-9.]+)`)
	const why = "Monitor flag failed: exit 3: the flag is gone"
	f.Await("the monitor to take it off", func() bool {
		st, _ := f.Roster().Node("box")
		if st.State == "online" {
			t.Fatal("it was online")
		}
		return st.State == "suspended" && st.Cause != nil && st.Cause.Text == why
	})
	show := s.ok(why, "node", "show", "box")
	for _, line := range []string{"Flag:", "BAD: exit 3: the flag is gone", "Gpu:", "WARNING: 85.5"} {
		if !strings.Contains(show, line) {
			t.Errorf("no %q in\n%s", line, show)
		}
	}
	if ps, err := f.Client.NodeSeries(f.Context(), "box", "gpu", 1); err != nil || len(ps) == 0 || ps[0].Max < 85 {
		t.Errorf("%v %v", ps, err)
	}
	s.fails(exitUsage, "there is a monitor of that name already", "node", "update", "box", "--probe", "disk=true")
	s.fails(exitUsage, "there is no --probe x", "node", "update", "box", "--probe", "y=true", "--probe-settings", "x=bad:1")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.ok("Changed node box.", "node", "update", "box", "--probe", "flag=test -e '"+flag+"' && echo there", "--probe-settings", "flag=interval:5s")
	s.ok("box: online.", "node", "wait-online", "box", "--timeout", "1m")
	s.ok("Hello from", "node", "test", "box")
	s.ok("Changed node box.", "node", "update", "box", "--probe", "")
	f.Await("its finding to go", func() bool {
		st, _ := f.Roster().Node("box")
		_, still := st.Monitors["flag"]
		return !still
	})
}

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/outwork-build/outwork/e2e/world"
)

// zombies are the ways in which a process gets away from who started it, by the number of seconds that each sleeps.
var zombies = map[string]string{
	"81001": `sleep 81001 >/dev/null 2>&1 </dev/null &`,
	"81002": `nohup sleep 81002 >/dev/null 2>&1 </dev/null &`,
	"81003": `(setsid sleep 81003 >/dev/null 2>&1 </dev/null &)`,
	"81004": `(cd / && setsid env -i /bin/sh -c "(trap '' TERM HUP; /bin/sleep 81004 & wait) &" >/dev/null 2>&1 </dev/null)`,
	"81005": `(setsid sh -c "setsid sh -c 'exec setsid sleep 81005' &" >/dev/null 2>&1 </dev/null &)`,
}

func running() (found []string) {
	for seconds := range zombies {
		found = append(found, world.Running("sleep", seconds)...)
	}
	return found
}

// F16: daemons that left the step's group, session, parent, folder and environment are gone once the build has ended: also when the agent
// was killed while they lived, and so nobody has seen the end of their build but its successor.
func TestF16Daemons(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a := w.Join("a", "linux")
	gate := filepath.Join(t.TempDir(), "gate")
	script := "#!/bin/sh\n"
	for _, way := range zombies {
		script += way + "\n"
	}
	w.Job("j", "node('linux') { sh '''"+strings.ReplaceAll(script, "'", `\'`)+"'''\nsh 'echo they live; while [ ! -e "+gate+" ]; do sleep 0.05; done' }")
	gone := func(why string) {
		t.Helper()
		var left []string
		defer func() {
			if t.Failed() {
				t.Logf("%s: left over: %v", why, left)
			}
		}()
		w.Await("the daemons to be gone", func() bool { left = running(); return len(left) == 0 })
		nobodyLeft(t, w, a)
	}
	for _, killed := range []bool{false, true} {
		n := w.Build("j")
		w.AwaitLog("j", n, "they live\n")
		if killed {
			a.Signal(syscall.SIGKILL)
			<-a.Ended()
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if killed {
			a.Start()
		}
		if b := w.Finish("j", n); b.Result != "SUCCESS" {
			t.Fatalf("#%d: %s %s %s\n%s", n, b.Result, b.CauseKind, b.Message, w.Log("j", n))
		}
		gone("after the build")
		if err := os.Remove(gate); err != nil {
			t.Fatal(err)
		}
	}
	n := w.Build("j")
	w.AwaitLog("j", n, "they live\n")
	abort(t, w, "j", n)
	aborted(t, w, "j", n)
	gone("after the abort")
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/e2e/world"
)

func TestMain(m *testing.M) { world.Main(m) }

// counting prints numbered lines and notes each start and end in a file outside of the farm: the oracle of the promises.
func counting(oracle string, lines int, pause string) string {
	return fmt.Sprintf(`#!/bin/sh
echo "start $$" >> %[1]s
i=1
while [ $i -le %[2]d ]; do echo "line $i of $BUILD_TAG"; i=$((i+1)); sleep %[3]s; done
echo "end $$" >> %[1]s
`, oracle, lines, pause)
}

// checkLines fails unless the log has lines 1..n exactly once, in order.
func checkLines(t *testing.T, log string, n int) {
	t.Helper()
	next := 1
	for _, l := range strings.Split(log, "\n") {
		var i int
		if _, err := fmt.Sscanf(l, "line %d of", &i); err != nil {
			continue
		}
		if i != next {
			t.Fatalf("line %d stands where line %d should", i, next)
		}
		next++
	}
	if next != n+1 {
		t.Fatalf("the log ends after line %d of %d", next-1, n)
	}
}

func count(t *testing.T, file, word string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	n := 0
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, word+" ") {
			n++
		}
	}
	return n
}

// F1: an agent is killed in a step and started again: the step runs on, is not started twice, and its log is whole.
func TestF1AgentKilledInAStep(t *testing.T) {
	w := world.New(t)
	a := w.Join("a", "linux")
	oracle := filepath.Join(t.TempDir(), "oracle")
	w.Job("f1", "node('linux') { sh '''"+counting(oracle, 300, "0.01")+"''' }")
	n := w.Build("f1")
	w.AwaitLog("f1", n, "line 50 of")
	a.Kill()
	a.Start()
	began := time.Now()
	a.AwaitOnline()
	promised(t, "adopted again", time.Since(began), 5*time.Second)
	if b := w.Finish("f1", n); b.Result != "SUCCESS" {
		t.Fatalf("%s: %s\n%s", b.Result, b.Message, w.Log("f1", n))
	}
	checkLines(t, w.Log("f1", n), 300)
	if s, e := count(t, oracle, "start"), count(t, oracle, "end"); s != 1 || e != 1 {
		t.Fatalf("started %d times, ended %d times", s, e)
	}
}

// promised notes how long something took, and fails when that is past three times what is promised: a busy machine's share.
func promised(t *testing.T, what string, took, promise time.Duration) {
	t.Helper()
	t.Logf("%s after %s; promised are %s", what, took.Round(time.Millisecond), promise)
	if took > 3*promise {
		t.Errorf("%s only after %s; promised are %s", what, took, promise)
	}
}

// F1b: the machine is gone for good: the loss is found, retryable work runs elsewhere, the rest is LOST and not run again.
func TestF1bMachineGoneForGood(t *testing.T) {
	w := world.New(t, "--lease-ttl", "4s", "--lease-grace", "6s", "--hold", "2s", "--heartbeat", "500ms")
	a := w.Join("a", "linux")
	oracle := t.TempDir()
	once, again := filepath.Join(oracle, "once"), filepath.Join(oracle, "again")
	w.Job("lost", "node('linux') { sh '''"+counting(once, 100000, "0.05")+"''' }")
	w.Job("retried", "retry(count: 2, conditions: [agent()]) { node('linux') { sh '''if [ -e "+again+".go ]; then echo start $$ >> "+again+"; exit 0; fi\n"+strings.TrimPrefix(counting(again, 100000, "0.05"), "#!/bin/sh\n")+"''' } }")
	lost, retried := w.Build("lost"), w.Build("retried")
	w.AwaitLog("lost", lost, "line 2 of")
	w.AwaitLog("retried", retried, "line 2 of")
	a.Destroy()
	began := time.Now()
	if err := os.WriteFile(again+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.Join("b", "linux")
	w.AwaitLog("retried", retried, "Agent a was lost")
	lostAfter := time.Since(began)
	promised(t, "the loss found with 4 s of TTL and 6 s of grace, as 45 s would be by default,", lostAfter, 15*time.Second)
	w.AwaitLog("retried", retried, "Running on b")
	promised(t, "given to another", time.Since(began)-lostAfter, 5*time.Second)
	if b := w.Finish("retried", retried); b.Result != "SUCCESS" {
		t.Fatalf("retryable work: %s %s\n%s", b.Result, b.Message, w.Log("retried", retried))
	}
	b := w.Finish("lost", lost)
	if b.Result == "SUCCESS" || b.CauseKind != "LOST" {
		t.Fatalf("work that must not run twice: %s, cause %q, %s\n%s", b.Result, b.CauseKind, b.Message, w.Log("lost", lost))
	}
	if log := w.Log("lost", lost); strings.Count(log, "bytes may be missing: agent a was lost]\n") != 1 {
		t.Fatalf("nothing says that the end of the output is lost:\n%s", log)
	}
	if s := count(t, once, "start"); s != 1 {
		t.Fatalf("it was started %d times", s)
	}
	if s := count(t, again, "start"); s != 2 {
		t.Fatalf("the retryable step was started %d times", s)
	}
	rebuilt, err := w.Client.Rebuild(w.Context(), "lost", lost)
	if err != nil {
		t.Fatal(err)
	}
	w.AwaitLog("lost", rebuilt.Number, "line 2 of")
}

// F4: an agent is stopped, not dead: the controller notices by its silence, and all goes on when it wakes.
func TestF4StoppedAgent(t *testing.T) {
	w := world.New(t, "--heartbeat", "500ms")
	a := w.Join("a", "linux")
	oracle := filepath.Join(t.TempDir(), "oracle")
	w.Job("f4", "node('linux') { sh '''"+counting(oracle, 400, "0.01")+"''' }")
	n := w.Build("f4")
	w.AwaitLog("f4", n, "line 10 of")
	a.Signal(syscall.SIGSTOP)
	began := time.Now()
	w.Await("the silence to be noticed", func() bool {
		node, err := w.Client.Node(w.Context(), "a")
		return err == nil && node.State != "online"
	})
	t.Logf("noticed after %s with heartbeats of 500 ms", time.Since(began).Round(10*time.Millisecond))
	a.Signal(syscall.SIGCONT)
	a.AwaitOnline()
	if b := w.Finish("f4", n); b.Result != "SUCCESS" {
		t.Fatalf("%s: %s", b.Result, b.Message)
	}
	checkLines(t, w.Log("f4", n), 400)
	if s := count(t, oracle, "start"); s != 1 {
		t.Fatalf("started %d times", s)
	}
}

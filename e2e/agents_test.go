package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/e2e/world"
)

// F1: the agent is killed ten times in one step, with two parallel steps on it, and replaced by another binary meanwhile.
func TestF1AgentKilledTenTimesAndUpgraded(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a := w.Join("a", "linux", "--executors", "2")
	oracle := t.TempDir()
	w.Job("j", "parallel(l: { node('linux') { sh '''"+numbered(oracle, "l", 400, "0.02")+"'''; sh '''"+numbered(oracle, "after", 3, "0")+"''' } }, r: { node('linux') { sh '''"+numbered(oracle, "r", 400, "0.02")+"''' } })")
	n := w.Build("j")
	w.AwaitLog("j", n, "line 5 of jenkins-j-1.l\n")
	w.AwaitLog("j", n, "line 5 of jenkins-j-1.r\n")
	other := filepath.Join(t.TempDir(), "outwork-next")
	b, err := os.ReadFile(w.Binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, b, 0o755); err != nil {
		t.Fatal(err)
	}
	var worst time.Duration
	for i := range 10 {
		a.Kill()
		if i == 4 {
			a.Binary = other
		}
		began := time.Now()
		a.Start()
		a.AwaitSaid("connected")
		worst = max(worst, time.Since(began))
	}
	t.Logf("connected again after at most %s", worst.Round(time.Millisecond))
	if got := w.Finish("j", n); got.Result != "SUCCESS" {
		t.Fatalf("%s %s %s\n%s", got.Result, got.CauseKind, got.Message, w.Log("j", n))
	}
	s := shape{name: "j", steps: map[string]int{"l": 400, "r": 400, "after": 3}}
	if err := s.check(oracle, n, w.Log("j", n)); err != nil {
		t.Fatal(err)
	}
}

// F1: the agent is killed at all kinds of moments of a build of many short steps: between them, while a lease is opened, while one
// is closed. No step is started twice, and each build ends well.
func TestF1AgentKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a := w.Join("a", "linux")
	oracle := t.TempDir()
	var script strings.Builder
	steps := map[string]int{}
	for i := range 12 {
		name := "s" + strconv.Itoa(i)
		steps[name] = 2
		script.WriteString("node('linux') { sh '''" + numbered(oracle, name, 2, "0") + "''' }\n")
	}
	w.Job("j", script.String())
	s := shape{name: "j", steps: steps}
	for i := range 6 {
		n := w.Build("j")
		<-time.After(time.Duration(i*17) * time.Millisecond) // the point of it
		a.Kill()
		a.Start()
		if b := w.Finish("j", n); b.Result != "SUCCESS" {
			t.Fatalf("#%d: %s %s %s\n%s", n, b.Result, b.CauseKind, b.Message, w.Log("j", n))
		}
		if err := s.check(oracle, n, w.Log("j", n)); err != nil {
			t.Fatal(err)
		}
	}
}

// F22: an agent that is asked to end with --drain takes nothing new, waits for what runs, and then goes.
func TestF22Drain(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a := w.Join("a", "linux", "--executors", "2", "--drain", "60s")
	gate := filepath.Join(t.TempDir(), "gate")
	w.Job("long", "node('linux') { sh 'echo running; while [ ! -e "+gate+" ]; do sleep 0.05; done; echo done' }")
	w.Job("next", "node('linux') { echo 'next' }")
	n := w.Build("long")
	w.AwaitLog("long", n, "running\n")
	a.Signal(syscall.SIGTERM)
	a.AwaitSaid("draining: no new work is taken")
	w.Await("the roster to know", func() bool {
		n, err := w.Client.Node(w.Context(), "a")
		return err == nil && n.State == "draining" && n.Offline != nil && n.Offline.Kind == "leave"
	})
	waits := w.Build("next") // an executor is free
	w.Await("the reason why new work waits", func() bool {
		x, err := w.Client.Why(w.Context(), "next#"+strconv.Itoa(waits))
		return err == nil && len(x.Nodes) == 1 && strings.Contains(x.Nodes[0].Reason, "‘a’ is not accepting tasks (The agent was asked to end")
	})
	if code, out, errs := w.CLI("node", "list"); code != 0 || !strings.Contains(out, "draining") || !strings.Contains(out, "was asked to end") {
		t.Errorf("node list: %d %s%s", code, out, errs)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if b := w.Finish("long", n); b.Result != "SUCCESS" {
		t.Errorf("what ran: %s %s %s\n%s", b.Result, b.CauseKind, b.Message, w.Log("long", n))
	}
	if code := a.ExitCode(); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	w.Join("b", "linux")
	if b := w.Finish("next", waits); b.Result != "SUCCESS" {
		t.Errorf("new work: %s %s", b.Result, b.Message)
	}
}

// F22: an agent whose machine goes away ends what outlasts its drain, gives it back at once, and the work runs elsewhere; nothing of it is
// alive by then. What can end in time does.
func TestF22HandBack(t *testing.T) {
	t.Parallel()
	w := world.New(t, "--lease-ttl", "20m")
	a := w.Join("a", "linux", "--executors", "2", "--drain", "3s", "--give-back")
	dir := t.TempDir()
	pid, gate := filepath.Join(dir, "pid"), filepath.Join(dir, "gate")
	w.Job("long", "retry(count: 2, conditions: [agent()]) { node('linux') { sh '''if [ -e "+pid+" ]; then\n"+
		"kill -0 $(cat "+pid+") 2>/dev/null && echo it lives still; echo again on $NODE_NAME\nelse\necho $$ > "+pid+"; echo running; exec sleep 3600\nfi''' } }")
	w.Job("short", "node('linux') { sh 'echo running; while [ ! -e "+gate+" ]; do sleep 0.05; done' }")
	w.Job("plain", "node('linux') { sh 'sleep 3600' }")
	long, short := w.Build("long"), w.Build("short")
	w.AwaitLog("long", long, "running\n")
	w.AwaitLog("short", short, "running\n")
	a.Signal(syscall.SIGTERM)
	a.AwaitSaid("draining: no new work is taken")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if b := w.Finish("short", short); b.Result != "SUCCESS" {
		t.Errorf("short: %s %s %s\n%s", b.Result, b.CauseKind, b.Message, w.Log("short", short))
	}
	if code := a.ExitCode(); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	b := w.Join("b", "linux", "--drain", "1ms", "--give-back")
	got, log := w.Finish("long", long), w.Log("long", long)
	if got.Result != "SUCCESS" || !strings.Contains(log, "again on b\n") || strings.Contains(log, "it lives still") {
		t.Errorf("long: %s %s %s\n%s", got.Result, got.CauseKind, got.Message, log)
	}
	// What may not run twice ends, and says that the agent was lost.
	n := w.Build("plain")
	w.AwaitLog("plain", n, "+ sleep 3600")
	b.Signal(syscall.SIGTERM)
	if got := w.Finish("plain", n); got.Result == "SUCCESS" || got.CauseKind != "LOST" || !strings.Contains(got.Message, "Agent b was lost") {
		t.Errorf("plain: %s %s %q\n%s", got.Result, got.CauseKind, got.Message, w.Log("plain", n))
	}
}

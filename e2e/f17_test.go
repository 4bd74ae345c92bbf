package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/e2e/world"
	"github.com/outwork-build/outwork/internal/fault"
)

// guarded is a pipeline with post sections around a step.
func guarded(label, step string) string {
	return fmt.Sprintf(`pipeline {
  agent { label '%s' }
  stages { stage('Work') { steps { %s } } }
  post {
    always { echo 'post: always' }
    aborted { echo 'post: aborted' }
    success { echo 'post: success' }
  }
}`, label, step)
}

// stubborn is a step that ignores TERM, and has a child and a daemon of its own session that do so, too.
const stubborn = `sh '''#!/bin/sh
trap "" TERM INT HUP
setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 1; done' &
(trap "" TERM; while :; do sleep 1; done) &
echo "ready"
while :; do sleep 1; done
'''`

func aborted(t *testing.T, w *world.World, job string, n int) {
	t.Helper()
	b := w.Finish(job, n)
	log := w.Log(job, n)
	if b.Result != "ABORTED" {
		t.Fatalf("%s#%d: %s %q %s\n%s", job, n, b.Result, b.CauseKind, b.Message, log)
	}
	if !strings.HasSuffix(log, "Finished: ABORTED\n") {
		t.Errorf("the log ends with %q", log[max(0, len(log)-200):])
	}
	if strings.Contains(log, "post: success") {
		t.Errorf("post { success } ran:\n%s", log)
	}
}

func postRan(t *testing.T, w *world.World, job string, n int) {
	t.Helper()
	log := w.Log(job, n)
	for _, want := range []string{"post: always\n", "post: aborted\n"} {
		if strings.Count(log, want) != 1 {
			t.Errorf("%q stands %d times in the log\n%s", want, strings.Count(log, want), log)
		}
	}
}

// nobodyLeft waits until nothing lives of what an agent started but the agent itself.
func nobodyLeft(t *testing.T, w *world.World, a *world.Agent) {
	t.Helper()
	var left []string
	defer func() {
		if t.Failed() {
			t.Logf("left over: %v", left)
		}
	}()
	w.Await("the processes of "+a.Name+" to be gone", func() bool {
		left = left[:0]
		for _, p := range world.Leftovers(a.Root) {
			if !strings.Contains(p, " agent --url ") && !strings.Contains(p, "/outwork shim ") { // one shim is kept warm
				left = append(left, p)
			}
		}
		return len(left) == 0
	})
}

func abort(t *testing.T, w *world.World, job string, n int) {
	t.Helper()
	if err := w.Client.Abort(w.Context(), job, n); err != nil {
		t.Fatal(err)
	}
}

// F17: a build that waits in the queue is aborted: its queue item goes, and the agent that comes later gets nothing to do.
func TestF17AbortInTheQueue(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	oracle := filepath.Join(t.TempDir(), "oracle")
	w.Job("j", guarded("linux", "sh 'echo start >> "+oracle+"'"))
	n := w.Build("j")
	w.Await("the item", func() bool {
		items, err := w.Client.Queue(w.Context())
		return err == nil && len(items) == 1
	})
	abort(t, w, "j", n)
	aborted(t, w, "j", n)
	if items, err := w.Client.Queue(w.Context()); err != nil || len(items) != 0 {
		t.Errorf("the queue still has %+v, %v", items, err)
	}
	w.Join("a", "linux")
	w.Job("other", "node('linux') { echo 'other' }")
	if b := w.Finish("other", w.Build("other")); b.Result != "SUCCESS" {
		t.Errorf("the next build: %s %s", b.Result, b.Message)
	}
	if _, err := os.Stat(oracle); err == nil {
		t.Error("the aborted build ran")
	}
}

// F17: aborts at once after the start, at all kinds of moments of claiming, twice each: aborted wins or finished wins, nothing
// hangs, no executor stays taken, no process is left.
func TestF17AbortWhileClaiming(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a := w.Join("a", "linux", "--executors", "2")
	w.Job("j", guarded("linux", "sh 'sleep 0.05'"))
	results := map[string]int{}
	for i := range 40 {
		n := w.Build("j")
		<-time.After(time.Duration(i*i) * 100 * time.Microsecond) // from at once to past its end
		for range 2 {
			if err := w.Client.Abort(w.Context(), "j", n); err != nil && !fault.Is(err, fault.Conflict) { // it may have finished
				t.Fatal(err)
			}
		}
		b := w.Finish("j", n)
		results[b.Result]++
		log := w.Log("j", n)
		if !strings.HasSuffix(log, "Finished: "+b.Result+"\n") || strings.Count(log, "Finished: ") != 1 {
			t.Fatalf("#%d is %s; the log:\n%s", n, b.Result, log)
		}
		// The second abort may also come when the work is done and post { success } runs: then it is an aborted build that has that.
		if b.Result == "SUCCESS" && !strings.Contains(log, "post: success") {
			t.Fatalf("#%d is %s; the log:\n%s", n, b.Result, log)
		}
	}
	t.Logf("%v", results)
	if results["ABORTED"] == 0 || results["ABORTED"]+results["SUCCESS"] != 40 {
		t.Errorf("results: %v", results)
	}
	w.Await("free executors", func() bool {
		node, err := w.Client.Node(w.Context(), "a")
		return err == nil && len(node.Busy) == 0
	})
	nobodyLeft(t, w, a)
}

// F17: a step that ignores TERM is killed after its grace with all that it started, and post sections run. A second abort does not
// wait for that.
func TestF17AbortTheStubborn(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a := w.Join("a", "linux")
	w.Job("j", guarded("linux", stubborn))
	n := w.Build("j")
	w.AwaitLog("j", n, "ready\n")
	began := time.Now()
	abort(t, w, "j", n)
	aborted(t, w, "j", n)
	t.Logf("ended %s after one abort", time.Since(began).Round(10*time.Millisecond))
	postRan(t, w, "j", n)
	nobodyLeft(t, w, a)

	n = w.Build("j")
	w.AwaitLog("j", n, "ready\n")
	began = time.Now()
	abort(t, w, "j", n)
	abort(t, w, "j", n)
	aborted(t, w, "j", n)
	t.Logf("ended %s after two aborts", time.Since(began).Round(10*time.Millisecond))
	nobodyLeft(t, w, a)
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("a second abort took %s", d)
	}
}

// F17: abort, and the controller is killed before it can see to it: the build is aborted still after its return.
func TestF17AbortDuringAnOutage(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a := w.Join("a", "linux")
	w.Job("stubborn", guarded("linux", stubborn))
	n := w.Build("stubborn")
	w.AwaitLog("stubborn", n, "ready\n")
	abort(t, w, "stubborn", n)
	w.KillController()
	w.StartController()
	aborted(t, w, "stubborn", n)
	postRan(t, w, "stubborn", n)
	nobodyLeft(t, w, a)

	// And one that waits in the queue.
	w.Job("waits", guarded("nowhere", "sh 'true'"))
	n = w.Build("waits")
	abort(t, w, "waits", n)
	w.KillController()
	w.StartController()
	aborted(t, w, "waits", n)
	if items, err := w.Client.Queue(w.Context()); err != nil || len(items) != 0 {
		t.Errorf("the queue still has %+v, %v", items, err)
	}
}

// F17: abort while the agent is away: it is carried out when the agent is back.
func TestF17AbortDuringAnAgentsOutage(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a := w.Join("a", "linux")
	w.Job("j", guarded("linux", stubborn))
	n := w.Build("j")
	w.AwaitLog("j", n, "ready\n")
	a.Kill()
	w.Await("the loss to be seen", func() bool {
		node, err := w.Client.Node(w.Context(), "a")
		return err == nil && node.State != "online"
	})
	abort(t, w, "j", n)
	a.Start()
	a.AwaitOnline()
	aborted(t, w, "j", n)
	postRan(t, w, "j", n)
	nobodyLeft(t, w, a)
}

// F17: parallel branches on two agents are all ended by one abort.
func TestF17AbortParallel(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Join("a", "x"), w.Join("b", "y")
	w.Job("j", "parallel(l: { node('x') { "+strings.Replace(stubborn, "ready", "ready l", 1)+" } }, r: { node('y') { "+strings.Replace(stubborn, "ready", "ready r", 1)+" } }, q: { node('nowhere') { } })")
	n := w.Build("j")
	w.AwaitLog("j", n, "ready l\n")
	w.AwaitLog("j", n, "ready r\n")
	if err := w.Client.Abort(w.Context(), "j", n); err != nil {
		t.Fatal(err)
	}
	aborted(t, w, "j", n)
	nobodyLeft(t, w, a)
	nobodyLeft(t, w, b)
	if got, err := w.Client.Build(w.Context(), "j", n); err != nil || got.CauseKind != "USER" {
		t.Errorf("the cause: %+v, %v", got, err)
	}
}

package pipeline_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline"
)

const twoNodes = `pipeline {
    agent { label 'linux' }
    stages {
        stage('Build') { steps { sh 'one'; sh 'two' } }
        stage('Both') {
            parallel {
                stage('a') { steps { sh 'a1'; sh 'a2' } }
                stage('b') { agent { label 'gpu' }; steps { sh 'b1'; sh 'b2' } }
            }
        }
        stage('Pause') { steps { sleep(time: 1, unit: 'MILLISECONDS'); sh 'three' } }
    }
    post { always { sh 'tidy' } }
}
`

// lines sorts a console, because branches of parallel take turns as their processes end.
func lines(s string) string { return strings.Join(sorted(strings.Split(s, "\n")), "\n") }

// TestResume ends the controller after each entry of the journal in turn, and starts another: P2, P3 and P4. No process is
// started twice, no line is printed twice, and nothing stays held.
func TestResume(t *testing.T) {
	whole := newWorld(t)
	whole.start()
	ref, want := whole.run(twoNodes)
	if ref.Result != build.Success {
		t.Fatalf("without a crash: %s\n%s", ref.Result, want)
	}
	for n := 0; ; n++ {
		w := newWorld(t)
		w.job("job", twoNodes)
		w.store.limit(n)
		w.start()
		id := w.trigger("job")
		w.until("the crash, or the end", func() bool {
			b, _ := w.store.Build(context.Background(), id)
			return b.State == build.Finished || w.store.full()
		})
		b, _ := w.store.Build(context.Background(), id)
		if b.State == build.Finished {
			if n < 20 {
				t.Fatalf("the journal has only %d entries", n)
			}
			return
		}
		w.halt()
		w.store.limit(-1)
		w.start()
		if b = w.finished(id); b.Result != build.Success {
			t.Fatalf("crash after %d entries: %s %s\n%s", n, b.Result, b.Message, w.console(id))
		}
		if got := w.console(id); lines(got) != lines(want) {
			t.Fatalf("crash after %d entries: console:\n%s\nwant:\n%s", n, got, want)
		}
		for script, count := range w.starts() {
			if count != 1 {
				t.Fatalf("crash after %d entries: %q was started %d times", n, script, count)
			}
		}
		if held := w.farm.active(); len(held) > 0 {
			t.Fatalf("crash after %d entries: still held: %q", n, held)
		}
		w.halt()
	}
}

// TestResumeAborted ends the controller after each entry of the journal of a build that is aborted: the request survives, what
// follows an abort is done once.
func TestResumeAborted(t *testing.T) {
	for n := 0; ; n++ {
		w := newWorld(t)
		w.job("job", `node('linux') { try { sh 'hang' } finally { sh 'tidy' } }`)
		w.store.limit(n)
		w.start()
		id := w.trigger("job")
		w.until("the process, or the crash", func() bool { return w.starts()["hang"] == 1 || w.store.full() })
		if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
			t.Fatal(err)
		}
		w.until("the crash, or the end", func() bool {
			b, _ := w.store.Build(context.Background(), id)
			return b.State == build.Finished || w.store.full()
		})
		crashed := w.store.full()
		w.halt()
		w.store.limit(-1)
		w.start()
		b := w.finished(id)
		starts := w.starts()
		if b.Result != build.Aborted || b.CauseKind != build.CauseUser || starts["hang"] > 1 || starts["tidy"] > 1 || starts["tidy"] < starts["hang"] {
			t.Fatalf("crash after %d entries: %s %s, started %v\n%s", n, b.Result, b.CauseKind, starts, w.console(id))
		}
		if got := w.console(id); strings.Count(got, "Aborted by bob\n") != 1 || strings.Count(got, "Finished: ABORTED\n") != 1 {
			t.Fatalf("crash after %d entries: console:\n%s", n, got)
		}
		if held := w.farm.active(); len(held) > 0 {
			t.Fatalf("crash after %d entries: still held: %q", n, held)
		}
		w.halt()
		if !crashed {
			if n < 8 {
				t.Fatalf("the journal has only %d entries", n)
			}
			return
		}
	}
}

// TestLedgerAway: while the journal cannot be written the build stands still, and then goes on by itself.
func TestLedgerAway(t *testing.T) {
	w := newWorld(t)
	w.job("job", twoNodes)
	w.store.limit(9)
	w.start()
	id := w.trigger("job")
	w.until("the journal to be full", w.store.full)
	w.store.limit(-1)
	if b := w.finished(id); b.Result != build.Success {
		t.Errorf("%s %s\n%s", b.Result, b.Message, w.console(id))
	}
	for script, count := range w.starts() {
		if count != 1 {
			t.Errorf("%q was started %d times", script, count)
		}
	}
}

// TestFarmFails: a machine that cannot make a workspace is not the build's failure (P6).
func TestFarmFails(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	w.farm.add("agent-3", file, "broken")
	w.start()
	b, got := w.run(`node('broken') { echo 'never' }`)
	if b.CauseKind != build.CauseInfra || !strings.Contains(b.Message, "open the workspace on agent-3") || strings.Contains(got, "never") {
		t.Errorf("%s %s %q\n%s", b.Result, b.CauseKind, b.Message, got)
	}
	if held := w.farm.active(); len(held) > 0 {
		t.Errorf("still held: %q", held)
	}
}

// TestFailFast: the first failure interrupts the other branches, and is the one that counts.
func TestFailFast(t *testing.T) {
	w := newWorld(t)
	w.start()
	b, got := w.run(`pipeline { agent any
    stages { stage('Both') { failFast true
        parallel {
            stage('a') { steps { sh 'hang' } }
            stage('b') { steps { sh 'fail 4' } }
        } } } }`)
	if b.Result != build.Failure || b.Message != "script returned exit code 4" || !strings.Contains(got, "Failed in branch b\n") || !strings.Contains(got, "Terminated\n") {
		t.Errorf("%s %q\n%s", b.Result, b.Message, got)
	}
}

// TestUnsupported: what cannot be done is said before anything runs.
func TestUnsupported(t *testing.T) {
	w := newWorld(t)
	w.start()
	for what, script := range map[string]string{
		"agent docker":       `pipeline { agent { docker 'golang' }; stages { stage('A') { steps { echo 'x' } } } }`,
		`input in stage "A"`: `pipeline { agent none; stages { stage('A') { input { message 'go?' }; steps { echo 'x' } } } }`,
	} {
		b, got := w.run(script)
		if b.Result != build.Failure || !strings.Contains(got, what+" is not supported @ line 1, column") || strings.Contains(got, "Start of Pipeline") {
			t.Errorf("%s: %s\n%s", what, b.Result, got)
		}
	}
}

// TestStartStop starts and stops a Runner with work under way, many times, and leaves no goroutine.
func TestStartStop(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.job("job", `node('linux') { sh 'hang' }`)
	id := w.trigger("job")
	w.saw(id, "did hang")
	w.halt()
	before := goleak.IgnoreCurrent()
	for range 100 {
		w.start()
		w.until("the run to be taken up", func() bool { return !w.r.Idle() })
		w.halt()
	}
	goleak.VerifyNone(t, before)
	if w.starts()["hang"] != 1 {
		t.Errorf("started %d times", w.starts()["hang"])
	}
}

// TestStop ends the controller in good order while a step runs: the build stays running, the process goes on, the next
// controller finds its end.
func TestStop(t *testing.T) {
	w := newWorld(t)
	w.job("job", `node('linux') { stage('A') { sh 'hang'; echo 'never' } }`)
	w.start()
	id := w.trigger("job")
	w.saw(id, "did hang")
	before := w.console(id)
	w.halt()
	if list, _ := w.details.Stages(context.Background(), id); len(list) != 1 || list[0].State != "running" {
		t.Errorf("after the stop the stages are %+v", list)
	}
	if b, _ := w.store.Build(context.Background(), id); b.State != build.Running {
		t.Fatalf("after the stop the build is %s", b.State)
	}
	w.start()
	w.until("the run to be taken up", func() bool { return !w.r.Idle() })
	if got := w.console(id); got != before {
		t.Errorf("the stop or the resume printed:\n%s\nbefore:\n%s", got, before)
	}
	if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
		t.Fatal(err)
	}
	b := w.finished(id)
	if b.Result != build.Aborted || b.CauseKind != build.CauseUser || w.starts()["hang"] != 1 {
		t.Errorf("%s %s, started %d times", b.Result, b.CauseKind, w.starts()["hang"])
	}
	if got := w.console(id); !strings.HasSuffix(got, "Aborted by bob\nSending interrupt signal to process\nTerminated\n[Pipeline] }\n[Pipeline] // stage\n[Pipeline] }\n[Pipeline] // node\n[Pipeline] End of Pipeline\nFinished: ABORTED\n") {
		t.Errorf("console:\n%s", got)
	}
}

// TestAbort: post blocks follow an abort, and see ABORTED.
func TestAbort(t *testing.T) {
	w := newWorld(t)
	w.job("job", `pipeline { agent any
    stages { stage('A') { steps { sh 'hang' } } }
    post { aborted { sh 'tidy' } } }`)
	w.start()
	id := w.trigger("job")
	w.saw(id, "did hang")
	if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
		t.Fatal(err)
	}
	b := w.finished(id)
	if b.Result != build.Aborted || w.starts()["tidy"] != 1 || b.Message != "Aborted by bob" {
		t.Errorf("%+v\n%s", b, w.console(id))
	}
	if err := w.r.Abort(context.Background(), id, "bob"); !fault.Is(err, fault.Conflict) {
		t.Errorf("abort of a finished build: %v", err)
	}
}

// TestAbortTwice: the second request cuts the post block.
func TestAbortTwice(t *testing.T) {
	w := newWorld(t)
	w.job("job", `node { try { sh 'hang' } finally { echo 'cleaning'; sleep 3600 } }`)
	w.start()
	id := w.trigger("job")
	w.saw(id, "did hang")
	for _, wait := range []string{"cleaning", ""} {
		if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
			t.Fatal(err)
		}
		if wait != "" {
			w.saw(id, wait)
		}
	}
	if b := w.finished(id); b.Result != build.Aborted {
		t.Errorf("%s", b.Result)
	}
	if held := w.farm.active(); len(held) > 0 {
		t.Errorf("still held: %q", held)
	}
}

// TestAbortAtRandom aborts at random moments, with a restart in between now and then: aborted wins or finished wins (F17).
func TestAbortAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	for n := range 40 {
		w := newWorld(t)
		w.job("job", twoNodes)
		w.start()
		id := w.trigger("job")
		at, restart := random.IntN(30), random.IntN(2) == 0
		w.until("the moment of the abort", func() bool {
			b, _ := w.store.Build(context.Background(), id)
			return w.store.journalled(id) >= at || b.State == build.Finished
		})
		err := w.r.Abort(context.Background(), id, "bob")
		if restart {
			w.halt()
			w.start()
		}
		b := w.finished(id)
		if b.Result != build.Aborted && b.Result != build.Success || err != nil && (!fault.Is(err, fault.Conflict) || b.Result != build.Success) {
			t.Errorf("seed %d, round %d: abort at entry %d, restart %v: %v, %s %s\n%s", seed, n, at, restart, err, b.Result, b.Message, w.console(id))
		}
		if got := w.console(id); strings.Count(got, "Finished: "+string(b.Result)+"\n") != 1 {
			t.Errorf("seed %d, round %d: console:\n%s", seed, n, got)
		}
		for script, count := range w.starts() {
			if count != 1 {
				t.Errorf("seed %d, round %d: %q was started %d times", seed, n, script, count)
			}
		}
		w.until("executors to be given back", func() bool { return len(w.farm.active()) == 0 })
		w.halt()
	}
}

// TestAbortWhileWaiting: a build that waits for an executor leaves the queue.
func TestAbortWhileWaiting(t *testing.T) {
	w := newWorld(t)
	w.job("job", `node('ecs') { echo 'never' }`)
	w.start()
	id := w.trigger("job")
	w.until("the node block to wait", func() bool { return w.farm.waiting() == 1 })
	if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
		t.Fatal(err)
	}
	if b := w.finished(id); b.Result != build.Aborted || w.farm.waiting() != 0 {
		t.Errorf("%s, %d items wait", b.Result, w.farm.waiting())
	}
}

// TestDisableConcurrent: later builds wait, and say for which one.
func TestDisableConcurrent(t *testing.T) {
	w := newWorld(t)
	w.job("job", `pipeline { agent any
    options { disableConcurrentBuilds() }
    stages { stage('A') { steps { sh 'hang' } } } }`)
	w.start()
	first := w.trigger("job")
	w.saw(first, "did hang") // the property is learnt by then
	second := w.trigger("job")
	w.until("the second to be held", func() bool {
		return slices.Equal(w.r.Waiting(), []pipeline.Held{{ID: second, Why: "Build #1 is already in progress"}})
	})
	third := w.trigger("job")
	if err := w.r.Abort(context.Background(), third, "bob"); err != nil {
		t.Fatal(err)
	}
	if b := w.finished(third); b.Result != build.Aborted || !b.Started.IsZero() {
		t.Errorf("aborted in the queue: %+v", b)
	}
	if got := w.console(third); got != "Started by user alice\nAborted by bob\nFinished: ABORTED\n" {
		t.Errorf("its log:\n%s", got)
	}
	w.halt()
	w.start() // a restart forgets neither
	w.until("the second to be held again", func() bool {
		return slices.Equal(w.r.Waiting(), []pipeline.Held{{ID: second, Why: "Build #1 is already in progress"}})
	})
	for _, id := range []build.ID{first, second} {
		w.saw(id, "did hang")
		if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
			t.Fatal(err)
		}
		w.finished(id)
	}
}

// TestAbortPrevious: a newer build ends the one that runs, as NOT_BUILT.
func TestAbortPrevious(t *testing.T) {
	w := newWorld(t)
	w.job("job", `properties([disableConcurrentBuilds(abortPrevious: true)])
node { if (env.BUILD_NUMBER == '1') { sh 'hang' } }`)
	w.start()
	first := w.trigger("job")
	w.saw(first, "did hang")
	second := w.trigger("job")
	if b := w.finished(first); b.Result != build.NotBuilt || b.Message != "Superseded by job#2" {
		t.Errorf("the first: %s %q", b.Result, b.Message)
	}
	if b := w.finished(second); b.Result != build.Success {
		t.Errorf("the second: %s", b.Result)
	}
}

// TestLimit: over MaxRunning, builds stay queued.
func TestLimit(t *testing.T) {
	w := newWorld(t)
	w.config = func(c *pipeline.Config) { c.MaxRunning = 2 }
	w.job("job", `node { sh 'hang' }`)
	w.start()
	var ids []build.ID
	for range 3 {
		ids = append(ids, w.trigger("job"))
	}
	w.saw(ids[1], "did hang")
	w.until("the third to be held", func() bool {
		h := w.r.Waiting()
		return len(h) == 1 && h[0].ID == ids[2] && strings.Contains(h[0].Why, "2 pipelines are in progress")
	})
	for _, id := range ids {
		w.saw(id, "did hang")
		if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
			t.Fatal(err)
		}
		w.finished(id)
	}
}

// TestLost: a lost agent's steps are not run again by themselves, and the build says that it is not its fault (P2, P6).
func TestLost(t *testing.T) {
	w := newWorld(t)
	w.job("job", `node('linux') { sh 'hang' }`)
	w.start()
	id := w.trigger("job")
	w.saw(id, "did hang")
	w.farm.lose("agent-1")
	if b := w.finished(id); b.CauseKind != build.CauseLost || b.Result != build.Aborted || b.Message != "Agent agent-1 was lost" {
		t.Errorf("%s %s %q", b.Result, b.CauseKind, b.Message)
	}
	if got := w.console(id); strings.Count(got, "[output of this step after its first 9 bytes may be missing: agent agent-1 was lost]\n") != 1 {
		t.Errorf("nothing says that the end of the output is lost (P3):\n%s", got)
	}
}

// TestRetryAgent: what stands under retry(conditions: [agent()]) goes on elsewhere.
func TestRetryAgent(t *testing.T) {
	w := newWorld(t)
	w.farm.add("agent-3", w.dir+"/agent-3", "spare").Process = process
	w.job("job", `def label = 'linux'
retry(count: 2, conditions: [agent()]) {
    node(label) {
        if (label == 'linux') { label = 'spare'; sh 'hang' }
        sh 'done'
    }
}`)
	w.start()
	id := w.trigger("job")
	w.saw(id, "did hang")
	w.farm.lose("agent-1")
	if b := w.finished(id); b.Result != build.Success {
		t.Errorf("%s %s\n%s", b.Result, b.Message, w.console(id))
	}
	if got := w.console(id); !strings.Contains(got, "Agent agent-1 was lost\nRetrying\n") {
		t.Errorf("console:\n%s", got)
	}
}

func TestParameters(t *testing.T) {
	w := newWorld(t)
	script := `pipeline { agent none
    parameters { choice(name: 'ENV', choices: ['dev', 'prod']); booleanParam(name: 'FAST', defaultValue: false) }
    stages { stage('A') { steps { echo "${params.ENV} ${params.FAST} ${params.FAST.getClass().simpleName}" } } } }`
	w.start()
	b, got := w.run(script)
	if !strings.Contains(got, "dev false Boolean\n") || b.Parameters["ENV"] != "dev" {
		t.Errorf("defaults of the first build: %v\n%s", b.Parameters, got)
	}
	ctx, cause := context.Background(), build.Cause{Kind: "timer"}
	id, err := w.r.Trigger(ctx, "job", map[string]string{"ENV": "prod", "FAST": "true"}, cause)
	if err != nil {
		t.Fatal(err)
	}
	w.finished(id)
	if got := w.console(id); !strings.HasPrefix(got, "Started by timer\n") || !strings.Contains(got, "prod true Boolean\n") {
		t.Errorf("given parameters:\n%s", got)
	}
	again, err := w.r.Rebuild(ctx, id, "carol")
	if err != nil {
		t.Fatal(err)
	}
	if b := w.finished(again); b.Parameters["ENV"] != "prod" || b.Cause.User != "carol" {
		t.Errorf("rebuild: %+v", b)
	}
	for want, params := range map[string]map[string]string{
		`parameter "ENV": "test": expected one of dev, prod`: {"ENV": "test"},
		`parameter "FAST": "yes": expected true or false`:    {"FAST": "yes"},
		`parameter "EVN": job job declares ENV, FAST`:        {"EVN": "dev"},
	} {
		if _, err := w.r.Trigger(ctx, "job", params, cause); !fault.Is(err, fault.Invalid) || err.Error() != want {
			t.Errorf("Trigger(%v): %v, want %s", params, err, want)
		}
	}
	if _, err := w.r.Trigger(ctx, "nothing", nil, cause); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown job: %v", err)
	}
	job, _ := w.store.Job(ctx, "job")
	job.Disabled = true
	_ = w.store.PutJob(ctx, job, false)
	if _, err := w.r.Trigger(ctx, "job", nil, cause); !fault.Is(err, fault.Conflict) {
		t.Errorf("disabled job: %v", err)
	}
}

// TestDiscard: buildDiscarder keeps the newest, and the last successful one whatever its age.
func TestDiscard(t *testing.T) {
	w := newWorld(t)
	w.start()
	script := `properties([buildDiscarder(logRotator(numToKeepStr: '2'))])
if (env.BUILD_NUMBER != '1') { error 'no' }`
	for range 5 {
		w.run(script)
	}
	changed, cancel := w.r.Subscribe()
	defer cancel()
	late := time.After(time.Minute)
	for {
		list, _ := w.store.Builds(context.Background(), build.Filter{Job: "job"})
		var kept []int
		for _, b := range list {
			kept = append(kept, b.ID.Number)
		}
		if slices.Equal(kept, []int{5, 4, 1}) {
			return
		}
		select { // old builds go after the new one is known to have finished
		case <-changed:
		case <-late:
			t.Fatalf("kept builds %v, want [5 4 1]", kept)
		}
	}
}

// TestStages: the page's tree.
func TestStages(t *testing.T) {
	w := newWorld(t)
	w.start()
	b, _ := w.run(`pipeline { agent any
    stages {
        stage('A') { steps { sh 'x' } }
        stage('B') { when { expression { false } }; steps { sh 'y' } }
        stage('C') { parallel { stage('c1') { agent { label 'gpu' }; steps { sh 'fail 1' } }; stage('c2') { steps { unstable 'u' } } } }
    } }`)
	list, _ := w.details.Stages(context.Background(), b.ID)
	byID, got := map[string]build.Stage{}, []string{}
	for _, s := range list {
		byID[s.ID] = s
		got = append(got, strings.TrimSpace(byID[s.Parent].Name+" "+s.Name+" "+s.State+" "+string(s.Result)+" "+s.Node))
	}
	want := []string{"A finished SUCCESS agent-1", "B skipped NOT_BUILT agent-1", "C finished FAILURE agent-1", "C c1 finished FAILURE agent-2", "C c2 finished UNSTABLE agent-1"}
	if !slices.Equal(got, want) {
		t.Errorf("stages:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

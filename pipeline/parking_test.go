package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline"
)

// parks has every run leave memory as soon as it only waits; never has none.
func parks(c *pipeline.Config) { c.MaxQuiet = -1 }
func never(c *pipeline.Config) { c.MaxQuiet, c.Quiet = 1<<30, 1000*time.Hour }

// happening is what befalls a build at a time after its start.
type happening struct {
	at time.Duration
	do func(w *world, id build.ID)
}

func comes(label string) func(*world, build.ID) {
	return func(w *world, _ build.ID) {
		w.farm.pause(true)
		w.farm.add("agent-"+label, w.dir+"/"+label, label).Process = process
		w.farm.pause(false)
	}
}

func abort(w *world, id build.ID) {
	if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
		w.t.Error(err)
	}
}

func restart(w *world, _ build.ID) {
	w.halt()
	w.start()
}

// parkings are builds that wait, and what then happens.
var parkings = []struct {
	name, script string
	stays        bool // in memory
	then         []happening
}{
	{"an agent comes", `def n = 1; env.X = 'x'
node('late') { n++; sh "n=${n} ${env.X}" }
echo "and ${n}"`, false, []happening{{2 * time.Minute, comes("late")}}},
	{"before it says why", `node('late') { sh 'one' }`, false, []happening{{10 * time.Second, comes("late")}}},
	{"two agents come", `pipeline { agent none
    stages { stage('Both') { parallel {
        stage('a') { agent { label 'late' }; steps { sh 'a' } }
        stage('b') { agent { label 'later' }; steps { sh 'b' } } } } }
    post { always { echo "ended ${currentBuild.currentResult}" } } }`, false,
		[]happening{{time.Minute, comes("late")}, {2 * time.Minute, comes("later")}}},
	{"a timeout", `def e = 'none'
try { timeout(time: 1, unit: 'MINUTES') { node('late') { sh 'never' } } } catch (x) { e = x.class.simpleName }
echo "caught ${e}"`, false, nil},
	{"a timeout around two", `parallel(a: { timeout(time: 90, unit: 'SECONDS') { node('late') { sh 'never' } } }, b: { node('later') { sh 'b' } })`, false,
		[]happening{{2 * time.Minute, comes("later")}}},
	{"an option", `pipeline { agent none
    options { timeout(time: 3, unit: 'MINUTES') }
    stages { stage('A') { agent { label 'late' }; options { timeout(time: 1, unit: 'MINUTES') }; steps { sh 'never' } } } }`, false, nil},
	{"it is quiet for too long", `timeout(time: 1, unit: 'MINUTES', activity: true) { node('late') { sh 'never' } }`, true, nil},
	{"it sleeps", `node('linux') { sh 'one' }
sleep 120
node('linux') { sh 'two' }`, false, nil},
	{"it sleeps beside", `parallel(a: { sleep 120; echo 'awake' }, b: { node('late') { sh 'b' } }, c: { node('linux') { sh 'c' } })`, false,
		[]happening{{time.Minute, comes("late")}}},
	{"it polls", `int n = 0
waitUntil(initialRecurrencePeriod: 15000) { n++; n > 8 }`, true, nil},
	{"it is aborted", `pipeline { agent none
    stages { stage('A') { agent { label 'late' }; steps { sh 'never' } } }
    post { aborted { node('linux') { sh 'tidy' } } } }`, false, []happening{{time.Minute, abort}}},
	{"it is aborted twice", `try { node('late') { sh 'never' } } finally { echo 'cleaning'; node('later') { sh 'never' } }`, false,
		[]happening{{time.Minute, abort}, {2 * time.Minute, abort}}},
	{"it holds an executor", `node('linux') { sh 'one'; node('late') { sh 'two' } }`, true, []happening{{time.Minute, comes("late")}}},
	{"the first fails", `parallel(a: { node('late') { sh 'fail 3' } }, b: { node('later') { sh 'never' } }, failFast: true)`, false,
		[]happening{{time.Minute, comes("late")}}},
	{"the controller restarts", `retry(2) { node('late') { sh 'one' } }
node('later') { sh 'two' }`, false, []happening{{time.Minute, restart}, {2 * time.Minute, comes("late")}, {3 * time.Minute, restart}, {4 * time.Minute, comes("later")}}},
}

// watched is what a person sees of a build.
type watched struct {
	build   build.Build
	console string
	stages  string
	took    time.Duration
	away    int // how often it was found parked
}

// watch runs a script, and what happens meanwhile.
func watch(t *testing.T, script string, then []happening, config func(*pipeline.Config)) (out watched) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limit, w.config = time.Hour, config
		defer w.halt()
		w.job("job", script)
		w.start()
		begin := time.Now()
		id := w.trigger("job")
		for _, h := range slices.Concat(then, []happening{{40 * time.Second, func(*world, build.ID) {}}}) {
			time.Sleep(h.at - time.Since(begin))
			synctest.Wait()
			out.away += w.r.Parked()
			h.do(w, id)
		}
		out.build = w.finished(id)
		out.took = time.Since(begin).Round(10 * time.Millisecond)
		synctest.Wait()
		out.console = w.console(id)
		list, _ := w.details.Stages(context.Background(), id)
		for _, s := range list {
			out.stages += fmt.Sprintf("%s %s %s %s %s %v\n", s.Name, s.Kind, s.State, s.Result, s.Node, s.Ended.Sub(s.Started).Round(10*time.Millisecond))
		}
		for script, n := range w.starts() {
			if n != 1 {
				t.Errorf("%q was started %d times", script, n)
			}
		}
		if held, wait := w.farm.active(), w.farm.waiting(); len(held) > 0 || wait > 0 {
			t.Errorf("held: %q, %d wait", held, wait)
		}
		if all, active := w.r.InMemory(); all != 0 || active != 0 || w.r.Parked() != 0 {
			t.Errorf("at the end %d runs are in memory, %d of them active, %d are parked", all, active, w.r.Parked())
		}
	})
	return out
}

// ordered sorts what branches said at the same moment about why they wait.
func ordered(console string) string {
	all := strings.SplitAfter(strings.ReplaceAll(console, "Still waiting to schedule task\n", "Still waiting to schedule task: "), "\n")
	for from := 0; from < len(all); from++ {
		to := from
		for to < len(all) && strings.HasPrefix(all[to], "Still waiting") {
			to++
		}
		slices.Sort(all[from:to])
	}
	return strings.Join(all, "")
}

// TestParking: a build that leaves memory while it waits ends as one that stays, at the same time, and has said the same.
func TestParking(t *testing.T) {
	for _, c := range parkings {
		t.Run(c.name, func(t *testing.T) {
			want, got := watch(t, c.script, c.then, never), watch(t, c.script, c.then, parks)
			if want.away > 0 || (got.away > 0) == c.stays {
				t.Errorf("found parked %d times, and %d times when nothing is", got.away, want.away)
			}
			if got.build.Result != want.build.Result || got.build.Message != want.build.Message || got.build.CauseKind != want.build.CauseKind || got.took != want.took {
				t.Errorf("%s %q after %v, want %s %q after %v", got.build.Result, got.build.Message, got.took, want.build.Result, want.build.Message, want.took)
			}
			if ordered(got.console) != ordered(want.console) {
				t.Errorf("console:\n%s\nwant:\n%s", got.console, want.console)
			}
			if got.stages != want.stages {
				t.Errorf("stages:\n%s\nwant:\n%s", got.stages, want.stages)
			}
		})
	}
}

// manyWaits is a build that waits for executors often, and holds none while it does.
const manyWaits = `def said = []
parallel(a: { for (i in 1..3) { node('linux') { sh "a${i}"; said << i } } },
    b: { node('gpu') { sh 'b1' }; sleep(time: 1, unit: 'MILLISECONDS'); timeout(time: 1, unit: 'HOURS') { node('linux') { sh 'b2' } } },
    c: { catchError { node('gpu') { sh 'fail 3' } } })
node('gpu') { stage('Last') { sh "last ${said}" } }
echo "${currentBuild.currentResult}"`

// told are the lines of a console in any order, without those that depend on how long the build waited.
func told(console string) string {
	console = strings.ReplaceAll(console, "/job@2", "/job") // when another has the workspace
	all := slices.DeleteFunc(strings.Split(console, "\n"), func(l string) bool {
		return l == "Still waiting to schedule task" || strings.Contains(l, "doesn’t have label")
	})
	return strings.Join(sorted(all), "\n")
}

// TestParkedAtRandom: a build whose node blocks wait now and then is parked, called back for nothing and restarted at random. It ends as
// one that is left alone.
func TestParkedAtRandom(t *testing.T) {
	whole := newWorld(t)
	whole.config = never
	whole.start()
	ref, want := whole.run(manyWaits)
	if ref.Result != build.Failure {
		t.Fatalf("left alone: %s\n%s", ref.Result, want)
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	for n := range 25 {
		w := newWorld(t)
		w.config = parks
		w.farm.pause(true)
		w.start()
		w.job("job", manyWaits)
		id := w.trigger("job")
		w.until("the build to be parked", func() bool { return w.r.Parked() == 1 })
		w.until("the end", func() bool {
			switch random.IntN(8) {
			case 0:
				w.farm.pause(true)
			case 1, 2:
				w.farm.pause(false)
			case 3, 4:
				w.r.Disturb(false)
			case 5, 6:
				w.r.Disturb(true)
			case 7:
				if random.IntN(8) == 0 {
					restart(w, id)
				}
			}
			b, _ := w.store.Build(context.Background(), id)
			return b.State == build.Finished
		})
		b, _ := w.store.Build(context.Background(), id)
		if b.Result != ref.Result || b.Message != ref.Message {
			t.Errorf("seed %d, round %d: %s %s", seed, n, b.Result, b.Message)
		}
		if got := w.console(id); told(got) != told(want) {
			t.Fatalf("seed %d, round %d: console:\n%s\nwant:\n%s", seed, n, got, want)
		}
		for script, count := range w.starts() {
			if count != 1 {
				t.Errorf("seed %d, round %d: %q was started %d times", seed, n, script, count)
			}
		}
		if held, wait := w.farm.active(), w.farm.waiting(); len(held) > 0 || wait > 0 {
			t.Errorf("seed %d, round %d: held %q, %d wait", seed, n, held, wait)
		}
		w.halt()
	}
}

// TestWaitingBuildsBlockNobody: thousands of builds wait for an agent that never comes, under a limit of a few. Others start and
// end, and those that wait are hardly in memory.
func TestWaitingBuildsBlockNobody(t *testing.T) {
	w := newWorld(t)
	w.patient(5000)
	w.others(5000)
	id := build.ID{Job: "patient", Number: 77}
	abort(w, id)
	if b := w.finished(id); b.Result != build.Aborted || w.farm.waiting() != 4999 {
		t.Errorf("%s, %d wait", b.Result, w.farm.waiting())
	}
}

// TestWaitingBuildsAfterARestart: they block nobody either when a controller takes them up.
func TestWaitingBuildsAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.patient(500)
	w.others(500)
	restart(w, build.ID{})
	w.others(500)
}

const patientLimit, patientThreads = 3, 50

// patient triggers builds that wait for an agent that never comes.
func (w *world) patient(many int) {
	w.config = func(c *pipeline.Config) { c.MaxRunning, c.MaxQuiet = patientLimit, patientThreads }
	w.job("patient", `node('never') { echo 'never' }`)
	w.job("other", `node('linux') { sh 'one' }`)
	w.start()
	for range many {
		w.trigger("patient")
	}
}

// others runs builds while so many wait, before and after these are all in the queue.
func (w *world) others(many int) {
	w.t.Helper()
	for range 2 {
		if b := w.finished(w.trigger("other")); b.Result != build.Success {
			w.t.Fatalf("%s %s", b.Result, b.Message)
		}
		w.until("all to wait in the queue, and not in memory", func() bool { return w.farm.waiting() == many && w.r.Parked() >= many-patientThreads })
		w.until("the rest to be quiet", func() bool { all, active := w.r.InMemory(); return all <= patientThreads && active == 0 })
	}
}

// TestParkedFetch: a build whose Jenkinsfile is to be fetched keeps its place in the queue while it is parked.
func TestParkedFetch(t *testing.T) {
	repo := t.TempDir()
	git(t, repo, "init", "-q")
	if err := os.WriteFile(filepath.Join(repo, "Jenkinsfile"), []byte("echo 'fetched'"), 0o666); err != nil {
		t.Fatal(err)
	}
	git(t, repo, "add", ".")
	git(t, repo, "commit", "-q", "-m", "x")
	w := newWorld(t)
	w.config = parks
	w.farm.pause(true)
	for i := range w.farm.nodes {
		w.machine(i).Process = reallyRun
	}
	if err := w.store.PutJob(context.Background(), build.Job{Name: "job", Source: build.Source{Git: &build.GitSource{URL: repo}}}, false); err != nil {
		t.Fatal(err)
	}
	w.start()
	ids := []build.ID{w.trigger("job"), w.trigger("job"), w.trigger("job")}
	all := func() bool { return w.r.Parked() == len(ids) }
	w.until("all to be parked", all)
	w.r.Disturb(false)
	w.until("all to be parked again", all)
	if err := w.r.Abort(context.Background(), ids[1], "bob"); err != nil {
		t.Fatal(err)
	}
	if b := w.finished(ids[1]); b.Result != build.Aborted || w.farm.waiting() != 2 {
		t.Errorf("aborted: %s %s, %d wait\n%s", b.Result, b.Message, w.farm.waiting(), w.console(ids[1]))
	}
	w.farm.pause(false)
	for _, id := range []build.ID{ids[0], ids[2]} {
		if b := w.finished(id); b.Result != build.Success || !strings.Contains(w.console(id), "\nfetched\n") {
			t.Errorf("%s %s\n%s", b.Result, b.Message, w.console(id))
		}
	}
	if w.farm.granted != 2 || len(w.farm.active()) != 0 {
		t.Errorf("%d leases were granted, held %q", w.farm.granted, w.farm.active())
	}
}

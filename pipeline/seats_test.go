package pipeline_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline"
	"github.com/outwork-build/outwork/pipeline/step"
)

// nothingKept wants the build to have left the queue altogether.
func (w *world) nothingKept(id build.ID) {
	w.t.Helper()
	b := w.finished(id)
	if held, waiting := w.farm.active(), w.farm.waiting(); len(held) > 0 || waiting > 0 {
		w.t.Errorf("%s has ended as %s %q; still held: %q, %d wait", id, b.Result, b.Message, held, waiting)
	}
}

// A build that cannot be evaluated any more when the controller is back gives its executors back, and waits for none.
func TestEndsBeforeItsProgram(t *testing.T) {
	w := newWorld(t)
	w.job("job", `parallel(held: { node('linux') { sh 'hang' } }, waits: { node('ecs') { } })`)
	w.start()
	id := w.trigger("job")
	w.saw(id, "did hang")
	w.until("the other branch to wait", func() bool { return w.farm.waiting() == 1 })
	w.halt()
	w.config = func(c *pipeline.Config) {
		c.Steps = slices.DeleteFunc(c.Steps, func(s step.Step) bool { return s.Spec().Name == "sh" })
	}
	w.start()
	if b := w.finished(id); b.Result != build.Failure {
		t.Errorf("%s\n%s", b.Result, w.console(id))
	}
	w.nothingKept(id)
}

// A build that is aborted while the controller is away leaves the queue when it is back, wherever it stood there.
func TestAbortedWhileAway(t *testing.T) {
	for name, c := range map[string]struct {
		source build.Source
		stands func(w *world) bool
	}{
		"waits for an executor":                     {build.Source{Script: "node('ecs') { }"}, func(w *world) bool { return w.farm.waiting() == 1 }},
		"fetches its Jenkinsfile":                   {build.Source{Git: &build.GitSource{URL: "/nowhere"}}, func(w *world) bool { return len(w.machine(0).Started()) == 1 }},
		"waits for an executor for its Jenkinsfile": {build.Source{Git: &build.GitSource{URL: "/nowhere"}}, func(w *world) bool { return w.farm.waiting() == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.machine(0).Process = func(ctx context.Context, _ agent.StartRequest, _ io.Writer) agent.Exit {
				<-ctx.Done()
				return agent.Exit{Code: 143}
			}
			if name == "waits for an executor for its Jenkinsfile" {
				w.farm.nodes = nil
			}
			if err := w.store.PutJob(context.Background(), build.Job{Name: "job", Source: c.source}, true); err != nil {
				t.Fatal(err)
			}
			w.start()
			id := w.trigger("job")
			w.until("the build to stand in the queue", func() bool { return c.stands(w) })
			w.halt()
			if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
				t.Fatal(err)
			}
			w.start()
			if b := w.finished(id); b.Result != build.Aborted {
				t.Errorf("%s %q\n%s", b.Result, b.Message, w.console(id))
			}
			w.nothingKept(id)
		})
	}
}

// TestTitles: items are called as in Jenkins, by build and stage.
func TestTitles(t *testing.T) {
	w := newWorld(t)
	w.job("team/job", `stage('Build') { node('linux') { sh 'hang' } }`)
	w.job("bare", `node('gpu') { sh 'hang' }`)
	w.start()
	for job, want := range map[build.JobName]string{"team/job": "part of team/job #1 (Build)", "bare": "part of bare #1"} {
		id := w.trigger(job)
		w.saw(id, "did hang")
		if got := w.farm.titles(); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", job, got, want)
		}
		w.aborted(id)
	}
}

// gate refuses leases as an agent does that is about to leave.
type gate struct {
	agent.Machine
	until time.Time
	asked *[]time.Time
}

func (g gate) Open(ctx context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	*g.asked = append(*g.asked, time.Now())
	if time.Now().Before(g.until) {
		return agent.Workspace{}, fault.New(fault.Unavailable, "the agent is ending and takes no new work")
	}
	return g.Machine.Open(ctx, r)
}

// An agent that takes no work because it drains is asked once a second, and left after three refusals; the build waits.
func TestDrainingAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limit = time.Hour
		defer w.halt()
		var asked []time.Time
		until := time.Now().Add(30 * time.Second)
		w.farm.wrap = func(_ fleet.NodeName, m agent.Machine) agent.Machine { return gate{m, until, &asked} }
		w.start()
		b, got := w.run(`node('linux') { sh 'x' }`)
		if b.Result != build.Success {
			t.Errorf("%s\n%s", b.Result, got)
		}
		for i := range asked[1:] {
			if i%3 != 2 && asked[i+1].Sub(asked[i]) < time.Second {
				t.Errorf("asked again after %v", asked[i+1].Sub(asked[i]))
			}
		}
		if took := time.Since(until); len(asked) < 6 || len(asked) > 50 || took > 2*time.Second {
			t.Errorf("asked %d times, begun %v after it could", len(asked), took)
		}
		if w.farm.returned < 5 {
			t.Errorf("the queue was asked for another machine %d times in 30 s", w.farm.returned)
		}
	})
}

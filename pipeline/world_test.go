package pipeline_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/pipeline"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/step/shell"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/pipeline/value"
)

// world is a controller's disk and a farm. Its Runner can be stopped and started again.
type world struct {
	t       testing.TB
	store   *memory
	details *steptest.Details
	farm    *farm
	dir     string
	config  func(*pipeline.Config)
	limit   time.Duration // of waiting for anything
	ready   func()        // called when the Runner is made, before it serves; nil does nothing

	r    *pipeline.Runner
	logs *log.Store
	stop func()
}

// newWorld has nodes "agent-1" with label linux and "agent-2" with label gpu, whose processes print "did SCRIPT".
func newWorld(t testing.TB) *world {
	w := &world{t: t, store: newMemory(), details: &steptest.Details{}, farm: newFarm(), dir: t.TempDir(), limit: time.Minute}
	for i, label := range []string{"linux", "gpu"} {
		name := fmt.Sprintf("agent-%d", i+1)
		w.farm.add(name, w.dir+"/"+name, label).Process = process
	}
	t.Cleanup(func() { w.halt() })
	return w
}

// process is what the machines run: "fail N" ends with code N, "hang" runs until it is stopped, "chat" says something every 40 s
// for 4 min, all else prints and ends.
func process(ctx context.Context, r agent.StartRequest, out io.Writer) agent.Exit {
	script := string(r.Script)
	fmt.Fprintf(out, "did %s\n", script)
	var code int
	switch {
	case script == "hang":
		<-ctx.Done()
		fmt.Fprintln(out, "Terminated")
		return agent.Exit{Code: 143}
	case script == "chat":
		for range 6 {
			select {
			case <-ctx.Done():
				return agent.Exit{Code: 143}
			case <-time.After(40 * time.Second):
				fmt.Fprintln(out, "still here")
			}
		}
	default:
		_, _ = fmt.Sscanf(script, "fail %d", &code)
	}
	return agent.Exit{Code: code}
}

// stamped is the time that every line under timestamps shows.
var stamped = time.Date(2026, 11, 21, 5, 36, 9, 123e6, time.UTC)

// start makes a Runner over what the world has, and lets it serve.
func (w *world) start() {
	w.t.Helper()
	logs, err := log.Open(w.dir+"/logs", log.Config{Now: func() time.Time { return stamped }})
	if err != nil {
		w.t.Fatal(err)
	}
	c := pipeline.Config{Builds: w.store, Details: w.details, Store: w.store, Logs: logs, Queue: w.farm, Fleet: w.farm,
		Steps: slices.Concat(flow.Steps(), shell.Steps(), []step.Step{checkout{}}), Symbols: flow.Symbols(), URL: "http://farm", Log: slog.New(slog.NewTextHandler(testWriter{w.t}, nil))}
	if w.config != nil {
		w.config(&c)
	}
	r, err := pipeline.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.r, w.logs = r, logs
	if w.ready != nil {
		w.ready()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		if err := logs.Close(); err != nil {
			w.t.Errorf("close the logs: %v", err)
		}
	}
}

// halt stops the Runner, as the controller's end does.
func (w *world) halt() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// job makes a job of a script.
func (w *world) job(name build.JobName, script string) {
	w.t.Helper()
	if err := w.store.PutJob(context.Background(), build.Job{Name: name, Source: build.Source{Script: script}}, false); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) trigger(name build.JobName) build.ID {
	w.t.Helper()
	id, err := w.r.Trigger(context.Background(), name, nil, build.Cause{Kind: "user", User: "alice"})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// until waits for news until what it names holds, or fails the test.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	news, cancel := w.r.Subscribe()
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond) // for what the Runner gives no news of
	defer tick.Stop()
	limit := time.After(w.limit)
	for !holds() {
		select {
		case <-news:
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// finished waits for the end of a build.
func (w *world) finished(id build.ID) build.Build {
	w.t.Helper()
	var b build.Build
	w.until("the end of "+id.String(), func() bool {
		b, _ = w.store.Build(context.Background(), id)
		return b.State == build.Finished
	})
	return b
}

// run triggers a build of a script and waits for its end.
func (w *world) run(script string) (build.Build, string) {
	w.t.Helper()
	w.job("job", script)
	b := w.finished(w.trigger("job"))
	return b, w.console(b.ID)
}

// console reads a log, with the world's folder written as $ROOT.
func (w *world) console(id build.ID) string {
	w.t.Helper()
	l, err := w.logs.Lookup(id)
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Release()
	data, err := io.ReadAll(io.NewSectionReader(l, 0, l.Size()))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), w.dir, "$ROOT")
}

func (w *world) saw(id build.ID, text string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%q in the log", text), func() bool {
		l, err := w.logs.Lookup(id)
		if err != nil {
			return false
		}
		defer l.Release()
		data, _ := io.ReadAll(io.NewSectionReader(l, 0, l.Size()))
		return strings.Contains(string(data), text)
	})
}

func (w *world) machine(i int) *steptest.Machine { return w.farm.nodes[i].m }

// starts counts the processes started, by script.
func (w *world) starts() map[string]int {
	out := map[string]int{}
	for _, n := range w.farm.nodes {
		for _, r := range n.m.Started() {
			out[string(r.Script)]++
		}
	}
	return out
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if os.Getenv("OUTWORK_TEST_LOG") != "" {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// checkout stands for the step that checks a repository out.
type checkout struct{}

func (checkout) Spec() step.Spec {
	return step.Spec{Name: "checkout", Sole: "scm", NeedsNode: true, Params: []step.Param{{Name: "scm", Type: step.Any, Required: true}}}
}

func (checkout) Run(t step.Thread, c *step.Call) (value.Value, error) {
	return value.Pairs("GIT_COMMIT", "c0ffee"), nil
}

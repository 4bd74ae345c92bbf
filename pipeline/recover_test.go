package pipeline_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline"
)

// seams is a ledger that lets a test in between what it does and its answer.
type seams struct {
	*memory
	listed   func()                                      // the unfinished builds are read, the Runner does not have them yet
	accepted func(build.ID)                              // a build is kept, who triggered it does not know yet
	starting func(id build.ID, before build.State) error // a build is about to be changed; an error refuses that
}

func (s *seams) Unfinished(ctx context.Context) ([]build.Build, error) {
	list, err := s.memory.Unfinished(ctx)
	if s.listed != nil {
		s.listed()
	}
	return list, err
}

func (s *seams) Accept(ctx context.Context, b build.Build) (build.ID, error) {
	id, err := s.memory.Accept(ctx, b)
	if s.accepted != nil && err == nil {
		s.accepted(id)
	}
	return id, err
}

func (s *seams) Update(ctx context.Context, id build.ID, change func(*build.Build) error) (build.Build, error) {
	if s.starting != nil {
		b, _ := s.memory.Build(ctx, id)
		if err := s.starting(id, b.State); err != nil {
			return b, err
		}
	}
	return s.memory.Update(ctx, id, change)
}

// seamed puts seams between the world's Runners and the ledger.
func (w *world) seamed(s *seams) {
	s.memory = w.store
	w.config = func(c *pipeline.Config) { c.Builds, c.Store = s, s }
}

var alice = build.Cause{Kind: "user", User: "alice"}

const newestOnly = `properties([disableConcurrentBuilds(abortPrevious: true)])
node { sh "hang" }`

// aborted ends a build and wants nothing else to have done so.
func (w *world) aborted(id build.ID) {
	w.t.Helper()
	if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
		w.t.Errorf("abort %s: %v", id, err)
	}
	if b := w.finished(id); b.Result != build.Aborted || b.Message != "Aborted by bob" {
		w.t.Errorf("%s: %s %q\n%s", id, b.Result, b.Message, w.console(id))
	}
}

// A build that is accepted before the unfinished ones are listed, and whose Trigger returns only when it runs already, is held
// and evaluated once. A job that wants its newest build only would end it otherwise: superseded by itself.
func TestTriggerWhileRecovering(t *testing.T) {
	for name, ended := range map[string]bool{"returns while it runs": false, "returns after its end": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			kept, listed := make(chan build.ID, 1), make(chan struct{})
			var late sync.Mutex // Trigger's return waits for it
			late.Lock()
			w.job("job", newestOnly)
			job, _ := w.store.Job(context.Background(), "job")
			job.Properties = build.Properties{DisableConcurrent: true, AbortPrevious: true}
			_ = w.store.PutJob(context.Background(), job, false)
			s := &seams{accepted: func(id build.ID) { kept <- id; late.Lock() }}
			w.seamed(s)
			var id build.ID
			s.listed = func() { close(listed) }
			w.ready = func() { // before Run
				go func() {
					_, err := w.r.Trigger(context.Background(), "job", nil, alice)
					if err != nil {
						t.Error(err)
					}
					kept <- build.ID{}
				}()
				id = <-kept
			}
			w.start()
			<-listed
			w.saw(id, "did hang")
			if ended {
				w.aborted(id)
			}
			late.Unlock()
			<-kept // Trigger has returned
			if held := w.r.Waiting(); len(held) > 0 {
				t.Errorf("held again: %v", held)
			}
			if !ended {
				w.aborted(id)
			}
			if n := w.starts()["hang"]; n != 1 {
				t.Errorf("the step was started %d times", n)
			}
			if got := w.console(id); strings.Count(got, "Start of Pipeline") != 1 || strings.Count(got, "Finished: ") != 1 {
				t.Errorf("evaluated more than once:\n%s", got)
			}
		})
	}
}

// Builds that are triggered or aborted when the unfinished ones have been listed and the Runner has not taken them up.
func TestWhileListed(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.job("job", newestOnly)
	w.start()
	running := w.trigger("job")
	w.saw(running, "did hang")
	w.halt()
	queued := make([]build.ID, 2)
	for i := range queued {
		queued[i], _ = w.store.Accept(ctx, build.Build{ID: build.ID{Job: "job"}, State: build.Queued, Cause: alice})
	}
	s := &seams{}
	w.seamed(s)
	var fresh build.ID
	waited := make(chan build.Build, 2)
	s.listed = func() {
		r := w.r
		for _, id := range queued {
			if err := r.Abort(ctx, id, "bob"); err != nil {
				t.Error(err)
			}
		}
		var err error
		if fresh, err = r.Rebuild(ctx, running, "alice"); err != nil {
			t.Error(err)
		}
		for _, id := range []build.ID{running, fresh} {
			go func() {
				b, err := r.Wait(ctx, id)
				if err != nil {
					t.Error(err)
				}
				waited <- b
			}()
		}
	}
	w.start()
	if b := w.finished(running); b.Result != build.NotBuilt || b.Message != "Superseded by "+fresh.String() {
		t.Errorf("what ran before: %s %q, want superseded by the newest", b.Result, b.Message)
	}
	w.saw(fresh, "did hang")
	if held := w.r.Waiting(); len(held) > 0 {
		t.Errorf("aborted builds are held: %v", held)
	}
	w.aborted(fresh)
	for range 2 {
		if b := <-waited; b.State != build.Finished {
			t.Errorf("Wait: %+v", b)
		}
	}
	for _, id := range queued {
		if got := w.console(id); got != "Aborted by bob\nFinished: ABORTED\n" && got != "\nAborted by bob\nFinished: ABORTED\n" {
			t.Errorf("%s:\n%s", id, got)
		}
	}
}

// A running build that is aborted before the Runner has it reads that from its record.
func TestAbortWhileRecovering(t *testing.T) {
	w := newWorld(t)
	w.job("job", `node('linux') { try { sh 'hang' } finally { sh 'tidy' } }`)
	w.start()
	id := w.trigger("job")
	w.saw(id, "did hang")
	w.halt()
	s := &seams{}
	w.seamed(s)
	s.listed = func() {
		if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
			t.Error(err)
		}
	}
	w.start()
	if b := w.finished(id); b.Result != build.Aborted || b.Message != "Aborted by bob" || w.starts()["tidy"] != 1 {
		t.Errorf("%s %q\n%s", b.Result, b.Message, w.console(id))
	}
}

// What is triggered when Run has ended is on disk, and the next Run's.
func TestTriggerWhileStopping(t *testing.T) {
	w := newWorld(t)
	w.job("job", `echo 'ran'`)
	w.start()
	w.halt()
	id := w.trigger("job")
	if b, err := w.store.Build(context.Background(), id); err != nil || b.State != build.Queued {
		t.Fatalf("%+v, %v", b, err)
	}
	w.start()
	if b := w.finished(id); b.Result != build.Success || strings.Count(w.console(id), "ran\n") != 1 {
		t.Errorf("%s\n%s", b.Result, w.console(id))
	}
}

// A queued build that is deleted or aborted at the moment of its start gives its place to the next of its job, and is not tried
// again.
func TestGoneAtTheStart(t *testing.T) {
	for name, gone := range map[string]func(w *world, id build.ID) error{
		"deleted": func(w *world, id build.ID) error { return w.store.DeleteBuild(context.Background(), id) },
		"aborted": func(w *world, id build.ID) error { return w.r.Abort(context.Background(), id, "bob") },
		"aborted when it cannot be started": func(w *world, id build.ID) error {
			if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
				return err
			}
			return fault.New(fault.Unavailable, "the ledger is locked")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.job("job", `properties([disableConcurrentBuilds()])
node { if (env.BUILD_NUMBER == '1') { sh 'hang' } else { echo 'ran' } }`)
			s, first := &seams{}, build.ID{Job: "job", Number: 2}
			var once atomic.Bool
			s.starting = func(id build.ID, was build.State) error {
				if id != first || was != build.Queued || once.Swap(true) {
					return nil
				}
				return gone(w, id)
			}
			w.seamed(s)
			w.start()
			before := w.trigger("job")
			w.saw(before, "did hang") // the job has its properties
			w.trigger("job")
			second := w.trigger("job")
			w.until("both to be held", func() bool {
				held := w.r.Waiting()
				return len(held) == 2 && held[1].Why == "Build #1 is already in progress"
			})
			w.aborted(before)
			if b := w.finished(second); b.Result != build.Success {
				t.Errorf("the second: %s", b.Result)
			}
			if held := w.r.Waiting(); len(held) > 0 {
				t.Errorf("held: %v", held)
			}
			if l, err := w.logs.Lookup(first); err == nil {
				l.Release()
				if got := w.console(first); strings.Contains(got, "ran\n") {
					t.Errorf("the first ran:\n%s", got)
				}
			}
		})
	}
}

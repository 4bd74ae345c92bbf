package pipeline

import (
	"context"
	"fmt"
	"sync"

	"github.com/outwork-build/outwork/build"
)

// stages keeps the stages of a run and writes what changed to the ledger, by one goroutine of its own, so that a slow ledger
// never holds the program up. The build's result, description and display name go the same way.
type stages struct {
	u    *run
	bell chan struct{}
	done chan struct{}
	over chan struct{}

	mu    sync.Mutex // guards what follows
	known map[string]build.Stage
	dirty []string // IDs

	writing sync.Mutex // held while the ledger is written; guards written
	written build.Build
}

func newStages(u *run) *stages {
	return &stages{u: u, known: map[string]build.Stage{}, bell: make(chan struct{}, 1), done: make(chan struct{}), over: make(chan struct{})}
}

// load reads what an earlier attempt wrote, and starts the writer.
func (s *stages) load(ctx context.Context) error {
	var list []build.Stage
	var err error
	if !s.u.fresh {
		list, err = s.u.r.c.Details.Stages(ctx, s.u.id)
	}
	if err != nil {
		close(s.over)
		return fmt.Errorf("read the stages: %w", err)
	}
	for _, st := range list {
		s.known[st.ID] = st
	}
	s.written, err = s.u.r.c.Builds.Build(ctx, s.u.id)
	if err != nil {
		close(s.over)
		return err
	}
	go s.loop(context.WithoutCancel(ctx))
	return nil
}

func (s *stages) close() {
	close(s.done)
	<-s.over
}

func (s *stages) wake() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// put takes a stage's new state over what is known. What is known to have ended stays so, whatever a replay says; a program
// that was stopped says nothing.
func (s *stages) put(st build.Stage) {
	if s.u.ctx.Err() == nil {
		s.set(st)
	}
}

func (s *stages) set(st build.Stage) {
	s.mu.Lock()
	now := s.u.Now().UTC()
	old, ok := s.known[st.ID]
	switch {
	case ok && old.State != "running":
		s.mu.Unlock()
		return
	case ok:
		st.Order, st.Started = old.Order, old.Started
		if st.Node == "" {
			st.Node = old.Node
		}
	default:
		st.Order, st.Started = len(s.known)+1, now
	}
	if st.State != "running" {
		st.Ended = now
	}
	changed := !ok || old != st
	if changed {
		s.known[st.ID] = st
		s.dirty = append(s.dirty, st.ID)
	}
	s.mu.Unlock()
	if changed {
		s.wake()
	}
}

func (s *stages) loop(ctx context.Context) {
	defer close(s.over)
	for {
		select {
		case <-s.bell:
			s.flush(ctx)
		case <-s.done:
			s.flush(ctx)
			return
		}
	}
}

func (s *stages) flush(ctx context.Context) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	var todo []build.Stage
	seen := map[string]bool{}
	for _, id := range s.dirty {
		if !seen[id] {
			seen[id] = true
			todo = append(todo, s.known[id])
		}
	}
	s.dirty = nil
	s.mu.Unlock()
	for _, st := range todo {
		if err := s.u.r.c.Details.PutStage(ctx, s.u.id, st); err != nil {
			s.u.log.Warn("a stage was not kept", "stage", st.Name, "err", err)
		}
	}
	if err := s.flushRecord(ctx); err != nil {
		s.u.log.Warn("the build's record was not kept", "err", err)
	}
	s.u.r.news.Notify()
}

// flushRecord writes what the program changed of the build while it runs. On replay a result may lag behind what was written.
func (s *stages) flushRecord(ctx context.Context) error {
	now := s.u.Build()
	now.Result = build.Worst(now.Result, s.written.Result)
	if now.Result == s.written.Result && now.Description == s.written.Description && now.DisplayName == s.written.DisplayName {
		return nil
	}
	_, err := s.u.r.c.Builds.Update(ctx, s.u.id, func(b *build.Build) error {
		if b.State == build.Running {
			b.Result, b.Description, b.DisplayName = now.Result, now.Description, now.DisplayName
		}
		return nil
	})
	if err == nil {
		s.written = now
	}
	return err
}

// finish ends the stages that the program left open: it was killed, or the farm failed.
func (s *stages) finish(ctx context.Context, r build.Result) {
	s.mu.Lock()
	var open []build.Stage
	for _, st := range s.known {
		if st.State == "running" {
			open = append(open, st)
		}
	}
	s.mu.Unlock()
	for _, st := range open {
		st.State, st.Result = "finished", build.Worst(st.Result, r)
		s.set(st)
	}
	s.flush(ctx)
}

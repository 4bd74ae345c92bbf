package remote

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

const (
	// maxForgets bounds the steps that one Run forgets.
	maxForgets = 1024
	// forgetPause is how long a Forget waits for a Run of its lease that takes it along.
	forgetPause = 100 * time.Millisecond
	// startedPause is how long the agent waits for something better to say than that a step was started.
	startedPause = 25 * time.Millisecond
)

// Run implements agent.Runner. What waits to be forgotten in the lease goes along.
func (m *machine) Run(ctx context.Context, r agent.StartRequest, offset int64, started func(), sink func(agent.Output) error) (agent.Exit, error) {
	if err := checkRun(r, offset); err != nil {
		return agent.Exit{}, fmt.Errorf("run: %w", err)
	}
	if m.single.Load() {
		return m.startAndFollow(ctx, r, offset, started, sink)
	}
	load := m.forgets.take(r.Lease, maxForgets)
	defer load.settle(false, nil) // what the agent did not answer for asks by itself
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.Run(ctx, &agentpb.RunRequest{Start: toStart(r), Offset: offset, Forget: load.steps()})
	if err != nil {
		return agent.Exit{}, fmt.Errorf("run: %w", err)
	}
	f := follower{at: offset, sink: sink, call: "run"}
	for first := true; ; first = false {
		e, err := stream.Recv()
		if first && fault.Is(err, fault.Incompatible) {
			m.single.Store(true)
			return m.startAndFollow(ctx, r, offset, started, sink)
		}
		if err != nil {
			return agent.Exit{}, fmt.Errorf("run: %w", early(err))
		}
		if (e.GetStarted() != nil || len(e.GetKept()) > 0) && !first || len(e.GetKept()) > len(load) {
			return agent.Exit{}, answered("run", fault.New(fault.Invalid, "the notice of the start at the wrong place"))
		}
		if first {
			m.runs.Store(true)
			load.settle(true, e.GetKept())
			started()
		}
		if e.GetStarted() != nil {
			continue
		}
		if exit, err := f.take(e); exit != nil || err != nil {
			return orNone(exit), err
		}
	}
}

func orNone(e *agent.Exit) agent.Exit {
	if e == nil {
		return agent.Exit{}
	}
	return *e
}

// startAndFollow is Run with an agent that has none.
func (m *machine) startAndFollow(ctx context.Context, r agent.StartRequest, offset int64, started func(), sink func(agent.Output) error) (agent.Exit, error) {
	if err := m.Start(ctx, r); err != nil {
		return agent.Exit{}, err
	}
	started()
	return m.Follow(ctx, r.Lease, r.Step, offset, sink)
}

// Forget waits for a moment, once the agent is known to have Run: the lease's next step takes it along.
func (m *machine) Forget(ctx context.Context, l agent.Lease, s agent.StepID) error {
	if err := checkStep(l, s); err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	if m.runs.Load() && m.forgets.wait(ctx, l, m.forgets.add(l, s)) {
		return nil
	}
	if _, err := m.rpc.Forget(ctx, &agentpb.ForgetRequest{Lease: toLease(l), Step: string(s)}); err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	return nil
}

// forgets are the Forget calls that wait.
type forgets struct {
	mu      sync.Mutex
	waiting map[agent.Lease]load
}

// load is what one call of the lease takes along.
type load []*forget

type forget struct {
	step agent.StepID
	done chan bool // has the answer: forgotten, or ask yourself
}

// add has a step wait.
func (f *forgets) add(l agent.Lease, s agent.StepID) *forget {
	one := &forget{step: s, done: make(chan bool, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting == nil {
		f.waiting = map[agent.Lease]load{}
	}
	f.waiting[l] = append(f.waiting[l], one)
	return one
}

// wait reports whether another call has had the step forgotten.
func (f *forgets) wait(ctx context.Context, l agent.Lease, one *forget) bool {
	pause := time.NewTimer(forgetPause)
	defer pause.Stop()
	select {
	case done := <-one.done:
		return done
	case <-ctx.Done():
	case <-pause.C:
	}
	if f.withdraw(l, one) {
		return false
	}
	select { // a call has taken it along
	case done := <-one.done:
		return done
	case <-ctx.Done():
		return false
	}
}

// withdraw reports whether nobody has taken it along.
func (f *forgets) withdraw(l agent.Lease, one *forget) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.waiting[l]
	for i, w := range all {
		if w != one {
			continue
		}
		if all = append(all[:i:i], all[i+1:]...); len(all) == 0 {
			delete(f.waiting, l)
		} else {
			f.waiting[l] = all
		}
		return true
	}
	return false
}

// take returns up to n of what waits; the caller settles it.
func (f *forgets) take(l agent.Lease, n int) load {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.waiting[l]
	if len(all) <= n {
		delete(f.waiting, l)
		return all
	}
	f.waiting[l] = all[n:]
	return all[:n:n]
}

func (l load) steps() []string {
	ids := make([]string, len(l))
	for i, one := range l {
		ids[i] = string(one.step)
	}
	return ids
}

// settle answers those that have no answer yet; kept are not forgotten.
func (l load) settle(forgotten bool, kept []string) {
	for _, one := range l {
		answer := forgotten
		for _, k := range kept {
			answer = answer && k != string(one.step)
		}
		select {
		case one.done <- answer:
		default:
		}
	}
}

// Run starts and follows; Started is told only to who would wait.
func (s *server) Run(r *agentpb.RunRequest, stream agentpb.Machine_RunServer) error {
	req := fromStart(r.GetStart())
	if err := checkRun(req, r.GetOffset()); err != nil {
		return err
	}
	if len(r.GetForget()) > maxForgets {
		return fault.New(fault.Invalid, "%d steps to forget: expected at most %d", len(r.GetForget()), maxForgets)
	}
	a := &runAnswer{Machine_RunServer: stream}
	for _, id := range r.GetForget() {
		step := agent.StepID(id)
		if err := checkStep(req.Lease, step); err != nil {
			return err
		}
		if s.machine.Forget(stream.Context(), req.Lease, step) != nil {
			a.kept = append(a.kept, id)
		}
	}
	if err := s.machine.Start(stream.Context(), req); err != nil {
		return err
	}
	pause := time.AfterFunc(startedPause, a.started)
	defer a.end()
	defer pause.Stop()
	return s.follow(req.Lease, req.Step, r.GetOffset(), a)
}

// runAnswer is the stream of a Run.
type runAnswer struct {
	agentpb.Machine_RunServer

	mu    sync.Mutex // one Send at a time
	kept  []string
	begun bool // something was sent, or nothing may be sent any more
}

func (a *runAnswer) Send(r *agentpb.FollowResponse) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		a.begun, r.Kept = true, a.kept
	}
	return a.Machine_RunServer.Send(r)
}

func (a *runAnswer) started() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return
	}
	a.begun = true
	// Its error comes again when there is something to say.
	_ = a.Machine_RunServer.Send(&agentpb.FollowResponse{Kept: a.kept, Event: &agentpb.FollowResponse_Started{Started: &agentpb.Started{}}})
}

// end keeps started from sending when the call is over.
func (a *runAnswer) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = true
}

func checkRun(r agent.StartRequest, offset int64) error {
	return first(checkStart(r), checkFollow(r.Lease, r.Step, offset))
}

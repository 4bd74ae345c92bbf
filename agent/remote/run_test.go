package remote

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

// diary is a Machine that writes down what it is asked.
type diary struct {
	agent.Machine
	mu    sync.Mutex
	lines []string
	keeps agent.StepID // is not forgotten
}

func (d *diary) note(what string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(what, args...))
}

func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := strings.Join(d.lines, "; ")
	d.lines = nil
	return text
}

func (d *diary) Start(_ context.Context, r agent.StartRequest) error {
	d.note("start %s", r.Step)
	return nil
}

func (d *diary) Follow(_ context.Context, _ agent.Lease, s agent.StepID, offset int64, sink func(agent.Output) error) (agent.Exit, error) {
	d.note("follow %s from %d", s, offset)
	return agent.Exit{Code: 5, Output: offset + 1}, sink(agent.Output{Offset: offset, Data: []byte("x")})
}

func (d *diary) Forget(_ context.Context, _ agent.Lease, s agent.StepID) error {
	d.note("forget %s", s)
	if s == d.keeps {
		return fault.New(fault.Conflict, "it runs")
	}
	return nil
}

func (d *diary) Close(context.Context, agent.Lease) error {
	d.note("close")
	return nil
}

// older is the server of an agent that knows no Run.
type older struct {
	agentpb.UnimplementedMachineServer
	s *server
}

func (o older) Start(ctx context.Context, r *agentpb.StartRequest) (*agentpb.StartResponse, error) {
	return o.s.Start(ctx, r)
}

func (o older) Follow(r *agentpb.FollowRequest, stream agentpb.Machine_FollowServer) error {
	return o.s.Follow(r, stream)
}

func (o older) Forget(ctx context.Context, r *agentpb.ForgetRequest) (*agentpb.ForgetResponse, error) {
	return o.s.Forget(ctx, r)
}

func reach(t *testing.T, s agentpb.MachineServer) *machine {
	t.Helper()
	conn := raw(t, func(r grpc.ServiceRegistrar) { agentpb.RegisterMachineServer(r, s) })
	return New(conn).(*machine)
}

func runOnce(t *testing.T, m *machine, s agent.StepID, offset int64) {
	t.Helper()
	started, out := 0, ""
	r := agent.StartRequest{Lease: agent.Lease{Item: "i", Epoch: 1}, Step: s, Argv: []string{"true"}}
	e, err := m.Run(t.Context(), r, offset, func() { started++ }, func(o agent.Output) error { out += string(o.Data); return nil })
	if err != nil || e.Code != 5 || out != "x" || started != 1 {
		t.Errorf("run %s: %+v, %v, output %q, %d notices of its start", s, e, err, out, started)
	}
}

func TestRunTakesForgetsAlong(t *testing.T) {
	d := &diary{keeps: "two"}
	m := reach(t, &server{machine: d})
	l := agent.Lease{Item: "i", Epoch: 1}
	if err := m.Forget(t.Context(), l, "early"); err != nil {
		t.Error(err)
	}
	runOnce(t, m, "one", 0)
	if got := d.read(); got != "forget early; start one; follow one from 0" {
		t.Errorf("asked: %s", got)
	}
	one, two := m.forgets.add(l, "one"), m.forgets.add(l, "two")
	other := m.forgets.add(agent.Lease{Item: "i", Epoch: 2}, "other")
	runOnce(t, m, "three", 4)
	if got := d.read(); got != "forget one; forget two; start three; follow three from 4" {
		t.Errorf("asked: %s", got)
	}
	if !<-one.done || <-two.done {
		t.Error("the forgotten step and the one that was kept were mistaken for each other")
	}
	three := m.forgets.add(l, "three")
	if err := m.Close(t.Context(), l); err != nil || !<-three.done {
		t.Errorf("a step of a closed lease is not forgotten: %v", err)
	}
	if len(other.done) > 0 || len(m.forgets.waiting) != 1 {
		t.Errorf("another lease's step did not wait: %v", m.forgets.waiting)
	}
	// What nothing takes along goes by itself.
	if err := m.Forget(t.Context(), l, "last"); err != nil {
		t.Error(err)
	}
	if got := d.read(); got != "close; forget last" {
		t.Errorf("asked: %s", got)
	}
}

func TestRunWithAnOlderAgent(t *testing.T) {
	d := &diary{}
	m := reach(t, older{s: &server{machine: d}})
	l := agent.Lease{Item: "i", Epoch: 1}
	waits := m.forgets.add(l, "zero")
	runOnce(t, m, "one", 2)
	if <-waits.done {
		t.Error("a step is said to be forgotten which the agent was not asked to forget")
	}
	if err := m.Forget(t.Context(), l, "one"); err != nil {
		t.Error(err)
	}
	runOnce(t, m, "two", 0)
	if got := d.read(); got != "start one; follow one from 2; forget one; start two; follow two from 0" {
		t.Errorf("asked: %s", got)
	}
}

func TestForgetsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := agent.Lease{Item: "i", Epoch: 1}
		var f forgets
		begun := time.Now()
		if f.wait(t.Context(), l, f.add(l, "a")) || time.Since(begun) != forgetPause || len(f.waiting) != 0 {
			t.Errorf("alone: waited %v, left %v", time.Since(begun), f.waiting)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if f.wait(ctx, l, f.add(l, "b")) || len(f.waiting) != 0 {
			t.Errorf("given up: left %v", f.waiting)
		}
		// Taken along by a call that takes longer.
		one := f.add(l, "c")
		f.add(l, "d")
		load := f.take(l, 1)
		if !slices.Equal(load.steps(), []string{"c"}) || len(f.waiting[l]) != 1 {
			t.Errorf("took %v, left %v", load.steps(), f.waiting)
		}
		go func() {
			time.Sleep(time.Minute)
			load.settle(true, nil)
			load.settle(false, nil)
		}()
		if begun = time.Now(); !f.wait(t.Context(), l, one) || time.Since(begun) != time.Minute {
			t.Errorf("taken along: waited %v", time.Since(begun))
		}
	})
}

// What a rogue agent answers to Run is checked as what it answers to Follow.
func TestRunOfARogue(t *testing.T) {
	for what, answer := range map[string][]*agentpb.FollowResponse{
		"a gap":    {{Event: &agentpb.FollowResponse_Output{Output: &agentpb.Output{Offset: 1, Data: []byte("x")}}}},
		"nothing":  {{}},
		"no exit":  {{Event: &agentpb.FollowResponse_Started{Started: &agentpb.Started{}}}},
		"no event": {},
		"kept":     {{Kept: []string{"a"}, Event: &agentpb.FollowResponse_Started{Started: &agentpb.Started{}}}},
		"twice":    {{Event: &agentpb.FollowResponse_Started{Started: &agentpb.Started{}}}, {Event: &agentpb.FollowResponse_Started{Started: &agentpb.Started{}}}},
	} {
		m := reach(t, rogueRun{answer: answer})
		_, err := m.Run(t.Context(), agent.StartRequest{Lease: agent.Lease{Item: "i", Epoch: 1}, Step: "s", Argv: []string{"true"}}, 0, func() {}, func(agent.Output) error { return nil })
		if !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

type rogueRun struct {
	agentpb.UnimplementedMachineServer
	answer []*agentpb.FollowResponse
}

func (r rogueRun) Run(_ *agentpb.RunRequest, stream agentpb.Machine_RunServer) error {
	for _, a := range r.answer {
		if err := stream.Send(a); err != nil {
			return err
		}
	}
	return nil
}

// What a rogue controller asks is checked before the machine hears of it.
func TestRunRefuses(t *testing.T) {
	d := &diary{}
	m := reach(t, &server{machine: d})
	good := &agentpb.StartRequest{Lease: &agentpb.Lease{Item: "i", Epoch: 1}, Step: "s", Argv: []string{"true"}}
	for what, r := range map[string]*agentpb.RunRequest{
		"no start":       {},
		"offset":         {Start: good, Offset: -1},
		"forgets":        {Start: good, Forget: make([]string, maxForgets+1)},
		"an empty id":    {Start: good, Forget: []string{""}},
		"a long id":      {Start: good, Forget: []string{strings.Repeat("s", maxID+1)}},
		"no lease's one": {Start: &agentpb.StartRequest{Step: "s", Argv: []string{"true"}}, Forget: []string{"a"}},
	} {
		stream, err := m.rpc.Run(t.Context(), r)
		if err == nil {
			_, err = stream.Recv()
		}
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := d.read(); got != "" {
		t.Errorf("asked: %s", got)
	}
}

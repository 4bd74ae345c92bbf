package queue_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/retain"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/queue/memory"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
)

// machines launches the agents of the nodes: real ones, that run real processes, at the far end of real links.
type machines struct {
	t     *testing.T
	mu    sync.Mutex
	hosts map[fleet.NodeName]*host.Host
	links map[fleet.NodeName]wire.Link
	gone  map[fleet.NodeName]bool
}

// Launch is in fleet.Launcher.
func (m *machines) Launch(ctx context.Context, n fleet.Node, _ io.Writer) (wire.Link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone[n.Name] {
		return nil, errors.New("no route to host")
	}
	a, b, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c, d, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	near, far := stdio.New(a, d, "agent"), stdio.New(c, b, "controller")
	h := m.hosts[n.Name]
	go func() {
		if s, err := remote.Answer(ctx, far, h, remote.Options{Name: string(n.Name)}); err == nil {
			<-s.Done()
			s.Close()
		}
	}()
	m.links[n.Name] = near
	return near, nil
}

// cut breaks a node's connection; for good if so.
func (m *machines) cut(n fleet.NodeName, forGood bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone[n] = forGood
	m.links[n].Close()
}

// real is a queue and a roster with real agents. Its times are a hundredth of the usual ones.
type real struct {
	*testing.T
	*queue.Queue
	roster   *fleet.Roster
	machines *machines
}

const realTTL, realGrace = 600 * time.Millisecond, 300 * time.Millisecond

func newReal(t *testing.T, nodes ...fleet.NodeName) *real {
	m := &machines{t: t, hosts: map[fleet.NodeName]*host.Host{}, links: map[fleet.NodeName]wire.Link{}, gone: map[fleet.NodeName]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	t.Cleanup(func() { cancel(); parts.Wait() })
	background := func(f func(context.Context) error) {
		parts.Go(func() {
			if err := f(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for _, n := range nodes {
		h, err := host.New(host.Config{Root: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		m.hosts[n] = h
		background(h.Run)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	roster, err := fleet.New(fleet.Config{
		Store: &noStore{}, Launchers: map[string]fleet.Launcher{"test": m}, Heartbeat: 200 * time.Millisecond, MinBackoff: 20 * time.Millisecond, Log: log,
		Retention: retain.New,
		Connect: func(ctx context.Context, l wire.Link, n fleet.Node) (fleet.Conn, error) {
			return remote.Connect(ctx, l, remote.Options{Name: "controller"})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.New(queue.Config{Ledger: memory.New(), Fleet: roster, TTL: realTTL, Grace: realGrace, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	roster.Heed(q)
	background(roster.Run)
	background(q.Run)
	for _, n := range nodes {
		if err := roster.Put(t.Context(), fleet.Node{Name: n, Executors: 2, Launcher: fleet.LauncherSpec{Kind: "test"}}); err != nil {
			t.Fatal(err)
		}
	}
	return &real{t, q, roster, m}
}

// noStore is a fleet.Store that keeps nothing: the roster of these tests never restarts.
type noStore struct{}

func (*noStore) PutNode(context.Context, ...fleet.Node) error     { return nil }
func (*noStore) DeleteNode(context.Context, fleet.NodeName) error { return nil }
func (*noStore) Nodes(context.Context) ([]fleet.Node, error)      { return nil, nil }
func (*noStore) AddRecords(context.Context, []fleet.Record) error { return nil }
func (*noStore) Records(context.Context, fleet.NodeName, int) ([]fleet.Record, error) {
	return nil, nil
}

// begin gives an item an executor and starts a step on it.
func (r *real) begin(it queue.Item, script string) (queue.Grant, agent.Machine) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	ok := func(err error) {
		if err != nil {
			r.Helper()
			r.Fatal(err)
		}
	}
	ticket, err := r.Submit(ctx, it)
	ok(err)
	g, err := ticket.Wait(ctx)
	ok(err)
	m, _, err := r.roster.WaitMachine(ctx, g.Node)
	ok(err)
	_, err = m.Open(ctx, agent.OpenRequest{Lease: g.Lease(), Job: "job", Policy: it.Policy, TTL: realTTL})
	ok(err)
	ok(r.Opened(ctx, g))
	ok(m.Start(ctx, agent.StartRequest{Lease: g.Lease(), Step: "1", Script: []byte(script)}))
	return g, m
}

func (r *real) wait(ch <-chan struct{}, what string) time.Duration {
	r.Helper()
	start := time.Now()
	select {
	case <-ch:
	case <-time.After(time.Minute):
		r.Fatalf("%s: not within a minute", what)
	}
	return time.Since(start)
}

// TestF3PartitionOfARealAgent: the connection breaks while a step runs; the step does not notice and its lease goes on.
func TestF3PartitionOfARealAgent(t *testing.T) {
	r := newReal(t, "a")
	g, m := r.begin(queue.Item{ID: "x", Policy: agent.Kill}, "echo begin; while [ ! -e go-on ]; do sleep 0.05; done; echo end")
	lost := r.Lost(g)
	_, before, err := r.roster.WaitMachine(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	r.machines.cut("a", false)
	for session := before; session == before; {
		if m, session, err = r.roster.WaitMachine(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.WriteFile(t.Context(), g.Lease(), "go-on", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	exit, err := m.Follow(t.Context(), g.Lease(), "1", 0, func(o agent.Output) error { out.Write(o.Data); return nil })
	if err != nil || exit.Code != 0 || !strings.Contains(out.String(), "end") {
		t.Errorf("the step ended %+v, %v, with %q", exit, err, out.String())
	}
	select {
	case <-lost:
		t.Error("the lease is lost")
	default:
	}
	if err := m.Close(t.Context(), g.Lease()); err != nil {
		t.Error(err)
	}
	if err := r.Release(t.Context(), g); err != nil {
		t.Error(err)
	}
}

// TestF1bMachineGoneForGood: its work is lost in time, and given out again elsewhere; the machine has killed it by then.
func TestF1bMachineGoneForGood(t *testing.T) {
	r := newReal(t, "a")
	it := queue.Item{ID: "x", Policy: agent.Kill}
	g, _ := r.begin(it, "sleep 3600")
	h := r.machines.hosts["a"]
	r.machines.cut("a", true)
	took := r.wait(r.Lost(g), "the loss")
	if limit := realTTL + realGrace + 2*200*time.Millisecond; took > limit+20*time.Second { // the rest is the busy machine's
		t.Errorf("found after %v, want about %v", took, limit)
	}
	exit, err := h.Follow(t.Context(), g.Lease(), "1", 0, func(agent.Output) error { return nil })
	if err != nil || !exit.Stopped && exit.Signal == "" && !exit.Lost {
		t.Errorf("on the machine the step ended %+v, %v", exit, err)
	}
	// Queued again, it runs on the next machine that comes.
	ticket, err := r.Submit(t.Context(), it)
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.Why(t.Context(), "x")
	if err != nil || e.Summary != "Waiting for next available executor: all nodes are offline" {
		t.Errorf("why: %+v, %v", e, err)
	}
	r.machines.mu.Lock()
	r.machines.gone["a"] = false
	r.machines.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if g, err := ticket.Wait(ctx); err != nil || g.Epoch != 2 {
		t.Errorf("granted again: %+v, %v", g, err)
	}
}

// TestF10GarbageOnARealAgent: a lease that nobody holds is closed, and what runs in it ends.
func TestF10GarbageOnARealAgent(t *testing.T) {
	r := newReal(t, "a")
	ghost := agent.Lease{Item: "ghost", Epoch: 7}
	h := r.machines.hosts["a"]
	if _, err := h.Open(t.Context(), agent.OpenRequest{Lease: ghost, Job: "ghost"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context(), agent.StartRequest{Lease: ghost, Step: "1", Script: []byte("sleep 3600")}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = h.Follow(t.Context(), ghost, "1", 0, func(agent.Output) error { return nil })
	}()
	r.wait(done, "the end of the ghost's step")
}

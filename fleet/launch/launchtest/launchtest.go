// Package launchtest is the suite that every fleet.Launcher passes: what it launches answers as a machine, ends with its link,
// comes again, and what is wrong is said.
//
// A package that calls it has launchtest.Main in its TestMain: its test binary is then the agent that Program starts.
package launchtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// patience is how long the suite waits for what must happen. It is long: on a busy machine it must not be reached.
const patience = 60 * time.Second

// Maker says how the suite gets what it tests. New must be set.
type Maker struct {
	// New makes a launcher and a node that it can launch, fresh for one test: no other node has the same folder.
	New func(t testing.TB) Rig
	// Wrong are settings that the launcher refuses.
	Wrong []Wrong
}

// Rig is one launcher with one node. Launcher and Node must be set; and Agent for a fleet.Waiter.
type Rig struct {
	Launcher fleet.Launcher
	Node     fleet.Node
	// Says must each stand in the node's log after a launch: the command line that was run, the host that was dialled.
	Says []string
	// Agent starts an agent that dials as Node and dials again when its link ends; stop ends it and waits for that. It is for
	// launchers that wait for agents, and nil for the others.
	Agent func(t testing.TB) (stop func())
	// Stuck is Node with settings whose launch does not come to an end by itself: a command that says nothing, a host that does
	// not answer. The launcher writes into the log before it waits. nil: there are no such settings.
	Stuck func(t testing.TB) fleet.Node
	// Alive reports whether the agent's process runs still; nil asks this computer.
	Alive func(d agent.Description) bool
	// Kill kills the agent's process without a word; nil does so on this computer.
	Kill func(t testing.TB, d agent.Description)
}

// Wrong is a setting that Launch refuses, with an error of Kind that contains Says. Change makes it of a good node.
type Wrong struct {
	Name   string
	Change func(n *fleet.Node)
	Kind   fault.Kind
	Says   string
}

// Run runs the suite.
func Run(t *testing.T, m Maker) {
	tests := []struct {
		name string
		test func(*testing.T, Rig)
	}{
		{"launch", launch},
		{"work", work},
		{"close leaves nothing", closeLeavesNothing},
		{"launch again after the end", again},
		{"a step outlives its link", outlive},
		{"the agent dies", agentDies},
		{"cancelled before the launch", cancelledBefore},
		{"cancelled during the launch", cancelledDuring},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.test(t, m.New(t)) })
	}
	for _, w := range m.Wrong {
		t.Run("wrong/"+w.Name, func(t *testing.T) { wrong(t, m.New(t), w) })
	}
}

// waits reports whether the launcher's agents dial.
func (r Rig) waits() bool {
	w, ok := r.Launcher.(fleet.Waiter)
	return ok && w.AgentsDial()
}

// start starts the agent that dials, if it is one that does.
func (r Rig) start(t testing.TB) (stop func()) {
	t.Helper()
	if !r.waits() {
		return func() {}
	}
	if r.Agent == nil {
		t.Fatal("the launcher waits for agents: Rig.Agent must be set")
	}
	return r.Agent(t)
}

// connect launches and does what the roster does then.
func (r Rig) connect(t testing.TB, log *Log) *remote.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	link, err := r.Launcher.Launch(ctx, r.Node, log)
	if err != nil {
		t.Fatalf("launch: %v\nthe node's log:\n%s", err, log)
	}
	if link.Peer() == "" {
		t.Error("the link's peer has no name")
	}
	conn, err := remote.Connect(ctx, link, remote.Options{Name: "controller", Version: "test"})
	if err != nil {
		t.Fatalf("handshake: %v\nthe node's log:\n%s", err, log)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func describe(t testing.TB, conn *remote.Conn) agent.Description {
	t.Helper()
	d, err := conn.Machine().Describe(t.Context())
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	return d
}

func launch(t *testing.T, r Rig) {
	log := &Log{}
	defer r.start(t)()
	conn := r.connect(t, log)
	if d := describe(t, conn); d.PID == 0 || d.Root == "" || d.OS == "" {
		t.Errorf("the machine says of itself %+v", d)
	}
	_, heard, _, err := conn.Machine().Renew(t.Context(), nil, 0)
	if err != nil {
		t.Errorf("heartbeat: %v", err)
	}
	if _, next, _, err := conn.Machine().Renew(t.Context(), nil, heard); err != nil || next <= heard {
		t.Errorf("second heartbeat: heard %v after %v, %v", next, heard, err)
	}
	for _, says := range r.Says {
		if !strings.Contains(log.String(), says) {
			t.Errorf("the node's log has no %q:\n%s", says, log)
		}
	}
}

func work(t *testing.T, r Rig) {
	defer r.start(t)()
	conn := r.connect(t, &Log{})
	lease := begin(t, conn, "#!/bin/sh\necho one; echo two; exit 3")
	if out, e := follow(t, conn, lease); out != "one\ntwo\n" || e.Code != 3 {
		t.Errorf("the step said %q and ended with %+v", out, e)
	}
	if err := conn.Machine().Close(t.Context(), lease); err != nil {
		t.Error(err)
	}
}

func closeLeavesNothing(t *testing.T, r Rig) {
	stop := r.start(t)
	conn := r.connect(t, &Log{})
	d := describe(t, conn)
	within(t, "the close", func() { conn.Close() })
	stop()
	r.awaitEnd(t, d)
}

func again(t *testing.T, r Rig) {
	defer r.start(t)()
	var last agent.Description
	for range 3 {
		conn := r.connect(t, &Log{})
		d := describe(t, conn)
		if last.Root != "" && d.Root != last.Root {
			t.Errorf("the folder is %s, before it was %s", d.Root, last.Root)
		}
		if !r.waits() && d.PID == last.PID {
			t.Errorf("process %d is there again: it was to end with its link", d.PID)
		}
		last = d
		within(t, "the close", func() { conn.Close() })
	}
}

func outlive(t *testing.T, r Rig) {
	defer r.start(t)()
	conn := r.connect(t, &Log{})
	lease := begin(t, conn, "#!/bin/sh\necho one; while ! test -e go; do sleep 0.02; done; echo two")
	within(t, "the close", func() { conn.Close() })
	conn = r.connect(t, &Log{})
	if err := conn.Machine().WriteFile(t.Context(), lease, "go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, conn, lease); out != "one\ntwo\n" || e.Code != 0 {
		t.Errorf("the step said %q and ended with %+v", out, e)
	}
	if err := conn.Machine().Close(t.Context(), lease); err != nil {
		t.Error(err)
	}
}

func agentDies(t *testing.T, r Rig) {
	defer r.start(t)()
	conn := r.connect(t, &Log{})
	d := describe(t, conn)
	if r.Kill != nil {
		r.Kill(t, d)
	} else {
		kill(t, d.PID)
	}
	select {
	case <-conn.Done():
	case <-time.After(patience):
		t.Fatal("the agent's death was not noticed")
	}
	if err := conn.Err(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("the link ended with %v: expected fault.Unavailable", err)
	}
}

func cancelledBefore(t *testing.T, r Rig) {
	why := errors.New("the node was deleted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	r.refuses(t, ctx, r.Node, &Log{}, why)
}

func cancelledDuring(t *testing.T, r Rig) {
	n, log := r.Node, &Log{}
	why := errors.New("the node was deleted")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	switch {
	case r.Stuck != nil:
		n = r.Stuck(t)
		go func() { log.AwaitSome(t); cancel(why) }()
	case r.waits():
		go cancel(why) // no agent dials
	default:
		t.Skip("every launch comes to an end by itself: Rig.Stuck is nil")
	}
	r.refuses(t, ctx, n, log, why)
}

// refuses expects that Launch, whose ctx has ended or will, returns in time and says why.
func (r Rig) refuses(t *testing.T, ctx context.Context, n fleet.Node, log *Log, why error) {
	t.Helper()
	within(t, "the launch", func() {
		link, err := r.Launcher.Launch(ctx, n, log)
		if err == nil {
			link.Close()
			t.Error("the launch succeeded")
		} else if !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			t.Errorf("%v: expected the reason of its context", err)
		}
	})
}

func wrong(t *testing.T, r Rig, w Wrong) {
	w.Change(&r.Node)
	within(t, "the launch", func() {
		link, err := r.Launcher.Launch(t.Context(), r.Node, &Log{})
		if err == nil {
			link.Close()
			t.Error("the launch succeeded")
		} else if !fault.Is(err, w.Kind) || !strings.Contains(err.Error(), w.Says) {
			t.Errorf("%v (%v): expected kind %v and %q", err, fault.Of(err), w.Kind, w.Says)
		}
	})
}

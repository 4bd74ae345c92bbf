package launchtest

import (
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/remote"
)

// begin opens a lease and starts a step in it.
func begin(t testing.TB, conn *remote.Conn, script string) agent.Lease {
	t.Helper()
	lease := agent.Lease{Item: "launchtest", Epoch: 1}
	if _, err := conn.Machine().Open(t.Context(), agent.OpenRequest{Lease: lease, Job: "job"}); err != nil {
		t.Fatalf("open: %v", err)
	}
	if err := conn.Machine().Start(t.Context(), agent.StartRequest{Lease: lease, Step: "s", Script: []byte(script)}); err != nil {
		t.Fatalf("start: %v", err)
	}
	return lease
}

// follow reads the step's output to its end.
func follow(t testing.TB, conn *remote.Conn, lease agent.Lease) (string, agent.Exit) {
	t.Helper()
	var out string
	e, err := conn.Machine().Follow(t.Context(), lease, "s", 0, func(o agent.Output) error { out += string(o.Data); return nil })
	if err != nil {
		t.Fatalf("follow: %v", err)
	}
	return out, e
}

// awaitEnd waits until the agent's process is gone.
func (r Rig) awaitEnd(t testing.TB, d agent.Description) {
	t.Helper()
	alive := r.Alive
	if alive == nil {
		alive = func(d agent.Description) bool { return running(d.PID) }
	}
	deadline, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for alive(d) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("agent process %d lives on after its link was closed", d.PID)
		}
	}
}

func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
}

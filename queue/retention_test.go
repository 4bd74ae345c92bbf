package queue_test

import (
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/retain"
	"github.com/outwork-build/outwork/queue"
)

// put gives a node a retention.
func (r *real) put(n fleet.NodeName, kind string) {
	r.Helper()
	err := r.roster.Put(r.Context(), fleet.Node{Name: n, Executors: 2, Launcher: fleet.LauncherSpec{Kind: "test"}, Retention: fleet.RetentionSpec{Kind: kind}})
	if err != nil {
		r.Fatal(err)
	}
}

// until waits until a node looks as it should; there is false when there is no such node.
func (r *real) until(what string, n fleet.NodeName, is func(st fleet.Status, there bool) bool) {
	r.Helper()
	changed, cancel := r.roster.Subscribe()
	defer cancel()
	late := time.After(time.Minute)
	for {
		st, there := r.roster.Node(n)
		if is(st, there) {
			return
		}
		select {
		case <-changed:
		case <-late:
			r.Fatalf("%s: not within a minute: %s, %+v", what, st.State, st.Cause)
		}
	}
}

func idle(st fleet.Status, _ bool) bool {
	return st.State == fleet.Offline && st.Cause != nil && st.Cause.Kind == retain.CauseIdle
}

// Work that waits brings up a node that is away, and no second one; a node for one build takes no other and goes when that has
// ended. S1-82, S1-84
func TestRetentionOfRealAgents(t *testing.T) {
	r := newReal(t, "a", "b")
	for _, n := range []fleet.NodeName{"a", "b"} {
		if err := r.roster.Remove(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		r.put(n, retain.Demand)
	}
	r.until("a is not needed", "a", idle)
	r.until("b is not needed", "b", idle)
	g, _ := r.begin(queue.Item{ID: "x"}, "true")
	if g.Node != "a" {
		t.Errorf("the item is on %s", g.Node)
	}
	if st, ok := r.roster.Node("b"); !idle(st, ok) {
		t.Errorf("b is %s, %+v", st.State, st.Cause)
	}
	if err := r.Release(t.Context(), g); err != nil {
		t.Fatal(err)
	}

	r.put("b", retain.Once)
	g, _ = r.begin(queue.Item{ID: "y", Node: "b"}, "true")
	r.until("b takes nothing else", "b", func(st fleet.Status, _ bool) bool {
		return st.State == fleet.Suspended && st.Cause.Kind == retain.CauseOnce
	})
	if err := r.Release(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	r.until("b is gone", "b", func(_ fleet.Status, there bool) bool { return !there })
}

package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/fleet"
)

// works is a core that the tests of Works fill.
type works struct {
	*testing.T
	*Core
	s int // seconds since the start
}

func newWorks(t *testing.T) *works {
	return &works{t, NewCore(Limits{TTL: time.Hour, Grace: time.Hour, HoldWindow: time.Hour, KeepEnded: time.Hour, Unclaimed: time.Hour, MaxWaiting: 100_000}), 0}
}

// moment is s seconds after the start.
func moment(s int) time.Time { return time.Unix(int64(s), 0).UTC() }

func (w *works) now() Instant {
	return Instant{Mono: time.Duration(w.s+1) * time.Second, Wall: moment(w.s)}
}

func (w *works) submit(ids ...ItemID) {
	w.Helper()
	for _, id := range ids {
		w.s++
		if _, _, err := w.Submit(w.now(), Item{ID: id, Label: string(id[:1])}); err != nil {
			w.Fatal(err)
		}
	}
	w.Place(w.now())
	for _, wr := range w.Core.Writes() {
		w.Written(w.now(), wr, 0, nil)
	}
}

func (w *works) release(id ItemID) {
	w.Helper()
	w.s++
	if _, err := w.Release(w.now(), w.items[id].row.Grant); err != nil {
		w.Fatal(err)
	}
}

// away is a node that is not connected; its labels are letters.
func away(n fleet.NodeName, executors int, labels ...string) fleet.Status {
	return fleet.Status{Node: fleet.Node{Name: n, Executors: executors}, State: fleet.Offline, Assigned: append([]string{string(n)}, labels...), Revision: 1}
}

func (w *works) wanted(asks []fleet.Ask, want map[fleet.NodeName]int) {
	w.Helper()
	got := map[fleet.NodeName]int{}
	for i, x := range w.Works(asks) {
		if !x.WantedSince.IsZero() {
			got[asks[i].Node] = int(x.WantedSince.Unix())
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		w.Errorf("wanted since (-want +got):\n%s", d)
	}
}

// An item makes one node wanted, not all that could take it; what comes already takes it first. S1-82
func TestAnItemWantsNoMoreThanItNeeds(t *testing.T) {
	w := newWorks(t)
	w.SetFleet(w.now(), []fleet.Status{away("n1", 2, "x"), away("n2", 1, "x"), away("n3", 5, "x"), away("n4", 1, "y"), away("n5", 0, "x")})
	asks := func(first fleet.Reach) []fleet.Ask {
		return []fleet.Ask{{Node: "n5", Reach: first}, {Node: "n1", Reach: first}, {Node: "n2", Reach: fleet.Startable}, {Node: "n3", Reach: fleet.Startable}, {Node: "n4", Reach: fleet.Startable}}
	}
	w.wanted(asks(fleet.Startable), map[fleet.NodeName]int{})
	w.submit("x1")
	w.wanted(asks(fleet.Startable), map[fleet.NodeName]int{"n1": 1})
	w.wanted(asks(fleet.Coming), map[fleet.NodeName]int{})
	w.wanted(asks(fleet.Unwanted), map[fleet.NodeName]int{"n2": 1})
	w.submit("x2", "x3", "x4")
	w.wanted(asks(fleet.Startable), map[fleet.NodeName]int{"n1": 1, "n2": 3, "n3": 4})
	w.wanted(asks(fleet.Coming), map[fleet.NodeName]int{"n2": 3, "n3": 4})
	w.submit("y1")
	w.wanted(asks(fleet.Coming), map[fleet.NodeName]int{"n2": 3, "n3": 4, "n4": 5})
}

// Nodes that may not come are all wanted, but only for what is left over.
func TestDoubtfulNodesAreTriedTogether(t *testing.T) {
	w := newWorks(t)
	w.SetFleet(w.now(), []fleet.Status{away("n1", 1, "x"), away("n2", 1, "x"), away("n3", 1, "x")})
	asks := []fleet.Ask{{Node: "n1", Reach: fleet.Startable}, {Node: "n2", Reach: fleet.Doubtful}, {Node: "n3", Reach: fleet.Doubtful}}
	w.submit("x1")
	w.wanted(asks, map[fleet.NodeName]int{"n1": 1})
	w.submit("x2")
	w.wanted(asks, map[fleet.NodeName]int{"n1": 1, "n2": 2, "n3": 2})
}

// Busy, IdleSince and Done are what was, on the node; a lease that was never opened is nothing done.
func TestWorkOfANode(t *testing.T) {
	w := newWorks(t)
	n := away("x", 2)
	n.State = fleet.Online
	w.SetFleet(w.now(), []fleet.Status{n})
	is := func(want fleet.Work) {
		t.Helper()
		if d := cmp.Diff([]fleet.Work{want}, w.Works([]fleet.Ask{{Node: "x"}})); d != "" {
			t.Errorf("work (-want +got):\n%s", d)
		}
	}
	is(fleet.Work{})
	w.submit("x1", "x2")
	is(fleet.Work{Busy: 2})
	w.release("x1")
	is(fleet.Work{Busy: 1, Done: 1})
	w.release("x2")
	is(fleet.Work{IdleSince: moment(4), Done: 2})
	w.submit("x3")
	is(fleet.Work{Busy: 1, Done: 2})
	if _, err := w.Return(w.now(), w.items["x3"].row.Grant); err != nil {
		t.Fatal(err)
	}
	is(fleet.Work{IdleSince: moment(5), Done: 2})
	w.SetFleet(w.now(), nil)
	w.SetFleet(w.now(), []fleet.Status{n}) // another one of that name
	is(fleet.Work{Busy: 0})
}

// BenchmarkWorks is one answer for 1,000 nodes of 50 labels with 10,000 items that wait.
func BenchmarkWorks(b *testing.B) {
	c := NewCore(Limits{TTL: time.Hour, Grace: time.Hour, HoldWindow: time.Hour, KeepEnded: time.Hour, Unclaimed: time.Hour, MaxWaiting: 100_000})
	var all []fleet.Status
	var asks []fleet.Ask
	for i := range 1000 {
		n := fleet.NodeName(fmt.Sprintf("n%03d", i))
		all = append(all, away(n, 2, fmt.Sprintf("l%d", i%50)))
		asks = append(asks, fleet.Ask{Node: n, Reach: fleet.Startable})
	}
	now := Instant{Mono: 1, Wall: moment(0)}
	c.SetFleet(now, all)
	for i := range 10_000 {
		if _, _, err := c.Submit(now, Item{ID: ItemID(fmt.Sprintf("i%d", i)), Label: fmt.Sprintf("l%d", i%50)}); err != nil {
			b.Fatal(err)
		}
	}
	c.Place(now)
	for b.Loop() {
		c.Works(asks)
	}
}

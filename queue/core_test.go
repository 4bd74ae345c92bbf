package queue

import (
	"slices"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
)

// TestTheControllerWasAway: a process that was stopped for a minute has not heard what its agents said.
func TestTheControllerWasAway(t *testing.T) {
	c := NewCore(Limits{TTL: 30 * time.Second, Grace: 15 * time.Second, HoldWindow: time.Minute, KeepEnded: time.Hour, Unclaimed: time.Hour, MaxWaiting: 10})
	at := func(s int) Instant { return Instant{Mono: time.Duration(s) * time.Second} }
	c.SetFleet(at(1), []fleet.Status{{Node: fleet.Node{Name: "a", Executors: 1}, State: fleet.Online, Assigned: []string{"a"}, Revision: 1}})
	if _, _, err := c.Submit(at(1), Item{ID: "x", Policy: agent.Kill}); err != nil {
		t.Fatal(err)
	}
	c.Place(at(1))
	for _, w := range c.Writes() {
		c.Written(at(1), w, 0, nil)
	}
	if e := c.Events(); len(e) != 1 || e[0].Kind != Granted {
		t.Fatalf("events %v", e)
	}
	for s := 6; s <= 31; s += 5 {
		c.Tick(at(s))
	}
	c.Tick(at(91))
	if w := c.Writes(); len(w) != 0 {
		t.Fatalf("lost while the controller was away: %+v", w)
	}
	for s := 96; s <= 131; s += 5 {
		c.Tick(at(s))
	}
	if w := c.Writes(); len(w) != 0 {
		t.Fatalf("lost before a whole new TTL was over: %+v", w)
	}
	c.Tick(at(136))
	if w := c.Writes(); len(w) != 1 || w[0].Row.State != LeaseLost {
		t.Fatalf("not lost in the end: %+v", w)
	}
}

func TestBatchesKeepTheOrderOfEachItem(t *testing.T) {
	row := func(id ItemID, op Op) Write { return Write{Op: op, Row: LeaseRow{Grant: Grant{Item: id}}} }
	item := func(id ItemID, op Op) Write { return Write{Op: op, Item: Item{ID: id}} }
	var got []string
	for _, batch := range Batches([]Write{
		item("a", PutOp), row("a", GrantOp), row("b", SetOp), item("c", PutOp), row("c", GrantOp),
		row("a", SetOp), item("b", DropOp), // a's end comes after its grant
		item("b", PutOp), // b is new again
	}) {
		s := [...]string{"put", "set", "grant", "drop"}[batch[0].Op]
		for _, w := range batch {
			s += " " + string(w.item())
		}
		got = append(got, s)
	}
	want := []string{"put a c", "set b", "grant a c", "set a", "drop b", "put b"}
	if !slices.Equal(got, want) {
		t.Errorf("batches %q, want %q", got, want)
	}
}

// A loss is known when the ledger has the loss, not when it has an earlier state of the lease.
func TestALossIsToldOnceItIsDurable(t *testing.T) {
	c := NewCore(Limits{TTL: 30 * time.Second, Grace: 15 * time.Second, HoldWindow: time.Minute, KeepEnded: time.Hour, Unclaimed: time.Hour, MaxWaiting: 10})
	at := func(s int) Instant { return Instant{Mono: time.Duration(s) * time.Second} }
	c.SetFleet(at(1), []fleet.Status{{Node: fleet.Node{Name: "a", Executors: 1}, State: fleet.Online, Assigned: []string{"a"}, Revision: 1}})
	if _, _, err := c.Submit(at(1), Item{ID: "x", Policy: agent.Hold}); err != nil {
		t.Fatal(err)
	}
	c.Place(at(1))
	for _, w := range c.Writes() {
		c.Written(at(1), w, 0, nil)
	}
	c.Events()
	for s := 6; s <= 46; s += 5 {
		c.Tick(at(s))
	}
	hold := c.Writes()
	for s := 51; s <= 106; s += 5 {
		c.Tick(at(s))
	}
	loss := c.Writes()
	if len(hold) != 1 || hold[0].Row.State != LeaseHeld || len(loss) != 1 || loss[0].Row.State != LeaseLost {
		t.Fatalf("writes %+v and %+v", hold, loss)
	}
	if c.Written(at(107), hold[0], 0, nil); len(c.Events()) != 0 {
		t.Fatal("the loss is told when only the hold is durable")
	}
	if c.Written(at(107), loss[0], 0, nil); len(c.Events()) != 1 {
		t.Fatal("the loss is not told")
	}
}

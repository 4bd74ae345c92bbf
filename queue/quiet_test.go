package queue

import (
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// In quiet mode items wait in their places and say why; what was given out stays given.
func TestQuiet(t *testing.T) {
	c := NewCore(Limits{TTL: 30 * time.Second, Grace: 15 * time.Second, HoldWindow: time.Minute, KeepEnded: time.Hour, Unclaimed: time.Hour, MaxWaiting: 10})
	at := func(s int) Instant { return Instant{Mono: time.Duration(s) * time.Second} }
	submit := func(id ItemID) {
		t.Helper()
		if _, _, err := c.Submit(at(1), Item{ID: id}); err != nil {
			t.Fatal(err)
		}
		c.Place(at(1))
		for _, w := range c.Writes() {
			c.Written(at(1), w, 0, nil)
		}
	}
	c.SetFleet(at(1), []fleet.Status{{Node: fleet.Node{Name: "a", Executors: 3}, State: fleet.Online, Assigned: []string{"a"}, Revision: 1}})
	submit("before")
	c.Quiet(true, "new kernel")
	submit("first")
	submit("second")
	if _, waiting, busy, _ := c.Stats(); waiting != 2 || busy != 1 {
		t.Fatalf("%d wait, %d run", waiting, busy)
	}
	x, err := c.Why("first")
	if err != nil || x.Summary != "The controller is in quiet mode (new kernel): nothing new is started" || x.Position != 1 {
		t.Errorf("%v %+v", err, x)
	}
	c.Quiet(false, "")
	c.Place(at(2))
	if _, waiting, busy, _ := c.Stats(); waiting != 0 || busy != 3 {
		t.Errorf("after it: %d wait, %d run", waiting, busy)
	}
}

package queue_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

func TestKillLeaseIsLost(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		it := queue.Item{ID: "x", Policy: agent.Kill}
		g := w.granted(w.submit(it))
		lost := w.Lost(g)
		time.Sleep(10 * time.Second)
		w.beat(fleet.Renewal{Node: "a", Session: 1, Open: []agent.Lease{g.Lease()}})
		w.farm.set(offline("a", 1))
		time.Sleep(44 * time.Second)
		if isLost(lost) {
			t.Fatal("lost before TTL and grace were over")
		}
		time.Sleep(time.Second)
		if !isLost(lost) {
			t.Fatal("not lost after TTL and grace")
		}
		if r := w.row("x"); r.State != queue.LeaseLost {
			t.Errorf("ledger has %+v", r)
		}
		if err := w.Release(w.Context(), g); !fault.Is(err, fault.Stale) {
			t.Errorf("Release of a lost lease: %v", err)
		}
		if !isLost(w.Lost(g)) {
			t.Error("asked again, the lease is not lost")
		}
		again := w.submit(it)
		w.farm.set(online("b", 1))
		if h := w.granted(again); h.Epoch != 2 || h.Node != "b" {
			t.Errorf("granted again: %+v", h)
		}
		// The old agent comes back with the old epoch.
		garbage := w.beat(fleet.Renewal{Node: "a", Session: 2, First: true, Open: []agent.Lease{g.Lease()}})
		if d := cmp.Diff([]agent.Lease{g.Lease()}, garbage); d != "" {
			t.Errorf("garbage (-want +got):\n%s", d)
		}
	})
}

func TestAnUnansweredHeartbeatCountsAsNews(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x", Policy: agent.Kill}))
		lost := w.Lost(g)
		time.Sleep(10 * time.Second)
		if held, err := w.farm.keeper.Held(w.Context(), "a", 1); err != nil || len(held) != 1 || held[0] != g.Lease() {
			t.Fatalf("held %v, %v", held, err)
		}
		// The agent may have heard it: its TTL counts from there.
		time.Sleep(44 * time.Second)
		if isLost(lost) {
			t.Fatal("lost while the agent may still be within its TTL")
		}
		time.Sleep(time.Second)
		if !isLost(lost) {
			t.Fatal("not lost in time")
		}
	})
}

func TestHoldLeaseIsHeldAndComesBack(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x"}))
		lost := w.Lost(g)
		w.beat(fleet.Renewal{Node: "a", Session: 1, Open: []agent.Lease{g.Lease()}})
		w.farm.set(offline("a", 1))
		time.Sleep(46 * time.Second)
		if s := w.state("x"); s != queue.Held {
			t.Errorf("the item is %q, want held", s)
		}
		if r := w.row("x"); r.State != queue.LeaseHeld {
			t.Errorf("ledger has %+v", r)
		}
		time.Sleep(4 * time.Minute)
		w.beat(fleet.Renewal{Node: "a", Session: 2, First: true, Open: []agent.Lease{g.Lease()}})
		if s := w.state("x"); s != queue.Leased {
			t.Errorf("the item is %q, want leased", s)
		}
		if r := w.row("x"); r.State != queue.LeaseActive {
			t.Errorf("ledger has %+v", r)
		}
		if isLost(lost) {
			t.Error("lost although its agent came back")
		}
		if err := w.Release(w.Context(), g); err != nil {
			t.Error(err)
		}
	})
}

func TestHoldLeaseIsLostForEver(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		it := queue.Item{ID: "x", Policy: agent.Hold}
		g := w.granted(w.submit(it))
		lost := w.Lost(g)
		time.Sleep(45*time.Second + 5*time.Minute + time.Second)
		if !isLost(lost) {
			t.Fatal("not lost after the hold window")
		}
		for range 2 {
			if _, err := w.Submit(w.Context(), it); !errors.Is(err, queue.ErrLost) {
				t.Errorf("submitted again: %v, want ErrLost", err)
			}
			w.stop()
			w.begin(queue.Config{})
		}
	})
}

func TestAgentBackWithoutTheLease(t *testing.T) {
	for _, tc := range []struct {
		name   string
		opened bool
		boot   string
		open   bool
		lost   bool
	}{
		{"never opened", false, "boot-1", false, false},
		{"its folder is gone", true, "boot-1", false, true},
		{"restarted without it", false, "boot-2", false, true},
		{"restarted with it", true, "boot-2", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, func(w *world) {
				w.farm.set(online("a", 1))
				g := w.granted(w.submit(queue.Item{ID: "x"}))
				lost := w.Lost(g)
				if tc.opened {
					w.beat(fleet.Renewal{Node: "a", Session: 1, Open: []agent.Lease{g.Lease()}})
				}
				r := fleet.Renewal{Node: "a", Session: 2, First: true, Boot: tc.boot}
				if tc.open {
					r.Open = []agent.Lease{g.Lease()}
				}
				if garbage := w.beat(r); len(garbage) > 0 {
					t.Errorf("garbage %v", garbage)
				}
				if isLost(lost) != tc.lost {
					t.Errorf("lost is %v, want %v", !tc.lost, tc.lost)
				}
			})
		})
	}
}

func TestOpenedCountsAsNews(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x", Policy: agent.Kill}))
		lost := w.Lost(g)
		time.Sleep(40 * time.Second)
		if err := w.Opened(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		time.Sleep(44 * time.Second)
		if isLost(lost) {
			t.Fatal("lost although it was opened 44 s ago")
		}
		w.beat(fleet.Renewal{Node: "a", Session: 2, First: true}) // and the agent does not have it
		if !isLost(lost) {
			t.Fatal("not lost although it was open and is not")
		}
		if err := w.Opened(w.Context(), g); !fault.Is(err, fault.Stale) {
			t.Errorf("Opened of a lost lease: %v", err)
		}
	})
}

// In the middle of a session a lease that is not listed may have been closed by its holder, whose Release is on its way.
func TestClosedButNotYetReleased(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x"}))
		w.beat(fleet.Renewal{Node: "a", Session: 1, First: true, Open: []agent.Lease{g.Lease()}})
		w.beat(fleet.Renewal{Node: "a", Session: 1})
		if err := w.Release(w.Context(), g); err != nil {
			t.Error(err)
		}
	})
}

func TestRestartOfTheController(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x", Policy: agent.Kill}))
		w.submit(queue.Item{ID: "second"})
		w.submit(queue.Item{ID: "third"})
		synctest.Wait()
		w.stop()
		time.Sleep(10 * time.Minute) // leases do not run out meanwhile
		w.begin(queue.Config{})
		third := w.submit(queue.Item{ID: "third"})
		if h := w.granted(w.submit(queue.Item{ID: "x", Policy: agent.Kill})); h != g {
			t.Errorf("after the restart the lease is %+v, was %+v", h, g)
		}
		second := w.submit(queue.Item{ID: "second"})
		time.Sleep(44 * time.Second)
		if isLost(w.Lost(g)) {
			t.Error("lost before a whole new TTL was over")
		}
		if err := w.Release(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		w.granted(second) // it was before the third, and still is
		w.waits(third)
	})
}

func TestWhatNobodyClaimsIsGivenUp(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		w.granted(w.submit(queue.Item{ID: "x"}))
		w.submit(queue.Item{ID: "waits"})
		synctest.Wait()
		w.stop()
		w.begin(queue.Config{})
		late := w.submit(queue.Item{ID: "late"})
		for range 359 {
			time.Sleep(10 * time.Second)
			w.beat(fleet.Renewal{Node: "a", Session: 1, Open: []agent.Lease{{Item: "x", Epoch: 1}}})
		}
		w.waits(late) // the executor is still kept for x, and "waits" is not placed
		time.Sleep(10 * time.Second)
		w.granted(late)
		if garbage := w.beat(fleet.Renewal{Node: "a", Session: 1, Open: []agent.Lease{{Item: "x", Epoch: 1}}}); len(garbage) != 1 {
			t.Errorf("garbage %v, want the lease of x", garbage)
		}
		for _, id := range []queue.ItemID{"x", "waits"} {
			if s := w.state(id); s != "" {
				t.Errorf("%s is still %s", id, s)
			}
		}
	})
}

func TestGarbage(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x"}))
		old, unknown := agent.Lease{Item: "x", Epoch: 0}, agent.Lease{Item: "y", Epoch: 3}
		garbage := w.beat(fleet.Renewal{Node: "a", Session: 1, Open: []agent.Lease{old, g.Lease(), unknown}})
		if d := cmp.Diff([]agent.Lease{old, unknown}, garbage); d != "" {
			t.Errorf("garbage (-want +got):\n%s", d)
		}
		// The right lease on the wrong node is garbage too.
		if garbage := w.beat(fleet.Renewal{Node: "b", Session: 1, Open: []agent.Lease{g.Lease()}}); len(garbage) != 1 {
			t.Errorf("garbage on b: %v", garbage)
		}
	})
}

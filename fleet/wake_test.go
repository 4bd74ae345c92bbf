package fleet_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/retain"
)

// bell is a launcher of agents that dial, whose machines can be woken when their node's settings say so.
type bell struct {
	*launcher
	mu   sync.Mutex
	rung []fleet.NodeName
	err  error
}

func (b *bell) Wakes(n fleet.Node) bool { return n.Launcher.Config["wake"] != "" }

func (b *bell) Wake(_ context.Context, n fleet.Node, _ io.Writer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = append(b.rung, n.Name)
	return b.err
}

// S1-34: a machine whose agent dials is woken when work waits for it, again after a while, and not when it is there, when a person keeps
// it off, or when nothing waits.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.launcher.dials = true
		b := &bell{launcher: w.launcher, err: errors.New("no such machine")}
		d := &demand{works: map[fleet.NodeName]fleet.Work{}}
		w.heeds = d
		w.begin(fleet.Config{Launchers: map[string]fleet.Launcher{"bell": b}, Retention: retain.New})
		kind := fleet.LauncherSpec{Kind: "bell", Config: map[string]string{"wake": "ring"}}
		w.put(fleet.Node{Name: "a", Executors: 1, Launcher: kind})
		w.put(fleet.Node{Name: "deaf", Executors: 1, Launcher: fleet.LauncherSpec{Kind: "bell"}})
		rung := func(want int) {
			t.Helper()
			synctest.Wait()
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, n := range b.rung {
				if n != "a" {
					t.Errorf("woke %s", n)
				}
			}
			if len(b.rung) != want {
				t.Errorf("woken %d times, want %d", len(b.rung), want)
			}
		}
		time.Sleep(time.Hour)
		rung(0)
		d.is("deaf", fleet.Work{WantedSince: time.Now()})
		d.is("a", fleet.Work{WantedSince: time.Now()})
		rung(1)
		time.Sleep(4 * time.Minute)
		rung(1)
		time.Sleep(2 * time.Minute)
		rung(2)
		w.ok(w.SetOffline(w.Context(), "a", fleet.ByUser("alice", "")))
		time.Sleep(20 * time.Minute)
		rung(2)
		w.ok(w.ClearOffline(w.Context(), "a"))
		time.Sleep(3 * time.Second)
		rung(3)
		w.ok(w.Disconnect(w.Context(), "deaf", fleet.ByUser("alice", "")))
		w.launcher.arrivals <- &machine{boot: "boot-1"}
		w.is("a", fleet.Online, "")
		d.is("a", fleet.Work{WantedSince: time.Now()})
		time.Sleep(20 * time.Minute)
		rung(3)
		w.put(fleet.Node{Name: "a", Executors: 1, Launcher: fleet.LauncherSpec{Kind: "bell"}})
		d.is("a", fleet.Work{WantedSince: time.Now()})
		time.Sleep(20 * time.Minute)
		rung(3)
		w.ok(w.Remove(w.Context(), "a"))
		w.stop()
	})
}

package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// remover is a launcher that leaves something on its machines.
type remover struct {
	*launcher
	ended   chan string // what is removed, and how many of its launches run
	away    error       // what removing fails with; guarded by mu
	hanging bool
}

func (r *remover) Remove(ctx context.Context, n fleet.Node, log io.Writer) error {
	r.mu.Lock()
	running, err := r.running[n.Name], r.away
	r.mu.Unlock()
	fmt.Fprintln(log, "removing")
	if r.hanging {
		<-ctx.Done()
		err = ctx.Err()
	}
	r.ended <- fmt.Sprintf("%s of %s, %d launches run", n.Name, n.RemoteRoot, running)
	return err
}

var leaves = fleet.LauncherSpec{Kind: "leaves"}

// removing runs a roster whose launcher is a remover.
func removing(t *testing.T, f func(w *world, r *remover, log *strings.Builder)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, log := &remover{launcher: w.launcher, ended: make(chan string, 10)}, &strings.Builder{}
		w.begin(fleet.Config{Launchers: map[string]fleet.Launcher{"leaves": r}, Log: slog.New(slog.NewTextHandler(log, nil))})
		f(w, r, log)
		w.stop()
	})
}

// What a launcher left on the machine of a node that is deleted is taken away, once, after its last launch; what fails is told.
func TestRemovedFromTheMachine(t *testing.T) {
	removing(t, func(w *world, r *remover, log *strings.Builder) {
		w.put(fleet.Node{Name: "a", Launcher: leaves, Executors: 1, RemoteRoot: "/a"})
		w.is("a", fleet.Online, "")
		w.ok(w.Disconnect(w.Context(), "a", fleet.OfflineCause{Kind: fleet.CauseUser}))
		synctest.Wait()
		if len(r.ended) != 0 {
			t.Errorf("disconnected, and removed: %s", <-r.ended)
		}
		w.ok(w.Remove(w.Context(), "a"))
		if got := <-r.ended; got != "a of /a, 0 launches run" || len(r.ended) != 0 {
			t.Errorf("removed: %s", got)
		}
		r.mu.Lock()
		r.away = errors.New("it is away")
		r.mu.Unlock()
		w.put(fleet.Node{Name: "b", Launcher: leaves, Executors: 1})
		w.ok(w.Remove(w.Context(), "b"))
		got := <-r.ended
		synctest.Wait()
		if !strings.HasPrefix(got, "b ") || !strings.Contains(log.String(), "it is away") || !strings.Contains(log.String(), "node=b") {
			t.Errorf("removed: %s, the log has %s", got, log)
		}
	})
}

// A machine that does not answer holds neither the roster nor its end.
func TestRemovalThatHangs(t *testing.T) {
	removing(t, func(w *world, r *remover, _ *strings.Builder) {
		r.hanging = true
		w.put(fleet.Node{Name: "a", Launcher: leaves, Executors: 1})
		start := time.Now()
		w.ok(w.Remove(w.Context(), "a"))
		w.put(fleet.Node{Name: "a", Launcher: leaves, Executors: 1})
		w.is("a", fleet.Online, "")
		if d := time.Since(start); d > time.Second {
			t.Errorf("the name is free after %v", d)
		}
		<-r.ended
		if d := time.Since(start); d > 2*time.Minute {
			t.Errorf("given up after %v", d)
		}
		w.ok(w.Remove(w.Context(), "a")) // the roster stops meanwhile
	})
}

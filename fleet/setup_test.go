package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
)

// S1-20: a node is not online before its setup is done, and stays offline with the reason when it fails; heartbeats go on meanwhile, and
// leases that are open on the machine stay. It is tried anew after a while, at once when somebody wants that, and when the setup changes.
func TestSetUpBeforeUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		visits, answers := make(chan fleet.Preparation, 10), make(chan error)
		w.begin(fleet.Config{Prepare: func(ctx context.Context, p fleet.Preparation) error {
			visits <- p
			fmt.Fprintln(p.Log, "output of the setup")
			select {
			case err := <-answers:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}})
		m := &machine{boot: "boot-1"}
		w.launcher.machines["a"] = m
		w.put(fleet.Node{Name: "plain", Executors: 1})
		w.is("plain", fleet.Online, "")
		w.put(fleet.Node{Name: "a", Executors: 1, Labels: []string{"x"}, Setup: &fleet.Setup{Command: "one"}})
		p := <-visits
		if p.System.OS != "linux" || fmt.Sprint(p.Labels) != "[a os:linux x]" && len(p.Labels) < 2 || p.Node.Setup.Command != "one" || p.Machine == nil {
			t.Errorf("%+v", p)
		}
		m.set(func() { m.beats = 0 })
		w.keeper.mu.Lock()
		w.keeper.garbage = []agent.Lease{p.Lease, {Item: "unknown", Epoch: 1}}
		w.keeper.mu.Unlock()
		time.Sleep(time.Minute)
		if st := w.status("a"); st.State != fleet.Connecting {
			t.Errorf("it is %s during its setup", st.State)
		}
		m.mu.Lock()
		if m.beats < 5 {
			t.Errorf("%d heartbeats in a minute of setup", m.beats)
		}
		for _, l := range m.closed {
			if l == p.Lease {
				t.Error("the lease of the setup was closed as one that nobody knows")
			}
		}
		if len(m.closed) == 0 {
			t.Error("a lease that nobody knows was not closed")
		}
		m.mu.Unlock()
		answers <- errors.New("exit 3")
		const failed = "Setup failed: exit 3"
		w.is("a", fleet.Offline, failed)
		time.Sleep(4 * time.Minute)
		w.is("a", fleet.Offline, failed)
		if len(visits) > 0 {
			t.Error("it was tried anew at once")
		}
		time.Sleep(3 * time.Minute)
		<-visits
		answers <- errors.New("exit 3")
		w.is("a", fleet.Offline, failed)
		w.ok(w.Reconnect(w.Context(), "a"))
		<-visits
		answers <- nil
		w.is("a", fleet.Online, "")

		w.put(fleet.Node{Name: "a", Executors: 3, Labels: []string{"x"}, Setup: &fleet.Setup{Command: "one"}})
		w.is("a", fleet.Online, "")
		w.put(fleet.Node{Name: "a", Executors: 3, Setup: &fleet.Setup{Command: "two"}})
		if p := <-visits; p.Node.Setup.Command != "two" {
			t.Errorf("%+v", p.Node.Setup)
		}
		m.set(func() { m.silent = true })
		time.Sleep(time.Minute)
		if st := w.status("a"); st.State == fleet.Online || st.Cause == nil || st.Cause.Kind == fleet.CauseSetup {
			t.Errorf("%s %+v", st.State, st.Cause)
		}
		w.stop()
	})
}

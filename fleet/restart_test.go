package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/retain"
)

// again is the controller started anew over the same store.
func (w *world) again() {
	w.Helper()
	w.stop()
	w.start(nil)
	synctest.Wait()
}

// S1-79: what a person has disconnected stays so over a restart of the controller, with who and why, until somebody connects it or gives
// it another launcher. The history has it once.
func TestADisconnectOutlivesARestart(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.put(fleet.Node{Name: "b", Executors: 1, RemoteRoot: "/old"})
		w.put(onDemand("c", "0", "1h"))
		for _, n := range []fleet.NodeName{"a", "b", "c"} {
			w.ok(w.Disconnect(w.Context(), n, fleet.ByUser("carol", "new disk")))
		}
		const why = "Disconnected by carol : new disk"
		for range 2 {
			w.again()
			time.Sleep(time.Hour)
			for _, n := range []fleet.NodeName{"a", "b", "c"} {
				w.is(n, fleet.Offline, why)
			}
		}
		w.put(fleet.Node{Name: "a", Executors: 3}) // another change lets it be
		w.is("a", fleet.Offline, why)
		rs, err := w.History(w.Context(), "a")
		if err != nil || told(rs) != "online; offline: "+why {
			t.Errorf("%s, %v", told(rs), err)
		}
		w.ok(w.Reconnect(w.Context(), "a"))
		w.put(fleet.Node{Name: "b", Executors: 1, RemoteRoot: "/new"})
		for range 2 {
			w.is("a", fleet.Online, "")
			w.is("b", fleet.Online, "")
			w.again()
		}
		n := w.status("c").Node
		n.Name = "copy"
		w.put(n)
		if st := w.status("copy"); st.Node.Down != nil {
			t.Errorf("the copy of a disconnected node is disconnected: %+v", st.Node.Down)
		}
		if st := w.status("c"); st.Cause == nil || st.Cause.Text != why {
			t.Errorf("%+v", st.Cause)
		}
	})
}

// S1-84: a node for one build gets no second one because the controller was started anew, whether its build ended before, meanwhile or
// after. Work that never began on it does not count.
func TestOnceOutlivesARestart(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		once := func(n fleet.NodeName) {
			w.put(fleet.Node{Name: n, Executors: 1, Retention: fleet.RetentionSpec{Kind: retain.Once, Config: map[string]string{"idle": "1h"}}})
		}
		for _, n := range []fleet.NodeName{"ends while away", "ends after", "never began", "unused"} {
			once(n)
		}
		time.Sleep(3 * time.Second)
		d.is("ends while away", fleet.Work{Busy: 1})
		d.is("ends after", fleet.Work{Busy: 1})
		d.is("never began", fleet.Work{Busy: 1})
		d.is("never began", fleet.Work{IdleSince: time.Now()})
		w.stop()
		d.is("ends while away", fleet.Work{})
		w.start(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for n, want := range map[fleet.NodeName]fleet.State{"ends after": fleet.Suspended, "never began": fleet.Online, "unused": fleet.Online} {
			if st := w.status(n); st.State != want {
				t.Errorf("%s is %s (%+v), want %s", n, st.State, st.Cause, want)
			}
		}
		if st, ok := w.Node("ends while away"); ok {
			t.Errorf("there is still %s: %+v", st.State, st.Cause)
		}
		d.is("ends after", fleet.Work{IdleSince: time.Now(), Done: 1})
		if _, ok := w.Node("ends after"); ok {
			t.Error("it is still there after its build")
		}
		// One of the same name begins anew.
		d.is("ends after", fleet.Work{})
		once("ends after")
		time.Sleep(3 * time.Second)
		if st := w.status("ends after"); st.State != fleet.Online || st.Node.Used {
			t.Errorf("%s, used %v", st.State, st.Node.Used)
		}
	})
}

package fleet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
	"github.com/outwork-build/outwork/fleet/retain"
	"github.com/outwork-build/outwork/internal/fault"
)

const gib = 1 << 30

// fine is how a machine feels without a care.
func fine() agent.Vitals {
	room := agent.Space{Path: "/srv", Free: 20 * gib, Total: 40 * gib}
	return agent.Vitals{Clock: time.Now(), Disk: room, Temp: room, Memory: gib, MemoryAll: 2 * gib, Swap: gib, SwapAll: gib, CPUs: 2}
}

// watched runs a roster that has monitors, a memory and retentions.
func watched(t *testing.T, limits map[string]fleet.Limit, f func(w *world, m *machine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(limits)
		m := &machine{boot: "boot-1", feels: fine()}
		w.launcher.machines["a"] = m
		f(w, m)
		w.stop()
	})
}

// start begins a roster with all there is.
func (w *world) start(limits map[string]fleet.Limit) {
	w.Helper()
	set, err := monitor.NewSet(limits)
	if err != nil {
		w.Fatal(err)
	}
	w.begin(fleet.Config{Monitors: set, Record: func() fleet.Recorder { return &monitor.History{} }, Retention: retain.New})
}

// feel changes how a machine feels and lets time pass for a number of heartbeats.
func (m *machine) feel(beats int, f func(*agent.Vitals)) {
	m.set(func() { f(&m.feels) })
	time.Sleep(time.Duration(beats) * 10 * time.Second)
	synctest.Wait()
}

// Each quantity takes its node off and lets it back by itself. S1-68, S1-69, S1-70, S1-71, S1-74, S3-04, S3-05
func TestMonitorsTakeANodeOff(t *testing.T) {
	off := map[string]fleet.Limit{"disk": {}, "temp": {}, "swap": {Action: fleet.TakeOff}, "clock": {Action: fleet.TakeOff}}
	for name, tc := range map[string]struct {
		bad, good func(m *machine, v *agent.Vitals)
		want      string
	}{
		"disk": {func(_ *machine, v *agent.Vitals) { v.Disk.Free = gib / 2 }, func(_ *machine, v *agent.Vitals) { v.Disk.Free = 20 * gib },
			"Disk space is below threshold of 1.00 GiB. Only 512.00 MiB out of 40.00 GiB left on /srv."},
		"temp": {func(_ *machine, v *agent.Vitals) { v.Temp.Free = gib / 2 }, func(_ *machine, v *agent.Vitals) { v.Temp.Free = 20 * gib },
			"Disk space is below threshold of 1.00 GiB. Only 512.00 MiB out of 40.00 GiB left on /srv."},
		"swap": {func(_ *machine, v *agent.Vitals) { v.Swap = 1 << 20 }, func(_ *machine, v *agent.Vitals) { v.Swap = gib },
			"Swap space is below threshold of 204.80 MiB. Only 1.00 MiB out of 1.00 GiB left."},
		"clock": {func(m *machine, _ *agent.Vitals) { m.ahead = time.Minute }, func(m *machine, _ *agent.Vitals) { m.ahead = 0 },
			"The clock is 60 s ahead, which is more than 5.0 s."},
	} {
		t.Run(name, func(t *testing.T) {
			watched(t, off, func(w *world, m *machine) {
				w.put(fleet.Node{Name: "a", Executors: 1})
				w.is("a", fleet.Online, "")
				m.feel(1, func(v *agent.Vitals) { tc.bad(m, v) })
				w.is("a", fleet.Suspended, tc.want)
				st := w.status("a")
				if st.Cause.Kind != "monitor" || st.Cause.By != name || st.Monitors[name].Level != fleet.Bad || st.Monitors[name].State != nil {
					t.Errorf("cause %+v, verdict %+v", st.Cause, st.Monitors[name])
				}
				if _, _, err := w.WaitMachine(w.Context(), "a"); err != nil {
					t.Errorf("what runs on it cannot go on: %v", err)
				}
				// It comes back by itself once the value was good for a minute, and not before.
				m.feel(5, func(v *agent.Vitals) { tc.good(m, v) })
				w.is("a", fleet.Suspended, tc.want)
				m.feel(3, func(*agent.Vitals) {})
				w.is("a", fleet.Online, "")
				rs, err := w.History(w.Context(), "a")
				w.ok(err)
				if got := told(rs); got != fmt.Sprintf("online; suspended: %s; online", tc.want) {
					t.Errorf("history: %s", got)
				}
			})
		})
	}
}

// told says a history in one line, oldest first.
func told(rs []fleet.Record) (text string) {
	for i := len(rs) - 1; i >= 0; i-- {
		text += string(rs[i].State)
		if rs[i].Cause != nil {
			text += ": " + rs[i].Cause.Text
		}
		if i > 0 {
			text += "; "
		}
	}
	return text
}

// A node whose disk is full when it connects is never given work.
func TestABadNodeIsNeverOnline(t *testing.T) {
	watched(t, nil, func(w *world, m *machine) {
		m.feels.Disk.Free = 0
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.is("a", fleet.Suspended, "Disk space is below threshold of 1.00 GiB. Only 0 B out of 40.00 GiB left on /srv.")
		rs, err := w.History(w.Context(), "a")
		w.ok(err)
		if len(rs) != 1 || rs[0].State != fleet.Suspended {
			t.Errorf("history: %s", told(rs))
		}
	})
}

// What a person did is respected: a monitor neither hides it nor takes it back. S3-25
func TestAPersonBeforeAMonitor(t *testing.T) {
	watched(t, nil, func(w *world, m *machine) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		m.feel(1, func(v *agent.Vitals) { v.Disk.Free = 0 })
		w.ok(w.SetOffline(w.Context(), "a", fleet.ByUser("alice", "new disk")))
		w.is("a", fleet.Suspended, "Disconnected by alice : new disk")
		m.feel(12, func(v *agent.Vitals) { v.Disk.Free = 20 * gib })
		w.is("a", fleet.Suspended, "Disconnected by alice : new disk")
		m.feel(1, func(v *agent.Vitals) { v.Disk.Free = 0 })
		done, err := w.Bulk(w.Context(), []fleet.NodeName{"a"}, fleet.Order{Verb: fleet.VerbOnline, Cause: fleet.ByUser("bob", "")})
		if err != nil || len(done) != 1 {
			t.Errorf("bulk: %v, %v", done, err)
		}
		w.is("a", fleet.Suspended, "Disk space is below threshold of 1.00 GiB. Only 0 B out of 40.00 GiB left on /srv.")
		m.feel(12, func(v *agent.Vitals) { v.Disk.Free = 20 * gib })
		w.is("a", fleet.Online, "")
	})
}

// The action of a monitor is the farm's, or the node's own, and changes live. S1-74
func TestActionsOfMonitors(t *testing.T) {
	watched(t, map[string]fleet.Limit{"disk": {Action: fleet.Warn}}, func(w *world, m *machine) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		m.feel(1, func(v *agent.Vitals) { v.Disk.Free = 0 })
		w.is("a", fleet.Online, "")
		if v := w.status("a").Monitors["disk"]; v.Level != fleet.Bad || v.Action != fleet.Warn {
			t.Errorf("verdict %+v", v)
		}
		w.put(fleet.Node{Name: "a", Executors: 1, Monitors: map[string]fleet.Limit{"disk": {Action: fleet.TakeOff}}})
		m.feel(1, func(*agent.Vitals) {})
		if st := w.status("a"); st.State != fleet.Suspended {
			t.Errorf("with an action of its own it is %s", st.State)
		}
		w.put(fleet.Node{Name: "a", Executors: 1, Monitors: map[string]fleet.Limit{"disk": {Action: fleet.Ignore}}})
		m.feel(1, func(*agent.Vitals) {})
		w.is("a", fleet.Online, "")
		err := w.Put(w.Context(), fleet.Node{Name: "a", Launcher: fleet.LauncherSpec{Kind: "test"}, Monitors: map[string]fleet.Limit{"dsk": {}}})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `node a: monitors: "dsk": no such monitor`) {
			t.Errorf("a monitor that there is not: %v", err)
		}
	})
}

// A monitor that disconnects has the node tried again, slower and slower, until the value is good. S1-74
func TestAMonitorDisconnects(t *testing.T) {
	watched(t, map[string]fleet.Limit{"disk": {Action: fleet.Disconnect}}, func(w *world, m *machine) {
		const cause = "Disk space is below threshold of 1.00 GiB. Only 0 B out of 40.00 GiB left on /srv."
		w.put(fleet.Node{Name: "a", Executors: 1})
		m.feel(1, func(v *agent.Vitals) { v.Disk.Free = 0 })
		if c := <-w.conns; c.Err() == nil {
			t.Error("the connection is still there")
		}
		time.Sleep(time.Hour)
		w.is("a", fleet.Offline, cause)
		w.launcher.mu.Lock()
		n := len(w.launcher.launched)
		w.launcher.mu.Unlock()
		if n < 60 || n > 400 {
			t.Errorf("launched %d times in an hour, with pauses of half a minute on average", n)
		}
		m.feel(30, func(v *agent.Vitals) { v.Disk.Free = 20 * gib })
		w.is("a", fleet.Online, "")
		rs, err := w.History(w.Context(), "a")
		w.ok(err)
		if got := told(rs); got != "online; offline: "+cause+"; online" {
			t.Errorf("history: %s", got)
		}
	})
}

// So is an agent that dials: it would be back at once. S1-74
func TestAMonitorDisconnectsAnAgentThatDials(t *testing.T) {
	watched(t, map[string]fleet.Limit{"disk": {Action: fleet.Disconnect}}, func(w *world, _ *machine) {
		w.launcher.dials = true
		w.put(fleet.Node{Name: "a", Executors: 1})
		m := &machine{boot: "b", feels: fine()}
		m.feels.Disk.Free = 0
		came := 0
		for start := time.Now(); time.Since(start) < time.Hour; {
			select {
			case w.launcher.arrivals <- m:
				came++
			default: // it is refused
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		w.is("a", fleet.Offline, "Disk space is below threshold of 1.00 GiB. Only 0 B out of 40.00 GiB left on /srv.")
		if came < 60 || came > 400 {
			t.Errorf("it was let in %d times in an hour", came)
		}
	})
}

// An agent that is slow is disconnected by the response monitor when that has a limit; the first answers of the next connection
// start afresh. S1-72
func TestSlowAgent(t *testing.T) {
	watched(t, map[string]fleet.Limit{"response": {Bad: 1000}}, func(w *world, m *machine) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		time.Sleep(time.Minute)
		m.set(func() { m.slow = 3 * time.Second })
		c := <-w.conns
		<-c.Done()
		w.status("a")
		log, _, _ := w.Log("a", 0)
		if !strings.Contains(string(log), "Monitor response: The response time is 1.2 s, which is more than 1.0 s.") {
			t.Errorf("log:\n%s", log)
		}
		rs, err := w.History(w.Context(), "a")
		w.ok(err)
		if len(rs) < 2 || rs[0].Cause == nil || rs[0].Cause.Kind != "monitor" || rs[0].Cause.By != "response" {
			t.Errorf("history: %s", told(rs))
		}
		m.set(func() { m.slow = 0 })
		time.Sleep(time.Minute)
		w.is("a", fleet.Online, "")
	})
}

// Time-outs count over sessions: two end one, five in a row make the response bad. S1-72, S3-21
func TestTimeOutsCountOverSessions(t *testing.T) {
	watched(t, nil, func(w *world, m *machine) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		time.Sleep(25 * time.Second)
		m.set(func() { m.silent = true })
		(<-w.conns).wait()
		if c := w.status("a").Cause; c == nil || c.Text != "Repeated ping attempts failed" {
			t.Errorf("after two time-outs: %+v", c)
		}
		time.Sleep(5 * time.Minute)
		if v := w.status("a").Monitors["response"]; v.Level != fleet.Bad || !strings.Contains(v.Text, "5 of the last 5 timed out") {
			t.Errorf("verdict %+v", v)
		}
		if st := w.status("a"); st.Cause == nil || !strings.HasPrefix(st.Cause.Text, "Timed out for last ") {
			t.Errorf("cause %+v", st.Cause)
		}
		m.set(func() { m.silent = false })
		time.Sleep(2 * time.Minute)
		w.is("a", fleet.Online, "")
	})
}

// An agent from before there were vitals is watched by what the link says, and works.
func TestAgentWithoutVitals(t *testing.T) {
	watched(t, nil, func(w *world, m *machine) {
		m.feels = agent.Vitals{}
		w.put(fleet.Node{Name: "a", Executors: 1})
		time.Sleep(time.Minute)
		w.is("a", fleet.Online, "")
		st := w.status("a")
		if _, ok := st.Monitors["disk"]; ok || st.Monitors["architecture"].Text == "" || !st.Vitals.Clock.IsZero() {
			t.Errorf("monitors %+v, vitals %+v", st.Monitors, st.Vitals)
		}
	})
}

// A day of each quantity is kept, also over reconnects. S1-73
func TestSeries(t *testing.T) {
	watched(t, nil, func(w *world, m *machine) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		m.feel(60, func(v *agent.Vitals) { v.Load = 3 })
		w.ok(w.Reconnect(w.Context(), "a"))
		m.feel(60, func(v *agent.Vitals) { v.Load = 1 })
		ps, err := w.Series("a", monitor.Load, time.Now().Add(-time.Hour))
		if err != nil || len(ps) < 20 || ps[2].Avg != 3 || ps[len(ps)-2].Avg != 1 {
			t.Errorf("load: %v, %v", ps, err)
		}
		if v := w.status("a").Monitors["architecture"]; !strings.Contains(v.Text, "amd64") {
			t.Errorf("architecture %+v", v)
		}
		if _, err := w.Series("b", monitor.Load, time.Now()); !fault.Is(err, fault.NotFound) {
			t.Errorf("of no node: %v", err)
		}
	})
}

// The clock's offset is that at the middle of the round trip: a slow link is no wrong clock. S1-71
func TestOffsetOfASlowLink(t *testing.T) {
	watched(t, nil, func(w *world, m *machine) {
		m.set(func() { m.slow, m.ahead = 4*time.Second, 2*time.Second }) // its clock is read in the middle of the 4 s
		w.put(fleet.Node{Name: "a", Executors: 1})
		time.Sleep(20 * time.Second)
		st := w.status("a")
		if v := st.Monitors["clock"]; v.Level != fleet.Good || v.Value != 0 || v.Text != "in sync" {
			t.Errorf("clock %+v", v)
		}
	})
}

// What happened is kept over restarts, and a restart is nothing that happened. S1-76
func TestHistory(t *testing.T) {
	watched(t, nil, func(w *world, m *machine) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		time.Sleep(time.Minute)
		w.ok(w.SetOffline(w.Context(), "a", fleet.ByUser("alice", "new disk")))
		w.stop()
		w.start(nil)
		synctest.Wait()
		w.is("a", fleet.Suspended, "Disconnected by alice : new disk")
		_, err := w.Bulk(w.Context(), []fleet.NodeName{"a"}, fleet.Order{Verb: fleet.VerbOnline, Cause: fleet.ByUser("bob", "")})
		w.ok(err)
		w.stop()
		w.start(nil)
		synctest.Wait()
		w.launcher.set(errors.New("no route to host"))
		time.Sleep(time.Minute)
		var last *conn
		for len(w.conns) > 0 {
			last = <-w.conns
		}
		last.end(errors.New("reset by peer"))
		time.Sleep(10 * time.Minute) // of failing launches
		w.launcher.set(nil)
		time.Sleep(2 * time.Minute)
		w.is("a", fleet.Online, "")
		rs, err := w.History(w.Context(), "a")
		w.ok(err)
		want := "online; suspended: Disconnected by alice : new disk; online: Brought back online by bob; offline: Connection was broken: reset by peer; " +
			"offline: This agent is offline because Outwork failed to launch the agent process on it: no route to host; online"
		if got := told(rs); got != want {
			t.Errorf("history:\n%s\nwant:\n%s", got, want)
		}
		if rs[len(rs)-2].Cause.By != "alice" || rs[0].At.IsZero() {
			t.Errorf("records %+v", rs)
		}
		if _, err := w.History(w.Context(), "b"); !fault.Is(err, fault.NotFound) {
			t.Errorf("of no node: %v", err)
		}
	})
}

// A history that the Store cannot keep now waits, and is read meanwhile.
func TestHistoryWaitsForTheStore(t *testing.T) {
	watched(t, nil, func(w *world, m *machine) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.store.lose(errors.New("disk full"))
		w.ok(w.Disconnect(w.Context(), "a", fleet.ByUser("carol", "")))
		time.Sleep(time.Minute)
		rs, err := w.History(w.Context(), "a")
		w.ok(err)
		if got := told(rs); got != "online; offline: Disconnected by carol" {
			t.Errorf("history: %s", got)
		}
		w.store.lose(nil)
		time.Sleep(time.Minute)
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		if d := cmp.Diff("online; offline: Disconnected by carol", told([]fleet.Record{w.store.recs[1], w.store.recs[0]})); d != "" {
			t.Errorf("in the store (-want +got):\n%s", d)
		}
	})
}

package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestANodeComesOnline(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 2, Labels: []string{"gpu", "docker"}})
		w.is("a", fleet.Online, "")
		st := w.status("a")
		if d := cmp.Diff([]string{"a", "arch:amd64", "docker", "gpu", "os:linux"}, st.Assigned); d != "" {
			t.Errorf("labels (-want +got):\n%s", d)
		}
		if st.Session != 1 || st.LastHeard.IsZero() || st.Node.Mode != fleet.Normal || st.Machine.Boot != "boot-1" {
			t.Errorf("status %+v", st)
		}
		m, session, err := w.WaitMachine(w.Context(), "a")
		if err != nil || session != 1 || m == nil {
			t.Errorf("WaitMachine: %v, %d, %v", m, session, err)
		}
		log, end, err := w.Log("a", 0)
		if err != nil || int(end) != len(log) || !strings.Contains(string(log), "the launcher of a was here") ||
			!strings.Contains(string(log), "Agent successfully connected and online") {
			t.Errorf("log %d, %v:\n%s", end, err, log)
		}
		if rest, _, _ := w.Log("a", end); len(rest) != 0 {
			t.Errorf("after the end the log has %q", rest)
		}
	})
}

func TestAgentsThatDial(t *testing.T) {
	run(t, func(w *world) {
		w.launcher.dials = true
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.is("a", fleet.Offline, "This agent has not connected yet.")
		time.Sleep(24 * time.Hour)
		if n := len(w.launcher.launched); n != 1 {
			t.Errorf("launched %d times while waiting", n)
		}
		w.launcher.arrivals <- &machine{boot: "b"}
		w.is("a", fleet.Online, "")
		time.Sleep(time.Minute)
		(<-w.conns).end(fleet.ErrReplaced)
		w.is("a", fleet.Offline, "The current peer is reconnecting")
		w.launcher.arrivals <- &machine{boot: "b"}
		w.is("a", fleet.Online, "")
		if st := w.status("a"); st.Session != 2 {
			t.Errorf("session %d, want 2", st.Session)
		}
	})
}

func TestLinkEnds(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		first := <-w.conns
		time.Sleep(time.Minute)
		w.launcher.mu.Lock()
		w.launcher.err = errors.New("no route to host")
		w.launcher.mu.Unlock()
		first.end(io.ErrUnexpectedEOF)
		synctest.Wait()
		w.is("a", fleet.Offline, "This agent is offline because Outwork failed to launch the agent process on it: no route to host")
		// Whoever waits for the machine gets the new one.
		got := make(chan uint64)
		go func() {
			_, session, err := w.WaitMachine(context.Background(), "a")
			w.ok(err)
			got <- session
		}()
		time.Sleep(time.Hour)
		w.launcher.mu.Lock()
		w.launcher.err = nil
		pauses := w.launcher.launched
		w.launcher.mu.Unlock()
		for i := 1; i < len(pauses); i++ {
			if d := pauses[i].Sub(pauses[i-1]); d > time.Minute+time.Second {
				t.Errorf("pause %d was %v", i, d)
			}
		}
		if n := len(pauses); n < 60 || n > 400 {
			t.Errorf("launched %d times in an hour, with pauses of half a minute on average", n)
		}
		if s := <-got; s != 2 {
			t.Errorf("session %d, want 2", s)
		}
	})
}

func TestSilentAgent(t *testing.T) {
	run(t, func(w *world) {
		m := &machine{boot: "b"}
		w.launcher.machines["a"] = m
		lease := agent.Lease{Item: "x", Epoch: 1}
		w.keeper.held = []agent.Lease{lease}
		w.put(fleet.Node{Name: "a", Executors: 1})
		time.Sleep(25 * time.Second)
		m.set(func() { m.silent = true; m.named = nil })
		heard := w.status("a").LastHeard
		conn := <-w.conns
		time.Sleep(24 * time.Second) // the next heartbeat, and its answer's time
		if conn.Err() != nil {
			t.Error("the connection was given up after one heartbeat")
		}
		<-conn.Done()
		if d := time.Since(heard); d != 30*time.Second {
			t.Errorf("given up %v after the last answer, want 30 s", d)
		}
		m.set(func() {
			if d := cmp.Diff([][]agent.Lease{{lease}, nil}, m.named[:2]); d != "" {
				t.Errorf("leases named in the unanswered heartbeats (-want +got):\n%s", d)
			}
		})
		w.status("a")
		log, _, _ := w.Log("a", 0)
		if !strings.Contains(string(log), "two heartbeats were not answered") {
			t.Errorf("log:\n%s", log)
		}
		m.set(func() { m.silent = false })
		time.Sleep(2 * time.Minute)
		w.is("a", fleet.Online, "")
	})
}

func TestHeartbeatsCarryLeases(t *testing.T) {
	run(t, func(w *world) {
		known, unknown := agent.Lease{Item: "x", Epoch: 2}, agent.Lease{Item: "y", Epoch: 1}
		m := &machine{boot: "b", open: []agent.Lease{known, unknown}}
		w.launcher.machines["a"] = m
		w.keeper.held, w.keeper.garbage = []agent.Lease{known}, []agent.Lease{unknown}
		w.put(fleet.Node{Name: "a", Executors: 1})
		time.Sleep(11 * time.Second)
		w.keeper.mu.Lock()
		defer w.keeper.mu.Unlock()
		want := []fleet.Renewal{
			{Node: "a", Session: 1, Boot: "b", First: true, Held: []agent.Lease{known}, Open: []agent.Lease{known, unknown}},
			{Node: "a", Session: 1, Boot: "b", Held: []agent.Lease{known}}, // at once: the garbage may still be there
			{Node: "a", Session: 1, Boot: "b", Held: []agent.Lease{known}, Open: []agent.Lease{known}},
		}
		if len(w.keeper.renewals) > 1 {
			want[1].Open = w.keeper.renewals[1].Open
		}
		if d := cmp.Diff(want, w.keeper.renewals); d != "" {
			t.Errorf("renewals (-want +got):\n%s", d)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.closed) == 0 || m.closed[0] != unknown {
			t.Errorf("closed %v, want %v", m.closed, unknown)
		}
	})
}

// A heartbeat says which answer the roster has had on this connection; before the first answer no lease is prolonged, so the
// second heartbeat does not wait.
func TestHeartbeatsAcknowledge(t *testing.T) {
	run(t, func(w *world) {
		m := &machine{boot: "b"}
		w.launcher.machines["a"] = m
		w.put(fleet.Node{Name: "a", Executors: 1})
		heartbeats := func(want ...agent.Heard) {
			t.Helper()
			synctest.Wait()
			m.set(func() {
				if d := cmp.Diff(want, m.answered); d != "" {
					t.Errorf("acknowledged (-want +got):\n%s", d)
				}
			})
		}
		heartbeats(0, 1)
		time.Sleep(11 * time.Second)
		heartbeats(0, 1, 2)
		m.set(func() { m.silent = true })
		time.Sleep(18 * time.Second) // the fourth is not answered
		m.set(func() { m.silent = false })
		time.Sleep(5 * time.Second)
		heartbeats(0, 1, 2, 3, 3)
		time.Sleep(10 * time.Second)
		heartbeats(0, 1, 2, 3, 3, 5)
	})
}

func TestOfflineByAPerson(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.ok(w.SetOffline(w.Context(), "a", fleet.ByUser("alice", "new disk")))
		w.is("a", fleet.Suspended, "Disconnected by alice : new disk")
		if _, _, err := w.WaitMachine(w.Context(), "a"); err != nil {
			t.Errorf("a suspended machine can be used: %v", err)
		}
		w.put(fleet.Node{Name: "a", Executors: 3}) // a change of its configuration leaves it suspended
		w.is("a", fleet.Suspended, "Disconnected by alice : new disk")
		w.stop()
		w.begin(fleet.Config{})
		synctest.Wait()
		w.is("a", fleet.Suspended, "Disconnected by alice : new disk")
		w.ok(w.ClearOffline(w.Context(), "a"))
		w.is("a", fleet.Online, "")
		if err := w.SetOffline(w.Context(), "b", fleet.ByUser("alice", "")); !fault.Is(err, fault.NotFound) {
			t.Errorf("of an unknown node: %v", err)
		}
	})
}

func TestDrain(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.ok(w.Drain(w.Context(), "a", fleet.ByUser("bob", "")))
		w.is("a", fleet.Draining, "Disconnected by bob")
		w.Idle("a")
		w.is("a", fleet.Suspended, "Disconnected by bob")
		w.ok(w.Drain(w.Context(), "a", fleet.ByUser("bob", "")))
		w.ok(w.ClearOffline(w.Context(), "a"))
		w.is("a", fleet.Online, "")
	})
}

// A node drains from when its agent says that it goes, whatever the queue says, until the connection ends.
func TestAnAgentThatLeaves(t *testing.T) {
	const going, gone = "The agent was asked to end: it finishes what it has and takes nothing new", "The agent was asked to end, and has ended"
	run(t, func(w *world) {
		w.launcher.dials = true
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.launcher.arrivals <- &machine{boot: "boot-1"}
		w.is("a", fleet.Online, "")
		c := <-w.conns
		changed, cancel := w.Subscribe()
		defer cancel()
		close(c.left)
		synctest.Wait() // no time passes: it does not wait for a heartbeat
		select {
		case <-changed:
		default:
			t.Error("nobody was told")
		}
		w.is("a", fleet.Draining, going)
		w.Idle("a")
		w.is("a", fleet.Draining, going)
		w.ok(w.SetOffline(w.Context(), "a", fleet.ByUser("bob", "")))
		w.is("a", fleet.Draining, "Disconnected by bob")
		w.ok(w.ClearOffline(w.Context(), "a"))
		w.is("a", fleet.Draining, going)
		c.end(io.EOF)
		w.is("a", fleet.Offline, gone)
		w.launcher.arrivals <- &machine{boot: "boot-1"}
		w.is("a", fleet.Online, "")

		c = <-w.conns
		close(c.left) // with nothing to wait for
		c.end(io.EOF)
		w.is("a", fleet.Offline, gone)
		w.launcher.arrivals <- &machine{boot: "boot-1"}
		w.is("a", fleet.Online, "")
		(<-w.conns).end(io.EOF)
		w.is("a", fleet.Offline, "Connection was broken: the agent closed it")
	})
}

func TestDisconnectAndReconnect(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.ok(w.Disconnect(w.Context(), "a", fleet.ByUser("carol", "")))
		w.is("a", fleet.Offline, "Disconnected by carol")
		time.Sleep(time.Hour)
		w.is("a", fleet.Offline, "Disconnected by carol")
		if c := <-w.conns; c.Err() == nil {
			t.Error("the connection is still there")
		}
		w.ok(w.Reconnect(w.Context(), "a"))
		w.is("a", fleet.Online, "")
		w.ok(w.Reconnect(w.Context(), "a")) // of a connected node
		w.is("a", fleet.Online, "")
		if st := w.status("a"); st.Session != 3 {
			t.Errorf("session %d, want 3", st.Session)
		}
	})
}

func TestChangesAreLive(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 1, Labels: []string{"old"}})
		created := w.status("a").Node.Created
		changed, cancel := w.Subscribe()
		defer cancel()
		w.put(fleet.Node{Name: "a", Executors: 4, Labels: []string{"new"}, Mode: fleet.Exclusive})
		select {
		case <-changed:
		default:
			t.Error("no signal")
		}
		st := w.status("a")
		if st.Session != 1 || st.Node.Executors != 4 || st.Assigned[2] != "new" || st.Node.Mode != fleet.Exclusive || st.Node.Created != created {
			t.Errorf("status %+v", st)
		}
		w.put(fleet.Node{Name: "a", Executors: 4, RemoteRoot: "/elsewhere"})
		if st := w.status("a"); st.Session != 2 || st.State != fleet.Online {
			t.Errorf("after a change of the remote root: %s, session %d", st.State, st.Session)
		}
	})
}

func TestRemove(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.launcher.err = errors.New("no")
		waiting := make(chan error)
		w.put(fleet.Node{Name: "b", Executors: 1})
		go func() {
			_, _, err := w.WaitMachine(context.Background(), "b")
			waiting <- err
		}()
		synctest.Wait()
		w.ok(w.Remove(w.Context(), "a"))
		w.ok(w.Remove(w.Context(), "b"))
		if err := <-waiting; !fault.Is(err, fault.NotFound) {
			t.Errorf("who waited for b hears %v", err)
		}
		if c := <-w.conns; c.Err() == nil {
			synctest.Wait()
			if c.Err() == nil {
				t.Error("the connection of a is still there")
			}
		}
		if all := w.Snapshot(); len(all) != 0 {
			t.Errorf("left: %v", all)
		}
		if err := w.Remove(w.Context(), "a"); !fault.Is(err, fault.NotFound) {
			t.Errorf("removed twice: %v", err)
		}
		w.launcher.mu.Lock()
		w.launcher.err = nil
		w.launcher.mu.Unlock()
		w.put(fleet.Node{Name: "a", Executors: 1}) // the name is free again
		w.is("a", fleet.Online, "")
	})
}

func TestWrongNodes(t *testing.T) {
	run(t, func(w *world) {
		for _, tc := range []struct {
			n    fleet.Node
			want string
		}{
			{fleet.Node{Name: "a/b"}, `node name "a/b": character "/" at 1 is not allowed`},
			{fleet.Node{Name: "a", Mode: "often", Launcher: fleet.LauncherSpec{Kind: "test"}}, `node a: mode "often": expected normal or exclusive`},
			{fleet.Node{Name: "a", Executors: -1}, `node a: -1 executors: expected 0 to 10000`},
			{fleet.Node{Name: "a", Labels: []string{"x", ""}}, `node a: a label is empty`},
			{fleet.Node{Name: "a", Launcher: fleet.LauncherSpec{Kind: "pigeon"}}, `node a: launcher "pigeon": expected one of test`},
		} {
			if err := w.Put(w.Context(), tc.n); !fault.Is(err, fault.Invalid) || err.Error() != tc.want {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		}
		w.store.err = errors.New("disk full")
		if err := w.Put(w.Context(), fleet.Node{Name: "a", Launcher: fleet.LauncherSpec{Kind: "test"}}); !errors.Is(err, w.store.err) {
			t.Errorf("with a full disk: %v", err)
		}
		if len(w.Snapshot()) != 0 {
			t.Error("a node that is not on disk is in the roster")
		}
	})
}

func TestBrokenHandshake(t *testing.T) {
	run(t, func(w *world) {
		w.launcher.machines["a"] = &machine{boot: "broken"}
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.is("a", fleet.Offline, "This agent is offline because Outwork failed to launch the agent process on it: handshake: peer speaks another language")
	})
}

func TestMetrics(t *testing.T) {
	run(t, func(w *world) {
		w.stop()
		reg := prometheus.NewRegistry()
		w.begin(fleet.Config{Registry: reg})
		w.put(fleet.Node{Name: "a", Executors: 3})
		want := `
# HELP outwork_fleet_executors Executors by the state of their node.
# TYPE outwork_fleet_executors gauge
outwork_fleet_executors{state="connecting"} 0
outwork_fleet_executors{state="draining"} 0
outwork_fleet_executors{state="offline"} 0
outwork_fleet_executors{state="online"} 3
outwork_fleet_executors{state="suspended"} 0
# HELP outwork_fleet_sessions_total Connections of agents that came up.
# TYPE outwork_fleet_sessions_total counter
outwork_fleet_sessions_total 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "outwork_fleet_executors", "outwork_fleet_sessions_total"); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
	})
}

func TestStoppedRosterAnswers(t *testing.T) {
	run(t, func(w *world) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		w.stop()
		if _, _, err := w.WaitMachine(context.Background(), "a"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("WaitMachine: %v", err)
		}
		if err := w.Put(context.Background(), fleet.Node{Name: "b", Launcher: fleet.LauncherSpec{Kind: "test"}}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Put: %v", err)
		}
	})
}

// TestAThousandAgents has them all come at once, and somebody look on.
func TestAThousandAgents(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		n := fleet.Node{Name: fleet.NodeName(fmt.Sprintf("n%d", i)), Executors: 1, Labels: []string{"linux"}, Launcher: fleet.LauncherSpec{Kind: "test"}}
		w.ok(w.store.PutNode(t.Context(), n))
	}
	start := time.Now()
	w.begin(fleet.Config{})
	defer w.stop()
	changed, cancel := w.Subscribe()
	defer cancel()
	for online := 0; online < 1000; {
		<-changed
		online = 0
		for _, st := range w.Snapshot() {
			if st.State == fleet.Online {
				online++
			}
		}
	}
	took := time.Since(start)
	t.Logf("1,000 agents are online after %v", took)
	if took > 30*time.Second {
		t.Errorf("1,000 agents took %v", took)
	}
}

// TestStartStop starts and stops the roster many times, at any moment of its connections' lives.
func TestStartStop(t *testing.T) {
	w := newWorld(t)
	w.conns = make(chan *conn, 100_000)
	for i := range 300 {
		w.begin(fleet.Config{LogDir: t.TempDir()})
		var clients sync.WaitGroup
		for j := range 3 {
			clients.Go(func() {
				name := fleet.NodeName(fmt.Sprintf("n%d", j))
				ctx := context.Background()
				_ = w.Put(ctx, fleet.Node{Name: name, Executors: 1, Launcher: fleet.LauncherSpec{Kind: "test"}})
				switch (i + j) % 4 {
				case 0:
					_ = w.Remove(ctx, name)
				case 1:
					_ = w.Reconnect(ctx, name)
				case 2:
					_, _, _ = w.WaitMachine(ctx, name)
				case 3:
					_ = w.Drain(ctx, name, fleet.ByUser("x", ""))
					w.Idle(name)
				}
			})
		}
		if i%3 == 0 {
			clients.Wait()
		}
		w.stop()
		clients.Wait()
	}
}

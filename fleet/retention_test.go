package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
	"github.com/outwork-build/outwork/fleet/retain"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/signal"
)

// demand answers for the queue.
type demand struct {
	mu      sync.Mutex
	works   map[fleet.NodeName]fleet.Work
	asked   [][]fleet.Ask
	at      []time.Time                         // of asked
	before  func(map[fleet.NodeName]fleet.Work) // called once, as the next answer is given
	changed signal.Set
}

func (d *demand) Subscribe() (<-chan struct{}, func()) { return d.changed.Subscribe() }

func (d *demand) Works(_ context.Context, asks []fleet.Ask) ([]fleet.Work, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.at = append(d.asked, asks), append(d.at, time.Now())
	if f := d.before; f != nil {
		d.before = nil
		f(d.works)
	}
	works := make([]fleet.Work, len(asks))
	for i, a := range asks {
		works[i] = d.works[a.Node]
	}
	return works, nil
}

// is has a node's work change, and time pass for the roster to see it.
func (d *demand) is(n fleet.NodeName, w fleet.Work) {
	d.mu.Lock()
	d.works[n] = w
	d.mu.Unlock()
	d.changed.Notify()
	time.Sleep(2500 * time.Millisecond) // two passes
	synctest.Wait()
}

func retained(t *testing.T, f func(w *world, d *demand)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		set, err := monitor.NewSet(nil)
		if err != nil {
			t.Fatal(err)
		}
		d := &demand{works: map[fleet.NodeName]fleet.Work{}}
		w.heeds = d
		w.begin(fleet.Config{Monitors: set, Retention: retain.New})
		f(w, d)
		w.stop()
	})
}

func onDemand(name fleet.NodeName, wait, idle string) fleet.Node {
	return fleet.Node{Name: name, Executors: 1, Retention: fleet.RetentionSpec{Kind: retain.Demand, Config: map[string]string{"inDemandDelay": wait, "idleDelay": idle}}}
}

const isIdle = "Offline because computer was idle; it will be relaunched when needed."

// S1-82
func TestDemand(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		w.put(onDemand("a", "1m", "10m"))
		time.Sleep(time.Hour)
		w.is("a", fleet.Offline, isIdle)
		if n := len(w.launcher.launched); n != 0 {
			t.Fatalf("launched %d times without need", n)
		}
		since := time.Now()
		d.is("a", fleet.Work{WantedSince: since})
		w.is("a", fleet.Offline, isIdle)
		time.Sleep(time.Until(since.Add(time.Minute + time.Second)))
		w.is("a", fleet.Online, "")

		d.is("a", fleet.Work{Busy: 1})
		time.Sleep(time.Hour)
		w.is("a", fleet.Online, "")
		free := time.Now()
		d.is("a", fleet.Work{IdleSince: free, Done: 1})
		time.Sleep(time.Until(free.Add(10*time.Minute - time.Second)))
		w.is("a", fleet.Online, "")
		time.Sleep(3 * time.Second)
		w.is("a", fleet.Offline, isIdle)
		rs, err := w.History(w.Context(), "a")
		w.ok(err)
		if got := told(rs); got != "offline: "+isIdle+"; online; suspended: "+isIdle {
			t.Errorf("history: %s", got)
		}
	})
}

// Work that comes in the moment in which a node is sent away keeps it: nothing is given to a node that goes.
func TestWorkComesAsANodeGoes(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		w.put(onDemand("a", "0", "10m"))
		d.is("a", fleet.Work{WantedSince: time.Now()})
		d.is("a", fleet.Work{})
		w.is("a", fleet.Online, "")
		c := <-w.conns
		time.Sleep(9 * time.Minute)
		d.mu.Lock()
		// The pass that finds it idle answers as it was before; the next knows of a lease that was given meanwhile.
		d.before = func(works map[fleet.NodeName]fleet.Work) {
			d.before = func(works map[fleet.NodeName]fleet.Work) { works["a"] = fleet.Work{Busy: 1} }
		}
		d.mu.Unlock()
		time.Sleep(2 * time.Minute)
		w.is("a", fleet.Online, "")
		if c.Err() != nil {
			t.Error("the connection was ended while work ran")
		}
		d.is("a", fleet.Work{IdleSince: time.Now()})
		time.Sleep(11 * time.Minute)
		w.is("a", fleet.Offline, isIdle)
	})
}

// A person's disconnect wins over work that waits, and a person's reconnect over idleness. S1-77, S1-79, S1-82
func TestAPersonBeforeTheRetention(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		w.put(onDemand("a", "0", "10m"))
		time.Sleep(time.Minute)
		w.ok(w.Disconnect(w.Context(), "a", fleet.ByUser("carol", "")))
		d.is("a", fleet.Work{WantedSince: time.Now()})
		time.Sleep(time.Hour)
		w.is("a", fleet.Offline, "Disconnected by carol")
		if n := len(w.launcher.launched); n != 0 {
			t.Errorf("launched %d times", n)
		}
		d.is("a", fleet.Work{})
		w.ok(w.Reconnect(w.Context(), "a"))
		w.is("a", fleet.Online, "")
		time.Sleep(9 * time.Minute)
		w.is("a", fleet.Online, "")
		time.Sleep(2 * time.Minute) // then it is idle like any other
		w.is("a", fleet.Offline, isIdle)

		// A reconnect that does not succeed at once is not forgotten either.
		w.launcher.set(errors.New("no route to host"))
		w.ok(w.Reconnect(w.Context(), "a"))
		time.Sleep(5 * time.Minute)
		w.launcher.set(nil)
		time.Sleep(time.Minute)
		w.is("a", fleet.Online, "")
	})
}

// S1-83
func TestSchedule(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		spec := func(keep string) fleet.RetentionSpec {
			return fleet.RetentionSpec{Kind: retain.Schedule, Config: map[string]string{"start": "0 8 * * *", "upTime": "10h", "keepWhenActive": keep, "timeZone": "UTC"}}
		}
		w.put(fleet.Node{Name: "a", Executors: 1, Retention: spec("true")})
		day := time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC)
		until := func(h, m int) {
			time.Sleep(time.Until(day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute)))
			synctest.Wait()
		}
		until(7, 59) // the days before have come and gone
		w.is("a", fleet.Offline, "Computer has finished its scheduled uptime")
		until(8, 1)
		w.is("a", fleet.Online, "")
		d.is("a", fleet.Work{Busy: 1})
		until(18, 1)
		w.is("a", fleet.Suspended, "Computer has finished its scheduled uptime")
		d.is("a", fleet.Work{IdleSince: time.Now(), Done: 1})
		w.is("a", fleet.Offline, "Computer has finished its scheduled uptime")
		// A person brings it up outside its hours; it stays until they have come and gone.
		w.ok(w.Reconnect(w.Context(), "a"))
		until(31, 0)
		w.is("a", fleet.Online, "")
		until(42, 1)
		if st := w.status("a"); st.State != fleet.Offline || st.Cause.Kind != "schedule" {
			t.Errorf("after its hours it is %s, %+v", st.State, st.Cause)
		}
		// Without keepWhenActive its end is its end.
		w.put(fleet.Node{Name: "a", Executors: 1, Retention: spec("false")})
		until(56, 1)
		w.is("a", fleet.Online, "")
		d.is("a", fleet.Work{Busy: 1})
		until(66, 1)
		if st := w.status("a"); st.State != fleet.Offline {
			t.Errorf("after its hours it is %s", st.State)
		}
	})
}

// S1-84
func TestCloudAndOnce(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		w.put(fleet.Node{Name: "c", Executors: 1, Retention: fleet.RetentionSpec{Kind: retain.Cloud, Config: map[string]string{"idle": "5m"}}})
		w.put(fleet.Node{Name: "o", Executors: 1, Retention: fleet.RetentionSpec{Kind: retain.Once}})
		time.Sleep(3 * time.Second)
		w.is("c", fleet.Online, "")
		w.is("o", fleet.Online, "")
		d.is("o", fleet.Work{Busy: 1})
		w.is("o", fleet.Suspended, "It takes no further work: it is for one build only")
		d.is("o", fleet.Work{IdleSince: time.Now(), Done: 1})
		if _, ok := w.Node("o"); ok {
			t.Error("the node for one build is still there")
		}
		time.Sleep(6 * time.Minute)
		if _, ok := w.Node("c"); ok {
			t.Error("the idle cloud node is still there")
		}
		if all, err := w.store.Nodes(w.Context()); err != nil || len(all) != 0 {
			t.Errorf("kept: %v, %v", all, err)
		}
	})
}

// A change of the retention is live, and a wrong one is refused. S1-81
func TestRetentionChanges(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		w.put(onDemand("a", "0", "1m"))
		time.Sleep(time.Minute)
		w.is("a", fleet.Offline, isIdle)
		w.put(fleet.Node{Name: "a", Executors: 1, Retention: fleet.RetentionSpec{Kind: retain.Always}})
		w.is("a", fleet.Online, "")
		time.Sleep(time.Hour)
		w.is("a", fleet.Online, "")
		w.put(onDemand("a", "0", "1m"))
		time.Sleep(3 * time.Second) // it was idle for an hour
		w.is("a", fleet.Offline, isIdle)
		n := onDemand("a", "soon", "1m")
		n.Launcher.Kind = "test"
		if err := w.Put(w.Context(), n); !fault.Is(err, fault.Invalid) {
			t.Errorf("a wrong retention: %v", err)
		}
	})
}

// What the roster asks says what it takes to have a node, likeliest first, and it asks no more often than once in a second.
func TestAsks(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		for _, name := range []fleet.NodeName{"broken", "down", "here", "off", "start"} {
			w.put(onDemand(name, "0", "10m"))
		}
		w.put(fleet.Node{Name: "always", Executors: 1})
		d.is("here", fleet.Work{Busy: 1, WantedSince: time.Now()})
		w.launcher.set(errors.New("no route to host"))
		d.is("broken", fleet.Work{WantedSince: time.Now()})
		d.is("broken", fleet.Work{})
		w.ok(w.Disconnect(w.Context(), "down", fleet.ByUser("x", "")))
		w.ok(w.SetOffline(w.Context(), "off", fleet.ByUser("x", "")))
		time.Sleep(5 * time.Second)
		d.mu.Lock()
		want := []fleet.Ask{{Node: "down"}, {Node: "here"}, {Node: "off"}, {Node: "start", Reach: fleet.Startable}, {Node: "broken", Reach: fleet.Doubtful}}
		if diff := cmp.Diff(want, d.asked[len(d.asked)-1]); diff != "" {
			t.Errorf("asks (-want +got):\n%s", diff)
		}
		asked := len(d.asked)
		d.mu.Unlock()
		for range 100 {
			d.changed.Notify()
			time.Sleep(50 * time.Millisecond)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if n := len(d.asked) - asked; n < 4 || n > 6 {
			t.Errorf("asked %d times in 5 s", n)
		}
		for i := 1; i < len(d.at); i++ {
			if gap := d.at[i].Sub(d.at[i-1]); gap < time.Second {
				t.Errorf("asked %v after the time before", gap)
			}
		}
	})
}

// A queue that works hard costs a farm without retentions nothing.
func TestNoRetentionNoQuestions(t *testing.T) {
	retained(t, func(w *world, d *demand) {
		w.put(fleet.Node{Name: "a", Executors: 1})
		for range 10 {
			d.is("a", fleet.Work{Busy: 1})
		}
		if len(d.asked) != 0 {
			t.Errorf("asked %d times", len(d.asked))
		}
	})
}

// One order for many nodes is one publication, and one transaction. S1-78
func TestBulk(t *testing.T) {
	watched(t, nil, func(w *world, _ *machine) {
		var names []fleet.NodeName
		for i := range 50 {
			n := fleet.NodeName(fmt.Sprintf("n%02d", i))
			w.put(fleet.Node{Name: n, Executors: 1})
			names = append(names, n)
		}
		changed, cancel := w.Subscribe()
		defer cancel()
		order := func(v fleet.Verb, s fleet.State, cause string) {
			t.Helper()
			synctest.Wait()
			select {
			case <-changed:
			default:
			}
			puts := w.store.puts
			done, err := w.Bulk(w.Context(), append(names, "nobody", names[0]), fleet.Order{Verb: v, Cause: fleet.ByUser("alice", "move")})
			w.ok(err)
			if d := cmp.Diff(names, done); d != "" {
				t.Errorf("%s was done to (-want +got):\n%s", v, d)
			}
			if v == fleet.VerbOffline { // nothing else happens meanwhile
				<-changed
				synctest.Wait()
				select {
				case <-changed:
					t.Error("published more than once")
				default:
				}
				if n := w.store.puts - puts; n != 1 {
					t.Errorf("%d transactions", n)
				}
			}
			for _, n := range names {
				w.is(n, s, cause)
			}
		}
		const by = "Disconnected by alice : move"
		order(fleet.VerbOffline, fleet.Suspended, by)
		order(fleet.VerbDrain, fleet.Draining, by)
		order(fleet.VerbOnline, fleet.Online, "")
		order(fleet.VerbDisconnect, fleet.Offline, by)
		time.Sleep(time.Hour)
		w.is("n07", fleet.Offline, by) // nobody connects it
		order(fleet.VerbReconnect, fleet.Online, "")
		if _, err := w.Bulk(w.Context(), names, fleet.Order{Verb: "paint"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("an order that there is not: %v", err)
		}
		w.store.fail(errors.New("disk full"))
		if done, err := w.Bulk(w.Context(), names, fleet.Order{Verb: fleet.VerbOffline}); err == nil || len(done) != 0 {
			t.Errorf("with a full disk: %v, %v", done, err)
		}
		w.is("n07", fleet.Online, "")
		w.store.fail(nil)
	})
}

// A machine that was away for 30 s is back within seconds of its return. S1-80, S3-26
func TestAMachineIsBackAfterHalfAMinute(t *testing.T) {
	for range 20 {
		watched(t, nil, func(w *world, _ *machine) {
			w.put(fleet.Node{Name: "a", Executors: 1})
			time.Sleep(time.Minute)
			w.launcher.set(errors.New("connection refused"))
			(<-w.conns).end(errors.New("reset by peer"))
			time.Sleep(30 * time.Second)
			w.launcher.set(nil)
			time.Sleep(10 * time.Second)
			w.is("a", fleet.Online, "")
		})
	}
}

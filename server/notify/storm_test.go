package notify

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/fleet"
)

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

const (
	window = 30 * time.Second
	every  = time.Hour
	grace  = 2 * time.Minute
)

func status(name string, up bool, now time.Time) fleet.Status {
	s := fleet.Status{Node: fleet.Node{Name: fleet.NodeName(name)}, State: fleet.Online, Session: 1, Since: now}
	if !up {
		s.State = fleet.Offline
		s.Cause = &fleet.OfflineCause{Kind: fleet.CauseChannel, Text: "Connection was broken: EOF", When: now}
	}
	return s
}

func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("n%03d", i))
	}
	return all
}

// fleetOf is a snapshot in which all nodes are up or down.
func fleetOf(now time.Time, up bool, nodes ...string) (all []fleet.Status) {
	for _, n := range nodes {
		all = append(all, status(n, up, now))
	}
	return all
}

// S3-28: a hundred nodes that drop within some seconds are one message.
func TestAHundredNodesLostAtOnceAreOneMessage(t *testing.T) {
	w, now := NewWatch(begin, window, every, grace), begin
	all := fleetOf(now, true, names(100)...)
	w.Observe(now, all)
	var messages [][]NodeChange
	for i := range all { // one after the other, in ten seconds
		now = now.Add(100 * time.Millisecond)
		all[i] = status(string(all[i].Node.Name), false, now)
		w.Observe(now, all)
		if d, _ := w.Due(now); len(d) > 0 {
			messages = append(messages, d)
		}
	}
	for end := now.Add(2 * every); now.Before(end); now = now.Add(time.Second) {
		if d, _ := w.Due(now); len(d) > 0 {
			messages = append(messages, d)
		}
	}
	if len(messages) != 1 || len(messages[0]) != 100 {
		t.Fatalf("%d messages, the first of %d nodes", len(messages), len(messages[0]))
	}
}

func TestAShortBreakIsNotTold(t *testing.T) {
	w := NewWatch(begin, window, every, grace)
	w.Observe(begin, fleetOf(begin, true, "a"))
	w.Observe(begin.Add(time.Second), fleetOf(begin, false, "a"))
	w.Observe(begin.Add(20*time.Second), fleetOf(begin, true, "a"))
	if d, _ := w.Due(begin.Add(time.Minute)); len(d) != 0 {
		t.Fatalf("told %v", d)
	}
}

func TestANodeThatFlapsIsHeldForAnHour(t *testing.T) {
	w := NewWatch(begin, window, every, grace)
	told := map[string]int{}
	var last NodeChange
	for i := range 120 { // two hours, a minute down, a minute up
		now := begin.Add(time.Duration(i) * time.Minute)
		w.Observe(now, fleetOf(now, i%2 == 0, "a"))
		d, _ := w.Due(now.Add(40 * time.Second))
		for _, c := range d {
			told[c.State]++
			if c.State == WentOffline {
				last = c
			}
		}
	}
	if told[WentOffline] != 2 || told[CameOnline] > 3 || last.Flaps < 20 {
		t.Fatalf("told %v, the last after %d flaps", told, last.Flaps)
	}
}

// S1-82, S1-83: who is put away by the farm itself is no failure.
func TestWhatTheFarmDoesItselfIsQuiet(t *testing.T) {
	for _, kind := range quiet {
		w := NewWatch(begin, window, every, grace)
		w.Observe(begin, fleetOf(begin, true, "a"))
		s := status("a", false, begin)
		s.Cause.Kind = kind
		w.Observe(begin, []fleet.Status{s})
		if d, _ := w.Due(begin.Add(time.Hour)); len(d) != 0 {
			t.Errorf("%s: told %v", kind, d)
		}
	}
}

// S1-76: a person's reason is told, with the person.
func TestAPersonsReasonIsTold(t *testing.T) {
	w := NewWatch(begin, window, every, grace)
	s := status("a", false, begin)
	cause := fleet.ByUser("alice", "new disk")
	s.State, s.Cause = fleet.Suspended, &cause
	w.Observe(begin, []fleet.Status{s})
	d, _ := w.Due(begin.Add(window))
	if len(d) != 1 || d[0].Cause != "Disconnected by alice : new disk" || d[0].By != "alice" {
		t.Fatalf("told %+v", d)
	}
}

func TestAfterAStartNodesHaveTimeToCome(t *testing.T) {
	missing := fleet.Status{Node: fleet.Node{Name: "a"}, State: fleet.Offline, Cause: &fleet.OfflineCause{Kind: fleet.CauseNew, Text: "This agent has not connected yet."}}
	w := NewWatch(begin, window, every, grace)
	w.nodes["a"] = &watched{Told: CameOnline, now: NodeChange{State: CameOnline}} // from before the restart
	w.Observe(begin, []fleet.Status{missing})
	d, next := w.Due(begin.Add(time.Minute))
	if len(d) != 0 || !next.Equal(begin.Add(grace)) {
		t.Fatalf("told %v; again at %v", d, next)
	}
	w.Observe(next, []fleet.Status{missing})
	if d, _ = w.Due(next.Add(window)); len(d) != 1 {
		t.Fatalf("told %v", d)
	}
	other := NewWatch(begin, window, every, grace)
	other.Observe(begin.Add(grace), []fleet.Status{missing})
	if d, _ := other.Due(begin.Add(time.Hour)); len(d) != 0 {
		t.Fatalf("a node that was never there: %v", d)
	}
}

// TestTheFirstHandshakeIsNoFlap: a node that has just joined, and is lost later.
func TestTheFirstHandshakeIsNoFlap(t *testing.T) {
	w, now := NewWatch(begin, window, every, grace), begin.Add(grace)
	joining := status("a", false, now)
	joining.State, joining.Cause.Kind = fleet.Connecting, fleet.CauseNew
	w.Observe(now, []fleet.Status{joining})
	w.Observe(now, fleetOf(now, true, "a"))
	w.Observe(now.Add(time.Minute), fleetOf(now, false, "a"))
	if d, _ := w.Due(now.Add(2 * time.Minute)); len(d) != 1 || d[0].Flaps != 0 {
		t.Fatalf("told %+v", d)
	}
}

// TestStormProperties: whatever the nodes do, no two messages are closer than the window, no node's news of one sort come twice in an
// hour, what people were told alternates, and in the end they know how it is.
func TestStormProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := names(rapid.IntRange(1, 6).Draw(t, "nodes"))
		up, now := map[string]bool{}, begin
		believed, last := map[string]string{}, map[string]time.Time{}
		for _, n := range all {
			up[n], believed[n] = true, CameOnline
		}
		w := NewWatch(begin, window, every, 0)
		snapshot := func() (s []fleet.Status) {
			for _, n := range all {
				s = append(s, status(n, up[n], now))
			}
			return s
		}
		var next, lastMessage time.Time
		look := func() {
			var d []NodeChange
			d, next = w.Due(now)
			if len(d) == 0 {
				return
			}
			if !lastMessage.IsZero() && now.Sub(lastMessage) < window {
				t.Fatalf("messages at %v and %v", lastMessage, now)
			}
			lastMessage = now
			for _, c := range d {
				n, key := string(c.Node), string(c.Node)+c.State
				if believed[n] == c.State {
					t.Fatalf("%s was told %s twice", n, c.State)
				}
				if at, ok := last[key]; ok && now.Sub(at) < every {
					t.Fatalf("%s %s at %v and %v", n, c.State, at, now)
				}
				believed[n], last[key] = c.State, now
			}
		}
		w.Observe(now, snapshot())
		look()
		run := func(end time.Time) {
			for !next.IsZero() && !next.After(end) {
				if next.Before(now) {
					t.Fatalf("at %v it wants to be asked at %v", now, next)
				}
				if now = next; true {
					look()
				}
			}
			now = end
		}
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			run(now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(t, "seconds")) * time.Second))
			n := rapid.SampledFrom(all).Draw(t, "node")
			up[n] = !up[n]
			w.Observe(now, snapshot())
			_, next = peek(w, now)
		}
		run(now.Add(3 * every))
		for _, n := range all {
			if (believed[n] == CameOnline) != up[n] {
				t.Fatalf("%s: up is %v, people think %s", n, up[n], believed[n])
			}
		}
	})
}

// peek is when a Watch wants to be asked, as its owner does after each snapshot.
func peek(w *Watch, now time.Time) (bool, time.Time) {
	var next time.Time
	for _, n := range w.nodes {
		if at, ok := w.due(n); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if !next.IsZero() && next.Before(now) {
		next = now
	}
	return !next.IsZero(), next
}

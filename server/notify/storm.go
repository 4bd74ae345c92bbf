package notify

import (
	"cmp"
	"slices"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// Watch decides when people are told of nodes that went offline or came back. It is fed snapshots and a clock, and does nothing
// itself, so it is tested on a virtual clock.
//
// A change waits for a short window. What is undone in it is never told; all that changed in it, and whatever else waits then, is
// one digest: a hundred nodes lost at once are one message, and two messages are never closer than the window. A node is told offline at most once an hour, and online at most once
// an hour. What a node did in between is held, and told when the hour is over, if it is still so.
//
// Its zero value is not ready; use NewWatch. It is for one goroutine.
type Watch struct {
	window, every, grace time.Duration
	started              time.Time
	last                 time.Time // of the newest message
	nodes                map[fleet.NodeName]*watched
}

// watched is what a Watch remembers of a node. Its fields are kept over restarts.
type watched struct {
	Told    string    `json:"told"`            // WentOffline or CameOnline: what people think
	Off     time.Time `json:"off,omitzero"`    // when it was last told offline
	On      time.Time `json:"on,omitzero"`     // when it was last told online
	Flaps   int       `json:"flaps,omitempty"` // how often it went offline since it was told offline last
	now     NodeChange
	since   time.Time // since when now differs from Told, without a break; zero: it does not
	present bool
}

// NodeChange is one line of a message.
type NodeChange struct {
	Node  fleet.NodeName `json:"node"`
	State string         `json:"state"`           // WentOffline, CameOnline
	Cause string         `json:"cause,omitempty"` // why offline
	Kind  string         `json:"kind,omitempty"`  // of the cause
	By    string         `json:"by,omitempty"`    // who took it offline, when a person did
	Since time.Time      `json:"since"`
	Flaps int            `json:"flaps,omitempty"` // times it went offline since it was last told, this one not counted
}

// NewWatch returns a Watch. window is how long changes are gathered, every how long a node's news of one sort is held, grace how
// long after now nodes that have not connected yet are waited for.
func NewWatch(now time.Time, window, every, grace time.Duration) *Watch {
	return &Watch{window: window, every: every, grace: grace, started: now, nodes: map[fleet.NodeName]*watched{}}
}

// quiet are the causes that nobody needs to hear of: the farm itself put the node away, and brings it back.
var quiet = []string{"idle", "schedule", "once"}

// state reads a status. ok is false when there is nothing to say of it yet.
func (w *Watch) state(now time.Time, s fleet.Status) (c NodeChange, ok bool) {
	c = NodeChange{Node: s.Node.Name, State: CameOnline, Since: s.Since}
	if s.State == fleet.Online {
		return c, true
	}
	if s.Cause == nil || slices.Contains(quiet, s.Cause.Kind) {
		return c, false
	}
	if s.State == fleet.Draining && s.Cause.Kind == fleet.CauseLeave {
		return c, false // it is at work still
	}
	fresh := s.Session == 0 || s.Cause.Kind == fleet.CauseNew // the cause stays through the first handshake
	if fresh && s.Cause.Kind != fleet.CauseUser && now.Before(w.started.Add(w.grace)) {
		return c, false // it may be about to come: the controller has just started
	}
	if s.Cause.Kind == fleet.CauseNew && w.nodes[s.Node.Name] == nil {
		return c, false // it was never there: nobody misses it
	}
	c.State, c.Cause, c.Kind, c.By = WentOffline, s.Cause.Text, s.Cause.Kind, s.Cause.By
	return c, true
}

// Observe takes a snapshot of all nodes.
func (w *Watch) Observe(now time.Time, all []fleet.Status) {
	for _, n := range w.nodes {
		n.present = false
	}
	for _, s := range all {
		c, ok := w.state(now, s)
		n := w.nodes[s.Node.Name]
		if n == nil && ok {
			n = &watched{Told: CameOnline, now: NodeChange{State: CameOnline}} // a node that is new is no news while it is well
			w.nodes[s.Node.Name] = n
		}
		if n == nil {
			continue
		}
		n.present = true
		if ok {
			n.observe(now, c)
		}
	}
	for name, n := range w.nodes {
		if !n.present {
			delete(w.nodes, name)
		}
	}
}

func (n *watched) observe(now time.Time, c NodeChange) {
	if n.now.State == CameOnline && c.State == WentOffline {
		n.Flaps++
	}
	n.now = c
	switch {
	case c.State == n.Told:
		n.since = time.Time{}
	case n.since.IsZero():
		n.since = now
	}
}

// due is when the node's news may be told, given the window; ok is false when there is none.
func (w *Watch) due(n *watched) (at time.Time, ok bool) {
	if n.since.IsZero() {
		return at, false
	}
	at = n.since.Add(w.window)
	if free := w.free(n); free.After(at) {
		at = free
	}
	if !w.last.IsZero() && w.last.Add(w.window).After(at) {
		at = w.last.Add(w.window)
	}
	return at, true
}

// free is when the hour of the node's news is over.
func (w *Watch) free(n *watched) time.Time {
	last := n.On
	if n.now.State == WentOffline {
		last = n.Off
	}
	if last.IsZero() {
		return last
	}
	return last.Add(w.every)
}

// Due returns what is to be told now, by name, as one message, and takes it for told; nothing when nothing is due. next is when to
// ask again if no snapshot comes before; zero: never.
func (w *Watch) Due(now time.Time) (digest []NodeChange, next time.Time) {
	any := false
	for _, n := range w.nodes {
		at, ok := w.due(n)
		any = any || ok && !now.Before(at)
	}
	if any {
		w.last = now
	}
	for _, n := range w.nodes {
		if _, ok := w.due(n); ok && any && !now.Before(w.free(n)) {
			digest = append(digest, n.tell(now))
		} else if at, ok := w.due(n); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if end := w.started.Add(w.grace); now.Before(end) && (next.IsZero() || end.Before(next)) {
		next = end // what has not come until then is missed
	}
	slices.SortFunc(digest, func(a, b NodeChange) int { return cmp.Compare(a.Node, b.Node) })
	return digest, next
}

func (n *watched) tell(now time.Time) NodeChange {
	c := n.now
	n.Told, n.since = c.State, time.Time{}
	c.Flaps = n.Flaps
	if c.State == WentOffline {
		c.Flaps--
		n.Off, n.Flaps = now, 0
	} else {
		n.On = now
	}
	return c
}

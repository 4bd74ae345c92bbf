package fleet

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/agent"
)

// entry is all the owner goroutine knows of one node. Only that goroutine touches it, but for pulse and log.
type entry struct {
	node     Node
	state    State
	since    time.Time     // of state
	cause    *OfflineCause // why the connection is down; kept while connecting
	machine  agent.Description
	session  uint64
	conn     Conn          // nil unless connected
	dialling bool          // a launch or a handshake is in progress
	draining bool          // suspended by Drain, and leases may be left
	leaving  bool          // the agent of conn has said that it goes
	unwell   *OfflineCause // a monitor keeps it from taking work
	held     *OfflineCause // Hold keeps it from taking work, in this session
	linked   time.Time     // since when conn is there, or not there
	back     *OfflineCause // who lets it take work again, until that is recorded
	noted    Record        // recorded last
	revision uint64

	retention Retention     // nil: always connected
	refuse    *OfflineCause // it gives the node no new work
	away      *OfflineCause // it keeps the node disconnected: no loop runs
	warned    bool          // refuse was published before the Demand was asked
	summoned  bool          // a person wants it connected, until the retention does
	used      bool          // Node.Used when the roster began to look after it
	marking   bool          // Node.Used is being written
	wakes     bool          // its machine can be woken
	woken     time.Time     // when that was tried last
	view      *view         // of an earlier revision, or this one
	loop      *loop         // that keeps it connected; nil while down
	last      *loop         // started last; it may still be ending
	wake      chan struct{} // closed and replaced when conn changes
	pulse     *pulse
	log       *nodeLog
}

// pulse is what heartbeats change, apart from the rest because they signal nobody.
type pulse struct {
	heard atomic.Int64 // Unix nanoseconds; 0 never
	trip  atomic.Int64 // nanoseconds

	limits atomic.Pointer[map[string]Limit]   // Node.Monitors; nil before the first
	shown  atomic.Pointer[map[string]Verdict] // without State
	vitals atomic.Pointer[agent.Vitals]
	record Recorder // nil keeps nothing
	probes probes

	// Of the session that runs; sessions of one node run one after the other.
	verdicts map[string]Verdict
	cause    *OfflineCause
}

// loop keeps one node connected, until it is cancelled.
type loop struct {
	node   Node
	log    *nodeLog
	pulse  *pulse
	cancel context.CancelFunc
	done   chan struct{}
}

// settle derives the state from the rest; see State's drawing.
func (e *entry) settle(now time.Time) {
	s := Offline
	switch {
	case e.conn != nil && (e.draining || e.leaving):
		s = Draining
	case e.conn != nil && (e.node.Offline != nil || e.unwell != nil || e.held != nil || e.refuse != nil):
		s = Suspended
	case e.conn != nil:
		s = Online
	case e.dialling:
		s = Connecting
	}
	if s != e.state {
		e.state, e.since = s, now
	}
}

// setConn changes the connection and wakes those who wait for one.
func (e *entry) setConn(c Conn) {
	e.conn, e.leaving, e.linked, e.held = c, false, time.Now(), nil
	close(e.wake)
	e.wake = make(chan struct{})
}

// status returns a copy, without the pulse.
func (e *entry) status() Status {
	s := Status{
		Node: e.node, State: e.state, Machine: e.machine, Assigned: assigned(e.node, e.machine),
		Session: e.session, Since: e.since, Revision: e.revision,
	}
	s.Cause = e.causeNow()
	return s
}

// causeNow says why the node takes no work: what a person did comes first. It is nil while the node is online.
func (e *entry) causeNow() *OfflineCause {
	switch {
	case e.state == Online:
		return nil
	case e.node.Offline != nil:
		return e.node.Offline
	case e.node.Down != nil:
		return e.node.Down
	case e.conn == nil && e.away != nil:
		return e.away
	case e.conn == nil || e.leaving:
		return e.cause
	case e.unwell != nil:
		return e.unwell
	case e.held != nil:
		return e.held
	}
	return e.refuse
}

// assigned lists all labels of a node: its own name and what its machine says come by themselves.
func assigned(n Node, m agent.Description) []string {
	labels := append([]string{string(n.Name)}, n.Labels...)
	if m.OS != "" {
		labels = append(labels, "os:"+m.OS)
	}
	if m.Arch != "" {
		labels = append(labels, "arch:"+m.Arch)
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// view is a published status; its pulse is read when somebody asks.
type view struct {
	status Status
	pulse  *pulse
	log    *nodeLog
}

func (v *view) read() Status {
	s := v.status
	if at := v.pulse.heard.Load(); at != 0 {
		s.LastHeard = time.Unix(0, at).UTC()
	}
	s.RoundTrip = time.Duration(v.pulse.trip.Load())
	if shown := v.pulse.shown.Load(); shown != nil {
		s.Monitors = *shown
	}
	if vitals := v.pulse.vitals.Load(); vitals != nil {
		s.Vitals = *vitals
	}
	return s
}

package fleet

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// Retention is tended by one goroutine. It sleeps until the Demand signals, a node with a retention changes, or the time comes
// that a Retention named; then it asks the Demand once for all nodes that have a retention and decides about each. It does
// so once in tendEvery at most. Nodes that are always connected cost it nothing.
//
// A connected node is sent away in two passes: the first has it refuse work, and only when the Demand knows of that and the
// second decides the same, the connection ends. So no work is given to a node that is about to go.

// tendEvery is how long there is between two passes at least.
const tendEvery = time.Second

// tendAgain is when to try again after a Demand that could not be asked.
const tendAgain = 10 * time.Second

// Heed makes d the one who is asked about the work of nodes with a retention. Call it before Run. Without one there is none.
func (r *Roster) Heed(d Demand) { r.demand = d }

// tend looks after the retention of nodes until ctx ends.
func (r *Roster) tend(ctx context.Context) {
	var changed <-chan struct{}
	if r.demand != nil {
		var cancel func()
		changed, cancel = r.demand.Subscribe()
		defer cancel()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-changed:
			if r.retained.Load() == 0 {
				continue
			}
		case <-r.kick:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		again := r.tendAll(ctx)
		pause := time.NewTimer(tendEvery)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		timer.Stop()
		if !again.IsZero() {
			timer.Reset(time.Until(again))
		}
	}
}

// tendAll is one pass. It returns when the next is due at the latest; zero is never.
func (r *Roster) tendAll(ctx context.Context) (again time.Time) {
	var asks []Ask
	if err := r.do(ctx, func() { asks = r.asks() }); err != nil || len(asks) == 0 {
		return time.Time{}
	}
	works := make([]Work, len(asks))
	if r.demand != nil {
		var err error
		if works, err = r.demand.Works(ctx, asks); err != nil {
			if ctx.Err() == nil {
				r.cfg.Log.Warn("cannot tell which nodes are needed", "err", err)
			}
			return time.Now().Add(tendAgain)
		}
	}
	r.tell(func() {
		for i, a := range asks {
			e := r.nodes[a.Node]
			if e == nil {
				continue
			}
			sooner := func(at time.Time) {
				if !at.IsZero() && (again.IsZero() || at.Before(again)) {
					again = at
				}
			}
			if sooner(r.wake(e, works[i])); e.retention != nil {
				sooner(r.decide(e, works[i]))
			}
		}
	})
	return again
}

// asks lists the nodes of which the work matters, those that are most likely to come up first. It is empty when no node has a
// retention or can be woken.
func (r *Roster) asks() (asks []Ask) {
	if r.retained.Load() == 0 {
		return nil
	}
	for _, name := range r.names {
		e := r.nodes[name]
		e.warned = e.refuse != nil
		if a := (Ask{name, r.reach(e)}); r.watches(e) || a.Reach == Coming {
			asks = append(asks, a)
		}
	}
	slices.SortStableFunc(asks, func(a, b Ask) int { return cmp.Compare(a.Reach, b.Reach) })
	return asks
}

func (r *Roster) reach(e *entry) Reach {
	failed := e.cause != nil && e.cause.Kind == CauseLaunch
	switch {
	case e.conn != nil || e.node.Offline != nil || e.node.Down != nil:
		return Unwanted
	case e.dialling && !failed:
		return Coming
	case e.retention == nil && !e.wakes:
		return Unwanted // it is always to be connected
	case failed || r.dials(e.node):
		return Doubtful
	case e.loop != nil:
		return Coming
	}
	return Startable
}

// dials reports whether the agent of a node dials by itself.
func (r *Roster) dials(n Node) bool {
	w, ok := r.cfg.Launchers[n.Launcher.Kind].(Waiter)
	return ok && w.AgentsDial()
}

// decide has the retention of a node decide, and acts. It returns when to ask again.
func (r *Roster) decide(e *entry, w Work) (again time.Time) {
	now := time.Now()
	w.Done = r.count(e, w)
	stay := e.retention.Decide(now, Occupation{
		Connected: e.conn != nil, Since: e.linked, Busy: w.Busy, IdleSince: w.IdleSince, WantedSince: w.WantedSince, Done: w.Done,
	})
	if stay.Connect && e.conn != nil {
		e.summoned = false
	}
	if e.summoned && !stay.Connect && !stay.Remove { // a person wants it here
		stay = Stay{Connect: true, Accept: true, Again: stay.Again}
	}
	r.obey(e, stay)
	return stay.Again
}

// count is how many leases have ended on a node. Of one whose retention counts them, the first that is under way is kept in the Store, and
// after a restart nothing more is known than that there was one. Work that never began on it was none.
func (r *Roster) count(e *entry, w Work) int {
	if _, counts := e.retention.(Counter); !counts {
		return w.Done
	}
	if in := w.Busy > 0 || w.Done > 0 || e.used; in != e.node.Used && !e.marking {
		e.marking = true
		name, created := e.node.Name, e.node.Created
		r.loops.Go(func() {
			err := r.mark(name, created, in)
			r.tell(func() { e.marking = false })
			if err != nil && r.ctx.Err() == nil && !fault.Is(err, fault.NotFound) {
				r.cfg.Log.Warn("a node for one build: that it has one is not kept, and forgotten at a restart", "node", name, "err", err)
			}
		})
	}
	if e.used && w.Busy == 0 {
		return max(w.Done, 1)
	}
	return w.Done
}

// mark keeps whether a node was used.
func (r *Roster) mark(name NodeName, created time.Time, used bool) error {
	return r.edit(r.ctx, name, func(old *Node) (Node, error) {
		if old == nil || !old.Created.Equal(created) {
			return Node{}, fault.New(fault.NotFound, "it was removed")
		}
		n := *old
		n.Used = used
		return n, nil
	}, func(*entry, Node) {})
}

// obey does what a retention has decided.
func (r *Roster) obey(e *entry, stay Stay) {
	if stay.Cause == nil && !(stay.Connect && stay.Accept) {
		stay.Cause = &OfflineCause{Kind: "retention", Text: "Its retention strategy does not want it", When: time.Now()}
	}
	goes := stay.Remove || !stay.Connect
	refuse := stay.Cause
	if stay.Accept && !(goes && e.conn != nil) {
		refuse = nil
	}
	switch {
	case goes && e.conn != nil && !e.warned: // the next pass ends it, if it decides the same
	case stay.Remove:
		r.removeSoon(e)
	case goes:
		r.sendAway(e, stay.Cause)
	case e.away != nil:
		e.away = nil
		if e.node.Down == nil {
			e.log.printf("Connecting: its retention strategy wants it online")
			r.start(e)
		}
		r.settle(e)
	}
	if !alike(e.refuse, refuse) {
		e.refuse = refuse
		r.settle(e)
	}
}

// sendAway keeps a node disconnected until its retention wants it back.
func (r *Roster) sendAway(e *entry, cause *OfflineCause) {
	if e.away != nil && e.away.Kind == cause.Kind {
		return // it is away already; why it went stays
	}
	if e.conn != nil {
		e.log.printf("Disconnecting: %s", cause.Text)
	}
	r.cut(e)
	e.away = cause
	r.settle(e)
}

// removeSoon removes a node for good.
func (r *Roster) removeSoon(e *entry) {
	name, created := e.node.Name, e.node.Created
	r.loops.Go(func() {
		if st, ok := r.Node(name); !ok || !st.Node.Created.Equal(created) {
			return // another one of that name
		}
		if err := r.Remove(r.ctx, name); err != nil && !fault.Is(err, fault.NotFound) && r.ctx.Err() == nil {
			r.cfg.Log.Warn("remove a node that is of no more use", "node", name, "err", err)
		}
	})
}

// alike reports whether two causes say the same, at whatever times.
func alike(a, b *OfflineCause) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.Text == b.Text
}

// retain gives a node the retention of its configuration.
func (r *Roster) retain(e *entry) {
	before := e.retention
	e.retention = r.retentionOf(e.node)
	switch {
	case before == nil && e.retention != nil:
		r.retained.Add(1)
	case before != nil && e.retention == nil:
		r.retained.Add(-1)
		e.refuse, e.summoned = nil, false
		if e.away != nil {
			e.away = nil
			if e.node.Down == nil {
				r.start(e)
			}
		}
	}
}

// retentionOf is nil for a node that is always connected. A spec that is not known here, from another version, is that too.
func (r *Roster) retentionOf(n Node) Retention {
	if r.cfg.Retention == nil || n.Retention.Kind == "" || n.Retention.Kind == "always" {
		return nil
	}
	made, err := r.cfg.Retention(n.Retention)
	if err != nil {
		r.cfg.Log.Warn("retention strategy not understood: the node is kept connected", "node", n.Name, "err", err)
		return nil
	}
	return made
}

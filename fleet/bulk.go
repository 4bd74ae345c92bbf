package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// Verb is something that people do to nodes.
type Verb string

const (
	VerbOffline    Verb = "offline"    // give it no new work, durably; what runs on it runs on
	VerbDrain      Verb = "drain"      // VerbOffline that shows as draining until the last lease on the node has ended
	VerbOnline     Verb = "online"     // undo either of them
	VerbDisconnect Verb = "disconnect" // close its connection and keep it closed until VerbReconnect, durably
	VerbReconnect  Verb = "reconnect"  // launch its agent now, even if a person or its retention had it disconnected
)

// Order is what somebody wants done to nodes. Cause says who and why; see ByUser. Its When is set when it is zero.
type Order struct {
	Verb  Verb
	Cause OfflineCause
}

// Bulk does one thing to many nodes: all are written in one transaction and published at once. It returns those it was done
// to; names of which there is no node are left out. fault.Invalid: there is no such verb.
func (r *Roster) Bulk(ctx context.Context, names []NodeName, o Order) (done []NodeName, err error) {
	if o.Cause.When.IsZero() {
		o.Cause.When = time.Now().UTC()
	}
	change, then := o.parts(r)
	if then == nil {
		return nil, fault.New(fault.Invalid, "nodes: %q: expected offline, drain, online, disconnect or reconnect", o.Verb)
	}
	if change != nil {
		if err := r.lock(ctx); err != nil {
			return nil, err
		}
		defer r.unlock()
		if err := r.keepChanged(ctx, names, change); err != nil {
			return nil, err
		}
	}
	seen := map[NodeName]bool{}
	err = r.do(context.WithoutCancel(ctx), func() {
		for _, name := range names {
			e := r.nodes[name]
			if e == nil || seen[name] {
				continue
			}
			seen[name] = true
			if change != nil {
				change(&e.node)
			}
			then(e)
			r.settle(e)
			done = append(done, name)
		}
	})
	return done, err
}

// parts are what an Order changes in the Store, if anything, and what in the roster.
func (o Order) parts(r *Roster) (change func(*Node), then func(*entry)) {
	cause := o.Cause
	switch o.Verb {
	case VerbOffline, VerbDrain:
		return func(n *Node) { n.Offline = &cause }, func(e *entry) { e.draining = o.Verb == VerbDrain }
	case VerbOnline:
		return func(n *Node) { n.Offline = nil }, func(e *entry) {
			e.draining = false
			if cause.By != "" {
				e.back = &OfflineCause{Kind: CauseUser, Text: "Brought back online by " + cause.By, By: cause.By, When: cause.When}
			}
		}
	case VerbDisconnect:
		return func(n *Node) { n.Down = &cause }, r.cut
	case VerbReconnect:
		return func(n *Node) { n.Down = nil }, func(e *entry) {
			e.summoned, e.refuse = e.retention != nil, nil
			r.relaunch(e)
		}
	}
	return nil, nil
}

// keepChanged writes changed nodes to the Store. The editing token is held.
func (r *Roster) keepChanged(ctx context.Context, names []NodeName, change func(*Node)) error {
	var nodes []Node
	err := r.do(ctx, func() {
		seen := map[NodeName]bool{}
		for _, name := range names {
			if e := r.nodes[name]; e != nil && !seen[name] {
				seen[name] = true
				n := e.node
				if change(&n); n.Offline != e.node.Offline || n.Down != e.node.Down {
					nodes = append(nodes, n)
				}
			}
		}
	})
	if err != nil || len(nodes) == 0 {
		return err
	}
	if err := r.cfg.Store.PutNode(ctx, nodes...); err != nil {
		return fmt.Errorf("keep %d nodes: %w", len(nodes), err)
	}
	return nil
}

// order is Bulk for one node that must exist.
func (r *Roster) order(ctx context.Context, name NodeName, v Verb, c OfflineCause) error {
	done, err := r.Bulk(ctx, []NodeName{name}, Order{v, c})
	if err == nil && len(done) == 0 {
		return fault.New(fault.NotFound, "node %s: there is no such node", name)
	}
	return err
}

// SetOffline keeps a node from taking work, durably; what runs on it runs on.
func (r *Roster) SetOffline(ctx context.Context, name NodeName, c OfflineCause) error {
	return r.order(ctx, name, VerbOffline, c)
}

// Drain is SetOffline that shows as draining until the last lease on the node has ended.
func (r *Roster) Drain(ctx context.Context, name NodeName, c OfflineCause) error {
	return r.order(ctx, name, VerbDrain, c)
}

// ClearOffline lets a node take work again. Bulk with VerbOnline also says who did.
func (r *Roster) ClearOffline(ctx context.Context, name NodeName) error {
	return r.order(ctx, name, VerbOnline, OfflineCause{})
}

// Disconnect closes a node's connection and keeps it closed until Reconnect or a change of its launcher, over restarts of the
// controller too. What runs on it runs on.
func (r *Roster) Disconnect(ctx context.Context, name NodeName, c OfflineCause) error {
	return r.order(ctx, name, VerbDisconnect, c)
}

// Reconnect launches a node's agent now: it closes a connection that there is, and forgets a Disconnect and any backoff.
func (r *Roster) Reconnect(ctx context.Context, name NodeName) error {
	return r.order(ctx, name, VerbReconnect, OfflineCause{})
}

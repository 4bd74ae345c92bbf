package queue

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
)

// Why explains why an item waits. It is computed when somebody asks, never per event.
//
// The summary follows Jenkins' decision tree (Queue.BuildableItem.getCauseOfBlockage) with its sentences, so that people and
// scripts recognise them. Where that tree hides the reason (no nodes at all, all offline, no executors) the reason follows
// Jenkins' words.
func (c *Core) Why(id ItemID) (Explanation, error) {
	x := c.items[id]
	if x == nil || x.phase != waiting && x.phase != granting {
		return Explanation{}, fault.New(fault.NotFound, "queue item %s: it does not wait", id)
	}
	e := Explanation{Since: x.Waiting, Nodes: []NodeReason{}}
	v := c.view()
	for _, st := range v.fleet() {
		e.Nodes = append(e.Nodes, v.refusal(x, st))
	}
	switch {
	case x.phase == granting:
		e.Summary = fmt.Sprintf("‘%s’ takes it; the lease is being written", x.row.Node)
		return e, nil
	case !x.claimed:
		e.Summary = "Waiting for its build to resume after the restart of the controller"
	case c.quiet.on:
		e.Summary = c.quiet.why()
	default:
		e.Summary = v.summary(x, e.Nodes)
	}
	e.Position = c.position(x)
	e.Suggestion = v.suggestion(x)
	return e, nil
}

// view is what reasons are read from: the core's own, or a copy on which something was tried.
type view struct {
	nodes map[fleet.NodeName]fleet.Status
	board *board
}

func (c *Core) view() view { return view{c.nodes, c.board} }

// fleet returns the nodes by name.
func (v view) fleet() []fleet.Status {
	all := make([]fleet.Status, 0, len(v.nodes))
	for _, st := range v.nodes {
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b fleet.Status) int { return strings.Compare(string(a.Node.Name), string(b.Node.Name)) })
	return all
}

// refusal is the first predicate, in Jenkins' order, by which a node does not take an item.
func (v view) refusal(x *item, st fleet.Status) NodeReason {
	n := st.Node.Name
	r := func(p Predicate, format string, args ...any) NodeReason {
		return NodeReason{Node: n, Predicate: p, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case x.Node != "" && x.Node != n:
		return r(Pinned, "‘%s’ is not ‘%s’, which the item is pinned to", n, x.Node)
	case !x.expr.Matches(label.In(st.Assigned)):
		return r(NoLabel, "‘%s’ doesn’t have label ‘%s’", n, x.expr)
	case x.expr == nil && x.Node == "" && st.Node.Mode == fleet.Exclusive:
		return r(Reserved, "‘%s’ is reserved for jobs with matching label expression", n)
	case !v.board.rules.allows(n, string(x.Build.Job)):
		return r(Forbidden, "‘%s’ lacks permission to run on ‘%s’", cmp.Or(string(x.Build.Job), string(x.ID)), n)
	case st.State == fleet.Offline || st.State == fleet.Connecting:
		if st.Cause == nil {
			return r(IsOffline, "‘%s’ is offline", n)
		}
		return r(IsOffline, "‘%s’ is offline (%s)", n, st.Cause.Text)
	case st.State != fleet.Online && st.Cause != nil:
		return r(NotTaking, "‘%s’ is not accepting tasks (%s)", n, st.Cause.Text)
	case st.State != fleet.Online:
		return r(NotTaking, "‘%s’ is not accepting tasks", n)
	case st.Node.Executors == 0:
		return r(NotTaking, "‘%s’ is not accepting tasks (it has no executors)", n)
	}
	if p := v.board.places[n]; p != nil && p.resting {
		return r(NotTaking, "‘%s’ is not accepting tasks (it has refused the last one; it is asked again in a moment)", n)
	} else if p != nil && p.limit() != nil {
		l := p.limit()
		return r(Limited, "‘%s’ is not accepting tasks (at most %d executors may be in use on %s, and %d are)", n, l.max, l.where(), l.used)
	}
	return r(Busy, "Waiting for next available executor on ‘%s’", n)
}

// summary says it in one sentence.
func (v view) summary(x *item, reasons []NodeReason) string {
	if x.expr == nil && x.Node == "" {
		return v.summaryOfAny(reasons)
	}
	name := x.expr.String()
	if x.Node != "" {
		name = string(x.Node)
	}
	var members []fleet.Status
	var online, open, executors int // open: online, and the policy does not refuse the item
	var refused []string            // reasons of the policy, and of nodes that drain
	for i, st := range v.fleet() {  // as reasons are
		if (x.Node == "" || x.Node == st.Node.Name) && x.expr.Matches(label.In(st.Assigned)) {
			members = append(members, st)
			barred := reasons[i].Predicate == Forbidden || reasons[i].Predicate == Limited
			if barred || st.State == fleet.Draining {
				refused = append(refused, reasons[i].Reason)
			} else if st.State == fleet.Online {
				open++
			}
			if st.State == fleet.Online {
				online++
				executors += st.Node.Executors
			}
		}
	}
	switch {
	case len(members) == 0 && x.Node != "":
		return fmt.Sprintf("There are no nodes with the label ‘%s’ and the name ‘%s’", x.expr, x.Node)
	case len(members) == 0 && len(reasons) == 1 && reasons[0].Node == fleet.BuiltIn:
		return reasons[0].Reason // the farm is the controller alone: Jenkins names it
	case len(members) == 0:
		return fmt.Sprintf("There are no nodes with the label ‘%s’", name)
	case open == 0 && len(refused) > 0:
		return composite(refused) // Jenkins knows no such reasons: a draining node is not offline
	case online == 0 && len(members) == 1:
		return fmt.Sprintf("‘%s’ is offline", members[0].Node.Name)
	case online == 0:
		return fmt.Sprintf("All nodes of label ‘%s’ are offline", name)
	case len(members) == 1:
		name = string(members[0].Node.Name)
	}
	if executors == 0 {
		return fmt.Sprintf("Waiting for next available executor on ‘%s’, which has no executors", name)
	}
	return fmt.Sprintf("Waiting for next available executor on ‘%s’", name)
}

// summaryOfAny is the summary of an item that names no label.
func (v view) summaryOfAny(reasons []NodeReason) string {
	const plain = "Waiting for next available executor"
	var refused, draining []string
	online := false
	for _, r := range reasons {
		st := v.nodes[r.Node]
		online = online || st.State == fleet.Online
		if st.State == fleet.Draining {
			draining = append(draining, r.Reason)
		}
		if p := v.board.places[r.Node]; st.State != fleet.Online || r.Predicate == Busy || p != nil && len(p.used) >= st.Node.Executors {
			continue
		}
		refused = append(refused, r.Reason)
	}
	switch {
	case len(refused) > 0:
		return composite(refused)
	case len(reasons) == 0:
		return plain + ": there are no nodes"
	case !online && len(draining) > 0:
		return plain + ": " + composite(draining)
	case !online:
		return plain + ": all nodes are offline"
	}
	return plain
}

// composite joins reasons as Jenkins does: sorted, each once, at most five.
func composite(reasons []string) string {
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	if more := len(reasons) - 5; more > 0 {
		reasons = append(slices.Clip(reasons[:5]), fmt.Sprintf("... and %d more", more))
	}
	return strings.Join(reasons, "; ")
}

// position counts the items that would be served before x if all could run everywhere.
func (c *Core) position(x *item) int {
	n := 1
	for _, o := range c.items {
		if o.phase == waiting && o != x && o.before(x) {
			n++
		}
	}
	return n
}

func (x *item) before(o *item) bool {
	a, b := x.waiter, o.waiter
	a.priority, b.priority = x.Priority, o.Priority
	return a.before(&b)
}

// suggestion finds a label that exists and is near to one that the item names and no node has.
func (v view) suggestion(x *item) string {
	var known []string
	for _, st := range v.nodes {
		known = append(known, st.Assigned...)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for _, name := range x.expr.Atoms() {
		if label.In(known)(name) {
			continue
		}
		if near, ok := label.Nearest(name, known); ok {
			return near
		}
	}
	return ""
}

// Snapshot returns all items that have not ended: waiting ones first, in the order in which they would be served.
func (c *Core) Snapshot() []ItemStatus { return inOrder(c.list()) }

const (
	stuckFactor  = 10 // times what it is expected to take
	stuckAtLeast = time.Minute
	stuckUnknown = 24 * time.Hour
)

// stuck says what Jenkins says with this word: that an item waits, and no node of its label is online; or for more than ten times as
// long as it is expected to take, but at least ten minutes; or for a day, when that is not known. offline remembers the answer for
// each class between calls.
func (c *Core) stuck(x *item, offline map[*class]bool) bool {
	cl := x.waiter.class
	if x.phase != waiting || cl == nil {
		return false
	}
	if cl.expr != nil || cl.key.node != "" {
		off, known := offline[cl]
		if !known {
			off = true
			for _, p := range cl.members {
				off = off && !p.taking
			}
			offline[cl] = off
		}
		if off {
			return true
		}
	}
	w, _ := c.board.times.works.get(x.work())
	waited, expected := c.seen-x.arrived, c.board.times.expected(w)
	if expected == 0 {
		return waited > stuckUnknown
	}
	return waited > stuckFactor*max(expected, stuckAtLeast)
}

// listed is a copy of an item, with what its place follows from.
type listed struct {
	status ItemStatus
	place  waiter
}

// list copies all items that have not ended, in no order.
func (c *Core) list() []listed {
	all := make([]listed, 0, len(c.items))
	offline := map[*class]bool{}
	for _, x := range c.items {
		if x.phase >= losing {
			continue
		}
		l := listed{ItemStatus{Item: x.Item, State: states[x.phase], Since: x.since, Stuck: c.stuck(x, offline)}, waiter{priority: x.Priority, seq: x.waiter.seq}}
		if x.phase != waiting {
			g := x.row.Grant
			l.status.Grant = &g
		}
		all = append(all, l)
	}
	return all
}

// inOrder sorts what list copied. It takes longer than the copying, and needs no core.
func inOrder(all []listed) []ItemStatus {
	order := make([]*listed, len(all))
	for i := range all {
		order[i] = &all[i]
	}
	slices.SortFunc(order, func(a, b *listed) int {
		switch aWaits, bWaits := a.status.Grant == nil, b.status.Grant == nil; {
		case aWaits != bWaits && aWaits, aWaits == bWaits && a.place.before(&b.place):
			return -1
		}
		return 1
	})
	out := make([]ItemStatus, len(order))
	for i, l := range order {
		out[i] = l.status
	}
	return out
}

var states = [...]ItemState{waiting: Waiting, granting: Granting, leased: Leased, held: Held}

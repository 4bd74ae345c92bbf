package queue

import (
	"fmt"
	"slices"
	"strings"

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
	for _, st := range c.fleet() {
		e.Nodes = append(e.Nodes, c.refusal(x, st))
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
		e.Summary = c.summary(x, e.Nodes)
	}
	e.Position = c.position(x)
	e.Suggestion = c.suggestion(x)
	return e, nil
}

// fleet returns the nodes by name.
func (c *Core) fleet() []fleet.Status {
	all := make([]fleet.Status, 0, len(c.nodes))
	for _, st := range c.nodes {
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b fleet.Status) int { return strings.Compare(string(a.Node.Name), string(b.Node.Name)) })
	return all
}

// refusal is the first predicate, in Jenkins' order, by which a node does not take an item.
func (c *Core) refusal(x *item, st fleet.Status) NodeReason {
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
	if p := c.board.places[n]; p != nil && p.resting {
		return r(NotTaking, "‘%s’ is not accepting tasks (it has refused the last one; it is asked again in a moment)", n)
	}
	return r(Busy, "Waiting for next available executor on ‘%s’", n)
}

// summary says it in one sentence.
func (c *Core) summary(x *item, reasons []NodeReason) string {
	if x.expr == nil && x.Node == "" {
		return c.summaryOfAny(reasons)
	}
	name := x.expr.String()
	if x.Node != "" {
		name = string(x.Node)
	}
	var members []fleet.Status
	var online, executors int
	for _, st := range c.fleet() {
		if (x.Node == "" || x.Node == st.Node.Name) && x.expr.Matches(label.In(st.Assigned)) {
			members = append(members, st)
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
func (c *Core) summaryOfAny(reasons []NodeReason) string {
	const plain = "Waiting for next available executor"
	var refused []string
	online := false
	for _, r := range reasons {
		st := c.nodes[r.Node]
		online = online || st.State == fleet.Online
		if p := c.board.places[r.Node]; st.State != fleet.Online || r.Predicate == Busy || p != nil && len(p.used) >= st.Node.Executors {
			continue
		}
		refused = append(refused, r.Reason)
	}
	switch {
	case len(refused) > 0:
		return composite(refused)
	case len(reasons) == 0:
		return plain + ": there are no nodes"
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
func (c *Core) suggestion(x *item) string {
	var known []string
	for _, st := range c.nodes {
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

// listed is a copy of an item, with what its place follows from.
type listed struct {
	status ItemStatus
	place  waiter
}

// list copies all items that have not ended, in no order.
func (c *Core) list() []listed {
	all := make([]listed, 0, len(c.items))
	for _, x := range c.items {
		if x.phase >= losing {
			continue
		}
		l := listed{ItemStatus{Item: x.Item, State: states[x.phase], Since: x.since}, waiter{priority: x.Priority, seq: x.waiter.seq}}
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

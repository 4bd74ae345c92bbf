package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/queue"
)

// oracle sees everything, and says when a promise is broken.
type oracle struct {
	running map[string]agent.Lease // the step of each item that runs somewhere
	on      map[string]fleet.NodeName
	starts  map[string]int
	epochs  map[queue.ItemID]uint64
	granted map[queue.Grant]time.Duration
	over    map[queue.Grant]bool // released, durably
}

func newOracle() *oracle {
	return &oracle{
		running: map[string]agent.Lease{}, on: map[string]fleet.NodeName{}, starts: map[string]int{}, epochs: map[queue.ItemID]uint64{},
		granted: map[queue.Grant]time.Duration{}, over: map[queue.Grant]bool{},
	}
}

// started: I2, a Hold item starts at most once; I3, two epochs of an item never overlap.
func (o *oracle) started(s *sim, n fleet.NodeName, l agent.Lease) {
	s.result.Starts++
	s.logf("%s: step of %s epoch %d starts", n, l.Item, l.Epoch)
	if other, ok := o.running[l.Item]; ok {
		s.broken("I3: %s epoch %d starts on %s while epoch %d runs on %s", l.Item, l.Epoch, n, other.Epoch, o.on[l.Item])
	}
	o.starts[l.Item]++
	if s.client(queue.ItemID(l.Item)).item.Policy == agent.Hold && o.starts[l.Item] > 1 {
		s.broken("I2: %s must not be started twice", l.Item)
	}
	o.running[l.Item], o.on[l.Item] = l, n
}

func (o *oracle) ended(s *sim, n fleet.NodeName, l agent.Lease) {
	s.logf("%s: step of %s epoch %d ends", n, l.Item, l.Epoch)
	if o.running[l.Item] == l && o.on[l.Item] == n {
		delete(o.running, l.Item)
	}
}

// ledger looks at what has just become durable: epochs grow, and a slot has one lease.
func (o *oracle) ledger(s *sim, batch []queue.Write) {
	for _, w := range batch {
		switch w.Op {
		case queue.GrantOp:
			if w.Row.Epoch <= o.epochs[w.Row.Item] {
				s.broken("%s: epoch %d after %d", w.Row.Item, w.Row.Epoch, o.epochs[w.Row.Item])
			}
			o.epochs[w.Row.Item] = w.Row.Epoch
		case queue.SetOp:
			if w.Row.State == queue.LeaseDone {
				o.over[w.Row.Grant] = true
			}
		case queue.DropOp:
			delete(o.epochs, w.Item.ID)
		}
	}
	slots := map[string]queue.Grant{}
	for _, r := range o.rows(s) {
		if r.State != queue.LeaseActive && r.State != queue.LeaseHeld {
			continue
		}
		slot := fmt.Sprintf("%s/%d", r.Node, r.Executor)
		if other, ok := slots[slot]; ok {
			s.broken("the ledger has two leases of %s: %+v and %+v", slot, other, r.Grant)
		}
		slots[slot] = r.Grant
	}
}

func (o *oracle) rows(s *sim) []queue.LeaseRow {
	_, rows, err := s.ctl.ledger.Load(context.Background())
	if err != nil {
		s.broken("load: %v", err)
	}
	return rows
}

func (o *oracle) row(s *sim, id queue.ItemID) queue.LeaseRow {
	for _, r := range o.rows(s) {
		if r.Item == id {
			return r
		}
	}
	return queue.LeaseRow{}
}

// event: nobody hears of what is not durable, and a lost agent is found in time.
func (o *oracle) event(s *sim, e queue.Event) {
	g := e.Grant
	switch e.Kind {
	case queue.Granted:
		if r := o.row(s, g.Item); r.Grant != g || r.State != queue.LeaseActive {
			s.broken("%+v is told, the ledger has %+v", g, r)
		}
		if o.over[g] {
			s.broken("%+v is granted after it was over", g)
		}
		o.granted[g] = s.now
	case queue.Lost:
		if r := o.row(s, g.Item); r.Grant != g || r.State != queue.LeaseLost {
			s.broken("the loss of %+v is told, the ledger has %+v", g, r)
		}
		if o.over[g] {
			s.broken("%+v is lost after it was over", g)
		}
		o.inTime(s, g)
	}
}

// inTime: P4, a machine that is gone is found within 60 s, unless the controller or the ledger was away itself.
func (o *oracle) inTime(s *sim, g queue.Grant) {
	n := s.node(g.Node)
	from := max(n.diedAt, o.granted[g])
	if n.diedAt == 0 || s.client(g.Item).item.Policy != agent.Kill || s.ctl.since > from || s.ctl.lockedUntil > from {
		return
	}
	if d := s.now - from; d > 60*time.Second {
		s.broken("P4: the loss of %s with %s was found after %v", g.Item, n.name, d)
	}
}

// afterTurn: work is conserved, slots are given once, and who waits is told why.
func (o *oracle) afterTurn(s *sim) {
	if !s.one(4) {
		return
	}
	used := map[fleet.NodeName]map[int]queue.ItemID{}
	all := s.ctl.core.Snapshot()
	for _, st := range all {
		if st.Grant == nil {
			continue
		}
		slots := used[st.Grant.Node]
		if slots == nil {
			slots = map[int]queue.ItemID{}
			used[st.Grant.Node] = slots
		}
		if other, ok := slots[st.Grant.Executor]; ok {
			s.broken("%s and %s have the same executor %d of %s", other, st.Item.ID, st.Grant.Executor, st.Grant.Node)
		}
		slots[st.Grant.Executor] = st.Item.ID
	}
	o.limits(s, used)
	for _, st := range all {
		c := s.client(st.Item.ID)
		if st.State != queue.Waiting || c.stage != waiting {
			continue
		}
		e, err := s.ctl.core.Why(st.Item.ID)
		if err != nil || e.Summary == "" || len(e.Nodes) == 0 {
			s.broken("I1: %s waits and nobody says why: %+v %v", st.Item.ID, e, err)
		}
		for _, r := range e.Nodes {
			n := s.node(r.Node)
			if free := s.ctl.shown[n.name] - len(used[n.name]); r.Predicate == queue.Busy && free > 0 || c.admitted(n) == (r.Predicate == queue.NoLabel) {
				s.broken("%s waits although %s has %d free executors: %s", st.Item.ID, n.name, free, r.Reason)
			}
		}
	}
}

// limits: no more executors are in use than the policy allows.
func (o *oracle) limits(s *sim, used map[fleet.NodeName]map[int]queue.ItemID) {
	most, ok := s.policy.Limits[limited]
	n := 0
	for name, slots := range used {
		if slices.Contains(s.node(name).labels, limited) {
			n += len(slots)
		}
	}
	if ok && n > most {
		s.broken("%d executors are in use on %s nodes, allowed are %d", n, limited, most)
	}
}

// atEnd: I1, every item has ended; I6, nothing is left over.
func (o *oracle) atEnd(s *sim) {
	for _, c := range s.items {
		if !c.finished() {
			s.broken("I1: %s never ended: stage %d, grant %+v", c.id, c.stage, c.grant)
		}
	}
	if left := s.left(); left != "" {
		s.broken("I6: left over: %s", left)
	}
}

// left names something that is not tidied up: a lease in the ledger or on a machine, a step.
func (s *sim) left() string {
	for _, r := range s.oracle.rows(s) {
		if r.State == queue.LeaseActive || r.State == queue.LeaseHeld {
			return fmt.Sprintf("a lease in the ledger: %+v", r)
		}
	}
	for _, n := range s.nodes {
		for _, l := range n.leases() {
			return fmt.Sprintf("a lease on %s: %+v", n.name, *l)
		}
	}
	return ""
}

package queue

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// Report explains an item: where it stands, and what every node is to it.
type Report struct {
	Item       Item          `json:"item"`
	State      ItemState     `json:"state"`
	Summary    string        `json:"summary"`            // one sentence
	Position   int           `json:"position,omitempty"` // among all waiting items, from 1; 0 when it does not wait
	Stuck      bool          `json:"stuck,omitempty"`
	Suggestion string        `json:"suggestion,omitempty"` // a label that exists and is near to one that does not
	Expected   time.Duration `json:"expected,omitempty"`   // of its work on an ordinary node; 0 is not known
	If         []Change      `json:"if,omitempty"`         // what was assumed
	Nodes      []Candidate   `json:"nodes"`                // of an item that waits, and of a trial: every node, by name
	Decision   *Decision     `json:"decision,omitempty"`   // how it got its node, or would get it
}

// Explain explains an item as it stands. Decisions are remembered in memory: the newest 4096.
func (c *Core) Explain(id ItemID) (Report, error) {
	x, d := c.items[id], c.decided.of[id]
	if x == nil && d == nil {
		return Report{}, unknown(string(id))
	}
	r := Report{Item: Item{ID: id}, State: Left, Nodes: []Candidate{}}
	if x != nil {
		r.Item = x.Item
	} else {
		r.Item.Build = d.build
	}
	if x != nil && x.phase < losing {
		r.State = states[x.phase]
	}
	if x != nil && x.phase == waiting {
		v := c.view()
		e, err := c.Why(id)
		r.Nodes = v.candidates(x)
		r.Summary, r.Position, r.Suggestion, r.Stuck = e.Summary, e.Position, e.Suggestion, c.stuck(x, map[*class]bool{})
		r.Expected = v.board.subject(x.asking()).expected
		return r, err
	}
	if d != nil {
		r.Decision, r.Expected = d.say(), d.choice.expected
	}
	r.Summary = c.placedSummary(r.State, x, d)
	return r, nil
}

func unknown(name string) error {
	return fault.New(fault.NotFound, "nothing called %q waits or runs, and it is not among the last %d that were placed since the controller started", name, decisionsKept)
}

func (c *Core) placedSummary(st ItemState, x *item, d *decision) string {
	var n fleet.NodeName
	switch {
	case x != nil && x.row.Epoch > 0:
		n = x.row.Node
	case d != nil:
		n = d.row.Node
	}
	switch {
	case n == "":
		return "It has left the queue without a node"
	case st == Left:
		return fmt.Sprintf("It has ended; it ran on ‘%s’", n)
	case st == Granting:
		return fmt.Sprintf("‘%s’ takes it; the lease is being written", n)
	case st == Held:
		return fmt.Sprintf("It runs on ‘%s’, whose agent is silent", n)
	case d == nil:
		return fmt.Sprintf("It runs on ‘%s’; that was decided before the controller started, which is not remembered", n)
	}
	return fmt.Sprintf("It runs on ‘%s’", n)
}

// find names an item by its ID or its build.
func (c *Core) find(name string) (ItemID, error) {
	id := ItemID(name)
	if c.items[id] != nil || c.decided.of[id] != nil {
		return id, nil
	}
	b, err := build.ParseID(name)
	if err != nil {
		return "", unknown(name)
	}
	var best *item
	for _, x := range c.items {
		if x.Build == b && x.phase < losing && (best == nil || cmp.Or(cmp.Compare(x.phase, best.phase), cmp.Compare(x.waiter.seq, best.waiter.seq)) < 0) {
			best = x
		}
	}
	if best != nil {
		return best.ID, nil
	}
	if id, ok := c.decided.newest(b); ok {
		return id, nil
	}
	return "", unknown(name)
}

// asking is the item as it would stand on the board.
func (x *item) asking() *waiter {
	return &waiter{id: x.ID, affinity: x.Affinity, work: x.work(), job: string(x.Build.Job), priority: x.Priority, seq: x.waiter.seq}
}

// candidates is what every node is to an item, by name.
func (v view) candidates(x *item) []Candidate {
	out := []Candidate{}
	s := v.board.subject(x.asking())
	for _, st := range v.fleet() {
		r := v.refusal(x, st)
		k := Candidate{Node: st.Node.Name, Predicate: r.Predicate, Reason: r.Reason}
		p := v.board.places[st.Node.Name]
		if p != nil && r.Predicate == Busy && p.free() > 0 {
			k.Predicate, k.Reason = "", ""
		}
		switch r.Predicate {
		case Pinned, NoLabel, Reserved, Forbidden:
		default:
			if p == nil {
				break
			}
			on := s.on(p)
			k.Scored, k.Score, k.Terms = true, v.board.rules.score(&on), v.board.rules.say(&on)
		}
		out = append(out, k)
	}
	return out
}

// trial is a copy of all that decides about an item.
type trial struct {
	view
	item   item
	report Report
	quiet  string // why nothing is given out; "" when it is
}

// trial copies what is needed to try changes on; it shares nothing that changes, so that it can run elsewhere.
func (c *Core) trial(id ItemID) (*trial, error) {
	r, err := c.Explain(id)
	if err != nil {
		return nil, err
	}
	x := c.items[id]
	if x == nil || r.State == Left {
		return nil, fault.New(fault.Conflict, "queue item %s has ended: what would happen to it if can be asked of what waits or runs", id)
	}
	t := &trial{view: view{make(map[fleet.NodeName]fleet.Status, len(c.nodes)), c.board.clone()}, item: *x, report: r}
	maps.Copy(t.nodes, c.nodes)
	if c.quiet.on {
		t.quiet = c.quiet.why()
	}
	return t, nil
}

// WhatIf says what would happen to an item if nodes were as changes say; see Queue.Explain.
func (c *Core) WhatIf(id ItemID, changes []Change) (Report, error) {
	t, err := c.trial(id)
	if err != nil {
		return Report{}, err
	}
	return t.run(changes)
}

// run makes the changes on the copy, and decides there as the queue does.
func (t *trial) run(changes []Change) (Report, error) {
	for _, ch := range changes {
		if err := ch.apply(t.nodes); err != nil {
			return Report{}, err
		}
		t.board.setNode(t.nodes[ch.Node])
	}
	x, r := &t.item, t.report
	if x.waiter.class == nil { // it has its node, or was not submitted again yet
		if x.row.Epoch > 0 {
			t.board.vacate(x.row.Node, x.row.Executor, x.ID)
		}
		w := x.asking()
		w.seq = 0
		t.board.add(w, x.expr, x.Node)
	}
	r.If, r.Decision, r.Stuck, r.Suggestion = changes, nil, false, t.suggestion(x)
	if t.quiet != "" {
		r.Nodes, r.Summary = t.candidates(x), fmt.Sprintf("If %s, it would wait: %s", said(changes), t.quiet)
		return r, nil
	}
	for _, p := range t.board.place() {
		if p.item == x.ID {
			d := decision{x.Build, LeaseRow{Grant: Grant{Item: x.ID, Node: p.node, Executor: p.slot}}, p.choice, t.board.rules}
			r.Decision = d.say()
		}
	}
	r.Nodes = t.candidates(x)
	if r.Decision == nil {
		reasons := make([]NodeReason, len(r.Nodes))
		for i, k := range r.Nodes {
			reasons[i] = NodeReason{k.Node, k.Reason, k.Predicate}
		}
		r.Summary = fmt.Sprintf("If %s, it would wait: %s", said(changes), t.summary(x, reasons))
		return r, nil
	}
	r.Position = 0
	r.Summary = fmt.Sprintf("If %s, ‘%s’ would take it", said(changes), r.Decision.Node)
	for i := range r.Nodes { // as they were when it was decided
		for _, k := range r.Decision.Candidates {
			if k.Node == r.Nodes[i].Node {
				r.Nodes[i] = k
			}
		}
	}
	return r, nil
}

func said(changes []Change) string {
	all := make([]string, len(changes))
	for i, ch := range changes {
		all[i] = ch.said()
	}
	return strings.Join(all, " and ")
}

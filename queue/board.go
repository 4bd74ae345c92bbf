package queue

import (
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
)

// board is the indexed view that place decides on: which items wait, which slots are free, who may take what.
//
// Items that ask for the same are one class: they have the same label expression, the same pinned node, and jobs of the same
// rights. Nodes are matched to classes when either appears, never per item. A class with waiting items keeps a list of its nodes
// that have a free slot, and the classes that may be placeable stand in a heap by their first item. So an event costs what it
// touches: it does not grow with the number of items times the number of nodes. Only the nodes of that list are scored, and only
// when an item is about to get one of them.
type board struct {
	rules   *rules
	limits  []*limit // of rules
	places  map[fleet.NodeName]*place
	classes map[classKey]*class
	idle    []*class // classes that were without items, oldest first; some may have items again
	ready   readyHeap
	last    recent[fleet.NodeName] // affinity to the node that last ran it
	times   times
	length  int // items that wait
}

func newBoard(r *rules) *board {
	b := &board{rules: r, places: map[fleet.NodeName]*place{}, classes: map[classKey]*class{}}
	for _, l := range r.limits {
		b.limits = append(b.limits, &limit{limitRule: l, members: map[*place]struct{}{}})
	}
	return b
}

// limit is how many slots of some nodes may be in use at once.
type limit struct {
	limitRule
	used    int // slots of members; may be over max
	members map[*place]struct{}
}

func (l *limit) full() bool { return l.used >= l.max }

// where is what the limit counts, for people.
func (l *limit) where() string {
	if l.expr == nil {
		return "all nodes"
	}
	return "nodes of label ‘" + l.expr.String() + "’"
}

type classKey struct {
	expr   string // canonical
	node   fleet.NodeName
	rights string // of the job; see rules.rights
}

// class is what all items with one key share.
type class struct {
	key     classKey
	expr    *label.Expr
	job     string                    // of one of them: the others have the same rights
	members map[fleet.NodeName]*place // whom the key admits, whatever their state
	waiting waitHeap
	free    []*place // members with a free slot, in no order; kept only while items wait
	readyAt int      // index in board.ready; -1 when not there
	idle    bool     // it is in board.idle
}

// admits reports whether items of the class may ever run on p: its labels, its mode, the pin and the job, not its state.
func (b *board) admits(c *class, p *place) bool {
	switch {
	case !b.rules.allows(p.name, c.job):
		return false
	case c.key.node != "":
		return c.key.node == p.name && c.expr.Matches(label.In(p.labels))
	case c.expr == nil:
		return !p.exclusive
	}
	return c.expr.Matches(label.In(p.labels))
}

// place is a node as the board sees it.
type place struct {
	name      fleet.NodeName
	labels    []string // sorted
	exclusive bool
	taking    bool // it is online
	resting   bool // it gave a lease back unopened a moment ago
	executors int
	roundTrip time.Duration
	used      map[int]ItemID // by slot
	limits    []*limit       // that count it
	active    map[*class]int // classes with waiting items that admit it, to its index in class.free; -1 when not there
}

// free is how many more items it takes now. More slots than executors may be in use after their number was lowered.
func (p *place) free() int {
	if !p.taking || p.resting || p.limit() != nil {
		return 0
	}
	return max(0, p.executors-len(p.used))
}

// limit is one that keeps the place from taking more; nil when none does.
func (p *place) limit() *limit {
	for _, l := range p.limits {
		if l.full() {
			return l
		}
	}
	return nil
}

// slot is the lowest one that is not in use.
func (p *place) slot() int {
	for i := 0; ; i++ {
		if _, busy := p.used[i]; !busy {
			return i
		}
	}
}

// place decides: it takes the waiting items by priority, then first come; gives each a free slot, on the node with the highest
// score, and of equal ones the first by name; and takes what it gives off the board. When it returns, no item waits for a slot that
// is free. It depends on nothing but the board.
func (b *board) place() []placement {
	var out []placement
	for len(b.ready) > 0 {
		c := b.ready[0]
		if len(c.free) == 0 {
			heap.Pop(&b.ready)
			continue
		}
		ch := b.choose(c, c.waiting[0])
		w := heap.Pop(&c.waiting).(*waiter)
		w.class = nil
		b.length--
		b.settle(c) // before anything else compares classes by their first items
		p := b.places[ch.best[0].node]
		slot := p.slot()
		b.occupy(p.name, slot, w.id)
		b.last.put(w.affinity, p.name)
		out = append(out, placement{w.id, p.name, slot, ch})
	}
	return out
}

type placement struct {
	item   ItemID
	node   fleet.NodeName
	slot   int
	choice choice
}

// choice is what a placement was chosen from.
type choice struct {
	admitted int // nodes that may run such work
	free     int // of them, at that moment
	expected time.Duration
	best     []weighed // of the free ones, the chosen one first
}

// choose scores the free nodes of a class for an item.
func (b *board) choose(c *class, w *waiter) choice {
	s := b.subject(w)
	ch := choice{admitted: len(c.members), free: len(c.free), expected: s.expected}
	for _, p := range c.free {
		x := weighed{candidate: s.on(p)}
		x.score = b.rules.score(&x.candidate)
		ch.best = insert(ch.best, x)
	}
	return ch
}

// subject is what the board remembers of an item's work.
type subject struct {
	b        *board
	last     fleet.NodeName
	work     *WorkTimes
	expected time.Duration
}

func (b *board) subject(w *waiter) subject {
	s := subject{b: b}
	s.last, _ = b.last.get(w.affinity)
	s.work, _ = b.times.works.get(w.work)
	s.expected = b.times.expected(s.work)
	return s
}

// on is a place as a candidate for the item.
func (s *subject) on(p *place) candidate {
	c := candidate{node: p.name, free: p.free(), executors: p.executors, last: s.last == p.name && s.last != "", controller: p.name == fleet.BuiltIn,
		roundTrip: p.roundTrip, expected: s.expected}
	if s.expected > 0 {
		c.here = s.b.times.here(s.work, p.name, s.expected)
	}
	return c
}

// add puts an item on the board.
func (b *board) add(w *waiter, expr *label.Expr, pinned fleet.NodeName) {
	c := b.class(expr, pinned, w.job)
	if len(c.waiting) == 0 {
		b.activate(c)
	}
	w.class = c
	heap.Push(&c.waiting, w)
	b.length++
	b.rouse(c)
}

// remove takes an item off the board.
func (b *board) remove(w *waiter) {
	c := w.class
	heap.Remove(&c.waiting, w.at)
	w.class = nil
	b.length--
	b.settle(c)
}

// class finds or makes the class of a key.
func (b *board) class(expr *label.Expr, pinned fleet.NodeName, job string) *class {
	key := classKey{expr.String(), pinned, b.rules.rights(job)}
	if c := b.classes[key]; c != nil {
		return c
	}
	c := &class{key: key, expr: expr, job: job, members: map[fleet.NodeName]*place{}, readyAt: -1}
	for _, p := range b.places {
		if b.admits(c, p) {
			c.members[p.name] = p
		}
	}
	b.classes[key] = c
	return c
}

// activate begins to keep the free nodes of a class that gets its first item.
func (b *board) activate(c *class) {
	for _, p := range c.members {
		p.active[c] = -1
		c.update(p)
	}
}

// update puts a member into the list of free ones, or takes it out.
func (c *class) update(p *place) {
	at, free := p.active[c], p.free() > 0
	switch {
	case free && at < 0:
		p.active[c] = len(c.free)
		c.free = append(c.free, p)
	case !free && at >= 0:
		c.unlist(at)
		p.active[c] = -1
	}
}

// unlist takes a place out of the list of free ones.
func (c *class) unlist(at int) {
	last := len(c.free) - 1
	c.free[at] = c.free[last]
	c.free[at].active[c] = at
	c.free[last] = nil
	c.free = c.free[:last]
}

// leave has a place be no member any more.
func (c *class) leave(p *place) {
	if at, active := p.active[c]; active && at >= 0 {
		c.unlist(at)
	}
	delete(p.active, c)
	delete(c.members, p.name)
}

const idleClasses = 256 // how many are kept in case such an item comes again

// settle puts a class where it belongs after its items have changed.
func (b *board) settle(c *class) {
	if len(c.waiting) > 0 {
		if c.readyAt >= 0 {
			heap.Fix(&b.ready, c.readyAt)
		}
		return
	}
	if c.readyAt >= 0 {
		heap.Remove(&b.ready, c.readyAt)
	}
	for _, p := range c.members {
		delete(p.active, c)
	}
	c.free = nil
	if !c.idle {
		c.idle = true
		b.idle = append(b.idle, c)
	}
	for len(b.idle) > idleClasses {
		old := b.idle[0]
		old.idle = false
		if len(old.waiting) == 0 {
			delete(b.classes, old.key)
		}
		b.idle = slices.Delete(b.idle, 0, 1)
	}
}

// rouse has place look at a class.
func (b *board) rouse(c *class) {
	if c.readyAt >= 0 {
		heap.Fix(&b.ready, c.readyAt)
		return
	}
	heap.Push(&b.ready, c)
}

// at finds the place of a node, also of one that the fleet does not have (any more) and that takes nothing.
func (b *board) at(n fleet.NodeName) *place {
	p := b.places[n]
	if p == nil {
		p = &place{name: n, used: map[int]ItemID{}, active: map[*class]int{}, labels: []string{string(n)}}
		b.places[n] = p
		b.match(p)
	}
	return p
}

// setNode brings a node up to date.
func (b *board) setNode(st fleet.Status) {
	p := b.at(st.Node.Name)
	exclusive := st.Node.Mode == fleet.Exclusive
	rematch := p.exclusive != exclusive || !slices.Equal(p.labels, st.Assigned)
	p.labels, p.exclusive, p.executors, p.roundTrip = st.Assigned, exclusive, st.Node.Executors, st.RoundTrip
	online := st.State == fleet.Online
	p.resting = p.resting && (p.taking || !online) // one that has come back has nothing to rest from
	p.taking = online
	if rematch {
		b.match(p)
	}
	b.moved(p, true)
}

// removeNode forgets a node; the slots in use on it are remembered until they are freed.
func (b *board) removeNode(n fleet.NodeName) {
	p := b.places[n]
	if p == nil {
		return
	}
	p.taking, p.executors = false, 0
	b.moved(p, true)
	b.sweep(p)
}

// sweep drops a place that stands for nothing.
func (b *board) sweep(p *place) {
	if p.executors > 0 || p.taking || len(p.used) > 0 {
		return
	}
	for _, c := range b.classes {
		c.leave(p)
	}
	for _, l := range p.limits {
		delete(l.members, p)
	}
	delete(b.places, p.name)
}

// rest has a node take nothing for a while, or ends that.
func (b *board) rest(n fleet.NodeName, on bool) {
	if p := b.places[n]; p != nil && p.resting != on {
		p.resting = on
		b.moved(p, !on)
	}
}

// match finds the classes that admit a place, and the limits that count it.
func (b *board) match(p *place) {
	for _, c := range b.classes {
		if !b.admits(c, p) {
			c.leave(p)
			continue
		}
		c.members[p.name] = p
		if _, active := p.active[c]; !active && len(c.waiting) > 0 {
			p.active[c] = -1
		}
	}
	b.count(p, -len(p.used))
	for _, l := range p.limits {
		delete(l.members, p)
	}
	p.limits = nil
	for _, l := range b.limits {
		if l.expr.Matches(label.In(p.labels)) {
			p.limits = append(p.limits, l)
			l.members[p] = struct{}{}
		}
	}
	b.count(p, len(p.used))
}

// count tells the limits of a place that more or fewer of its slots are in use.
func (b *board) count(p *place, by int) {
	for _, l := range p.limits {
		was := l.full()
		l.used += by
		if l.full() != was {
			for o := range l.members {
				b.moved(o, was)
			}
		}
	}
}

// occupy marks a slot as in use.
func (b *board) occupy(n fleet.NodeName, slot int, by ItemID) {
	p := b.at(n)
	if _, busy := p.used[slot]; !busy {
		b.count(p, 1)
	}
	p.used[slot] = by
	b.moved(p, false)
}

// vacate marks a slot as free if it is in use by this item.
func (b *board) vacate(n fleet.NodeName, slot int, by ItemID) {
	p := b.places[n]
	if p == nil || p.used[slot] != by {
		return
	}
	delete(p.used, slot)
	b.count(p, -1)
	b.moved(p, true)
	b.sweep(p)
}

// moved tells the classes that may use a place whether it has a free slot now. If it may have more than before they are looked at.
func (b *board) moved(p *place, more bool) {
	free := p.free() > 0
	for c := range p.active {
		c.update(p)
		if free && more {
			b.rouse(c)
		}
	}
}

// busy counts the slots in use and the executors of nodes that take work.
func (b *board) busy() (used, executors int) {
	for p := range maps.Values(b.places) {
		used += len(p.used)
		if p.taking {
			executors += p.executors
		}
	}
	return used, executors
}

// ruled is a board of other rules, which takes over all that this one knows. This one is of no use any more.
func (b *board) ruled(r *rules) *board {
	n := b.bare(r)
	n.last, n.times = b.last, b.times
	for _, c := range b.classes {
		for _, w := range c.waiting {
			n.add(w, c.expr, c.key.node)
		}
	}
	return n
}

// clone is a copy to try something on. It shares nothing that changes.
func (b *board) clone() *board {
	n := b.bare(b.rules)
	n.last, n.times, n.length = b.last.clone(), b.times.clone(), b.length
	for _, c := range b.classes {
		if len(c.waiting) == 0 {
			continue
		}
		d := n.class(c.expr, c.key.node, c.job)
		ws := make([]waiter, len(c.waiting))
		d.waiting = make(waitHeap, len(ws))
		for i, w := range c.waiting {
			ws[i] = *w
			ws[i].class, d.waiting[i] = d, &ws[i]
		}
		n.activate(d)
		n.rouse(d)
	}
	return n
}

// bare is a board with the same nodes and slots in use, where nothing waits.
func (b *board) bare(r *rules) *board {
	n := newBoard(r)
	for _, p := range b.places {
		q := &place{name: p.name, labels: p.labels, exclusive: p.exclusive, taking: p.taking, resting: p.resting, executors: p.executors,
			roundTrip: p.roundTrip, used: maps.Clone(p.used), active: map[*class]int{}}
		n.places[q.name] = q
		n.match(q)
	}
	return n
}

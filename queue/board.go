package queue

import (
	"container/heap"
	"maps"
	"slices"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
)

// board is the indexed view that place decides on: which items wait, which slots are free, who may take what.
//
// Items that ask for the same are one class: they have the same label expression and the same pinned node. Nodes are matched to
// classes when either appears, never per item. A class with waiting items keeps its nodes that have a free slot in a heap, and
// the classes that may be placeable stand in a heap by their first item. So an event costs what it touches: it does not grow
// with the number of items times the number of nodes.
type board struct {
	places  map[fleet.NodeName]*place
	classes map[classKey]*class
	idle    []*class // classes that were without items, oldest first; some may have items again
	ready   readyHeap
	last    recent // affinity to the node that last ran it
	length  int    // items that wait
}

func newBoard() *board {
	return &board{places: map[fleet.NodeName]*place{}, classes: map[classKey]*class{}}
}

type classKey struct {
	expr string // canonical
	node fleet.NodeName
}

// class is what all items with one key share.
type class struct {
	key     classKey
	expr    *label.Expr
	members map[fleet.NodeName]*place // whom the key admits, whatever their state
	waiting waitHeap
	free    freeHeap // kept only while items wait
	readyAt int      // index in board.ready; -1 when not there
	idle    bool     // it is in board.idle
}

// admits reports whether items of the class may ever run on p: its labels, its mode and the pin, not its state.
func (c *class) admits(p *place) bool {
	switch {
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
	used      map[int]ItemID // by slot
	version   uint64         // of free(): stale entries of heaps have an older one
	active    map[*class]struct{}
}

// free is how many more items it takes now. More slots than executors may be in use after their number was lowered.
func (p *place) free() int {
	if !p.taking || p.resting {
		return 0
	}
	return max(0, p.executors-len(p.used))
}

// slot is the lowest one that is not in use.
func (p *place) slot() int {
	for i := 0; ; i++ {
		if _, busy := p.used[i]; !busy {
			return i
		}
	}
}

// place decides: it takes the waiting items by priority, then first come; gives each a free slot, on the node that last ran
// its affinity if that has one, else on the least loaded, and of those the first by name; and takes what it gives off the
// board. When it returns, no item waits for a slot that is free. It depends on nothing but the board.
func (b *board) place() []placement {
	var out []placement
	for len(b.ready) > 0 {
		c := b.ready[0]
		p := b.pick(c, c.waiting[0])
		if p == nil {
			heap.Pop(&b.ready)
			continue
		}
		w := heap.Pop(&c.waiting).(*waiter)
		w.class = nil
		b.length--
		b.settle(c) // before anything else compares classes by their first items
		slot := p.slot()
		b.occupy(p.name, slot, w.id)
		b.last.put(w.affinity, p.name)
		out = append(out, placement{w.id, p.name, slot})
	}
	return out
}

type placement struct {
	item ItemID
	node fleet.NodeName
	slot int
}

func (b *board) pick(c *class, w *waiter) *place {
	if last, ok := b.last.get(w.affinity); ok {
		if p := c.members[last]; p != nil && p.free() > 0 {
			return p
		}
	}
	for len(c.free) > 0 {
		if top := c.free[0]; top.version == top.place.version && top.free > 0 && c.members[top.place.name] == top.place {
			return top.place
		}
		heap.Pop(&c.free)
	}
	return nil
}

// add puts an item on the board.
func (b *board) add(w *waiter, expr *label.Expr, pinned fleet.NodeName) {
	c := b.class(expr, pinned)
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
func (b *board) class(expr *label.Expr, pinned fleet.NodeName) *class {
	key := classKey{expr.String(), pinned}
	if c := b.classes[key]; c != nil {
		return c
	}
	c := &class{key: key, expr: expr, members: map[fleet.NodeName]*place{}, readyAt: -1}
	for _, p := range b.places {
		if c.admits(p) {
			c.members[p.name] = p
		}
	}
	b.classes[key] = c
	return c
}

// activate begins to keep the free slots of a class that gets its first item.
func (b *board) activate(c *class) {
	c.free = c.free[:0]
	for _, p := range c.members {
		p.active[c] = struct{}{}
		if n := p.free(); n > 0 {
			c.free = append(c.free, freeSlot{p, n, p.executors, p.version})
		}
	}
	heap.Init(&c.free)
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
		p = &place{name: n, used: map[int]ItemID{}, active: map[*class]struct{}{}, labels: []string{string(n)}}
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
	p.labels, p.exclusive, p.executors = st.Assigned, exclusive, st.Node.Executors
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
		delete(c.members, p.name)
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

// match finds the classes that admit a place.
func (b *board) match(p *place) {
	for _, c := range b.classes {
		if !c.admits(p) {
			delete(c.members, p.name)
			delete(p.active, c)
			continue
		}
		c.members[p.name] = p
		if len(c.waiting) > 0 {
			p.active[c] = struct{}{}
		}
	}
}

// occupy marks a slot as in use.
func (b *board) occupy(n fleet.NodeName, slot int, by ItemID) {
	p := b.at(n)
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
	b.moved(p, true)
	b.sweep(p)
}

// moved tells the classes that may use a place how many free slots it has now. If it may be more than before they are looked at.
func (b *board) moved(p *place, more bool) {
	p.version++
	n := p.free()
	for c := range p.active {
		if n > 0 {
			c.push(freeSlot{p, n, p.executors, p.version})
			if more {
				b.rouse(c)
			}
		}
	}
}

// push adds what a place has free, and throws out what is stale when most is.
func (c *class) push(f freeSlot) {
	if len(c.free) > 2*len(c.members)+16 {
		c.free = slices.DeleteFunc(c.free, func(f freeSlot) bool { return f.version != f.place.version })
		heap.Init(&c.free)
	}
	heap.Push(&c.free, f)
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

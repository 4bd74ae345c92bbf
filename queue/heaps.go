package queue

import "github.com/outwork-build/outwork/fleet"

// waiter is an item on the board.
type waiter struct {
	id       ItemID
	affinity string
	priority int
	seq      uint64 // order of arrival
	class    *class // nil when not on the board
	at       int    // index in class.waiting
}

// before orders by priority, then first come.
func (w *waiter) before(o *waiter) bool {
	if w.priority != o.priority {
		return w.priority > o.priority
	}
	return w.seq < o.seq
}

// waitHeap has the item that is served first on top. Its methods are for container/heap.
type waitHeap []*waiter

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h waitHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *waitHeap) Push(x any) {
	w := x.(*waiter)
	w.at = len(*h)
	*h = append(*h, w)
}

func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}

// freeSlot says what a place had free at a version of it.
type freeSlot struct {
	place     *place
	free      int
	executors int
	version   uint64
}

// freeHeap has the least loaded place on top: the largest part of its executors free, then the first name.
type freeHeap []freeSlot

func (h freeHeap) Len() int { return len(h) }
func (h freeHeap) Less(i, j int) bool {
	if x, y := h[i].free*h[j].executors, h[j].free*h[i].executors; x != y {
		return x > y
	}
	return h[i].place.name < h[j].place.name
}
func (h freeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *freeHeap) Push(x any)   { *h = append(*h, x.(freeSlot)) }
func (h *freeHeap) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = freeSlot{}
	*h = (*h)[:last]
	return f
}

// readyHeap has the class whose first item is served first on top.
type readyHeap []*class

func (h readyHeap) Len() int           { return len(h) }
func (h readyHeap) Less(i, j int) bool { return h[i].waiting[0].before(h[j].waiting[0]) }
func (h readyHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].readyAt, h[j].readyAt = i, j }
func (h *readyHeap) Push(x any) {
	c := x.(*class)
	c.readyAt = len(*h)
	*h = append(*h, c)
}

func (h *readyHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	c.readyAt = -1
	return c
}

const remembered = 10_000 // affinities

// recent remembers the node of the newest affinities: between remembered and twice as many.
type recent struct{ young, old map[string]fleet.NodeName }

func (r *recent) get(affinity string) (fleet.NodeName, bool) {
	if affinity == "" {
		return "", false
	}
	n, ok := r.young[affinity]
	if !ok {
		n, ok = r.old[affinity]
	}
	return n, ok
}

func (r *recent) put(affinity string, n fleet.NodeName) {
	if affinity == "" {
		return
	}
	if len(r.young) >= remembered {
		r.young, r.old = nil, r.young
	}
	if r.young == nil {
		r.young = map[string]fleet.NodeName{}
	}
	r.young[affinity] = n
}

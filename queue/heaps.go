package queue

import "maps"

// waiter is an item on the board.
type waiter struct {
	id       ItemID
	affinity string
	work     string
	job      string
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

const remembered = 10_000 // works, or affinities

// recent remembers something of the newest keys: between remembered and twice as many.
type recent[V any] struct{ young, old map[string]V }

func (r *recent[V]) get(key string) (v V, ok bool) {
	if key == "" {
		return v, false
	}
	if v, ok = r.young[key]; !ok {
		v, ok = r.old[key]
	}
	return v, ok
}

func (r *recent[V]) put(key string, v V) {
	if key == "" {
		return
	}
	if len(r.young) >= remembered {
		r.young, r.old = nil, r.young
	}
	if r.young == nil {
		r.young = map[string]V{}
	}
	r.young[key] = v
}

func (r *recent[V]) clone() recent[V] { return recent[V]{maps.Clone(r.young), maps.Clone(r.old)} }

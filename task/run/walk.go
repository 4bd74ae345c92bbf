package run

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/task/graph"
)

// walk is one build. Its fields belong to the goroutine that walks; the others reply to it.
type walk struct {
	*Builder
	g       *graph.Graph
	pool    *pool
	items   []*item
	queue   []*item // looked up and not found, wait for resources; what most depends on first
	flights map[cas.Digest]*item
	busy    int  // goroutines that will reply
	failed  bool // begin nothing any more
	replies chan func()
	lookups chan struct{} // a token each that may run
}

// item is a node in a build. What stands above mu is set by the walk, before and after the goroutine that works on it runs.
type item struct {
	node    *graph.Node
	waits   int // nodes it requires that have no artifact yet
	height  int // of the longest way from it to a goal
	began   time.Time
	waiting []*item // nodes with the same action, that take what comes of this one
	result  Result

	mu       sync.Mutex // held while its action runs, or runs again because its outputs were lost
	in       graph.Inputs
	action   *graph.Action
	artifact atomicDigest
}

// atomicDigest is read by those who require an item while it may be made again.
type atomicDigest struct {
	mu sync.Mutex
	d  cas.Digest
}

func (a *atomicDigest) get() cas.Digest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.d
}

func (a *atomicDigest) set(d cas.Digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.d = d
}

func newWalk(b *Builder, g *graph.Graph) *walk {
	w := &walk{Builder: b, g: g, pool: newPool(b.cfg), flights: map[cas.Digest]*item{}, replies: make(chan func()), lookups: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	for _, n := range g.Nodes {
		seen := map[*graph.Node]bool{}
		for _, d := range n.Deps {
			seen[d.Node] = true
		}
		w.items = append(w.items, &item{node: n, waits: len(seen), result: Result{ID: n.Task.ID, State: Waiting}})
	}
	for _, it := range slices.Backward(w.items) { // users stand behind what they use
		for _, u := range it.node.Users {
			it.height = max(it.height, w.items[u.Index].height+1)
		}
	}
	return w
}

func (w *walk) results() []Result {
	out := make([]Result, len(w.items))
	for i, it := range w.items {
		out[i] = it.result
	}
	return out
}

// walk goes on until nothing runs any more.
func (w *walk) walk(ctx context.Context) {
	for _, it := range w.items {
		if it.waits == 0 {
			w.lookUp(ctx, it)
		}
	}
	for w.busy > 0 {
		(<-w.replies)()
		w.start(ctx)
	}
	for _, it := range w.items {
		if it.result.State != Waiting {
			continue
		}
		if ctx.Err() != nil {
			w.end(it, Result{State: Canceled})
		} else {
			w.end(it, Result{State: Skipped, Error: "another task failed before it began"})
		}
	}
}

// do runs work beside the walk, and then what it returns in it.
func (w *walk) do(work func() func()) {
	w.busy++
	go func() {
		then := work()
		w.replies <- func() {
			w.busy--
			then()
		}
	}()
}

// lookUp makes an item's action and asks the cache for its result.
func (w *walk) lookUp(ctx context.Context, it *item) {
	if w.failed || ctx.Err() != nil {
		return
	}
	w.do(func() func() {
		w.lookups <- struct{}{}
		defer func() { <-w.lookups }()
		r, err := w.prepare(ctx, it)
		return func() {
			switch {
			case err != nil:
				w.finish(ctx, it, failure(ctx, r, err))
			case r.State == Hit:
				w.finish(ctx, it, r)
			default:
				it.result.Reasons, it.result.Key = r.Reasons, r.Key
				w.enqueue(it)
			}
		}
	})
}

// enqueue lets an item wait for resources, or for the item that has the same action.
func (w *walk) enqueue(it *item) {
	key := it.result.Key
	if it.node.Task.Cacheable {
		if leader := w.flights[key]; leader != nil {
			leader.waiting = append(leader.waiting, it)
			return
		}
		w.flights[key] = it
	}
	at, _ := slices.BinarySearchFunc(w.queue, it, func(a, b *item) int {
		if a.height != b.height {
			return b.height - a.height
		}
		return a.node.Index - b.node.Index
	})
	w.queue = slices.Insert(w.queue, at, it)
}

// start runs those of the queue for which there are resources.
func (w *walk) start(ctx context.Context) {
	if w.failed || ctx.Err() != nil {
		return
	}
	w.queue = slices.DeleteFunc(w.queue, func(it *item) bool {
		if !w.pool.take(it.node.Task) {
			return false
		}
		it.began = time.Now()
		it.result.State = Running
		w.cfg.Events(Event{it.node, it.result})
		w.do(func() func() {
			r, err := w.execute(ctx, it)
			return func() {
				w.pool.give(it.node.Task, 1)
				r.Took, r.Key, r.Reasons = time.Since(it.began), it.result.Key, it.result.Reasons
				if err != nil {
					r = failure(ctx, r, err)
				}
				w.finish(ctx, it, r)
			}
		})
		return true
	})
}

// failure is the result of a task that could not be built.
func failure(ctx context.Context, r Result, err error) Result {
	r.State, r.Error = Failed, err.Error()
	if ctx.Err() != nil {
		r.State, r.Error = Canceled, context.Cause(ctx).Error()
	}
	return r
}

// finish ends an item, and lets those go on who wait for it.
func (w *walk) finish(ctx context.Context, it *item, r Result) {
	w.end(it, r)
	if !r.OK() {
		w.failed = w.failed || r.State == Failed && !w.cfg.KeepGoing
		w.skip(it)
	} else {
		for _, u := range it.node.Users {
			if user := w.items[u.Index]; w.ready(user) {
				w.lookUp(ctx, user)
			}
		}
	}
	waiting := it.waiting
	it.waiting = nil
	if w.flights[it.result.Key] == it {
		delete(w.flights, it.result.Key)
	}
	for _, same := range waiting {
		w.follow(ctx, it, same)
	}
}

// ready counts one of what an item waits for, and reports whether it was the last. A node that lists another twice uses it once.
func (w *walk) ready(it *item) bool {
	it.waits--
	return it.waits == 0 && it.result.State == Waiting
}

// follow gives an item what came of another that had the same action.
func (w *walk) follow(ctx context.Context, leader, it *item) {
	if !leader.result.OK() {
		r := leader.result
		r.ID, r.Merged = it.result.ID, true
		w.finish(ctx, it, r)
		return
	}
	w.do(func() func() {
		r, err := w.adopt(ctx, it)
		return func() {
			r.Merged, r.Where, r.Log, r.Reasons = true, leader.result.Where, leader.result.Log, it.result.Reasons
			if err != nil {
				r = failure(ctx, r, err)
			}
			w.finish(ctx, it, r)
		}
	})
}

// end says what became of an item.
func (w *walk) end(it *item, r Result) {
	r.ID = it.node.Task.ID
	if r.Key == (cas.Digest{}) {
		r.Key = it.result.Key
	}
	it.result = r
	w.cfg.Events(Event{it.node, r})
}

// skip ends all that require an item which has no artifact.
func (w *walk) skip(it *item) {
	for _, u := range it.node.Users {
		user := w.items[u.Index]
		if user.result.State != Waiting {
			continue
		}
		r := Result{State: Skipped, Error: fmt.Sprintf("%s has no artifact", it.node.Task.ID)}
		if it.result.State == Canceled {
			r = Result{State: Canceled}
		}
		w.end(user, r)
		w.skip(user)
	}
}

package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/queue"
)

// farm is a queue and a fleet of machines in memory, that outlive the Runner. A node takes any number of items.
type farm struct {
	mu       sync.Mutex
	cond     *sync.Cond
	nodes    []node
	leases   map[queue.ItemID]*lease
	granted  int // leases ever
	released int
	returned int
	offline  map[fleet.NodeName]bool
	paused   bool                                              // nothing is granted
	wrap     func(fleet.NodeName, agent.Machine) agent.Machine // nil hands the machines out as they are
}

type node struct {
	name   fleet.NodeName
	labels []string
	m      *steptest.Machine
}

type lease struct {
	item      queue.Item
	grant     queue.Grant // Epoch 0 while waiting
	active    bool
	withdrawn bool
	lostHold  bool
	lost      chan struct{}
	after     []*func() // to be called when the item waits no longer
}

// over reports whether the item waits no longer.
func (l *lease) over() bool { return l.active || l.lostHold || l.withdrawn }

// tell calls who wants to hear of the end of the wait. The caller holds mu.
func (l *lease) tell() {
	for _, f := range l.after {
		go (*f)()
	}
	l.after = nil
}

func newFarm() *farm {
	f := &farm{leases: map[queue.ItemID]*lease{}, offline: map[fleet.NodeName]bool{}}
	f.cond = sync.NewCond(&f.mu)
	return f
}

func (f *farm) add(name, root string, labels ...string) *steptest.Machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := steptest.NewMachine(root)
	f.nodes = append(f.nodes, node{fleet.NodeName(name), append(labels, name), m})
	f.place()
	return m
}

// pause has the farm grant nothing, until it is told to go on.
func (f *farm) pause(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = on
	f.place()
}

// place grants what can be granted. The caller holds mu.
func (f *farm) place() {
	for _, l := range f.leases {
		f.placeOne(l)
	}
}

func (f *farm) placeOne(l *lease) {
	if f.paused || l.over() {
		return
	}
	for _, n := range f.nodes {
		if l.item.Label == "" || slices.Contains(n.labels, l.item.Label) {
			l.grant = queue.Grant{Item: l.item.ID, Epoch: l.grant.Epoch + 1, Node: n.name}
			l.active, l.lost = true, make(chan struct{})
			f.granted++
			l.tell()
			f.cond.Broadcast()
			return
		}
	}
}

func (f *farm) Submit(ctx context.Context, it queue.Item) (pipeline.Ticket, error) {
	if ctx.Err() != nil { // as the queue may
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.leases[it.ID]
	switch {
	case l == nil:
		l = &lease{item: it}
		f.leases[it.ID] = l
	case l.lostHold:
		return nil, queue.ErrLost
	case !l.active:
		l.item, l.withdrawn = it, false
	}
	f.placeOne(l)
	return &ticket{f, l}, nil
}

func (f *farm) Return(_ context.Context, g queue.Grant) (pipeline.Ticket, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.leases[g.Item]
	if l == nil || !l.active || l.grant.Epoch != g.Epoch {
		return nil, queue.ErrLost
	}
	l.active = false
	f.returned++
	f.placeOne(l)
	return &ticket{f, l}, nil
}

func (f *farm) Opened(_ context.Context, g queue.Grant) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.leases[g.Item]; l == nil || !l.active || l.grant.Epoch != g.Epoch {
		return fault.New(fault.Stale, "%s epoch %d is not active", g.Item, g.Epoch)
	}
	return nil
}

func (f *farm) Release(_ context.Context, g queue.Grant) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.leases[g.Item]
	if l == nil || !l.active || l.grant.Epoch != g.Epoch {
		return fault.New(fault.Stale, "%s epoch %d is not active", g.Item, g.Epoch)
	}
	l.active, l.withdrawn = false, true
	f.released++
	f.cond.Broadcast()
	return nil
}

func (f *farm) Lost(g queue.Grant) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.leases[g.Item]; l != nil && l.grant.Epoch == g.Epoch {
		return l.lost
	}
	ch := make(chan struct{})
	close(ch)
	return ch
}

func (f *farm) Why(_ context.Context, id queue.ItemID) (queue.Explanation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.leases[id]; l != nil && !l.active {
		return queue.Explanation{Summary: fmt.Sprintf("‘Jenkins’ doesn’t have label ‘%s’", l.item.Label)}, nil
	}
	return queue.Explanation{}, fault.New(fault.NotFound, "no item %s", id)
}

// lose ends every lease of a node as a machine that is gone does, and takes the node away.
func (f *farm) lose(name fleet.NodeName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = slices.DeleteFunc(f.nodes, func(n node) bool { return n.name == name })
	for _, l := range f.leases {
		if l.active && l.grant.Node == name {
			l.active, l.withdrawn, l.lostHold = false, true, l.item.Policy == agent.Hold
			close(l.lost)
			l.tell()
		}
	}
	f.cond.Broadcast()
}

// active lists the items that hold an executor.
func (f *farm) active() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for id, l := range f.leases {
		if l.active {
			out = append(out, string(id))
		}
	}
	return sorted(out)
}

// titles lists what the items are called that have not ended.
func (f *farm) titles() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, l := range f.leases {
		if l.active || !l.withdrawn {
			out = append(out, l.item.Title)
		}
	}
	return sorted(out)
}

func (f *farm) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, l := range f.leases {
		if !l.active && !l.withdrawn {
			n++
		}
	}
	return n
}

func (f *farm) WaitMachine(ctx context.Context, name fleet.NodeName) (agent.Machine, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer context.AfterFunc(ctx, func() { f.mu.Lock(); f.cond.Broadcast(); f.mu.Unlock() })()
	for {
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		for _, n := range f.nodes {
			if n.name == name && f.wrap != nil {
				return f.wrap(name, n.m), 1, nil
			}
			if n.name == name {
				return n.m, 1, nil
			}
		}
		f.cond.Wait()
	}
}

func (f *farm) Node(name fleet.NodeName) (fleet.Status, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		if n.name == name {
			return fleet.Status{Machine: agent.Description{OS: "linux"}, Assigned: n.labels}, true
		}
	}
	return fleet.Status{}, false
}

type ticket struct {
	f *farm
	l *lease
}

func (t *ticket) Wait(ctx context.Context) (queue.Grant, error) {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	defer context.AfterFunc(ctx, func() { t.f.mu.Lock(); t.f.cond.Broadcast(); t.f.mu.Unlock() })()
	for {
		switch {
		case ctx.Err() != nil:
			return queue.Grant{}, ctx.Err()
		case t.l.active:
			return t.l.grant, nil
		case t.l.lostHold:
			return queue.Grant{}, queue.ErrLost
		case t.l.withdrawn:
			return queue.Grant{}, queue.ErrWithdrawn
		}
		t.f.cond.Wait()
	}
}

func (t *ticket) Ready() bool {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	return t.l.over()
}

func (t *ticket) AfterFunc(f func()) (stop func()) {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	if t.l.over() {
		go f()
		return func() {}
	}
	t.l.after = append(t.l.after, &f)
	return func() {
		t.f.mu.Lock()
		defer t.f.mu.Unlock()
		t.l.after = slices.DeleteFunc(t.l.after, func(o *func()) bool { return o == &f })
	}
}

func (t *ticket) Withdraw(context.Context) error {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	if t.l.active {
		return fault.New(fault.Conflict, "%s has been granted", t.l.item.ID)
	}
	t.l.withdrawn = true
	t.l.tell()
	t.f.cond.Broadcast()
	return nil
}

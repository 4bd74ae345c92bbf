package fleet

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

// Roster is the fleet at work: it keeps the nodes of a Store connected and knows their state. All methods may be called
// concurrently. Methods that take a context wait for Run to have loaded the nodes; after Run they fail with fault.Unavailable.
type Roster struct {
	cfg     Config
	keeper  Keeper // nil: no leases
	calls   chan func()
	stopped chan struct{}
	editing chan struct{} // holds one token: whoever has it may change nodes in the Store
	changed signals
	views   atomic.Pointer[[]view] // by name
	metrics *metrics

	idleMu sync.Mutex
	idle   []NodeName    // guarded by idleMu: told by Idle, not yet seen
	idled  chan struct{} // signals idle

	// The rest belongs to the owner goroutine.
	nodes map[NodeName]*entry
	dirty bool // views are older than nodes
	ctx   context.Context
	loops sync.WaitGroup
}

// New returns a roster that does nothing until Run.
func New(cfg Config) (*Roster, error) {
	if cfg.Store == nil || cfg.Connect == nil {
		return nil, fmt.Errorf("fleet: Config.Store and Config.Connect must be set")
	}
	orElse(&cfg.Heartbeat, 10*time.Second)
	orElse(&cfg.ConnectTimeout, 30*time.Second)
	orElse(&cfg.MinBackoff, time.Second)
	orElse(&cfg.MaxBackoff, time.Minute)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Roster{
		cfg: cfg, calls: make(chan func()), stopped: make(chan struct{}), editing: make(chan struct{}, 1), idled: make(chan struct{}, 1), nodes: map[NodeName]*entry{},
	}
	r.views.Store(new([]view))
	var err error
	r.metrics, err = newMetrics(cfg.Registry, r.Snapshot)
	return r, err
}

func orElse(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// Keep makes k the one who is asked about leases. Call it before Run.
func (r *Roster) Keep(k Keeper) { r.keeper = k }

// Run loads the nodes, connects them and works until ctx ends. It returns when all it started has ended: links are closed,
// what runs on the machines runs on.
func (r *Roster) Run(ctx context.Context) error {
	defer close(r.stopped)
	nodes, err := r.cfg.Store.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("load nodes: %w", err)
	}
	loops, cancel := context.WithCancel(ctx)
	defer cancel()
	r.ctx = loops
	for _, n := range nodes {
		if err := r.load(n); err != nil {
			return fmt.Errorf("load node %s: %w", n.Name, err)
		}
	}
	r.publish()
	r.serve(ctx.Done())
	// The loops end now, and say so to their owner.
	ended := make(chan struct{})
	go func() { defer close(ended); r.loops.Wait() }()
	r.serve(ended)
	for _, e := range r.nodes {
		e.log.close()
	}
	return nil
}

// serve is the owner goroutine, until end.
func (r *Roster) serve(end <-chan struct{}) {
	for {
		select {
		case f := <-r.calls:
			f()
		case <-r.idled:
			r.drained()
		case <-end:
			return
		}
		r.publish()
	}
}

// do runs f on the owner goroutine and waits for it.
func (r *Roster) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case r.calls <- func() { f(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stopped:
		return fault.New(fault.Unavailable, "the roster has stopped")
	}
}

// publish hands out new copies if anything has changed.
func (r *Roster) publish() {
	if !r.dirty {
		return
	}
	r.dirty = false
	views := make([]view, 0, len(r.nodes))
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		e := r.nodes[name]
		views = append(views, view{e.status(), e.pulse, e.log})
	}
	r.views.Store(&views)
	r.changed.notify()
}

// Subscribe signals, without content, that a snapshot would read differently (heartbeats alone do not signal).
func (r *Roster) Subscribe() (changed <-chan struct{}, cancel func()) { return r.changed.subscribe() }

// Snapshot returns a copy of every node's status, by name. It never blocks. Slices and maps in it are shared: do not change them.
func (r *Roster) Snapshot() []Status {
	views := *r.views.Load()
	all := make([]Status, len(views))
	for i, v := range views {
		all[i] = v.read()
	}
	return all
}

// Node returns one node's status. It never blocks.
func (r *Roster) Node(n NodeName) (Status, bool) {
	v, ok := r.view(n)
	if !ok {
		return Status{}, false
	}
	return v.read(), true
}

func (r *Roster) view(n NodeName) (view, bool) {
	views := *r.views.Load()
	i, ok := slices.BinarySearchFunc(views, n, func(v view, n NodeName) int { return cmp.Compare(v.status.Node.Name, n) })
	if !ok {
		return view{}, false
	}
	return views[i], true
}

// WaitMachine returns the machine of a node once it is connected, and the number of that session. It waits through
// reconnects until ctx ends. fault.NotFound when there is no such node or it was removed.
func (r *Roster) WaitMachine(ctx context.Context, n NodeName) (agent.Machine, uint64, error) {
	for {
		var (
			conn    Conn
			session uint64
			wake    <-chan struct{}
		)
		err := r.do(ctx, func() {
			if e := r.nodes[n]; e != nil {
				conn, session, wake = e.conn, e.session, e.wake
			}
		})
		switch {
		case err != nil:
			return nil, 0, fmt.Errorf("wait for node %s: %w", n, err)
		case wake == nil:
			return nil, 0, fault.New(fault.NotFound, "node %s: there is no such node", n)
		case conn != nil && !ended(conn):
			return conn.Machine(), session, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("wait for node %s: %w", n, ctx.Err())
		case <-r.stopped:
			return nil, 0, fault.New(fault.Unavailable, "wait for node %s: the roster has stopped", n)
		}
	}
}

func ended(c Conn) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

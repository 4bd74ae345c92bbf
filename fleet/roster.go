package fleet

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/signal"
)

// Roster is the fleet at work: it keeps the nodes of a Store connected and knows their state. All methods may be called
// concurrently. Methods that take a context wait for Run to have loaded the nodes; after Run they fail with fault.Unavailable.
type Roster struct {
	cfg     Config
	keeper  Keeper // nil: no leases
	demand  Demand // nil: no work
	calls   chan call
	loaded  chan struct{}
	stopped chan struct{}
	editing chan struct{} // holds one token: whoever has it may change nodes in the Store
	changed signal.Set
	views   atomic.Pointer[[]*view] // by name; neither the slice nor a view changes once it is here
	metrics *metrics

	idleMu sync.Mutex
	idle   []NodeName    // guarded by idleMu: told by Idle, not yet seen
	idled  chan struct{} // signals idle

	history  history
	kick     chan struct{} // holds a token when tend should look
	retained atomic.Int64  // nodes with a retention, and those that can be woken

	// The rest belongs to the owner goroutine.
	nodes map[NodeName]*entry
	names []NodeName // of nodes, sorted
	dirty bool       // views are older than nodes

	revision uint64 // the newest of any node
	ctx      context.Context
	loops    sync.WaitGroup
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
		cfg: cfg, calls: make(chan call), loaded: make(chan struct{}), stopped: make(chan struct{}), editing: make(chan struct{}, 1), idled: make(chan struct{}, 1), nodes: map[NodeName]*entry{},
	}
	r.kick, r.history.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	r.views.Store(new([]*view))
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

// Loaded is closed when Run knows the nodes of the store: before that the roster looks empty.
func (r *Roster) Loaded() <-chan struct{} { return r.loaded }

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
		last, err := r.cfg.Store.Records(ctx, n.Name, 1)
		if err != nil {
			return fmt.Errorf("load node %s: %w", n.Name, err)
		}
		if err := r.load(n, append(last, Record{})[0]); err != nil {
			return fmt.Errorf("load node %s: %w", n.Name, err)
		}
	}
	r.publish()
	close(r.loaded)
	r.loops.Go(func() { r.tend(loops) })
	r.loops.Go(func() { r.keepHistory(loops) })
	r.serve(ctx.Done())
	// The loops end now, and say so to their owner.
	ended := make(chan struct{})
	go func() { defer close(ended); r.loops.Wait() }()
	r.serve(ended)
	r.lastRecords(ctx)
	for _, e := range r.nodes {
		e.log.close()
	}
	return nil
}

// call is something for the owner goroutine to do. done is closed when its outcome is published.
type call struct {
	f    func()
	done chan struct{}
}

const perTurn = 256 // calls done between two publications

// serve is the owner goroutine, until end.
func (r *Roster) serve(end <-chan struct{}) {
	for {
		var calls []call
		select {
		case c := <-r.calls:
			calls = r.more(append(calls, c))
		case <-r.idled:
			r.drained()
		case <-end:
			return
		}
		r.publish()
		for _, c := range calls {
			close(c.done)
		}
	}
}

// more does a call and those that wait already, so that one publication is for all of them.
func (r *Roster) more(calls []call) []call {
	calls[0].f()
	for len(calls) < perTurn {
		select {
		case c := <-r.calls:
			c.f()
			calls = append(calls, c)
		default:
			return calls
		}
	}
	return calls
}

// do runs f on the owner goroutine and waits for it.
func (r *Roster) do(ctx context.Context, f func()) error {
	c := call{f, make(chan struct{})}
	select {
	case r.calls <- c:
		<-c.done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stopped:
		return fault.New(fault.Unavailable, "the roster has stopped")
	}
}

// publish hands out new copies of what has changed.
func (r *Roster) publish() {
	if !r.dirty {
		return
	}
	r.dirty = false
	views := make([]*view, len(r.names))
	for i, name := range r.names {
		e := r.nodes[name]
		if e.view == nil || e.view.status.Revision != e.revision {
			e.view = &view{e.status(), e.pulse, e.log}
		}
		views[i] = e.view
	}
	r.views.Store(&views)
	r.changed.Notify()
}

// Subscribe signals, without content, that a snapshot would read differently (heartbeats alone do not signal).
func (r *Roster) Subscribe() (changed <-chan struct{}, cancel func()) { return r.changed.Subscribe() }

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

func (r *Roster) view(n NodeName) (*view, bool) {
	views := *r.views.Load()
	i, ok := slices.BinarySearchFunc(views, n, func(v *view, n NodeName) int { return cmp.Compare(v.status.Node.Name, n) })
	if !ok {
		return nil, false
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

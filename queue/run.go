package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/signal"
)

// Queue is the queue at work: a Core with one owner goroutine, a ledger writer, and tickets for those who wait. All methods
// may be called concurrently. They wait for Run to have read the ledger; after Run they fail with fault.Unavailable.
type Queue struct {
	cfg     Config
	calls   chan func()
	results chan []result
	loaded  chan struct{}
	stopped chan struct{}
	start   time.Time // where Instant.Mono counts from
	writer  *writer
	changed signal.Set
	figures atomic.Pointer[figures]
	metrics *metrics

	// The rest belongs to the owner goroutine.
	core    *Core
	tickets map[ItemID][]*Ticket
	losses  map[Grant]chan struct{}
	writes  map[uint64]chan error // who waits for a write, by Write.No
}

// New returns a queue that does nothing until Run. It makes itself the Keeper of its fleet.
func New(cfg Config) (*Queue, error) {
	if cfg.Ledger == nil || cfg.Fleet == nil {
		return nil, errors.New("queue: Config.Ledger and Config.Fleet must be set")
	}
	cfg.setDefaults()
	q := &Queue{
		cfg: cfg, calls: make(chan func()), results: make(chan []result), loaded: make(chan struct{}), stopped: make(chan struct{}), start: time.Now(),
		core: NewCore(cfg.limits()), tickets: map[ItemID][]*Ticket{}, losses: map[Grant]chan struct{}{}, writes: map[uint64]chan error{},
	}
	if err := q.core.SetPolicy(q.now(), cfg.Policy); err != nil {
		return nil, err
	}
	q.writer = newWriter(cfg.Ledger, cfg.Log, func(rs []result) { q.results <- rs })
	q.figures.Store(&figures{})
	var err error
	q.metrics, err = newMetrics(cfg.Registry, func() figures { return *q.figures.Load() })
	cfg.Fleet.Keep(keeper{q})
	return q, err
}

func (cfg *Config) setDefaults() {
	for _, d := range []struct {
		field *time.Duration
		def   time.Duration
	}{
		{&cfg.TTL, 30 * time.Second}, {&cfg.Grace, 15 * time.Second}, {&cfg.HoldWindow, 5 * time.Minute},
		{&cfg.KeepEnded, time.Hour}, {&cfg.Unclaimed, time.Hour}, {&cfg.Rest, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.def
		}
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 100_000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
}

func (cfg Config) limits() Limits {
	return Limits{
		TTL: cfg.TTL, Grace: cfg.Grace, HoldWindow: cfg.HoldWindow, KeepEnded: cfg.KeepEnded, Unclaimed: cfg.Unclaimed, Rest: cfg.Rest,
		MaxWaiting: cfg.MaxWaiting,
	}
}

// now reads both clocks. time.Since counts by the monotonic one.
func (q *Queue) now() Instant { return Instant{Mono: time.Since(q.start), Wall: q.cfg.Now().UTC()} }

const (
	lastWords = 5 * time.Second // how long the ledger may take for what is left at the end
	perTurn   = 256             // calls served between two decisions
)

// Loaded is closed when Run knows what the ledger holds: before that the queue looks empty.
func (q *Queue) Loaded() <-chan struct{} { return q.loaded }

// Run loads the ledger and works until ctx ends. It returns when all it started has ended and what was decided is durable.
func (q *Queue) Run(ctx context.Context) error {
	defer close(q.stopped)
	if err := q.load(ctx); err != nil {
		return err
	}
	close(q.loaded)
	writing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := make(chan struct{})
	var w sync.WaitGroup
	w.Go(func() { q.writer.run(writing, stop) })
	q.serve(ctx)
	close(stop)
	time.AfterFunc(lastWords, cancel)
	q.finish(&w)
	return nil
}

func (q *Queue) load(ctx context.Context) error {
	items, rows, err := q.cfg.Ledger.Load(ctx)
	if err != nil {
		return fmt.Errorf("load the queue: %w", err)
	}
	last, err := q.cfg.Ledger.LastNodes(ctx)
	if err != nil {
		return fmt.Errorf("load the queue: %w", err)
	}
	times, err := q.cfg.Ledger.Times(ctx)
	if err != nil {
		return fmt.Errorf("load the queue: %w", err)
	}
	q.core.Restore(q.now(), items, rows, last)
	q.core.RestoreTimes(times)
	return nil
}

// serve is the owner goroutine.
func (q *Queue) serve(ctx context.Context) {
	changed, cancel := q.cfg.Fleet.Subscribe()
	defer cancel()
	q.core.SetFleet(q.now(), q.cfg.Fleet.Snapshot())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case f := <-q.calls:
			f()
			q.more()
		case rs := <-q.results:
			q.settle(rs)
		case <-changed:
			q.core.SetFleet(q.now(), q.cfg.Fleet.Snapshot())
			q.changed.Notify()
		case <-timer.C:
			q.core.Tick(q.now())
		case <-ctx.Done():
			return
		}
		q.core.Place(q.now())
		q.turn()
		timer.Reset(q.pause())
	}
}

// more serves calls that wait already, so that one decision and one batch for the ledger are for all of them.
func (q *Queue) more() {
	for range perTurn {
		select {
		case f := <-q.calls:
			f()
		default:
			return
		}
	}
}

// finish lets the ledger have what was decided.
func (q *Queue) finish(w *sync.WaitGroup) {
	ended := make(chan struct{})
	go func() { defer close(ended); w.Wait() }()
	for {
		q.turn()
		select {
		case rs := <-q.results:
			q.settle(rs)
		case <-ended:
			return
		}
	}
}

// pause is how long nothing need be looked at. While leases exist the core runs often enough to notice when it was away.
func (q *Queue) pause() time.Duration {
	d := time.Hour
	if at, ok := q.core.Next(); ok {
		d = at - q.now().Mono
	}
	if q.core.Watching() {
		d = min(d, q.cfg.Grace/3)
	}
	return max(d, 0)
}

// turn passes on what the core has decided.
func (q *Queue) turn() {
	writes, events := q.core.Writes(), q.core.Events()
	q.writer.add(writes)
	for _, e := range events {
		q.tell(e)
	}
	f := &figures{}
	f.stats, f.waiting, f.busy, f.executors = q.core.Stats()
	q.figures.Store(f)
	if len(writes) > 0 || len(events) > 0 {
		q.changed.Notify()
	}
}

// settle hears from the ledger.
func (q *Queue) settle(rs []result) {
	now := q.now()
	for _, r := range rs {
		if r.err != nil {
			q.cfg.Log.Warn("the ledger has a newer epoch", "item", r.write.Row.Item, "epoch", r.write.Row.Epoch, "newest", r.newest)
		}
		q.core.Written(now, r.write, r.newest, r.err)
		if ch := q.writes[r.write.No]; ch != nil {
			ch <- r.err
			delete(q.writes, r.write.No)
		}
	}
}

// tell makes an event known to those who wait for it.
func (q *Queue) tell(e Event) {
	g := e.Grant
	switch e.Kind {
	case Granted:
		q.metrics.waited(q.core.since(g.Item, q.now()))
		q.resolve(g.Item, g, nil)
	case Withdrawn:
		q.resolve(g.Item, Grant{}, ErrWithdrawn)
	case Lost:
		q.cfg.Log.Warn("lease lost", "item", g.Item, "epoch", g.Epoch, "node", g.Node)
		if ch := q.losses[g]; ch != nil {
			close(ch)
			delete(q.losses, g)
		}
	case Ended:
		delete(q.losses, g)
	case Idled:
		q.cfg.Fleet.Idle(e.Node)
	}
}

// do runs f on the owner goroutine and waits for it.
func (q *Queue) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case q.calls <- func() { f(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-q.stopped:
		return errStopped()
	}
}

func errStopped() error { return fault.New(fault.Unavailable, "the queue has stopped") }

// keeper is the Queue as the roster sees it.
type keeper struct{ q *Queue }

func (k keeper) Held(ctx context.Context, n fleet.NodeName, _ uint64) (held []agent.Lease, err error) {
	err = k.q.do(ctx, func() { held = k.q.core.Held(k.q.now(), n) })
	return held, err
}

func (k keeper) Renewed(ctx context.Context, r fleet.Renewal) (garbage []agent.Lease) {
	if err := k.q.do(ctx, func() { garbage = k.q.core.Renewed(k.q.now(), r) }); err != nil {
		return nil // the next heartbeat tells again
	}
	return garbage
}

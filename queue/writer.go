package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/internal/fault"
)

// writer keeps a Core's writes in the ledger, in an order that is as good as theirs, and as few transactions as that allows:
// while one batch is being written the next one gathers.
type writer struct {
	ledger  Ledger
	log     *slog.Logger
	written func([]result) // called by Run's goroutine, in order

	mu      sync.Mutex
	pending []Write // guarded by mu
	wake    chan struct{}
}

// result is what became of a Write. newest is the item's newest epoch in the ledger when err is of kind fault.Stale.
type result struct {
	write  Write
	newest uint64
	err    error
}

func newWriter(l Ledger, log *slog.Logger, written func([]result)) *writer {
	return &writer{ledger: l, log: log, written: written, wake: make(chan struct{}, 1)}
}

// add hands writes over. It does not block; what is pending is bounded by the number of items.
func (w *writer) add(ws []Write) {
	if len(ws) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, ws...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) take() []Write {
	w.mu.Lock()
	defer w.mu.Unlock()
	ws := w.pending
	w.pending = nil
	return ws
}

// run writes until stop is closed and all that was added before is written, or until ctx ends.
func (w *writer) run(ctx context.Context, stop <-chan struct{}) {
	for {
		for _, batch := range Batches(w.take()) {
			rs, ok := w.write(ctx, batch)
			if !ok {
				return
			}
			w.written(rs)
		}
		select {
		case <-w.wake:
			continue
		default:
		}
		select {
		case <-w.wake:
		case <-stop:
			select {
			case <-w.wake:
			default:
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// Batches cuts writes into what one call of the ledger each may do. The calls must be made in this order: it is that of each
// item's own writes, and the ends of leases come before new ones, so that the ledger never shows two leases of one slot. The values
// of Op are the order of the calls where the items allow it.
func Batches(ws []Write) [][]Write {
	var (
		out    [][]Write
		stages [TimeOp + 1][]Write
		last   = map[ItemID]Op{}
	)
	flush := func() {
		for op, batch := range stages {
			if len(batch) > 0 {
				out = append(out, batch)
			}
			stages[op] = nil
		}
		clear(last)
	}
	for _, w := range ws {
		if op, ok := last[w.item()]; ok && w.Op < op {
			flush()
		}
		last[w.item()] = w.Op
		stages[w.Op] = append(stages[w.Op], w)
	}
	flush()
	return out
}

func (w Write) item() ItemID {
	if w.Op == SetOp || w.Op == GrantOp {
		return w.Row.Item
	}
	return w.Item.ID
}

// write does one batch, trying again for as long as ctx lives.
func (w *writer) write(ctx context.Context, batch []Write) (rs []result, ok bool) {
	switch batch[0].Op {
	case SetOp:
		return w.set(ctx, batch)
	case GrantOp:
		return w.grant(ctx, batch)
	case DropOp:
		return nil, w.drop(ctx, batch)
	case TimeOp:
		return nil, w.times(ctx, batch)
	}
	for _, p := range batch {
		if !w.try(ctx, "keep item", func() error { return w.ledger.PutItem(ctx, p.Item) }) {
			return nil, false
		}
	}
	return nil, true
}

func (w *writer) set(ctx context.Context, sets []Write) ([]result, bool) {
	stale := map[Grant]bool{}
	ok := w.try(ctx, "end leases", func() error {
		refused, err := w.ledger.SetLease(ctx, rowsOf(sets))
		for _, r := range refused {
			stale[r.Grant] = true
		}
		return err
	})
	rs := make([]result, len(sets))
	for i, s := range sets {
		rs[i].write = s
		if stale[s.Row.Grant] {
			rs[i].err = fault.New(fault.Stale, "lease of %s epoch %d: the ledger has a newer one", s.Row.Item, s.Row.Epoch)
		}
	}
	return rs, ok
}

// grant writes new leases. When the ledger refuses the batch as stale it is compared with what the ledger has: a commit whose
// answer was lost is as good as one that was answered, and one bad lease must not keep the others from being written.
func (w *writer) grant(ctx context.Context, grants []Write) ([]result, bool) {
	var rs []result
	for len(grants) > 0 {
		var refused error
		ok := w.try(ctx, "grant leases", func() error {
			refused = w.ledger.Grant(ctx, rowsOf(grants))
			if fault.Is(refused, fault.Stale) {
				return nil
			}
			return refused
		})
		if !ok {
			return nil, false
		}
		if refused == nil {
			for _, g := range grants {
				rs = append(rs, result{write: g})
			}
			return rs, true
		}
		left, settled, ok := w.compare(ctx, grants, refused)
		if !ok {
			return nil, false
		}
		rs, grants = append(rs, settled...), left
	}
	return rs, true
}

// compare finds those of a refused batch that may still be written, and settles the others.
func (w *writer) compare(ctx context.Context, grants []Write, refused error) (left []Write, settled []result, ok bool) {
	newest := map[ItemID]LeaseRow{}
	ok = w.try(ctx, "read leases", func() error {
		_, rows, err := w.ledger.Load(ctx)
		for _, r := range rows {
			if r.Epoch >= newest[r.Item].Epoch {
				newest[r.Item] = r
			}
		}
		return err
	})
	for _, g := range grants {
		has := newest[g.Row.Item]
		switch {
		case has.Epoch+1 == g.Row.Epoch:
			left = append(left, g)
		case has.Grant == g.Row.Grant:
			settled = append(settled, result{write: g})
		default:
			settled = append(settled, result{write: g, newest: has.Epoch, err: refused})
		}
	}
	if len(left) == len(grants) { // then nothing was wrong: another writer was, or the ledger is
		return left, settled, ok && w.try(ctx, "grant leases", onceFailed(refused))
	}
	return left, settled, ok
}

// onceFailed fails once, so that try pauses.
func onceFailed(err error) func() error {
	return func() error {
		e := err
		err = nil
		return e
	}
}

// drop forgets items, many at once so that the ledger can group them.
func (w *writer) drop(ctx context.Context, drops []Write) bool {
	var g errgroup.Group
	g.SetLimit(64)
	for _, d := range drops {
		g.Go(func() error {
			if !w.try(ctx, "drop item", func() error { return w.ledger.DropItem(ctx, d.Item.ID) }) {
				return errors.New("stopped")
			}
			return nil
		})
	}
	return g.Wait() == nil
}

// times keeps how long work took. It is for better decisions only: what fails is not tried again, so that it holds nothing up.
func (w *writer) times(ctx context.Context, writes []Write) bool {
	all := make([]WorkTimes, len(writes))
	for i, t := range writes {
		all[i] = t.Times
	}
	if err := w.ledger.PutTimes(ctx, all); err != nil {
		w.log.Warn("ledger: how long work took is not kept", "works", len(all), "err", err)
	}
	return ctx.Err() == nil
}

func rowsOf(ws []Write) []LeaseRow {
	rows := make([]LeaseRow, len(ws))
	for i, w := range ws {
		rows[i] = w.Row
	}
	return rows
}

// try does f until it succeeds or ctx ends, with pauses from 20 ms to 5 s. The ledger may be full, locked or away for a while:
// nothing is granted then, and nothing is forgotten.
func (w *writer) try(ctx context.Context, what string, f func() error) bool {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := f()
		if err == nil || fault.Is(err, fault.NotFound) {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		w.log.Warn("ledger: trying again", "what", what, "pause", pause, "err", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false
		}
	}
}

package fleet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

const (
	recordsWaiting = 20_000          // records that may wait for the Store; older ones are lost
	recordsAgain   = 5 * time.Second // between tries of a Store that fails
	recordsLast    = 5 * time.Second // that the Store has at the end
)

// history brings what happens to nodes into the Store, behind the owner's back.
type history struct {
	wake chan struct{} // holds a token when there is something to write

	mu      sync.Mutex
	waiting []Record // guarded by mu: not in the Store yet, oldest first
}

// add keeps a record. It does not block.
func (h *history) add(rec Record) {
	h.mu.Lock()
	h.waiting = append(h.waiting, rec)
	if over := len(h.waiting) - recordsWaiting; over > 0 {
		h.waiting = slices.Delete(h.waiting, 0, over)
	}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// forget drops what waits of a node that is no more.
func (h *history) forget(n NodeName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = slices.DeleteFunc(h.waiting, func(rec Record) bool { return rec.Node == n })
}

// of returns what waits of a node, oldest first.
func (h *history) of(n NodeName) (rs []Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, rec := range h.waiting {
		if rec.Node == n {
			rs = append(rs, rec)
		}
	}
	return rs
}

// flush writes what waits. While it does, the records still wait: whoever reads meanwhile finds them.
func (h *history) flush(ctx context.Context, s Store) error {
	h.mu.Lock()
	batch := slices.Clone(h.waiting)
	h.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if err := s.AddRecords(ctx, batch); err != nil {
		return err
	}
	written := make(map[Record]bool, len(batch))
	for _, rec := range batch {
		written[rec] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = slices.DeleteFunc(h.waiting, func(rec Record) bool { return written[rec] })
	return nil
}

// keepHistory writes records until ctx ends, and then what is left.
func (r *Roster) keepHistory(ctx context.Context) {
	for {
		select {
		case <-r.history.wake:
		case <-ctx.Done():
			return
		}
		for {
			err := r.history.flush(ctx, r.cfg.Store)
			if err == nil || ctx.Err() != nil {
				break
			}
			r.cfg.Log.Warn("the history of nodes waits to be kept", "err", err)
			pause := time.NewTimer(recordsAgain)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
			}
		}
	}
}

// lastRecords writes what is left when all has ended.
func (r *Roster) lastRecords(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordsLast)
	defer cancel()
	if err := r.history.flush(ctx, r.cfg.Store); err != nil {
		r.cfg.Log.Warn("the newest history of nodes is lost", "err", err)
	}
}

// note records what has become of a node, if that is news.
func (r *Roster) note(e *entry) {
	if e.state == Connecting || r.ctx.Err() != nil {
		return
	}
	cause := e.causeNow()
	if cause != nil && cause.Kind == CauseNew {
		return
	}
	rec := Record{Node: e.node.Name, At: time.Now().UTC(), State: e.state, Cause: cause}
	if e.state == Online {
		rec.Cause, e.back = e.back, nil
		if e.noted.State == Online {
			return
		}
	} else if e.noted.State != Online && e.noted.Cause != nil && sameReason(e.noted.Cause, cause) {
		return
	}
	e.noted = rec
	r.history.add(rec)
}

// sameReason reports whether a cause is no news after another: attempts that fail one after another, or the very same.
func sameReason(a, b *OfflineCause) bool {
	return b == nil || a.Kind == b.Kind && (a.Kind == CauseLaunch || a.Text == b.Text && a.By == b.By)
}

// History returns what happened to a node, newest first: RecordsKept at most. fault.NotFound.
func (r *Roster) History(ctx context.Context, n NodeName) ([]Record, error) {
	if _, ok := r.view(n); !ok {
		return nil, fault.New(fault.NotFound, "node %s: there is no such node", n)
	}
	waiting := r.history.of(n) // before the Store is read: what leaves it is there
	kept, err := r.cfg.Store.Records(ctx, n, RecordsKept)
	if err != nil {
		return nil, fmt.Errorf("history of node %s: %w", n, err)
	}
	for _, rec := range waiting {
		same := func(k Record) bool { return k.At.Equal(rec.At) && k.State == rec.State }
		if !slices.ContainsFunc(kept, same) {
			kept = slices.Insert(kept, 0, rec)
		}
	}
	return kept[:min(len(kept), RecordsKept)], nil
}

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/store"
)

// retryLater is how long a write that nobody waits for rests after the disk was full or the file locked.
const retryLater = time.Second

// job is one write.
//
//	queued ──writer──▶ begun ──commit──▶ answered
//	   └──caller's ctx ends──▶ given up
type job struct {
	change func(store.Tx) error // nil only marks a place in the queue
	done   chan error           // of one; nil when nobody waits
	state  atomic.Int32
	err    error // of change
}

const (
	queued int32 = iota
	begun
	givenUp
)

// writer is the one goroutine that writes.
type writer struct {
	cfg  Config
	db   *sql.DB
	st   *statements
	jobs chan *job
	metrics

	mu      sync.RWMutex // guards closed against sends on jobs
	closed  bool
	ended   chan struct{} // closed when the goroutine has ended
	unsaved atomic.Int64  // writes of Later that are not kept yet

	again []*job // owned by the goroutine: writes of Later that the disk had no room for, oldest first
}

func openWriter(ctx context.Context, path string, queries map[string]string, c Config) (*writer, error) {
	db, err := sql.Open("sqlite", dsn(path, c))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	all := map[string]string{"begin": "BEGIN IMMEDIATE", "commit": "COMMIT", "rollback": "ROLLBACK",
		"save": "SAVEPOINT one", "release": "RELEASE one", "undo": "ROLLBACK TO one"}
	for k, v := range queries {
		all[k] = v
	}
	st := newStatements(all)
	if err := st.connect(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	w := &writer{cfg: c, db: db, st: st, jobs: make(chan *job, c.Queue), ended: make(chan struct{})}
	w.metrics = newMetrics(c.Registry, func() float64 { return float64(len(w.jobs)) })
	go w.run()
	return w, nil
}

// send queues a job.
func (w *writer) send(ctx context.Context, j *job) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if j.change != nil && j.done == nil {
		w.unsaved.Add(1)
	}
	select {
	case w.jobs <- j:
		return nil
	case <-ctx.Done():
		if j.change != nil && j.done == nil {
			w.unsaved.Add(-1)
		}
		return context.Cause(ctx)
	}
}

func (w *writer) write(ctx context.Context, change func(store.Tx) error) error {
	j := &job{change: change, done: make(chan error, 1)}
	if err := w.send(ctx, j); err != nil {
		return err
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if j.state.CompareAndSwap(queued, givenUp) {
			return context.Cause(ctx)
		}
		// It has begun: whether it will be kept is known in a moment.
		return <-j.done
	}
}

func (w *writer) later(ctx context.Context, change func(store.Tx) error) error {
	return w.send(ctx, &job{change: change})
}

func (w *writer) settle(ctx context.Context) error {
	if w.unsaved.Load() == 0 {
		return nil
	}
	j := &job{done: make(chan error, 1)}
	if err := w.send(ctx, j); err != nil {
		return err
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *writer) close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.jobs)
	}
	w.mu.Unlock()
	<-w.ended
	return errors.Join(w.st.reset(), w.db.Close())
}

func (w *writer) run() {
	defer close(w.ended)
	for {
		batch, open := w.gather()
		if len(batch) > 0 {
			w.commit(batch)
		}
		if !open {
			if n := len(w.again); n > 0 {
				w.cfg.Logger.Error("ledger closed with writes that the disk had no room for", "writes", n)
			}
			return
		}
	}
}

// gather waits for a write and takes all that wait with it, those that are to be tried again first.
func (w *writer) gather() (batch []*job, open bool) {
	batch, w.again = w.again, nil
	var first *job
	var company <-chan time.Time
	if len(batch) > 0 {
		rest := time.NewTimer(retryLater)
		defer rest.Stop()
		select {
		case first, open = <-w.jobs:
		case <-rest.C:
			return batch, true
		}
	} else {
		first, open = <-w.jobs
	}
	for {
		if !open {
			return batch, false
		}
		batch = append(batch, first)
		if len(batch) >= w.cfg.Batch {
			return batch, true
		}
		select {
		case first, open = <-w.jobs:
			continue
		default:
		}
		if slices.ContainsFunc(batch, awaited) {
			return batch, true
		}
		// Nobody waits for these: the next that somebody waits for takes them with it, in one fsync.
		if company == nil {
			company = time.After(loiter)
		}
		select {
		case first, open = <-w.jobs:
		case <-company:
			return batch, true
		}
	}
}

// loiter is how long writes that nobody waits for stay behind for one that somebody does. What follows such a write, like the
// grant of an item just put, comes well within.
const loiter = 5 * time.Millisecond

func awaited(j *job) bool { return j.done != nil }

// commit runs the batch in one transaction and answers everybody in it.
func (w *writer) commit(batch []*job) {
	start := time.Now()
	err := w.transact(batch)
	w.seconds.Observe(time.Since(start).Seconds())
	w.writes.Observe(float64(len(batch)))
	if err != nil {
		w.failed.Inc()
	}
	for _, j := range batch {
		if j.done == nil {
			w.kept(j, err)
			continue
		}
		if j.state.Load() == givenUp {
			continue
		}
		answer := err
		if answer == nil {
			answer = j.err
		}
		j.done <- kinded(answer)
	}
}

// kept ends a write that nobody waits for, or puts it back.
func (w *writer) kept(j *job, err error) {
	if err != nil && len(w.again) < w.cfg.Queue {
		if k := fault.Of(kinded(err)); k == fault.Exhausted || k == fault.Unavailable {
			w.again = append(w.again, j)
			return
		}
	}
	w.unsaved.Add(-1)
	if err == nil {
		err = j.err
	}
	if err != nil {
		w.cfg.Logger.Error("ledger: a write that nobody waited for was lost", "err", err)
	}
}

// transact returns the error that undid the whole batch; those of single changes are in their jobs.
func (w *writer) transact(batch []*job) error {
	changes := 0
	for _, j := range batch {
		if j.change != nil {
			changes++
		}
	}
	if changes == 0 {
		return nil
	}
	t := &tx{ctx: context.Background(), st: w.st}
	if err := w.begin(t); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	err := w.runAll(t, batch, changes == 1)
	if err == nil {
		if _, err = t.Exec("commit"); err == nil {
			return nil
		}
	}
	// After some errors the transaction has ended by itself; then this fails, and that is well.
	_, undo := t.Exec("rollback")
	switch {
	case !errors.Is(err, errOnly):
		return fmt.Errorf("ledger: %w", err)
	case undo != nil:
		return fmt.Errorf("ledger: undo: %w", undo)
	}
	return nil
}

// begin starts a transaction, if need be on a new connection: one that is broken, or still within an old transaction, is of
// no use.
func (w *writer) begin(t *tx) error {
	if err := w.st.connect(t.ctx, w.db); err != nil {
		return err
	}
	_, err := t.Exec("begin")
	if err == nil || !gone(err) && code(err) != lib.SQLITE_ERROR {
		return err
	}
	w.cfg.Logger.Warn("ledger: the writer's connection is opened again", "err", err)
	_ = w.st.reset() // it is broken anyway
	t.broken = nil
	if err := w.st.connect(t.ctx, w.db); err != nil {
		return err
	}
	_, err = t.Exec("begin")
	return err
}

// errOnly says that the only change of a transaction failed: undoing all is undoing it.
var errOnly = errors.New("the only change failed")

func (w *writer) runAll(t *tx, batch []*job, only bool) error {
	for _, j := range batch {
		if j.change == nil || j.done != nil && !j.state.CompareAndSwap(queued, begun) {
			continue
		}
		j.err = nil
		if !only {
			if _, err := t.Exec("save"); err != nil {
				return err
			}
		}
		j.err = call(j.change, t)
		switch {
		case t.broken != nil:
			return t.broken
		case only && j.err != nil:
			return errOnly
		case only:
			continue
		}
		if j.err != nil {
			if _, err := t.Exec("undo"); err != nil {
				return err
			}
		}
		if _, err := t.Exec("release"); err != nil {
			return err
		}
	}
	return nil
}

// call turns a panic of a change into its error: the others of the batch are not to blame.
func call(change func(store.Tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "panic in a write: %v\n%s", p, debug.Stack())
		}
	}()
	return change(t)
}

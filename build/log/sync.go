package log

import (
	"path"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/internal/fault"
)

// syncer joins syncs that are asked for while one is under way: they wait for the next, which does all of them. The fsyncs of
// one round run side by side, so that the file system can put them into one transaction of its own.
type syncer struct {
	took prometheus.Observer

	mu      sync.Mutex
	running bool
	next    *round
}

type round struct {
	errs map[*Log]error // written before done is closed
	done chan struct{}
}

// parallelSyncs is how many logs are synced side by side.
const parallelSyncs = 8

func (y *syncer) sync(l *Log) error {
	y.mu.Lock()
	if y.next == nil {
		y.next = &round{errs: map[*Log]error{}, done: make(chan struct{})}
	}
	r := y.next
	r.errs[l] = nil
	if !y.running {
		y.running = true
		go y.rounds()
	}
	y.mu.Unlock()
	<-r.done
	return r.errs[l]
}

// rounds runs until nobody asks any more.
func (y *syncer) rounds() {
	for {
		y.mu.Lock()
		r := y.next
		y.next = nil
		if r == nil {
			y.running = false
			y.mu.Unlock()
			return
		}
		y.mu.Unlock()
		start := time.Now()
		r.run()
		y.took.Observe(time.Since(start).Seconds())
	}
}

func (r *round) run() {
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(parallelSyncs)
	logs := make([]*Log, 0, len(r.errs))
	for l := range r.errs {
		logs = append(logs, l)
	}
	for _, l := range logs {
		g.Go(func() error {
			err := l.fsync()
			mu.Lock()
			r.errs[l] = err
			mu.Unlock()
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	close(r.done)
}

// Sync makes all that was written durable. Held bytes stay held.
func (l *Log) Sync() error {
	if l.synced.Load() >= l.records.Load() {
		return nil
	}
	return l.store.syncer.sync(l)
}

func (l *Log) fsync() error {
	l.mu.Lock()
	target, first, failed := l.records.Load(), l.synced.Load() == 0, l.syncFailed
	table := l.tableSize
	newNames := table != l.tableSynced
	l.mu.Unlock()
	if failed != nil {
		return failed
	}
	f, err := l.store.pool.acquire(l)
	if err != nil {
		return err
	}
	defer l.store.pool.release(l)
	var g errgroup.Group
	g.Go(func() error { return datasync(f.log) })
	g.Go(func() error { return datasync(f.index) })
	if newNames {
		g.Go(func() error { return datasync(f.streams) })
	}
	if err := g.Wait(); err != nil {
		return l.failSync(err)
	}
	if first {
		for d := l.dir; ; d = path.Dir(d) {
			if err := syncFolder(l.store.root, d); err != nil {
				return l.wrap("sync folder", err)
			}
			if d == "." {
				break
			}
		}
	}
	l.mu.Lock()
	l.tableSynced = table
	l.mu.Unlock()
	l.synced.Store(target)
	return nil
}

// failSync remembers that a sync failed: the system drops what it could not write, and a second sync would say that all is
// well.
func (l *Log) failSync(err error) error {
	err = l.wrap("sync", err)
	if !fault.Is(err, fault.Exhausted) {
		l.mu.Lock()
		l.syncFailed = err
		l.mu.Unlock()
	}
	return err
}

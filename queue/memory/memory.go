// Package memory is a queue.Ledger without a disk: for tests, for the simulator, and for a farm that lives as long as its process.
//
// Like a disk it tells what is durable from what is not: PutItem is durable only with the next durable write, and Crash forgets
// what is not. Fail makes every write fail. All methods may be called concurrently.
package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

// Ledger keeps items and leases in memory. The zero value is not ready; see New.
type Ledger struct {
	mu     sync.Mutex
	items  map[queue.ItemID]queue.Item     // guarded by mu
	loose  map[queue.ItemID]queue.Item     // guarded by mu: put, not durable
	leases map[queue.ItemID]queue.LeaseRow // guarded by mu: the newest of each item
	last   map[string]fleet.NodeName       // guarded by mu
	times  []queue.WorkTimes               // guarded by mu: the newest last
	err    error                           // guarded by mu: what writes fail with
	writes int                             // guarded by mu: durable ones so far
}

// New returns an empty ledger.
func New() *Ledger {
	return &Ledger{
		items: map[queue.ItemID]queue.Item{}, loose: map[queue.ItemID]queue.Item{},
		leases: map[queue.ItemID]queue.LeaseRow{}, last: map[string]fleet.NodeName{},
	}
}

// Fail makes writes fail with err, until it is called with nil.
func (l *Ledger) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// Crash forgets what is not durable.
func (l *Ledger) Crash() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.loose)
}

// Writes counts the durable writes so far.
func (l *Ledger) Writes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

// PutItem is in queue.Ledger.
func (l *Ledger) PutItem(_ context.Context, it queue.Item) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.loose[it.ID] = it
	return nil
}

// sync makes all durable. mu is held.
func (l *Ledger) sync() {
	maps.Copy(l.items, l.loose)
	clear(l.loose)
	l.writes++
}

// Grant is in queue.Ledger.
func (l *Ledger) Grant(_ context.Context, rows []queue.LeaseRow) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	epochs := map[queue.ItemID]uint64{}
	for _, r := range rows {
		newest := max(l.leases[r.Item].Epoch, epochs[r.Item])
		if r.Epoch != newest+1 {
			return fault.New(fault.Stale, "lease of %s: epoch %d does not follow %d", r.Item, r.Epoch, newest)
		}
		epochs[r.Item] = r.Epoch
	}
	l.sync()
	for _, r := range rows {
		l.leases[r.Item] = r
		if a := l.items[r.Item].Affinity; a != "" {
			l.last[a] = r.Node
		}
	}
	return nil
}

// SetLease is in queue.Ledger.
func (l *Ledger) SetLease(_ context.Context, rows []queue.LeaseRow) (stale []queue.LeaseRow, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	l.sync()
	for _, r := range rows {
		if l.leases[r.Item].Epoch != r.Epoch {
			stale = append(stale, r)
			continue
		}
		l.leases[r.Item] = r
	}
	return stale, nil
}

// DropItem is in queue.Ledger.
func (l *Ledger) DropItem(_ context.Context, id queue.ItemID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.sync()
	delete(l.items, id)
	if s := l.leases[id].State; s == queue.LeaseDone || s == queue.LeaseLost {
		delete(l.leases, id)
	}
	return nil
}

// Load is in queue.Ledger. Items and leases come by id.
func (l *Ledger) Load(context.Context) ([]queue.Item, []queue.LeaseRow, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := maps.Clone(l.items)
	maps.Copy(all, l.loose)
	items := slices.SortedFunc(maps.Values(all), func(a, b queue.Item) int { return cmp.Compare(a.ID, b.ID) })
	rows := slices.SortedFunc(maps.Values(l.leases), func(a, b queue.LeaseRow) int { return cmp.Compare(a.Item, b.Item) })
	return items, rows, nil
}

// LastNodes is in queue.Ledger.
func (l *Ledger) LastNodes(context.Context) (map[string]fleet.NodeName, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.last), nil
}

// PutTimes is in queue.Ledger.
func (l *Ledger) PutTimes(_ context.Context, all []queue.WorkTimes) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	for _, w := range all {
		l.times = slices.DeleteFunc(l.times, func(o queue.WorkTimes) bool { return o.Work == w.Work })
		l.times = append(l.times, w)
	}
	l.times = l.times[max(0, len(l.times)-10_000):]
	return nil
}

// Times is in queue.Ledger.
func (l *Ledger) Times(context.Context) ([]queue.WorkTimes, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.times), nil
}

package queue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/queue/memory"
)

// crowd is the case that Outwork promises to bear (F12): 10,000 waiting items with 50 label expressions, 64 nodes.
type crowd struct {
	q       *queue.Queue
	farm    *farm
	running []queue.Grant
	granted chan queue.Grant
	submits []time.Duration
}

const (
	crowdItems, crowdNodes, crowdExecutors, crowdExprs = 10_000, 64, 4, 50
)

func crowdExpr(i int) string {
	return fmt.Sprintf("zone%d && (linux || !gpu%d) -> arch%d", i%10, i%7, i%5)
}

func newCrowd(tb testing.TB) *crowd {
	tb.Helper()
	c := &crowd{farm: &farm{}, granted: make(chan queue.Grant, 2*crowdItems)}
	q, err := queue.New(queue.Config{Ledger: memory.New(), Fleet: c.farm})
	if err != nil {
		tb.Fatal(err)
	}
	c.q = q
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- q.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	for i := range crowdNodes {
		labels := []string{fmt.Sprintf("zone%d", i%10), fmt.Sprintf("arch%d", i%5), fmt.Sprintf("gpu%d", i%7)}
		if i%2 == 0 {
			labels = append(labels, "linux")
		}
		c.farm.set(online(fleet.NodeName(fmt.Sprintf("node%02d", i)), crowdExecutors, labels...))
	}
	for i := range crowdItems + crowdNodes*crowdExecutors {
		c.submit(tb, i)
	}
	for range crowdNodes * crowdExecutors {
		c.running = append(c.running, <-c.granted)
	}
	return c
}

func (c *crowd) submit(tb testing.TB, i int) {
	it := queue.Item{
		ID: queue.ItemID(fmt.Sprintf("team/app-%d#12/stage.1/node", i)), Label: crowdExpr(i % crowdExprs), Title: fmt.Sprintf("part of team/app-%d#12", i),
		Affinity: fmt.Sprintf("team/app-%d", i%1000), Priority: i % 3,
	}
	start := time.Now()
	t, err := c.q.Submit(context.Background(), it)
	c.submits = append(c.submits, time.Since(start))
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		if g, err := t.Wait(context.Background()); err == nil {
			c.granted <- g
		}
	}()
}

// next frees an executor and waits until another item has got one.
func (c *crowd) next(tb testing.TB) time.Duration {
	i := rand.N(len(c.running))
	start := time.Now()
	if err := c.q.Release(context.Background(), c.running[i]); err != nil {
		tb.Fatal(err)
	}
	c.running[i] = <-c.granted
	return time.Since(start)
}

func percentile(ds []time.Duration, p float64) time.Duration {
	ds = slices.Clone(ds)
	slices.Sort(ds)
	return ds[int(float64(len(ds)-1)*p)]
}

// BenchmarkCrowd reports how long a submission takes beside 10,000 that wait, how long it takes from a freed executor to the next
// durable grant (the ledger is in memory: the cost of a disk comes on top), and what all of it occupies.
func BenchmarkCrowd(b *testing.B) {
	before := heap()
	c := newCrowd(b)
	used := heap() - before
	var places []time.Duration
	c.submits = c.submits[:0]
	n := crowdItems + crowdNodes*crowdExecutors
	for b.Loop() {
		places = append(places, c.next(b))
		c.submit(b, n) // as many wait as before
		n++
	}
	report := func(name string, ds []time.Duration) {
		b.ReportMetric(float64(percentile(ds, 0.5).Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(percentile(ds, 0.99).Microseconds()), name+"-p99-µs")
	}
	report("submit", c.submits)
	report("place", places)
	b.ReportMetric(float64(used)/(1<<20), "MB")
}

// BenchmarkWhy is what somebody who asks costs the owner goroutine.
func BenchmarkWhy(b *testing.B) {
	c := newCrowd(b)
	all := c.q.Snapshot()
	for b.Loop() {
		if _, err := c.q.Why(b.Context(), all[5000].Item.ID); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshot likewise.
func BenchmarkSnapshot(b *testing.B) {
	c := newCrowd(b)
	for b.Loop() {
		if n := len(c.q.Snapshot()); n < crowdItems {
			b.Fatal(n)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestCrowd holds the promise: submit p99 under 50 ms, place p99 under 20 ms, under 300 MB.
func TestCrowd(t *testing.T) {
	before := heap()
	c := newCrowd(t)
	used := heap() - before
	var places []time.Duration
	for range 500 {
		places = append(places, c.next(t))
	}
	submit, place := percentile(c.submits, 0.99), percentile(places, 0.99)
	t.Logf("submit p50 %v p99 %v, place p50 %v p99 %v, %d MB", percentile(c.submits, 0.5), submit, percentile(places, 0.5), place, used>>20)
	if submit > 50*time.Millisecond || place > 20*time.Millisecond || used > 300<<20 {
		t.Errorf("submit p99 %v, place p99 %v, %d MB", submit, place, used>>20)
	}
}

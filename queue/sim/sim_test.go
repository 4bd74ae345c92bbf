package sim

import (
	"errors"
	"flag"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The seeds that TestSeeds runs: go test ./queue/sim -seed 1234 -seeds 1 -v shows one run.
func flags() (seed, seeds *uint64) {
	return flag.Uint64("seed", 1, "first seed of the simulator"), flag.Uint64("seeds", 2000, "how many seeds to run")
}

var firstSeed, seedCount = flags()

func TestSeeds(t *testing.T) {
	var (
		next   atomic.Uint64
		mu     sync.Mutex
		total  Result
		failed []*Failure
		pool   sync.WaitGroup
	)
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		pool.Go(func() {
			for i := next.Add(1) - 1; i < *seedCount; i = next.Add(1) - 1 {
				r, err := Run(*firstSeed+i, Options{})
				mu.Lock()
				total.add(r)
				var f *Failure
				if errors.As(err, &f) {
					failed = append(failed, f)
				}
				stop := len(failed) > 2
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	pool.Wait()
	t.Logf("%d seeds in %v: %+v", *seedCount, time.Since(start).Round(time.Millisecond), total)
	for _, f := range failed {
		t.Errorf("%v\nrun it again: go test ./queue/sim -run TestSeeds -seed %d -seeds 1", f, f.Seed)
	}
	if *seedCount >= 1000 && (total.Lost == 0 || total.Restarts == 0 || total.Deaths == 0 || total.Done < total.Lost) {
		t.Errorf("the days were not bad, or too bad: %+v", total)
	}
}

func (r *Result) add(o Result) {
	r.Events += o.Events
	r.Starts += o.Starts
	r.Done += o.Done
	r.Lost += o.Lost
	r.Restarts += o.Restarts
	r.Deaths += o.Deaths
	r.Partitions += o.Partitions
}

func TestARunIsAFunctionOfItsSeed(t *testing.T) {
	for seed := range uint64(20) {
		one, err1 := Run(seed, Options{})
		two, err2 := Run(seed, Options{})
		if one != two || (err1 == nil) != (err2 == nil) {
			t.Errorf("seed %d gave %+v and %+v", seed, one, two)
		}
	}
}

// TestTheOracleSees breaks the bargain between queue and agents. Then two epochs must overlap in some run, and the oracle must say
// so.
func TestTheOracleSees(t *testing.T) {
	for name, opts := range map[string]Options{
		"a queue that gives leases up before its agents do":    {TTL: time.Second},
		"agents that count from when a late heartbeat arrives": {CountArrival: true},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []string
			for seed := range uint64(5000) {
				_, err := Run(seed, opts)
				var f *Failure
				if errors.As(err, &f) {
					seen = append(seen, f.What)
					if strings.HasPrefix(f.What, "I3") {
						t.Logf("seed %d: %s", seed, f.What)
						return
					}
				}
			}
			slices.Sort(seen)
			t.Errorf("no overlap was seen; seen: %q", slices.Compact(seen))
		})
	}
}

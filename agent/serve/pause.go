package serve

import (
	"context"
	"math/rand/v2"
	"time"
)

// pause is the wait between two attempts: anything up to a bound that doubles (full jitter), so that the agents of a controller
// that comes back do not come all at once. Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
type pause struct {
	min, max time.Duration
	attempt  int
	random   func(n int64) int64 // 0 ≤ result < n
}

func newPause(c Config) *pause {
	return &pause{min: c.MinBackoff, max: c.MaxBackoff, random: rand.Int64N}
}

// settled forgets the failures: the last connection was a good one.
func (p *pause) settled() { p.attempt = 0 }

// greeted forgets all but the last failures: there was a connection, though a short one. A controller that is started again and
// again is not to lose its agents for long; one that shows an agent the door at once is to be left in some peace.
func (p *pause) greeted() { p.attempt = min(p.attempt, afterGreeting) }

// afterGreeting is how many doublings a greeting leaves: up to 4 s of pause by default.
const afterGreeting = 2

// next is how long to wait now. What the server dictates is the least, spread by up to a half more.
func (p *pause) next(dictated time.Duration) time.Duration {
	if dictated > 0 {
		return dictated + time.Duration(p.random(int64(dictated/2)+1))
	}
	bound := p.max
	if p.attempt < 32 && p.min<<p.attempt < p.max && p.min<<p.attempt > 0 {
		bound = p.min << p.attempt
	}
	p.attempt++
	return time.Duration(p.random(int64(bound)))
}

// sleep reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

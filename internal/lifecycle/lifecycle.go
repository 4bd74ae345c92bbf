// Package lifecycle runs the long-lived parts of a process and stops them in the right order.
//
// A part is a function Run(ctx) error that returns when ctx ends and all it started has ended. A Group starts parts in
// the order they were added and stops them in reverse: dependants stop before what they depend on.
package lifecycle

import (
	"context"
	"fmt"
	"sync"
)

// Group is a set of parts. The zero value is ready. Add before Run; a Group runs once.
type Group struct{ parts []part }

type part struct {
	name string
	run  func(context.Context) error
}

// Add registers a part. A part added later may depend on those added before it.
func (g *Group) Add(name string, run func(context.Context) error) {
	g.parts = append(g.parts, part{name, run})
}

// Run starts every part and waits. When ctx ends, or when any part returns, the parts are stopped one by one, last added
// first, each only after the one before it has returned. Run returns the first error that was not caused by the stop.
func (g *Group) Run(ctx context.Context) error {
	type running struct {
		cancel context.CancelFunc
		done   chan struct{}
	}
	var (
		mu    sync.Mutex
		first error
		ended = make(chan struct{})
		once  sync.Once
		runs  = make([]running, len(g.parts))
	)
	base := context.WithoutCancel(ctx)
	for i, p := range g.parts {
		pctx, cancel := context.WithCancel(base)
		runs[i] = running{cancel, make(chan struct{})}
		go func() {
			defer close(runs[i].done)
			err := p.run(pctx)
			if err != nil && pctx.Err() == nil {
				mu.Lock()
				if first == nil {
					first = fmt.Errorf("%s: %w", p.name, err)
				}
				mu.Unlock()
			}
			once.Do(func() { close(ended) })
		}()
	}
	if len(g.parts) > 0 {
		select {
		case <-ctx.Done():
		case <-ended:
		}
	}
	for i := len(runs) - 1; i >= 0; i-- {
		runs[i].cancel()
		<-runs[i].done
	}
	return first
}

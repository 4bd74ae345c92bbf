package fleet

import (
	"context"
	"io"
	"time"
)

// Waker is a Launcher that can wake the machine of an agent that dials, where the node's settings say how.
type Waker interface {
	// Wakes reports whether the node's settings say how its machine is woken.
	Wakes(n Node) bool
	// Wake tries, and returns when that was done, not when the agent is there. log is the node's.
	Wake(ctx context.Context, n Node, log io.Writer) error
}

const (
	wakeAgain    = 5 * time.Minute // between two tries, while work waits
	wakePatience = time.Minute     // for one
)

// waker is who wakes a node's machine; nil where nobody can.
func (r *Roster) waker(n Node) Waker {
	if w, ok := r.cfg.Launchers[n.Launcher.Kind].(Waker); ok && w.Wakes(n) {
		return w
	}
	return nil
}

// wake wakes the machine of a node that work waits for, unless that was tried a moment ago. It returns when to look again.
func (r *Roster) wake(e *entry, w Work) (again time.Time) {
	waker := r.waker(e.node)
	if waker == nil || e.conn != nil || e.node.Down != nil || e.node.Offline != nil || w.WantedSince.IsZero() {
		return time.Time{}
	}
	now := time.Now()
	if at := e.woken.Add(wakeAgain); !e.woken.IsZero() && now.Before(at) {
		return at
	}
	e.woken = now
	n, log := e.node, e.log
	log.printf("Work waits for it: waking its machine")
	r.loops.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, wakePatience)
		defer cancel()
		if err := waker.Wake(ctx, n, log); err != nil && r.ctx.Err() == nil {
			log.printf("Waking its machine failed: %v", err)
		}
	})
	return now.Add(wakeAgain)
}

// watches reports whether the work of a node matters to the roster.
func (r *Roster) watches(e *entry) bool { return e.retention != nil || e.wakes }

// observe counts a node among those that are watched, or not any more.
func (r *Roster) observe(e *entry) {
	before := e.wakes
	e.wakes = r.waker(e.node) != nil
	switch {
	case !before && e.wakes:
		r.retained.Add(1)
	case before && !e.wakes:
		r.retained.Add(-1)
	}
}

package queue

import (
	"context"
	"fmt"

	"github.com/outwork-build/outwork/internal/fault"
)

// quiet is the state in which nothing is given out: items wait, what runs runs on.
type quiet struct {
	on     bool
	reason string // "" when none was given
}

// Quiet begins to give out nothing, or goes on with it. It is not kept over a restart.
func (c *Core) Quiet(on bool, reason string) {
	c.quiet = quiet{on, reason}
	if !on {
		c.quiet.reason = ""
	}
}

// why is the summary of every item that waits then.
func (q quiet) why() string {
	if q.reason != "" {
		return fmt.Sprintf("The controller is in quiet mode (%s): nothing new is started", q.reason)
	}
	return "The controller is in quiet mode: nothing new is started"
}

// Quiet begins to give out no executors, with a reason for people, or ends that. Items wait in their places, what runs runs on. A
// restart of the controller ends it.
func (q *Queue) Quiet(ctx context.Context, on bool, reason string) error {
	return q.do(ctx, func() {
		q.core.Quiet(on, reason)
		q.changed.Notify()
	})
}

// Quieted reports whether the queue gives out nothing, and why. The reason may be empty.
func (q *Queue) Quieted() (reason string, on bool) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), lastWords, fault.New(fault.Unavailable, "the queue does not run"))
	defer cancel()
	_ = q.do(ctx, func() { reason, on = q.core.quiet.reason, q.core.quiet.on })
	return reason, on
}

// Package pipeline is one run of a Jenkinsfile, from its acceptance to its result, and the set of all runs.
//
// A Runner accepts builds, holds those that a limit keeps back, evaluates the others and resumes what was unfinished when
// the controller stopped. It is the step.Run and the step.Nodes behind the steps. What a Jenkinsfile means is left to the
// folders below: jenkinsfile reads it, interp and declarative evaluate it, step does its work. Records are build's, executors
// are queue's, output is build/log's. A Runner's methods may be called concurrently.
package pipeline

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/queue"
)

// Config says what a Runner stands on. All of the first block must be set.
type Config struct {
	Builds  build.Store
	Details build.Details
	Store   Store
	Logs    *log.Store
	Queue   Queue // see QueueOf
	Fleet   Fleet // a *fleet.Roster
	Steps   []step.Step
	// Symbols are the data makers that stand as arguments of steps; see interp.Config.
	Symbols map[string]string

	LeaseTTL   time.Duration         // of the leases opened on machines: queue.Config.TTL, which counts on it; 0 is 30 s
	URL        string                // of the controller, for BUILD_URL; "" when it has none
	MaxRunning int                   // pipelines at once that do something, the other builds stay queued; those that only wait do not count; 0 is 2,000
	MaxLoading int                   // pipelines at once that evaluate what stands before their first wait, which takes milliseconds; 0 is 8
	Quiet      time.Duration         // after which a pipeline that only waits leaves memory; 0 is 30 s
	MaxQuiet   int                   // threads of such pipelines in memory, above which they leave at once; 0 is 500, negative none
	Now        func() time.Time      // nil is time.Now
	Log        *slog.Logger          // nil discards
	Registry   prometheus.Registerer // nil keeps no metrics
}

func (c *Config) limits() {
	if c.MaxRunning == 0 {
		c.MaxRunning = 2000
	}
	if c.MaxLoading == 0 {
		c.MaxLoading = 8
	}
	if c.Quiet == 0 {
		c.Quiet = 30 * time.Second
	}
	if c.MaxQuiet == 0 {
		c.MaxQuiet = 500
	}
	c.MaxQuiet = max(c.MaxQuiet, 0)
}

// Queue is what a Runner needs of the queue; *queue.Queue has the meaning of each call.
type Queue interface {
	Submit(ctx context.Context, it queue.Item) (Ticket, error)
	Return(ctx context.Context, g queue.Grant) (Ticket, error)
	Opened(ctx context.Context, g queue.Grant) error
	Release(ctx context.Context, g queue.Grant) error
	Lost(g queue.Grant) <-chan struct{}
	Why(ctx context.Context, id queue.ItemID) (queue.Explanation, error)
}

// Ticket is a *queue.Ticket.
type Ticket interface {
	Wait(ctx context.Context) (queue.Grant, error)
	Withdraw(ctx context.Context) error
	Ready() bool
	AfterFunc(f func()) (stop func())
}

// Fleet is what a Runner needs of the roster; *fleet.Roster has the meaning of each call.
type Fleet interface {
	WaitMachine(ctx context.Context, n fleet.NodeName) (agent.Machine, uint64, error)
	Node(n fleet.NodeName) (fleet.Status, bool)
}

// QueueOf makes a queue fit Config.Queue.
func QueueOf(q *queue.Queue) Queue { return ticketed{q} }

type ticketed struct{ *queue.Queue }

func (q ticketed) Submit(ctx context.Context, it queue.Item) (Ticket, error) {
	t, err := q.Queue.Submit(ctx, it)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (q ticketed) Return(ctx context.Context, g queue.Grant) (Ticket, error) {
	t, err := q.Queue.Return(ctx, g)
	if err != nil {
		return nil, err
	}
	return t, nil
}

package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

// gate is the machine as the controller sees it: when the agent is to end, it takes no new leases and says when the last is
// closed.
type gate struct {
	agent.Machine

	mu      sync.Mutex
	closing bool          // guarded by mu
	opening int           // Open calls under way; guarded by mu
	closed  chan struct{} // has a token after each Close and each Open under way
	beats   chan struct{} // gets one for each heartbeat, once count was called; guarded by mu
}

func newGate(m agent.Machine) *gate { return &gate{Machine: m, closed: make(chan struct{}, 1)} }

// Open refuses while the agent is ending. A lease that is open already is not opened again, but its caller finds it after the
// agent's restart.
func (g *gate) Open(ctx context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		return agent.Workspace{}, fault.New(fault.Unavailable, "the agent is ending and takes no new work")
	}
	g.opening++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.opening--
		g.mu.Unlock()
		g.tell()
	}()
	return g.Machine.Open(ctx, r)
}

// Close passes on, and wakes who waits for the last lease.
func (g *gate) Close(ctx context.Context, l agent.Lease) error {
	defer g.tell()
	return g.Machine.Close(ctx, l)
}

// SyncTools passes on.
func (g *gate) SyncTools(ctx context.Context, r agent.ToolsRequest) (agent.ToolsSynced, error) {
	keeper, ok := g.Machine.(agent.Toolkeeper)
	if !ok {
		return agent.ToolsSynced{}, fault.New(fault.Incompatible, "this machine keeps no tools")
	}
	return keeper.SyncTools(ctx, r)
}

// count returns a channel that gets something for each of the controller's heartbeats from now on.
func (g *gate) count() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.beats = make(chan struct{}, 2)
	return g.beats
}

// Renew passes on, and tells who counts.
func (g *gate) Renew(ctx context.Context, held []agent.Lease, answered agent.Heard) ([]agent.Lease, agent.Heard, agent.Vitals, error) {
	open, heard, feels, err := g.Machine.Renew(ctx, held, answered)
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case g.beats <- struct{}{}:
	default: // nobody counts, or enough were counted
	}
	return open, heard, feels, err
}

func (g *gate) tell() {
	select {
	case g.closed <- struct{}{}:
	default:
	}
}

// noticeLimit is how long telling the controller may take: one that does not answer does not keep the agent open for work.
const noticeLimit = 2 * time.Second

// drain tells the controller that the agent leaves, waits until no lease is open, the connection is lost, or limit has passed, and
// reports whether it saw the last lease closed. With a limit of 0 or less it only shuts the gate: the agent is gone at once.
func (g *gate) drain(limit time.Duration, leave func(context.Context, time.Duration) error, lost <-chan struct{}, log *slog.Logger) bool {
	if limit <= 0 {
		g.shut()
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// The notice comes first, so that what the queue has placed meanwhile is taken rather than handed back.
	notice, done := context.WithTimeout(ctx, noticeLimit)
	err := leave(notice, limit)
	done()
	g.shut()
	if err != nil {
		log.Warn("the controller does not know that this agent drains: it may go on offering work, which is refused", "error", err)
	}
	log.Info("draining: no new work is taken", "limit", limit)
	for g.busy(ctx, log) {
		select {
		case <-g.closed:
		case <-lost:
			return false
		case <-ctx.Done():
			log.Warn("ending although leases are open", "waited", limit)
			return false
		}
	}
	return true
}

// shutIdle shuts the gate if no lease is open, and reports whether.
func (g *gate) shutIdle(ctx context.Context, log *slog.Logger) bool {
	if g.busy(ctx, log) {
		return false
	}
	g.shut()
	if !g.busy(ctx, log) {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = false
	return false
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
}

// busy asks without renewing anything.
func (g *gate) busy(ctx context.Context, log *slog.Logger) bool {
	g.mu.Lock()
	opening := g.opening
	g.mu.Unlock()
	open, _, _, err := g.Machine.Renew(ctx, nil, 0)
	if err != nil {
		log.Warn("cannot tell which leases are open", "error", err)
		return false
	}
	return opening+len(open) > 0
}

// goodOrder: a peer that closed has not failed.
func goodOrder(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

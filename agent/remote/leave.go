package remote

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

// roster is what the controller hears from the agent of one connection.
type roster struct {
	agentpb.UnimplementedRosterServer
	once sync.Once
	left chan struct{} // closed by the first Leave
}

func newRoster() *roster { return &roster{left: make(chan struct{})} }

// register adds the service to the others that an agent may call.
func (r *roster) register(others func(grpc.ServiceRegistrar)) func(grpc.ServiceRegistrar) {
	return func(to grpc.ServiceRegistrar) {
		agentpb.RegisterRosterServer(to, r)
		if others != nil {
			others(to)
		}
	}
}

func (r *roster) Leave(_ context.Context, m *agentpb.LeaveRequest) (*agentpb.LeaveResponse, error) {
	if ms := m.GetLimitMs(); ms < 0 || ms > maxDuration.Milliseconds() {
		return nil, fault.New(fault.Invalid, "limit_ms %d: expected 0 to %d", ms, maxDuration.Milliseconds())
	}
	r.once.Do(func() { close(r.left) })
	return &agentpb.LeaveResponse{}, nil
}

// Leaving is closed when the agent has said that it takes no new leases and goes when its last one is closed.
func (c *Conn) Leaving() <-chan struct{} { return c.leaving }

// Leave tells the controller that this side takes no new leases and closes the connection when the last one is closed, or limit has
// passed. A controller that is older than this call fails it with fault.Internal; nothing is lost then but the notice.
func (s *Served) Leave(ctx context.Context, limit time.Duration) error {
	_, err := agentpb.NewRosterClient(s.peer.Conn()).Leave(ctx, &agentpb.LeaveRequest{LimitMs: min(limit, maxDuration).Milliseconds()})
	if err != nil {
		return fmt.Errorf("say that this agent leaves: %w", err)
	}
	return nil
}

package rpc

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/internal/fault"
)

// calls counts the handlers that run, gives their errors a kind and catches their panics.
type calls struct {
	log *slog.Logger

	mu   sync.Mutex
	live int           // guarded by mu
	idle chan struct{} // closed when live falls to 0 while somebody waits; guarded by mu
}

func (c *calls) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live++
}

func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live--
	if c.live == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// wait waits for all handlers, at most d, and returns how many are left. Nothing begins any more when it is called.
func (c *calls) wait(d time.Duration) int {
	c.mu.Lock()
	if c.live == 0 {
		c.mu.Unlock()
		return 0
	}
	idle := make(chan struct{})
	c.idle = idle
	c.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live
}

func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
	c.begin()
	defer c.end()
	defer func() {
		err = ToStatus(c.recovered(recover(), info.FullMethod, err))
	}()
	return h(ctx, req)
}

func (c *calls) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	c.begin()
	defer c.end()
	defer func() {
		err = ToStatus(c.recovered(recover(), info.FullMethod, err))
	}()
	return h(srv, ss)
}

// recovered turns a panic into an error that tells the far side nothing of this side's insides.
func (c *calls) recovered(p any, method string, err error) error {
	if p == nil {
		return err
	}
	c.log.Error("handler panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
	return fault.New(fault.Internal, "%s failed: its log says why", method)
}

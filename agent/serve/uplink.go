package serve

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/wire/rpc"
)

// uplink is the way to the controller's services. The machine outlives each connection, so it holds this instead of one: calls
// go over the present connection and fail with fault.Unavailable between two.
type uplink struct {
	mu   sync.Mutex
	conn grpc.ClientConnInterface // nil between connections; guarded by mu
}

func (u *uplink) set(c grpc.ClientConnInterface) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conn = c
}

func (u *uplink) get() (grpc.ClientConnInterface, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn == nil {
		return nil, rpc.FromStatus(status.Error(codes.Unavailable, "no connection to the controller"))
	}
	return u.conn, nil
}

// Invoke implements grpc.ClientConnInterface.
func (u *uplink) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	c, err := u.get()
	if err != nil {
		return err
	}
	return c.Invoke(ctx, method, args, reply, opts...)
}

// NewStream implements grpc.ClientConnInterface.
func (u *uplink) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	c, err := u.get()
	if err != nil {
		return nil, err
	}
	return c.NewStream(ctx, desc, method, opts...)
}

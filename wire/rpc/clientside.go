package rpc

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire/mux"
)

// client gives the errors of outgoing calls their kind.
type client struct{ session *mux.Session }

func (c client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return c.translate(ctx, call(ctx, method, req, reply, cc, opts...))
}

func (c client) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, c.translate(ctx, err)
	}
	return &clientStream{s, c, ctx}, nil
}

// translate also recognises a lost link: gRPC calls it by several names.
func (c client) translate(ctx context.Context, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if ctx.Err() == nil && c.lost(err) {
		if why := c.session.Err(); why != nil {
			// Not wrapped: the end of the connection is an io.EOF too, and must not pass for the end of a stream that is whole.
			return fault.New(fault.Unavailable, "connection lost: %v", why)
		}
		return fault.New(fault.Unavailable, "connection lost: %w", FromStatus(err))
	}
	return FromStatus(err)
}

func (c client) lost(err error) bool {
	select {
	case <-c.session.Done():
	default:
		return false
	}
	switch status.Code(err) {
	case codes.Canceled, codes.Unavailable, codes.Unknown, codes.Internal:
		return true
	}
	return false
}

// clientStream asks the caller's context, not its own, whether the caller gave up: its own ends with the connection too.
type clientStream struct {
	grpc.ClientStream
	c      client
	caller context.Context
}

func (s *clientStream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	return md, s.c.translate(s.caller, err)
}

func (s *clientStream) CloseSend() error {
	return s.c.translate(s.caller, s.ClientStream.CloseSend())
}

func (s *clientStream) SendMsg(m any) error {
	return s.c.translate(s.caller, s.ClientStream.SendMsg(m))
}

func (s *clientStream) RecvMsg(m any) error {
	return s.c.translate(s.caller, s.ClientStream.RecvMsg(m))
}

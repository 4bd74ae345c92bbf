package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire/mux"
	"github.com/outwork-build/outwork/wire/rpc"
	"github.com/outwork-build/outwork/wire/stdio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service does what a test tells it.
type service struct {
	agentpb.UnimplementedMachineServer
	unary  func(ctx context.Context) error
	stream func(agentpb.Machine_FollowServer) error
}

func (s *service) Describe(ctx context.Context, _ *agentpb.DescribeRequest) (*agentpb.Description, error) {
	if s.unary == nil {
		return &agentpb.Description{Hostname: "h"}, nil
	}
	return &agentpb.Description{}, s.unary(ctx)
}

func (s *service) WriteFile(stream agentpb.Machine_WriteFileServer) error {
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return stream.SendAndClose(&agentpb.WriteFileResponse{})
		} else if err != nil {
			return err
		}
	}
}

func (s *service) Follow(_ *agentpb.FollowRequest, stream agentpb.Machine_FollowServer) error {
	return s.stream(stream)
}

func peers(t testing.TB, near, far *service, log *slog.Logger) (*rpc.Peer, *rpc.Peer) {
	a, b, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, d, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	n, err := mux.Dialer(stdio.New(a, d, "far"), mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := mux.Listener(stdio.New(c, b, "near"), mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	config := func(s *service) rpc.Config {
		return rpc.Config{Logger: log, Register: func(r grpc.ServiceRegistrar) {
			if s != nil {
				agentpb.RegisterMachineServer(r, s)
			}
		}}
	}
	np, err := rpc.New(n, config(near))
	if err != nil {
		t.Fatal(err)
	}
	fp, err := rpc.New(f, config(far))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { np.Close(); fp.Close() })
	return np, fp
}

func machine(p *rpc.Peer) agentpb.MachineClient { return agentpb.NewMachineClient(p.Conn()) }

func TestBothDirections(t *testing.T) {
	near, far := peers(t, &service{}, &service{}, nil)
	var all sync.WaitGroup
	for _, p := range []*rpc.Peer{near, far} {
		for range 50 {
			all.Go(func() {
				if d, err := machine(p).Describe(t.Context(), &agentpb.DescribeRequest{}); err != nil || d.GetHostname() != "h" {
					t.Errorf("%v, %v", d, err)
				}
			})
		}
	}
	all.Wait()
}

var kinds = []fault.Kind{fault.Internal, fault.Invalid, fault.NotFound, fault.Conflict, fault.Stale, fault.Unauthenticated,
	fault.Denied, fault.Unavailable, fault.Exhausted, fault.Incompatible, fault.Canceled}

func TestKindsSurviveTheWire(t *testing.T) {
	if kinds[len(kinds)-1].String() == "" || !strings.HasPrefix((kinds[len(kinds)-1]+1).String(), "kind(") {
		t.Fatal("the list of kinds is not complete")
	}
	far := &service{}
	near, _ := peers(t, nil, far, nil)
	for _, k := range kinds {
		far.unary = func(context.Context) error { return fmt.Errorf("outer: %w", fault.New(k, "it is %s", k)) }
		far.stream = func(s agentpb.Machine_FollowServer) error { return far.unary(s.Context()) }
		_, err := machine(near).Describe(t.Context(), &agentpb.DescribeRequest{})
		check(t, k, err)
		s, err := machine(near).Follow(t.Context(), &agentpb.FollowRequest{})
		if err == nil {
			_, err = s.Recv()
		}
		check(t, k, err)
	}
}

func check(t *testing.T, k fault.Kind, err error) {
	t.Helper()
	if !fault.Is(err, k) || err.Error() != "outer: it is "+k.String() {
		t.Errorf("%v came as %v: %v", k, fault.Of(err), err)
	}
	if status.Code(err) != rpc.Code(k) {
		t.Errorf("%v: code %v", k, status.Code(err))
	}
}

func TestForeignStatuses(t *testing.T) {
	far := &service{unary: func(context.Context) error { return status.Error(codes.NotFound, "no such blob") }}
	near, _ := peers(t, nil, far, nil)
	_, err := machine(near).Describe(t.Context(), &agentpb.DescribeRequest{})
	if status.Code(err) != codes.NotFound || !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	_, err = machine(near).Stat(t.Context(), &agentpb.StatRequest{})
	if !fault.Is(err, fault.Incompatible) {
		t.Errorf("a method the far side does not have: %v (%v)", err, fault.Of(err))
	}
}

func TestEveryCodeComesBack(t *testing.T) {
	for c := codes.Code(1); c <= 16; c++ {
		err := rpc.FromStatus(status.Error(c, "text"))
		if err == nil || err.Error() != "text" || status.Code(err) != c {
			t.Errorf("%v: %v", c, err)
		}
	}
	for _, k := range kinds {
		if got := fault.Of(rpc.FromStatus(status.Error(rpc.Code(k), "x"))); got != k {
			t.Errorf("%v came back as %v", k, got)
		}
	}
	if rpc.ToStatus(nil) != nil || rpc.FromStatus(nil) != nil {
		t.Error("nil did not stay nil")
	}
	long := rpc.ToStatus(errors.New(strings.Repeat("x", 1<<20)))
	if n := len(long.Error()); n > 8<<10 {
		t.Errorf("an error of %d bytes would travel in headers", n)
	}
}

func TestPanicFailsItsCallAlone(t *testing.T) {
	var log bytes.Buffer
	far := &service{unary: func(context.Context) error { panic("secret inside") }}
	near, _ := peers(t, nil, far, slog.New(slog.NewTextHandler(&log, nil)))
	_, err := machine(near).Describe(t.Context(), &agentpb.DescribeRequest{})
	if !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	far.unary = nil
	if _, err := machine(near).Describe(t.Context(), &agentpb.DescribeRequest{}); err != nil {
		t.Errorf("after the panic: %v", err)
	}
	near.Close()
	if !strings.Contains(log.String(), "secret inside") {
		t.Errorf("the log does not tell the panic: %s", log.String())
	}
}

func TestMessageLimit(t *testing.T) {
	near, _ := peers(t, nil, &service{}, nil)
	for _, c := range []struct {
		size int
		ok   bool
	}{{rpc.MaxMessage - 100, true}, {rpc.MaxMessage + 1, false}} {
		s, err := machine(near).WriteFile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = s.Send(&agentpb.WriteFileRequest{Part: &agentpb.WriteFileRequest_Data{Data: make([]byte, c.size)}})
		if err == nil {
			_, err = s.CloseAndRecv()
		}
		if c.ok != (err == nil) || (err != nil && !fault.Is(err, fault.Exhausted)) {
			t.Errorf("%d bytes: %v (%v)", c.size, err, fault.Of(err))
		}
	}
}

// A caller's own end is not mistaken for the far side's.
func TestContextOfTheCaller(t *testing.T) {
	entered := make(chan struct{}, 1)
	far := &service{unary: func(ctx context.Context) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	near, _ := peers(t, nil, far, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	_, err := machine(near).Describe(ctx, &agentpb.DescribeRequest{})
	if !fault.Is(err, fault.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v (%v)", err, fault.Of(err))
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = machine(near).Describe(ctx, &agentpb.DescribeRequest{})
	if !fault.Is(err, fault.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v (%v)", err, fault.Of(err))
	}
}

// When the link goes, calls under way and later ones fail at once, whoever closed it.
func TestLostLink(t *testing.T) {
	for _, closer := range []string{"near", "far"} {
		t.Run(closer, func(t *testing.T) {
			entered := make(chan struct{}, 2)
			far := &service{unary: func(ctx context.Context) error {
				entered <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}}
			far.stream = func(s agentpb.Machine_FollowServer) error { return far.unary(s.Context()) }
			near, other := peers(t, nil, far, nil)
			errs := make(chan error, 2)
			go func() {
				_, err := machine(near).Describe(t.Context(), &agentpb.DescribeRequest{})
				errs <- err
			}()
			go func() {
				s, err := machine(near).Follow(t.Context(), &agentpb.FollowRequest{})
				if err == nil {
					_, err = s.Recv()
				}
				errs <- err
			}()
			<-entered
			<-entered
			if closer == "near" {
				near.Session().Close()
			} else {
				other.Close()
			}
			for range 2 {
				if err := <-errs; !fault.Is(err, fault.Unavailable) {
					t.Errorf("under way: %v (%v)", err, fault.Of(err))
				}
			}
			<-near.Done()
			start := time.Now()
			if _, err := machine(near).Describe(t.Context(), &agentpb.DescribeRequest{}); !fault.Is(err, fault.Unavailable) {
				t.Errorf("later: %v (%v)", err, fault.Of(err))
			}
			near.Close()
			if _, err := machine(near).Describe(t.Context(), &agentpb.DescribeRequest{}); !fault.Is(err, fault.Unavailable) {
				t.Errorf("after Close: %v (%v)", err, fault.Of(err))
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("calls on a lost link took %v", d)
			}
		})
	}
}

// A handler that does not listen to its context must not hold up Close for ever.
func TestCloseDoesNotWaitForAStuckHandler(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var log bytes.Buffer
	far := &service{unary: func(context.Context) error { close(entered); <-release; return nil }}
	near, other := peers(t, nil, far, slog.New(slog.NewTextHandler(&log, nil)))
	go machine(near).Describe(t.Context(), &agentpb.DescribeRequest{})
	<-entered
	other.Close()
	if !strings.Contains(log.String(), "did not end") {
		t.Errorf("log: %s", log.String())
	}
	close(release)
}

func TestStartAndStop(t *testing.T) {
	for range 300 {
		near, far := peers(t, &service{}, &service{}, nil)
		if _, err := machine(near).Describe(t.Context(), &agentpb.DescribeRequest{}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() { near.Close() })
		all.Go(func() { far.Close() })
		all.Go(func() { near.Close() })
		all.Wait()
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	near, _ := peers(b, nil, &service{}, nil)
	m := machine(near)
	for b.Loop() {
		if _, err := m.Describe(b.Context(), &agentpb.DescribeRequest{}); err != nil {
			b.Fatal(err)
		}
	}
}

// The far side closes the connection in good order while it answers: that is no end of the answer.
func TestTheEndOfTheConnectionIsNoEndOfAStream(t *testing.T) {
	far := &service{stream: func(s agentpb.Machine_FollowServer) error {
		if err := s.SendHeader(nil); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}}
	near, fp := peers(t, nil, far, nil)
	s, err := machine(near).Follow(t.Context(), &agentpb.FollowRequest{})
	if err == nil {
		_, err = s.Header() // the far side is in it
	}
	if err != nil {
		t.Fatal(err)
	}
	fp.Close()
	<-near.Done()
	if _, err := s.Recv(); !fault.Is(err, fault.Unavailable) || errors.Is(err, io.EOF) {
		t.Errorf("%v (%v)", err, fault.Of(err))
	}
}

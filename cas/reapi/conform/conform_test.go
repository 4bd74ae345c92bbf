package conform_test

import (
	"context"
	"flag"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/disk"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/reapi"
	"github.com/outwork-build/outwork/cas/reapi/conform"
)

var (
	address  = flag.String("server", "", "HOST:PORT of a server to check instead of our own")
	instance = flag.String("instance", "", "instance name at that server")
)

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func serve(t *testing.T, store cas.Store, actions cas.ActionCache) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	face := reapi.New(reapi.Config{Store: store, Actions: actions})
	face.Register(srv)
	go srv.Serve(l)
	t.Cleanup(func() {
		srv.Stop()
		face.Close()
	})
	return l.Addr().String()
}

func check(t *testing.T, s *conform.Server) {
	for _, c := range conform.Cache() {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := c.Run(ctx, s); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCache(t *testing.T) {
	if *address != "" {
		check(t, conform.At(dial(t, *address), *instance))
		return
	}
	t.Run("memory", func(t *testing.T) {
		check(t, conform.At(dial(t, serve(t, memory.New(memory.Config{}), new(memory.Actions))), ""))
	})
	t.Run("disk", func(t *testing.T) {
		s, err := disk.Open(disk.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		check(t, conform.At(dial(t, serve(t, s, s)), "an/instance/of/four"))
	})
}

// A server that keeps nothing breaks nearly every rule: the checks can fail.
func TestChecksCanFail(t *testing.T) {
	conn := dial(t, serve(t, forgetful{memory.New(memory.Config{})}, new(memory.Actions)))
	failed := 0
	for _, c := range conform.Cache() {
		if c.Run(t.Context(), conform.At(conn, "")) != nil {
			failed++
		}
	}
	if all := len(conform.Cache()); all != 32 || failed < 10 {
		t.Errorf("%d of %d checks fail", failed, all)
	}
}

// forgetful says that it has everything.
type forgetful struct{ *memory.Store }

func (forgetful) Missing(context.Context, []cas.Digest) ([]cas.Digest, error) { return nil, nil }

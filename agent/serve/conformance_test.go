package serve_test

import (
	"context"
	"net/url"
	"os"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/agenttest"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/reapi"
	casremote "github.com/outwork-build/outwork/cas/remote"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
)

// TestOverPipes runs the suite on a host in this process, at the other end of a link over pipes.
func TestOverPipes(t *testing.T) {
	agenttest.Run(t, func(t *testing.T) agent.Machine {
		far := &late{}
		h, err := host.New(host.Config{Root: t.TempDir(), CAS: casremote.New(casremote.Config{Conn: far})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() {
			if err := h.Run(ctx); err != nil {
				t.Errorf("host: %v", err)
			}
		})
		t.Cleanup(func() { cancel(); running.Wait() })
		conn, served := overPipes(t, h)
		far.ClientConnInterface = served.Conn()
		return conn.Machine()
	}, agenttest.Options{})
}

// late is a connection that is made after who uses it.
type late struct{ grpc.ClientConnInterface }

func overPipes(t testing.TB, m agent.Machine) (*remote.Conn, *remote.Served) {
	near, far := pipes(t)
	answered := make(chan *remote.Served, 1)
	go func() {
		s, err := remote.Answer(t.Context(), far, m, remote.Options{Name: "agent"})
		if err != nil {
			t.Error(err)
		}
		answered <- s
	}()
	store := memory.New(memory.Config{})
	conn, err := remote.Connect(t.Context(), near, remote.Options{Name: "controller", Register: func(r grpc.ServiceRegistrar) {
		reapi.New(reapi.Config{Store: store}).Register(r)
	}})
	served := <-answered
	if err != nil || served == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); served.Close() })
	return conn, served
}

func pipes(t testing.TB) (near, far wire.Link) {
	a, b, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, d, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return stdio.New(a, d, "far"), stdio.New(c, b, "near")
}

// TestOverWebSocket runs the suite on real agent processes that dial, and are killed and started again.
func TestOverWebSocket(t *testing.T) {
	type running struct {
		c    *controller
		root string
		p    *process
	}
	var mu sync.Mutex
	agents := map[agent.Machine]running{}
	start := func(t *testing.T, r running) agent.Machine {
		r.p = startAgent(t, nil, "--url", r.c.URL, "--token", "owj_good", "--name", "n", "--root", r.root)
		m := r.c.next(t).Machine()
		mu.Lock()
		defer mu.Unlock()
		agents[m] = r
		return m
	}
	agenttest.Run(t, func(t *testing.T) agent.Machine {
		return start(t, running{c: newController(t, false), root: t.TempDir()})
	}, agenttest.Options{Restart: func(t *testing.T, m agent.Machine) agent.Machine {
		mu.Lock()
		r := agents[m]
		mu.Unlock()
		r.p.kill()
		return start(t, r)
	}})
}

// TestThroughProxy runs the suite over TLS through a proxy that the environment names.
func TestThroughProxy(t *testing.T) {
	agenttest.Run(t, func(t *testing.T) agent.Machine {
		c := newController(t, true)
		proxy, used := startProxy(t)
		u, err := url.Parse(c.URL)
		if err != nil {
			t.Fatal(err)
		}
		// The test server's certificate is for this name, which only the proxy knows.
		startAgent(t, []string{"HTTPS_PROXY=" + proxy, "SSL_CERT_FILE=" + c.caFile(t), "NO_PROXY="},
			"--url", "https://example.com:"+u.Port(), "--token", "owj_good", "--name", "n", "--root", t.TempDir())
		m := c.next(t).Machine()
		if used() < 2 {
			t.Errorf("the proxy was used %d times: expected join and connect", used())
		}
		return m
	}, agenttest.Options{})
}

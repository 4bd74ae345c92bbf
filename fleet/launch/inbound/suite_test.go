package inbound_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/mux"
	"github.com/outwork-build/outwork/wire/tcp"
	"github.com/outwork-build/outwork/wire/websocket"
)

func TestMain(m *testing.M) { launchtest.Main(m) }

// agentsPort is a port for agents that delivers to a hub, as the controller's does. The node's name is the credential.
func agentsPort(t testing.TB, hub *inbound.Hub) (address string, pin tcp.Pin, results chan error) {
	t.Helper()
	cert, pin, err := tcp.Identity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	results = make(chan error, 100)
	s := tcp.NewServer(tcp.Config{
		TLS:   &tls.Config{Certificates: []tls.Certificate{cert}},
		Admit: func(_ context.Context, c tcp.Caller) (string, error) { return c.Credential, nil },
		Deliver: func(ctx context.Context, node string, l wire.Link) error {
			err := hub.Deliver(ctx, fleet.NodeName(node), l)
			results <- err
			return err
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), pin, results
}

// starts is a Rig.Agent: a real agent process, which dials again when its link ends.
func starts(program, root string, args ...string) func(t testing.TB) func() {
	return func(t testing.TB) func() {
		cmd := exec.Command(program, append(args, "--name", "n", "--secret", "n", "--root", root)...)
		log := &launchtest.Log{}
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() {
			cmd.Process.Signal(os.Interrupt)
			kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
			defer kill.Stop()
			cmd.Wait()
			if t.Failed() {
				t.Logf("the agent: %s", log)
			}
		}
	}
}

func TestSuiteWebSocket(t *testing.T) {
	launchtest.Run(t, launchtest.Maker{New: func(t testing.TB) launchtest.Rig {
		hub := inbound.New(inbound.Config{})
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if l, err := websocket.Accept(w, r); err == nil {
				hub.Deliver(r.Context(), fleet.NodeName(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")), l)
			}
		}))
		t.Cleanup(s.Close)
		root := filepath.Join(t.TempDir(), "root")
		return launchtest.Rig{Launcher: hub, Node: fleet.Node{Name: "n"}, Says: []string{"Agent connected from 127.0.0.1"},
			Agent: starts(launchtest.Program(t), root, "--url", s.URL)}
	}})
}

func TestSuiteTCP(t *testing.T) {
	launchtest.Run(t, launchtest.Maker{New: func(t testing.TB) launchtest.Rig {
		hub := inbound.New(inbound.Config{})
		address, pin, _ := agentsPort(t, hub)
		root := filepath.Join(t.TempDir(), "root")
		return launchtest.Rig{Launcher: hub, Node: fleet.Node{Name: "n"}, Says: []string{"Agent connected from 127.0.0.1"},
			Agent: starts(launchtest.Program(t), root, "--direct", address, "--pin", string(pin))}
	}})
}

// tcpPort is a hub behind a port for agents.
type tcpPort struct {
	*port
	address string
	pin     tcp.Pin
}

func newTCPPort(t testing.TB, c inbound.Config) *tcpPort {
	p := &tcpPort{port: &port{hub: inbound.New(c)}}
	p.address, p.pin, p.results = agentsPort(t, p.hub)
	return p
}

func (p *tcpPort) dial(t testing.TB, node, instance string) wire.Link {
	t.Helper()
	l, err := tcp.Dial(t.Context(), tcp.DialConfig{Address: p.address, Pin: p.pin, Caller: tcp.Caller{Credential: node, Instance: instance}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Over TCP as over WebSocket: a live link is not replaced, and the newcomer hears why.
func TestSecondAgentIsRefusedTCP(t *testing.T) {
	p := newTCPPort(t, inbound.Config{})
	session(t, mux.Listener, p.dial(t, "a", "boot/host/1"))
	first := p.launch(t, "a")
	p.result(t)
	second := p.dial(t, "a", "boot/host/2")
	_, err := wire.Handshake(t.Context(), second, wire.Hello{})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "already connected") {
		t.Errorf("the second agent heard %v", err)
	}
	if err := p.result(t); !fault.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	select {
	case <-first.Done():
		t.Errorf("the first link has ended: %v", first.Err())
	default:
	}
}

// A half-open link gives way within seconds: its peer does not answer. So does the link of a process that dials again.
func TestHalfOpenLinkIsReplacedTCP(t *testing.T) {
	p := newTCPPort(t, inbound.Config{Probe: 100 * time.Millisecond})
	p.dial(t, "a", "boot/host/1") // never reads: no answer comes
	first := p.launch(t, "a")
	p.result(t)
	start := time.Now()
	session(t, mux.Listener, p.dial(t, "a", "boot/host/2"))
	second := p.launch(t, "a")
	if err := p.result(t); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("replaced after %v", d)
	}
	<-first.Done()
	session(t, mux.Listener, p.dial(t, "a", "boot/host/2"))
	third := p.launch(t, "a")
	if err := p.result(t); err != nil {
		t.Error(err)
	}
	<-second.Done()
	if _, err := third.Open(t.Context()); err != nil {
		t.Error(err)
	}
}

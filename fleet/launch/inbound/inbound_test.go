package inbound_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/mux"
	"github.com/outwork-build/outwork/wire/websocket"
)

var _ fleet.Waiter = (*inbound.Hub)(nil)

// port accepts WebSockets and delivers them to a hub, as the controller's HTTP port does.
type port struct {
	*httptest.Server
	hub     *inbound.Hub
	results chan error
}

func newPort(t testing.TB, c inbound.Config) *port {
	p := &port{hub: inbound.New(c), results: make(chan error, 100)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l, err := websocket.Accept(w, r)
		if err == nil {
			err = p.hub.Deliver(r.Context(), fleet.NodeName(r.URL.Query().Get("node")), l)
		}
		p.results <- err
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *port) dial(t testing.TB, node, instance string) wire.Link {
	t.Helper()
	l, err := websocket.Dial(t.Context(), websocket.DialConfig{URL: p.URL + "?node=" + node, Header: http.Header{websocket.InstanceHeader: {instance}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// launch takes the next link of a node and starts to use it.
func (p *port) launch(t testing.TB, node string) *mux.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := p.hub.Launch(ctx, fleet.Node{Name: fleet.NodeName(node)}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return session(t, mux.Dialer, l)
}

func session(t testing.TB, side func(wire.Link, mux.Config) (*mux.Session, error), l wire.Link) *mux.Session {
	t.Helper()
	s, err := side(l, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (p *port) result(t testing.TB) error {
	t.Helper()
	select {
	case err := <-p.results:
		return err
	case <-time.After(time.Minute):
		t.Fatal("Deliver has not returned")
		return nil
	}
}

func TestDelivery(t *testing.T) {
	p := newPort(t, inbound.Config{})
	var log bytes.Buffer
	launched := make(chan wire.Link)
	go func() {
		l, err := p.hub.Launch(t.Context(), fleet.Node{Name: "a"}, &log)
		if err != nil {
			t.Error(err)
		}
		launched <- l
	}()
	session(t, mux.Listener, p.dial(t, "a", "1"))
	near := session(t, mux.Dialer, <-launched)
	if err := p.result(t); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "connected from 127.0.0.1") {
		t.Errorf("log %q", log.String())
	}
	if _, err := near.Open(t.Context()); err != nil {
		t.Error(err)
	}
}

// A link that nobody takes is refused, and the agent hears why.
func TestNobodyWaits(t *testing.T) {
	p := newPort(t, inbound.Config{Probe: time.Millisecond, Handover: 10 * time.Millisecond})
	l := p.dial(t, "deleted", "1")
	_, err := wire.Handshake(t.Context(), l, wire.Hello{})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "nobody waits for node deleted") {
		t.Errorf("the agent heard %v", err)
	}
	if err := p.result(t); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

func TestLaunchEndsWithContext(t *testing.T) {
	p := newPort(t, inbound.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.hub.Launch(ctx, fleet.Node{Name: "a"}, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// While an agent answers, another of the same name is refused.
func TestSecondAgentIsRefused(t *testing.T) {
	p := newPort(t, inbound.Config{})
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
	// Another node is another matter.
	session(t, mux.Listener, p.dial(t, "b", "boot/host/2"))
	p.launch(t, "b")
	if err := p.result(t); err != nil {
		t.Error(err)
	}
}

// A half-open link gives way: its peer does not answer.
func TestHalfOpenLinkIsReplaced(t *testing.T) {
	p := newPort(t, inbound.Config{Probe: 100 * time.Millisecond})
	p.dial(t, "a", "boot/host/1") // never reads: no pong comes
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
	if err := first.Err(); !errors.Is(err, fleet.ErrReplaced) {
		t.Errorf("the first link ended with %v", err)
	}
	if _, err := second.Open(t.Context()); err != nil {
		t.Error(err)
	}
}

// An agent process that dials again has given its first link up, whether or not that still answers.
func TestSameProcessReplacesItself(t *testing.T) {
	p := newPort(t, inbound.Config{})
	session(t, mux.Listener, p.dial(t, "a", "boot/host/1"))
	first := p.launch(t, "a")
	p.result(t)
	session(t, mux.Listener, p.dial(t, "a", "boot/host/1"))
	second := p.launch(t, "a")
	if err := p.result(t); err != nil {
		t.Error(err)
	}
	<-first.Done()
	if err := first.Err(); !errors.Is(err, fleet.ErrReplaced) {
		t.Errorf("the first link ended with %v", err)
	}
	if _, err := second.Open(t.Context()); err != nil {
		t.Error(err)
	}
}

// A link that has ended stands in nobody's way.
func TestAfterTheEnd(t *testing.T) {
	p := newPort(t, inbound.Config{})
	for i := range 20 {
		agent := session(t, mux.Listener, p.dial(t, "a", string(rune('a'+i))))
		near := p.launch(t, "a")
		if err := p.result(t); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			agent.Close()
			<-near.Done()
		} else {
			near.Close()
		}
	}
}

// Many agents of one name at once: one is connected, the others hear of it.
func TestCrowd(t *testing.T) {
	p := newPort(t, inbound.Config{})
	var all sync.WaitGroup
	const crowd = 8
	for i := range crowd {
		l := p.dial(t, "a", string(rune('a'+i)))
		all.Go(func() { session(t, mux.Listener, l) })
	}
	p.launch(t, "a")
	taken := 0
	for range crowd {
		err := p.result(t)
		if err == nil {
			taken++
		} else if !fault.Is(err, fault.Conflict) {
			t.Errorf("%v", err)
		}
	}
	all.Wait()
	if taken != 1 {
		t.Errorf("%d links were taken", taken)
	}
}

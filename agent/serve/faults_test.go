package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// path is a TCP path to a controller that can be cut, blackholed and held up.
type path struct {
	l    net.Listener
	to   string
	hole atomic.Bool
	flow sync.RWMutex // whoever locks it holds up all bytes

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

func newPath(t testing.TB, to string) *path { return newPathAt(t, "127.0.0.1:0", to) }

func newPathAt(t testing.TB, at, to string) *path {
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p := &path{l: l, to: strings.TrimPrefix(to, "http://")}
	p.wg.Go(p.accept)
	t.Cleanup(func() { l.Close(); p.cut(); p.wg.Wait() })
	return p
}

func (p *path) url() string { return "http://" + p.l.Addr().String() }

func (p *path) accept() {
	for {
		down, err := p.l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.to)
		if err != nil {
			down.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, down, up)
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(down, up) })
		p.wg.Go(func() { p.pass(up, down) })
	}
}

// pass forwards. Into a hole it reads on and says nothing, not even that the other side has closed.
func (p *path) pass(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.flow.RLock()
		hole := p.hole.Load()
		p.flow.RUnlock()
		if hole {
			if err != nil {
				return
			}
			continue
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// cut resets every connection.
func (p *path) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	p.conns = nil
}

// startHere runs an agent in this process until the test's end.
func startHere(t testing.TB, c serve.Config) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve.Run(ctx, c) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("agent: %v", err)
		}
	})
	return stop
}

func within(t testing.TB, what string, d time.Duration, done <-chan struct{}) time.Duration {
	t.Helper()
	start := time.Now()
	select {
	case <-done:
		return time.Since(start)
	case <-time.After(d):
		t.Fatalf("%s: not within %v", what, d)
		return 0
	}
}

// F4: a path that drops everything without a word is noticed on both sides within two heartbeats. The agent follows the controller's.
func TestBlackholedPathIsFoundByBothSides(t *testing.T) {
	const heartbeat = time.Second
	c := newController(t, false)
	c.heartbeat(heartbeat)
	p := newPath(t, c.URL)
	log := &buffer{}
	startHere(t, serve.Config{URL: p.url(), Token: "owj_good", Name: "n", Root: t.TempDir(), MaxBackoff: 50 * time.Millisecond, Logger: logTo(log)})
	conn := c.next(t)
	m := conn.Machine()
	if _, err := m.Describe(t.Context()); err != nil { // the agent's side of the connection stands too
		t.Fatal(err)
	}
	call := make(chan error, 1)
	p.hole.Store(true)
	go func() { _, err := m.Describe(context.Background()); call <- err }()
	d := within(t, "the controller notices", patience, conn.Done())
	t.Logf("the controller noticed after %v, heartbeat %v", d, heartbeat)
	if d > 2*heartbeat+busy {
		t.Errorf("the controller noticed after %v", d)
	}
	if err := conn.Err(); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "silent") {
		t.Errorf("%v", err)
	}
	if err := <-call; !fault.Is(err, fault.Unavailable) {
		t.Errorf("a call into the hole: %v", err)
	}
	// The agent notices too, by itself, and dials again as soon as there is a path.
	log.await(t, "silent for two heartbeats")
	p.hole.Store(false)
	p.cut()
	again := c.next(t)
	if _, err := again.Machine().Describe(t.Context()); err != nil {
		t.Error(err)
	}
}

// F10: whatever is delivered twice or thrice, late or again on another connection, happens once.
func TestEveryCallRepeated(t *testing.T) {
	c := newController(t, false)
	p := newPath(t, c.URL)
	startHere(t, serve.Config{URL: p.url(), Token: "owj_good", Name: "n", Root: t.TempDir(), MaxBackoff: 20 * time.Millisecond})
	conn := c.next(t)
	r := rand.New(rand.NewPCG(7, 7))
	// each does f one to three times, and sometimes on a new connection in between.
	each := func(f func(agent.Machine) error) {
		t.Helper()
		for range 1 + r.IntN(3) {
			if err := f(conn.Machine()); err != nil {
				t.Fatal(err)
			}
			if r.IntN(3) == 0 {
				p.cut()
				within(t, "the cut is noticed", patience, conn.Done())
				conn = c.next(t)
			}
		}
	}
	ctx := t.Context()
	for i := range 15 {
		l := agent.Lease{Item: fmt.Sprintf("item-%d", i), Epoch: 1}
		var w agent.Workspace
		each(func(m agent.Machine) error {
			again, err := m.Open(ctx, agent.OpenRequest{Lease: l, Job: l.Item})
			if w != (agent.Workspace{}) && again != w {
				t.Errorf("open answered %v, then %v", w, again)
			}
			w = again
			return err
		})
		step := agent.StepID("s")
		each(func(m agent.Machine) error {
			return m.Start(ctx, agent.StartRequest{Lease: l, Step: step, Script: []byte("#!/bin/sh\necho ran >> runs; echo out")})
		})
		each(func(m agent.Machine) error {
			var out bytes.Buffer
			e, err := m.Follow(ctx, l, step, 0, func(o agent.Output) error { out.Write(o.Data); return nil })
			if err == nil && (out.String() != "out\n" || e.Code != 0) {
				t.Errorf("%q, %+v", out.String(), e)
			}
			return err
		})
		each(func(m agent.Machine) error { return m.Stop(ctx, agent.StopRequest{Lease: l, Step: step}) })
		each(func(m agent.Machine) error { return m.Forget(ctx, l, step) })
		if err := conn.Machine().Start(ctx, agent.StartRequest{Lease: l, Step: step, Script: []byte("echo ran >> runs")}); !fault.Is(err, fault.Conflict) {
			t.Errorf("start after forget: %v", err)
		}
		if runs, err := conn.Machine().ReadFile(ctx, l, "runs", 0); err != nil || string(runs) != "ran\n" {
			t.Errorf("the step ran as %q, %v", runs, err)
		}
		each(func(m agent.Machine) error { return m.Close(ctx, l) })
		if open, _, _, err := conn.Machine().Renew(ctx, nil, 0); err != nil || len(open) != 0 {
			t.Errorf("left open: %v, %v", open, err)
		}
	}
}

// P3: the connection is cut at random points while 10 MB of output are followed; no byte is lost, doubled or moved.
func TestFollowAcrossCuts(t *testing.T) {
	c := newController(t, false)
	p := newPath(t, c.URL)
	startHere(t, serve.Config{URL: p.url(), Token: "owj_good", Name: "n", Root: t.TempDir(), MaxBackoff: 20 * time.Millisecond})
	conn := c.next(t)
	ctx := t.Context()
	l := agent.Lease{Item: "i", Epoch: 1}
	if _, err := conn.Machine().Open(ctx, agent.OpenRequest{Lease: l, Job: "job"}); err != nil {
		t.Fatal(err)
	}
	const lines = 1_280_000 // 8 bytes each
	script := fmt.Sprintf("#!/bin/sh\nexec seq -f %%07.0f 1 %d", lines)
	if err := conn.Machine().Start(ctx, agent.StartRequest{Lease: l, Step: "s", Script: []byte(script)}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := rand.New(rand.NewPCG(1, 9))
	cuts := 0
	nextCut := int64(r.IntN(1 << 20))
	for {
		at := int64(out.Len())
		e, err := conn.Machine().Follow(ctx, l, "s", at, func(o agent.Output) error {
			out.Write(o.Data)
			if int64(out.Len()) > nextCut && cuts < 15 {
				cuts++
				nextCut = int64(out.Len()) + int64(r.IntN(1<<20))
				go p.cut()
			}
			return nil
		})
		if err == nil {
			if e.Code != 0 || e.Output != int64(out.Len()) || e.Dropped != 0 {
				t.Errorf("%+v after %d bytes", e, out.Len())
			}
			break
		}
		if !fault.Is(err, fault.Unavailable) {
			t.Fatalf("%v (%v)", err, fault.Of(err))
		}
		within(t, "the cut is noticed", patience, conn.Done())
		conn = c.next(t)
	}
	if cuts < 5 {
		t.Errorf("only %d cuts", cuts)
	}
	t.Logf("%d bytes, %d cuts", out.Len(), cuts)
	if out.Len() != lines*8 {
		t.Fatalf("%d bytes, want %d", out.Len(), lines*8)
	}
	for i := range lines {
		if got, want := string(out.Next(8)), fmt.Sprintf("%07d\n", i+1); got != want {
			t.Fatalf("line %d is %q", i+1, got)
		}
	}
	if err := conn.Machine().Close(ctx, l); err != nil {
		t.Error(err)
	}
}

// TestStartAndStop starts and stops whole agents and connections.
func TestStartAndStop(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	c := newController(t, false)
	root := t.TempDir()
	for i := range rounds {
		stop := startHere(t, serve.Config{URL: c.URL, Token: "owj_good", Name: "n", Root: root, Machine: bareHost})
		if i%3 != 2 { // sometimes the agent is stopped before it is connected
			conn := c.next(t)
			if i%3 == 1 {
				conn.Close()
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for len(c.conns) > 0 {
			c.next(t).Close()
		}
	}
}

// bareHost is this computer without shims in stock.
func bareHost(c serve.Config, store cas.Store) (serve.Machine, error) {
	return host.New(host.Config{Root: c.Root, CAS: store, Idle: -1})
}

// Drains: the controller sends the agent away for a while, and the agent comes back.
func TestDrain(t *testing.T) {
	c := newController(t, false)
	startHere(t, serve.Config{URL: c.URL, Token: "owj_good", Name: "n", Root: t.TempDir()})
	conn := c.next(t)
	start := time.Now()
	if err := conn.Drain(t.Context(), 300*time.Millisecond, "restart"); err != nil {
		t.Fatal(err)
	}
	within(t, "the agent leaves", patience, conn.Done())
	if err := conn.Err(); !errors.Is(err, io.EOF) {
		t.Errorf("the agent left with %v", err)
	}
	c.next(t)
	if d := time.Since(start); d < 300*time.Millisecond {
		t.Errorf("the agent came back after %v", d)
	}
}

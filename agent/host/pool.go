package host

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/agent/host/shim"
)

// link is the agent's end of a connection to one shim.
type link struct {
	id     string // names its socket in the run folder
	socket string
	proc   *os.Process // nil for a shim that an earlier agent started
	// surrounded says that the shim has its lease's surroundings from this agent. Guarded by the lease's mu.
	surrounded bool

	mu    sync.Mutex // one message at a time
	conn  net.Conn
	lease *lease // served now; nil when idle
	down  bool   // the shim is gone, or we let go of it
}

// send writes one message. An error means that the shim is stuck or gone; the link's reader finds out which.
func (k *link) send(m shim.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return net.ErrClosed
	}
	_ = k.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	err := shim.Write(k.conn, m)
	if err != nil {
		_ = k.conn.Close() // part of a message may be on its way: this connection is of no use any more
	}
	return err
}

func (k *link) serving() *lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lease
}

func (k *link) serve(l *lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lease = l
}

// pool starts shims and keeps some that are idle: starting one costs more than starting a step.
type pool struct {
	h   *Host
	log *os.File // what shims print when they fail

	mu      sync.Mutex
	idle    []*link
	all     map[*link]bool
	ended   bool
	warming bool
	used    time.Time // when one was last taken

	spawned, reused atomic.Uint64
}

func newPool(h *Host) (*pool, error) {
	log, err := os.OpenFile(h.own("shim.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &pool{h: h, log: log, all: map[*link]bool{}}, nil
}

// take returns an idle shim, or a new one that is still starting: it can be sent to at once.
func (p *pool) take() (*link, error) {
	p.mu.Lock()
	p.used = time.Now()
	if n := len(p.idle); n > 0 {
		k := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		p.reused.Add(1)
		return k, nil
	}
	p.mu.Unlock()
	return p.spawn()
}

// give takes a shim back. Those of an earlier agent may be of an older version and are let go.
func (p *pool) give(k *link) {
	k.serve(nil)
	p.mu.Lock()
	keep := !p.ended && k.proc != nil && len(p.idle) < p.h.cfg.Idle
	if keep {
		p.idle = append(p.idle, k)
	}
	p.mu.Unlock()
	if !keep {
		_ = k.send(shim.Message{Kind: shim.KindQuit})
	}
}

func (p *pool) spawn() (*link, error) {
	id := rand.Text()[:12]
	k := &link{id: id, socket: p.h.own("run", id)}
	var err error
	if k.proc, err = shim.Spawn(p.h.cfg.Shim, k.socket, p.log); err != nil {
		return nil, fmt.Errorf("start a shim: %w", err)
	}
	if k.conn, err = shim.Dial(k.socket); err != nil {
		_ = k.proc.Kill()
		_, _ = k.proc.Wait()
		return nil, fmt.Errorf("reach the new shim: %w", err)
	}
	p.spawned.Add(1)
	if err := p.attach(k); err != nil {
		p.reap(k)
		return nil, err
	}
	return k, nil
}

// attach starts reading from a connected link.
func (p *pool) attach(k *link) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = k.conn.Close()
		return errStopped()
	}
	p.all[k] = true
	p.h.wg.Go(func() { p.read(k, k.conn) })
	return nil
}

// read passes the shim's messages on until it is gone.
func (p *pool) read(k *link, conn net.Conn) {
	for from := bufio.NewReader(conn); ; {
		m, err := shim.Read(from)
		if err == nil {
			p.h.heard(k, m)
			continue
		}
		_ = conn.Close()
		if conn = p.again(k); conn == nil {
			break
		}
		from.Reset(conn)
	}
	p.mu.Lock()
	delete(p.all, k)
	for i, other := range p.idle {
		if other == k {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	ended := p.ended
	p.mu.Unlock()
	if ended {
		p.reap(k)
		return
	}
	if l := k.serving(); l != nil {
		l.shimDied(k)
	}
	p.reap(k)
	_ = os.Remove(k.socket)
}

// again connects anew to a shim that dropped the connection but lives. It returns nil when there is none.
func (p *pool) again(k *link) net.Conn {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	conn, err := net.Conn(nil), error(net.ErrClosed)
	if !ended {
		conn, err = shim.Dial(k.socket)
	}
	for err != nil && !ended && !gone(err) { // no descriptors, a full backlog: the shim lives
		select {
		case <-p.h.stop.Done():
			ended = true
		case <-time.After(100 * time.Millisecond):
			conn, err = shim.Dial(k.socket)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.down = true
		return nil
	}
	k.conn = conn
	return conn
}

// reap waits for the process of a shim that is going, so that it does not stay a zombie. A shim that serves a lease when
// the agent shuts down lives on.
func (p *pool) reap(k *link) {
	if k.proc == nil {
		return
	}
	if k.serving() != nil && p.h.stop.Err() != nil {
		_ = k.proc.Release()
		return
	}
	stuck := time.AfterFunc(dyingPatience, func() { _ = k.proc.Kill() })
	defer stuck.Stop()
	_, _ = k.proc.Wait()
}

// dyingPatience is how long a shim without a lease may take to end by itself.
const dyingPatience = 5 * time.Second

// warm starts one shim ahead of the first lease, unless one is idle.
func (p *pool) warm() {
	p.mu.Lock()
	need := !p.ended && p.h.cfg.Idle > 0 && len(p.idle) == 0 && !p.warming
	p.warming = p.warming || need
	p.mu.Unlock()
	if !need {
		return
	}
	k, err := p.spawn()
	p.mu.Lock()
	p.warming = false
	p.mu.Unlock()
	if err != nil {
		if p.h.stop.Err() == nil {
			p.h.log.Warn("start a shim ahead", "err", err)
		}
		return
	}
	p.give(k)
}

// shrink lets go of idle shims, but one, when no lease has come for a while.
func (p *pool) shrink() {
	p.mu.Lock()
	var surplus []*link
	if n := len(p.idle); n > 1 && time.Since(p.used) > time.Minute {
		surplus, p.idle = p.idle[1:], p.idle[:1:1]
	}
	p.mu.Unlock()
	for _, k := range surplus {
		_ = k.send(shim.Message{Kind: shim.KindQuit})
	}
}

func (p *pool) idleCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// shutdown closes every connection: idle shims end, the others live on.
func (p *pool) shutdown() {
	p.mu.Lock()
	p.ended = true
	for k := range p.all {
		k.mu.Lock()
		_ = k.conn.Close()
		k.mu.Unlock()
	}
	p.mu.Unlock()
}

// connect reaches the shim that an earlier agent left, and returns what it says of itself. The link is not read yet.
func (p *pool) connect(id string) (*link, shim.Message, error) {
	k := &link{id: id, socket: p.h.own("run", filepath.Base(id))}
	var err error
	if k.conn, err = shim.Dial(k.socket); err != nil {
		return nil, shim.Message{}, err
	}
	_ = k.conn.SetReadDeadline(time.Now().Add(helloPatience))
	m, err := shim.Read(k.conn)
	if err == nil && m.Kind != shim.KindHello {
		err = errors.New("the shim did not greet")
	}
	if err == nil && m.Proto > shim.Proto {
		err = fmt.Errorf("the shim speaks protocol %d, this agent %d: it was started by a newer agent", m.Proto, shim.Proto)
	}
	if err != nil {
		_ = k.conn.Close()
		return nil, m, err
	}
	_ = k.conn.SetReadDeadline(time.Time{})
	return k, m, nil
}

// helloPatience is how long a living shim may take to greet. One that does not is stopped or stuck, not dead.
const helloPatience = 3 * time.Second

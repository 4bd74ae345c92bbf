package shim

import (
	"net"
	"sync"
	"time"
)

// maxQueued bounds what waits for an agent that does not read. Everything in the queue is on disk too, so a connection
// that falls behind is dropped and the agent looks there.
const maxQueued = 4096

// peer is a connection to an agent. Sending never blocks. Whatever becomes of sending, what the agent sent before it went is
// still read to its end.
type peer struct {
	conn  net.Conn
	queue chan Message
	once  sync.Once
	mute  chan struct{} // closed when nothing is sent any more
	// served is closed when everything that came on the connection has been carried out.
	served chan struct{}
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn, queue: make(chan Message, maxQueued), mute: make(chan struct{}), served: make(chan struct{})}
	go p.write()
	return p
}

func (p *peer) send(m Message) {
	select {
	case p.queue <- m:
	default:
		p.hush()
	}
}

func (p *peer) write() {
	for {
		select {
		case m := <-p.queue:
			if Write(p.conn, m) != nil {
				p.hush()
				return
			}
		case <-p.mute:
			return
		}
	}
}

// hush ends the sending half: a living agent sees the end and connects again.
func (p *peer) hush() {
	p.once.Do(func() {
		close(p.mute)
		if c, ok := p.conn.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	})
}

func (p *peer) close() {
	p.hush()
	_ = p.conn.Close()
}

// finish waits until the other side has closed and its last message was carried out, but not for ever.
func (p *peer) finish(patience time.Duration) {
	select {
	case <-p.served:
	case <-time.After(patience):
		p.close()
		<-p.served
	}
}

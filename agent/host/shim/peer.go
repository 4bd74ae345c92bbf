package shim

import (
	"net"
	"sync"
)

// maxQueued bounds what waits for an agent that does not read. Everything in the queue is on disk too, so a connection
// that falls behind is dropped and the agent looks there.
const maxQueued = 4096

// peer is a connection to an agent. Sending never blocks.
type peer struct {
	conn  net.Conn
	queue chan Message
	once  sync.Once
	gone  chan struct{}
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn, queue: make(chan Message, maxQueued), gone: make(chan struct{})}
	go p.write()
	return p
}

func (p *peer) send(m Message) {
	select {
	case p.queue <- m:
	default:
		p.close()
	}
}

func (p *peer) write() {
	for {
		select {
		case m := <-p.queue:
			if Write(p.conn, m) != nil {
				p.close()
				return
			}
		case <-p.gone:
			return
		}
	}
}

func (p *peer) close() {
	p.once.Do(func() {
		close(p.gone)
		_ = p.conn.Close()
	})
}

package inbound

import (
	"sync/atomic"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/wire"
)

// link tells the Hub when it is closed, and who reads from it when it was replaced.
type link struct {
	wire.Link
	at       *node
	replaced atomic.Bool
}

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Link.Read(p)
	if err != nil && l.replaced.Load() {
		err = fleet.ErrReplaced
	}
	return n, err
}

func (l *link) Close() error {
	l.at.forget(l)
	return l.Link.Close()
}

// Cut closes without telling the peer, if the link below knows how.
func (l *link) Cut() {
	if c, ok := l.Link.(wire.Cutter); ok {
		c.Cut()
	}
	l.Close()
}

func (l *link) replace() {
	l.replaced.Store(true)
	l.Cut()
}

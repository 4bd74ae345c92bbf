package winrm

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/wire"
)

// link is an agent's, and stops its service when this side closes it. After it broke, the service runs on: its agent dials again.
type link struct {
	wire.Link
	l    *Launcher
	s    *settings
	keys keys
	log  *kit.Log

	broken atomic.Bool // it failed before Close
	closed atomic.Bool
	once   sync.Once
}

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Link.Read(p)
	l.failed(err)
	return n, err
}

func (l *link) Write(p []byte) (int, error) {
	n, err := l.Link.Write(p)
	l.failed(err)
	return n, err
}

func (l *link) failed(err error) {
	if err != nil && !l.closed.Load() {
		l.broken.Store(true)
	}
}

// Close returns when the service has stopped.
func (l *link) Close() (err error) {
	l.once.Do(func() {
		l.closed.Store(true)
		if !l.broken.Load() { // before the link: an agent that loses that dials again
			l.l.stop(context.Background(), l.s, l.keys, l.log)
		}
		err = l.Link.Close()
		l.l.release(l.s.node)
	})
	return err
}

// Cut is for a peer that does not answer: its agent finds that out by itself.
func (l *link) Cut() {
	l.once.Do(func() {
		l.closed.Store(true)
		if c, ok := l.Link.(wire.Cutter); ok {
			c.Cut()
		}
		_ = l.Link.Close()
		l.l.release(l.s.node)
	})
}

package mux

import (
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// ticks is into how many steps the watcher cuts the longest allowed silence.
const ticks = 8

// beat sends a sign of life at every interval. The answer is one too, and measures the round trip.
func (s *Session) beat(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if d, err := s.yamux.Ping(); err == nil {
			s.rtt.Store(int64(d))
		}
		select {
		case <-t.C:
		case <-s.yamux.CloseChan():
			return
		}
	}
}

// watch ends the session when two heartbeats have passed without a byte. It counts ticks instead of reading a clock: a
// process that was itself stopped, or a machine that slept, loses ticks and does not blame its peer.
func (s *Session) watch(heartbeat time.Duration) {
	t := time.NewTicker(2 * heartbeat / ticks)
	defer t.Stop()
	var silent int
	var seen uint64
	for {
		select {
		case <-t.C:
		case <-s.yamux.CloseChan():
			return
		}
		if n := s.guard.reads(); n != seen {
			seen, silent = n, 0
			continue
		}
		// A byte may have come up to a tick before it was seen: one tick less keeps to the promise.
		if silent++; silent >= ticks-1 {
			s.because(fault.New(fault.Unavailable, "%s has been silent for two heartbeats (%v)", s.link.Peer(), 2*heartbeat))
			if c, ok := s.link.(wire.Cutter); ok {
				c.Cut()
			}
			s.yamux.Close()
			return
		}
	}
}

// Package signal tells that something changed, not what: whoever hears it takes a new snapshot.
package signal

import "sync"

// Set wakes its subscribers. A signal that a subscriber has not taken yet stands for all later ones, so Notify never blocks. The
// zero Set is ready for use; all methods may be called concurrently.
type Set struct {
	mu   sync.Mutex
	subs map[chan struct{}]bool // guarded by mu
}

// Subscribe returns a channel that has a value after each Notify from now on, until cancel. It is never closed.
func (s *Set) Subscribe() (changed <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs == nil {
		s.subs = map[chan struct{}]bool{}
	}
	s.subs[ch] = true
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subs, ch)
	}
}

// Notify signals every subscriber.
func (s *Set) Notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.subs {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

package signal_test

import (
	"sync"
	"testing"

	"github.com/outwork-build/outwork/internal/signal"
)

func pending(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestASignalStandsForAllUntilItIsTaken(t *testing.T) {
	var s signal.Set
	s.Notify() // nobody listens
	a, stop := s.Subscribe()
	b, stopB := s.Subscribe()
	defer stopB()
	if pending(a) {
		t.Error("heard what was before")
	}
	for range 3 {
		s.Notify()
	}
	if !pending(a) || pending(a) {
		t.Error("expected one signal of three")
	}
	stop()
	stop()
	s.Notify()
	if pending(a) {
		t.Error("heard after cancel")
	}
	if !pending(b) || pending(b) {
		t.Error("the other subscriber: expected one signal")
	}
}

func TestSubscribersComeAndGoWhileItSignals(t *testing.T) {
	var s signal.Set
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				ch, stop := s.Subscribe()
				s.Notify()
				<-ch // its own, or another's
				stop()
			}
		})
	}
	all.Wait()
}

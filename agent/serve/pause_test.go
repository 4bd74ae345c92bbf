package serve

import (
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	var bounds []time.Duration
	p := newPause(Config{MinBackoff: time.Second, MaxBackoff: 25 * time.Second})
	p.random = func(n int64) int64 { bounds = append(bounds, time.Duration(n)); return n - 1 }
	for range 40 {
		if d := p.next(0); d > 25*time.Second {
			t.Fatalf("pause of %v", d)
		}
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 25, 25} {
		if bounds[i] != want*time.Second {
			t.Errorf("attempt %d: up to %v, want %v", i, bounds[i], want*time.Second)
		}
	}
	p.settled()
	p.next(0)
	if last := bounds[len(bounds)-1]; last != time.Second {
		t.Errorf("after a good connection: up to %v", last)
	}
	for range 10 {
		p.next(0)
	}
	p.greeted()
	p.next(0)
	if last := bounds[len(bounds)-1]; last != 4*time.Second {
		t.Errorf("after a short connection: up to %v", last)
	}
	for range 100 {
		q := newPause(Config{MinBackoff: time.Second, MaxBackoff: 25 * time.Second})
		if d := q.next(10 * time.Second); d < 10*time.Second || d > 15*time.Second {
			t.Errorf("dictated 10 s, waits %v", d)
		}
	}
}

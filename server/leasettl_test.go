package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

// While a lease is open that can have a longer TTL, the queue counts with that.
func TestAShorterTTLHoldsWhenNoLeaseIsOpen(t *testing.T) {
	dir := t.TempDir()
	none := func(context.Context) ([]queue.Item, []queue.LeaseRow, error) {
		return nil, []queue.LeaseRow{{State: queue.LeaseDone}, {State: queue.LeaseLost}}, nil
	}
	in := func(s queue.LeaseState) func(context.Context) ([]queue.Item, []queue.LeaseRow, error) {
		return func(context.Context) ([]queue.Item, []queue.LeaseRow, error) {
			return nil, []queue.LeaseRow{{State: queue.LeaseDone}, {State: s}}, nil
		}
	}
	for i, c := range []struct {
		ttl  time.Duration
		load func(context.Context) ([]queue.Item, []queue.LeaseRow, error)
		want time.Duration
	}{
		{30 * time.Second, in(queue.LeaseActive), 30 * time.Second}, // nothing was written before
		{60 * time.Second, in(queue.LeaseActive), 60 * time.Second}, // longer is safe at once
		{40 * time.Second, in(queue.LeaseActive), 60 * time.Second},
		{40 * time.Second, in(queue.LeaseHeld), 60 * time.Second}, // still: the leases may be the same
		{40 * time.Second, none, 40 * time.Second},
		{40 * time.Second, in(queue.LeaseActive), 40 * time.Second},
	} {
		if got, err := openedWith(t.Context(), dir, c.ttl, c.load); err != nil || got != c.want {
			t.Errorf("start %d with %v: %v, %v; expected %v", i, c.ttl, got, err, c.want)
		}
	}
	broken := errors.New("broken")
	if _, err := openedWith(t.Context(), dir, time.Second, func(context.Context) ([]queue.Item, []queue.LeaseRow, error) { return nil, nil, broken }); !errors.Is(err, broken) {
		t.Errorf("a ledger that cannot be read: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ttlFile), []byte("soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openedWith(t.Context(), dir, time.Second, none); !fault.Is(err, fault.Invalid) {
		t.Errorf("a damaged file: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ttlFile+".*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestAShortGraceIsRefused(t *testing.T) {
	for grace, ok := range map[time.Duration]bool{0: true, minGrace: true, minGrace - time.Millisecond: false, time.Second: false, -time.Second: false} {
		c := Config{Data: t.TempDir(), LeaseGrace: grace}
		if err := c.defaults(); (err == nil) != ok || (err != nil && !fault.Is(err, fault.Invalid)) {
			t.Errorf("%v: %v", grace, err)
		}
	}
}

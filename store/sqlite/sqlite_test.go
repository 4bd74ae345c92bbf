package sqlite

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/queue/ledgertest"
	"github.com/outwork-build/outwork/store"
	"github.com/outwork-build/outwork/store/storetest"
)

func openLedger(t testing.TB, dir string, c Config) *Ledger {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	l, err := Open(t.Context(), dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t)
	storetest.All(t, func(t testing.TB, dir string) (store.Tables, func()) {
		l := openLedger(t, dir, Config{})
		return l.Tables, func() {
			if err := l.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
}

func TestQueueLedger(t *testing.T) {
	defer goleak.VerifyNone(t)
	ledgertest.Run(t, func(t *testing.T) (queue.Ledger, func() queue.Ledger) {
		dir := t.TempDir()
		l := openLedger(t, dir, Config{})
		return l.Leases, func() queue.Ledger {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = openLedger(t, dir, Config{})
			return l.Leases
		}
	})
}

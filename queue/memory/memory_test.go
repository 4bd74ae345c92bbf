package memory_test

import (
	"errors"
	"testing"

	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/queue/ledgertest"
	"github.com/outwork-build/outwork/queue/memory"
)

func TestSuite(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) (queue.Ledger, func() queue.Ledger) {
		l := memory.New()
		return l, func() queue.Ledger { l.Crash(); return l }
	})
}

func TestCrashForgetsWhatIsNotDurable(t *testing.T) {
	l := memory.New()
	put := func(id queue.ItemID) {
		if err := l.PutItem(t.Context(), queue.Item{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	put("durable")
	if err := l.Grant(t.Context(), []queue.LeaseRow{{Grant: queue.Grant{Item: "durable", Epoch: 1}}}); err != nil {
		t.Fatal(err)
	}
	put("loose")
	l.Crash()
	if items, _, _ := l.Load(t.Context()); len(items) != 1 || items[0].ID != "durable" || l.Writes() != 1 {
		t.Errorf("after the crash: %v, %d durable writes", items, l.Writes())
	}
}

func TestFail(t *testing.T) {
	l := memory.New()
	full := errors.New("disk full")
	l.Fail(full)
	if err := l.PutItem(t.Context(), queue.Item{ID: "x"}); !errors.Is(err, full) {
		t.Errorf("PutItem: %v", err)
	}
	if err := l.Grant(t.Context(), nil); !errors.Is(err, full) {
		t.Errorf("Grant: %v", err)
	}
	if _, err := l.SetLease(t.Context(), nil); !errors.Is(err, full) {
		t.Errorf("SetLease: %v", err)
	}
	if err := l.DropItem(t.Context(), "x"); !errors.Is(err, full) {
		t.Errorf("DropItem: %v", err)
	}
	l.Fail(nil)
	if err := l.PutItem(t.Context(), queue.Item{ID: "x"}); err != nil {
		t.Error(err)
	}
}

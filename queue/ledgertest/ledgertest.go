// Package ledgertest is the suite that every queue.Ledger passes.
package ledgertest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

// Run runs the suite. open returns an empty ledger; reopen, if not nil, closes it and opens it again as after a restart.
func Run(t *testing.T, open func(t *testing.T) (l queue.Ledger, reopen func() queue.Ledger)) {
	for _, tc := range []struct {
		name string
		run  func(*bench)
	}{
		{"ItemsComeBackWhole", itemsComeBackWhole},
		{"EpochsGrowByOne", epochsGrowByOne},
		{"GrantIsAllOrNothing", grantIsAllOrNothing},
		{"SetLeaseIsFenced", setLeaseIsFenced},
		{"DropForgetsWhatHasEnded", dropForgetsWhatHasEnded},
		{"LastNodesFollowGrants", lastNodesFollowGrants},
		{"TimesAreKept", timesAreKept},
		{"ManyAtOnce", manyAtOnce},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, reopen := open(t)
			tc.run(&bench{t, l, reopen})
		})
	}
}

// bench is a ledger under test.
type bench struct {
	*testing.T
	queue.Ledger
	reopen func() queue.Ledger
}

func (b *bench) restart() {
	if b.reopen != nil {
		b.Ledger = b.reopen()
	}
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// holds checks what Load answers, also after a restart.
func (b *bench) holds(items []queue.Item, rows []queue.LeaseRow) {
	b.Helper()
	for range 2 {
		gotItems, gotRows, err := b.Load(b.Context())
		b.ok(err)
		slices.SortFunc(gotItems, func(a, b queue.Item) int { return cmp.Compare(a.ID, b.ID) })
		slices.SortFunc(gotRows, func(a, b queue.LeaseRow) int { return cmp.Compare(a.Item, b.Item) })
		if d := gocmp.Diff(items, gotItems); d != "" && len(items)+len(gotItems) > 0 {
			b.Errorf("items (-want +got):\n%s", d)
		}
		if d := gocmp.Diff(rows, gotRows); d != "" && len(rows)+len(gotRows) > 0 {
			b.Errorf("leases (-want +got):\n%s", d)
		}
		b.restart()
	}
}

func when() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 7_000_000, time.UTC) }

func row(id queue.ItemID, epoch uint64, n fleet.NodeName) queue.LeaseRow {
	return queue.LeaseRow{
		Grant: queue.Grant{Item: id, Epoch: epoch, Node: n, Executor: 2}, State: queue.LeaseActive, Granted: when(), Boot: "boot-1",
	}
}

func itemsComeBackWhole(b *bench) {
	it := queue.Item{
		ID: "team/app#12/1.2", Label: `a && "b c"`, Node: "n", Build: build.ID{Job: "team/app", Number: 12}, Title: "part of team/app#12 é",
		Affinity: "team/app", Priority: -3, Policy: agent.Kill, Waiting: when(),
	}
	b.ok(b.PutItem(b.Context(), queue.Item{ID: it.ID, Title: "older"}))
	b.ok(b.PutItem(b.Context(), it)) // idempotent by ID, the newest stands
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row(it.ID, 1, "n")}))
	b.holds([]queue.Item{it}, []queue.LeaseRow{row(it.ID, 1, "n")})
}

func epochsGrowByOne(b *bench) {
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "x"}))
	for _, epoch := range []uint64{0, 2} {
		if err := b.Grant(b.Context(), []queue.LeaseRow{row("x", epoch, "n")}); !fault.Is(err, fault.Stale) {
			b.Errorf("first epoch %d: %v, want a stale error", epoch, err)
		}
	}
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("x", 1, "n")}))
	if err := b.Grant(b.Context(), []queue.LeaseRow{row("x", 1, "m")}); !fault.Is(err, fault.Stale) {
		b.Errorf("epoch 1 again: %v, want a stale error", err)
	}
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("x", 2, "m"), row("x", 3, "o")}))
	b.holds([]queue.Item{{ID: "x"}}, []queue.LeaseRow{row("x", 3, "o")})
}

func grantIsAllOrNothing(b *bench) {
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "x"}))
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "y"}))
	if err := b.Grant(b.Context(), []queue.LeaseRow{row("x", 1, "n"), row("y", 5, "n")}); !fault.Is(err, fault.Stale) {
		b.Errorf("a batch with a wrong epoch: %v, want a stale error", err)
	}
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("x", 1, "m")}))
	b.holds([]queue.Item{{ID: "x"}, {ID: "y"}}, []queue.LeaseRow{row("x", 1, "m")})
}

func setLeaseIsFenced(b *bench) {
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "x"}))
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "y"}))
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("x", 1, "n"), row("y", 1, "n")}))
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("x", 2, "m")}))
	old, done, unknown := row("x", 1, "n"), row("y", 1, "n"), row("z", 1, "n")
	old.State, done.State, done.Ended, unknown.State = queue.LeaseLost, queue.LeaseDone, when(), queue.LeaseDone
	stale, err := b.SetLease(b.Context(), []queue.LeaseRow{old, done, unknown})
	b.ok(err)
	if d := gocmp.Diff([]queue.LeaseRow{old, unknown}, stale); d != "" {
		b.Errorf("stale (-want +got):\n%s", d)
	}
	b.holds([]queue.Item{{ID: "x"}, {ID: "y"}}, []queue.LeaseRow{row("x", 2, "m"), done})
}

func dropForgetsWhatHasEnded(b *bench) {
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "x"}))
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "y"}))
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("x", 1, "n")}))
	done := row("x", 1, "n")
	done.State = queue.LeaseDone
	_, err := b.SetLease(b.Context(), []queue.LeaseRow{done})
	b.ok(err)
	b.ok(b.DropItem(b.Context(), "x"))
	if err := b.DropItem(b.Context(), "x"); err != nil && !fault.Is(err, fault.NotFound) {
		b.Errorf("dropped twice: %v", err)
	}
	b.holds([]queue.Item{{ID: "y"}}, nil)
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "x"})) // a new life begins with epoch 1
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("x", 1, "m")}))
}

func lastNodesFollowGrants(b *bench) {
	for _, id := range []queue.ItemID{"1", "2", "3"} {
		b.ok(b.PutItem(b.Context(), queue.Item{ID: id, Affinity: map[queue.ItemID]string{"1": "app", "2": "lib", "3": "app"}[id]}))
	}
	b.ok(b.PutItem(b.Context(), queue.Item{ID: "4"})) // without affinity
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("1", 1, "a"), row("2", 1, "b"), row("4", 1, "c")}))
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("3", 1, "d")}))
	b.ok(b.DropItem(b.Context(), "2"))
	b.restart()
	last, err := b.LastNodes(b.Context())
	b.ok(err)
	if d := gocmp.Diff(map[string]fleet.NodeName{"app": "d", "lib": "b"}, last); d != "" {
		b.Errorf("last nodes (-want +got):\n%s", d)
	}
}

func timesAreKept(b *bench) {
	work := func(name string, last ...time.Duration) queue.WorkTimes {
		return queue.WorkTimes{Work: name, Nodes: []queue.NodeTimes{{Node: "n", Last: last}}}
	}
	b.ok(b.PutTimes(b.Context(), []queue.WorkTimes{work("app", time.Second), work("lib", time.Minute)}))
	b.ok(b.PutTimes(b.Context(), []queue.WorkTimes{work("app", time.Second, 3*time.Second)}))
	b.ok(b.Grant(b.Context(), []queue.LeaseRow{row("x", 1, "n")})) // durable: then so is all before
	for range 2 {
		all, err := b.Times(b.Context())
		b.ok(err)
		if d := gocmp.Diff([]queue.WorkTimes{work("lib", time.Minute), work("app", time.Second, 3*time.Second)}, all); d != "" {
			b.Errorf("times (-want +got):\n%s", d)
		}
		b.restart()
	}
}

// manyAtOnce writes from many goroutines, as a writer that drops many items does.
func manyAtOnce(b *bench) {
	const n = 50
	var rows []queue.LeaseRow
	for i := range n {
		id := queue.ItemID(fmt.Sprintf("%02d", i))
		b.ok(b.PutItem(b.Context(), queue.Item{ID: id}))
		rows = append(rows, row(id, 1, "n"))
	}
	b.ok(b.Grant(b.Context(), rows))
	for i := range rows {
		rows[i].State = queue.LeaseDone
	}
	_, err := b.SetLease(b.Context(), rows)
	b.ok(err)
	failed := make(chan error, n)
	for _, r := range rows {
		go func() { failed <- b.DropItem(context.WithoutCancel(b.Context()), r.Item) }()
	}
	for range n {
		b.ok(<-failed)
	}
	b.holds(nil, nil)
}

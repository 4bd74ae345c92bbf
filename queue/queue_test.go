package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/queue/memory"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	goleak.VerifyTestMain(m)
}

func TestGrantAndRelease(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 2, "linux"))
		g := w.granted(w.submit(queue.Item{ID: "x", Label: "linux"}))
		if want := (queue.Grant{Item: "x", Epoch: 1, Node: "a"}); g != want {
			t.Errorf("granted %+v, want %+v", g, want)
		}
		if r := w.row("x"); r.State != queue.LeaseActive || r.Grant != g || r.Boot != "boot-1" {
			t.Errorf("ledger has %+v", r)
		}
		g2 := w.granted(w.submit(queue.Item{ID: "y"}))
		if g2.Executor != 1 {
			t.Errorf("the second executor is %d, want 1", g2.Executor)
		}
		third := w.submit(queue.Item{ID: "z"})
		w.waits(third)
		if err := w.Release(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		if r := w.row("x"); r.State != queue.LeaseDone {
			t.Errorf("after Release the ledger has %+v", r)
		}
		if g3 := w.granted(third); g3.Executor != 0 {
			t.Errorf("the freed executor is 0, granted %+v", g3)
		}
		if err := w.Release(w.Context(), g); !fault.Is(err, fault.Stale) {
			t.Errorf("second Release: %v, want a stale error", err)
		}
		again := w.submit(queue.Item{ID: "x", Label: "linux"})
		if err := w.Release(w.Context(), g2); err != nil {
			t.Fatal(err)
		}
		if g := w.granted(again); g.Epoch != 2 {
			t.Errorf("submitted again: %+v, want epoch 2", g)
		}
	})
}

func TestLateAgentTakesWhatWaits(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 2))
		ticket := w.submit(queue.Item{ID: "x", Label: "ecs"})
		w.waits(ticket)
		w.farm.set(online("b", 1, "ecs"))
		if g := w.granted(ticket); g.Node != "b" {
			t.Errorf("granted %+v, want node b", g)
		}
	})
}

func TestSubmitIsIdempotent(t *testing.T) {
	run(t, func(w *world) {
		one, two := w.submit(queue.Item{ID: "x"}), w.submit(queue.Item{ID: "x"})
		w.farm.set(online("a", 5))
		g := w.granted(one)
		if h := w.granted(two); h != g {
			t.Errorf("two tickets of one item got %+v and %+v", g, h)
		}
		if h := w.granted(w.submit(queue.Item{ID: "x"})); h != g {
			t.Errorf("a leased item was granted %+v, has %+v", h, g)
		}
	})
}

func TestBadItems(t *testing.T) {
	run(t, func(w *world) {
		_, err := w.Submit(w.Context(), queue.Item{ID: "x", Label: "a &&"})
		if !fault.Is(err, fault.Invalid) || err.Error() != `queue item x: label: "a &&": expected a label after && at column 5` {
			t.Errorf("wrong label: %v", err)
		}
		if _, err := w.Submit(w.Context(), queue.Item{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("no id: %v", err)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	run(t, func(w *world) {
		w.stop()
		reg := prometheus.NewRegistry()
		w.begin(queue.Config{MaxWaiting: 3, Registry: reg})
		for i := range 3 {
			w.submit(queue.Item{ID: queue.ItemID(fmt.Sprint(i))})
		}
		if _, err := w.Submit(w.Context(), queue.Item{ID: "more"}); !fault.Is(err, fault.Exhausted) {
			t.Errorf("over the limit: %v, want an exhausted error", err)
		}
		w.submit(queue.Item{ID: "0"}) // it is there already
		synctest.Wait()
		for name, want := range map[string]float64{"outwork_queue_waiting": 3, "outwork_queue_refused_total": 1, "outwork_queue_submitted_total": 3} {
			if got := metric(t, reg, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
	})
}

func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// blocking is a ledger whose Grant waits until it is let go.
type blocking struct {
	*memory.Ledger
	mu    sync.Mutex
	gate  chan struct{}
	sizes []int
}

func (b *blocking) Grant(ctx context.Context, rows []queue.LeaseRow) error {
	b.mu.Lock()
	gate := b.gate
	b.sizes = append(b.sizes, len(rows))
	b.mu.Unlock()
	<-gate
	return b.Ledger.Grant(ctx, rows)
}

func TestNobodyHearsOfAGrantBeforeItIsDurable(t *testing.T) {
	run(t, func(w *world) {
		w.stop()
		gate := make(chan struct{})
		b := &blocking{Ledger: memory.New(), gate: gate}
		w.ledger = b
		w.begin(queue.Config{})
		w.farm.set(online("a", 10))
		first := w.submit(queue.Item{ID: "first"})
		w.waits(first)
		if s := w.state("first"); s != queue.Granting {
			t.Errorf("while the ledger writes the item is %q, want granting", s)
		}
		// The owner is not blocked: more is decided meanwhile, and goes to the ledger in one batch.
		var more []*queue.Ticket
		for i := range 5 {
			more = append(more, w.submit(queue.Item{ID: queue.ItemID(fmt.Sprint(i))}))
		}
		w.waits(more[4])
		close(gate)
		w.granted(first)
		for _, m := range more {
			w.granted(m)
		}
		if d := cmp.Diff([]int{1, 5}, b.sizes); d != "" {
			t.Errorf("batches of grants (-want +got):\n%s", d)
		}
	})
}

func TestWithdraw(t *testing.T) {
	run(t, func(w *world) {
		ticket := w.submit(queue.Item{ID: "x"})
		if err := ticket.Withdraw(w.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := ticket.Wait(w.Context()); !errors.Is(err, queue.ErrWithdrawn) {
			t.Errorf("a withdrawn ticket ends with %v", err)
		}
		if err := ticket.Withdraw(w.Context()); !fault.Is(err, fault.NotFound) {
			t.Errorf("withdrawn twice: %v", err)
		}
		synctest.Wait()
		if items, _, _ := w.ledger.Load(w.Context()); len(items) != 0 {
			t.Errorf("the ledger still has %v", items)
		}
		w.farm.set(online("a", 1))
		ticket = w.submit(queue.Item{ID: "y"})
		w.granted(ticket)
		if err := ticket.Withdraw(w.Context()); !fault.Is(err, fault.Conflict) {
			t.Errorf("withdrawn after the grant: %v", err)
		}
	})
}

func TestWithdrawWhileTheLedgerWrites(t *testing.T) {
	run(t, func(w *world) {
		w.stop()
		gate := make(chan struct{})
		w.ledger = &blocking{Ledger: memory.New(), gate: gate}
		w.begin(queue.Config{})
		w.farm.set(online("a", 1))
		ticket, next := w.submit(queue.Item{ID: "x"}), w.submit(queue.Item{ID: "next"})
		w.waits(ticket)
		if err := ticket.Withdraw(w.Context()); err != nil {
			t.Fatal(err)
		}
		close(gate)
		if g := w.granted(next); g.Executor != 0 {
			t.Errorf("the slot went to %+v", g)
		}
		if _, err := ticket.Wait(w.Context()); !errors.Is(err, queue.ErrWithdrawn) {
			t.Errorf("the ticket ends with %v", err)
		}
		if r := w.row("x"); r.State != queue.LeaseDone {
			t.Errorf("ledger has %+v", r)
		}
	})
}

func TestReturnKeepsThePlace(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x"}))
		later := w.submit(queue.Item{ID: "later"})
		w.waits(later)
		lost := w.Lost(g)
		back, err := w.Return(w.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		if h := w.granted(back); h.Epoch != 2 || h.Executor != 0 {
			t.Errorf("granted again: %+v", h)
		}
		w.waits(later)
		if isLost(lost) {
			t.Error("a returned lease counts as lost")
		}
		h := queue.Grant{Item: "x", Epoch: 2, Node: "a"}
		if err := w.Opened(w.Context(), h); err != nil {
			t.Error(err)
		}
		if _, err := w.Return(w.Context(), h); !fault.Is(err, fault.Conflict) {
			t.Errorf("Return of an opened lease: %v", err)
		}
	})
}

// A node that gave a lease back rests, because the agent that refused one lease refuses the next: another takes the item, or it
// waits for the end of the rest, or for an agent that has connected anew.
func TestReturnRestsTheNode(t *testing.T) {
	const refused = "‘a’ is not accepting tasks (it has refused the last one; it is asked again in a moment)"
	run(t, func(w *world) {
		w.farm.set(online("a", 2))
		g := w.granted(w.submit(queue.Item{ID: "x", Affinity: "j"}))
		again := func(g queue.Grant) *queue.Ticket {
			t.Helper()
			back, err := w.Return(w.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			return back
		}
		began := time.Now()
		back := again(g)
		w.waits(back)
		why, err := w.Why(w.Context(), "x")
		if err != nil || len(why.Nodes) != 1 || why.Nodes[0].Predicate != queue.NotTaking || why.Nodes[0].Reason != refused || why.Summary != refused {
			t.Errorf("why: %+v, %v", why, err)
		}
		g = w.granted(back)
		if took := time.Since(began); took != 5*time.Second || g.Epoch != 2 {
			t.Errorf("granted as %+v after %v, want 5s", g, took)
		}
		w.farm.set(online("b", 1))
		synctest.Wait()
		if began, g = time.Now(), w.granted(again(g)); g.Node != "b" || time.Since(began) > 0 {
			t.Errorf("granted as %+v after %v, want b at once: its affinity to a counts for nothing", g, time.Since(began))
		}
		w.farm.set(offline("a", 2))
		synctest.Wait()
		w.farm.set(online("a", 2))
		synctest.Wait()
		if began, g = time.Now(), w.granted(w.submit(queue.Item{ID: "y"})); g.Node != "a" || time.Since(began) > 0 {
			t.Errorf("granted as %+v after %v, want the agent that has come back at once", g, time.Since(began))
		}
	})
}

func TestGrantToANodeThatWentAwayIsTakenBack(t *testing.T) {
	run(t, func(w *world) {
		w.stop()
		gate := make(chan struct{})
		w.ledger = &blocking{Ledger: memory.New(), gate: gate}
		w.begin(queue.Config{})
		w.farm.set(online("a", 1))
		ticket := w.submit(queue.Item{ID: "x"})
		w.waits(ticket)
		w.farm.set(offline("a", 1))
		synctest.Wait()
		close(gate)
		w.waits(ticket)
		w.farm.set(online("b", 1))
		if g := w.granted(ticket); g.Node != "b" || g.Epoch != 2 {
			t.Errorf("granted %+v, want epoch 2 on b", g)
		}
	})
}

func TestLedgerTrouble(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		l := w.ledger.(*memory.Ledger)
		l.Fail(errors.New("database is locked"))
		ticket := w.submit(queue.Item{ID: "x"})
		time.Sleep(20 * time.Second) // of the bubble
		w.waits(ticket)
		l.Fail(nil)
		g := w.granted(ticket)
		if r := w.row("x"); r.Grant != g {
			t.Errorf("ledger has %+v, granted %+v", r, g)
		}
	})
}

// forgetful commits a grant and then says that it failed, once.
type forgetful struct {
	*memory.Ledger
	once sync.Once
}

func (f *forgetful) Grant(ctx context.Context, rows []queue.LeaseRow) (err error) {
	err = f.Ledger.Grant(ctx, rows)
	f.once.Do(func() { err = errors.New("connection reset between COMMIT and its answer") })
	return err
}

func TestCommitWhoseAnswerWasLost(t *testing.T) {
	run(t, func(w *world) {
		w.stop()
		w.ledger = &forgetful{Ledger: memory.New()}
		w.begin(queue.Config{})
		w.farm.set(online("a", 2))
		one, two := w.submit(queue.Item{ID: "x"}), w.submit(queue.Item{ID: "y"})
		if g := w.granted(one); g.Epoch != 1 {
			t.Errorf("granted %+v, want epoch 1", g)
		}
		if g := w.granted(two); g.Epoch != 1 {
			t.Errorf("granted %+v, want epoch 1", g)
		}
	})
}

func TestLedgerWithANewerEpoch(t *testing.T) {
	run(t, func(w *world) {
		w.submit(queue.Item{ID: "x"})
		w.submit(queue.Item{ID: "y"})
		synctest.Wait()
		// Somebody else has given x out, up to epoch 2.
		for epoch := range uint64(2) {
			row := queue.LeaseRow{Grant: queue.Grant{Item: "x", Epoch: epoch + 1, Node: "z"}, State: queue.LeaseDone}
			if err := w.ledger.Grant(w.Context(), []queue.LeaseRow{row}); err != nil {
				t.Fatal(err)
			}
		}
		w.farm.set(online("a", 2))
		if g := w.granted(w.submit(queue.Item{ID: "x"})); g.Epoch != 3 {
			t.Errorf("granted %+v, want epoch 3", g)
		}
		if g := w.granted(w.submit(queue.Item{ID: "y"})); g.Epoch != 1 {
			t.Errorf("granted %+v, want epoch 1", g)
		}
	})
}

func TestEndedItemsAreForgotten(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x"}))
		if err := w.Release(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if r := w.row("x"); r.Epoch != 1 {
			t.Errorf("before an hour the ledger has %+v", r)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if items, rows, _ := w.ledger.Load(w.Context()); len(items)+len(rows) != 0 {
			t.Errorf("after an hour the ledger has %v %v", items, rows)
		}
	})
}

func TestDrainingNodeBecomesIdle(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		g := w.granted(w.submit(queue.Item{ID: "x"}))
		st := online("a", 1)
		st.State = fleet.Draining
		w.farm.set(st)
		synctest.Wait()
		if len(w.farm.idled) != 0 {
			t.Error("idle while a lease is left")
		}
		if err := w.Release(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(w.farm.idled) == 0 || w.farm.idled[0] != "a" {
			t.Errorf("idled %v, want a", w.farm.idled)
		}
	})
}

func TestSnapshotOrder(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		w.granted(w.submit(queue.Item{ID: "runs"}))
		w.submit(queue.Item{ID: "low", Priority: -1})
		w.submit(queue.Item{ID: "one"})
		w.submit(queue.Item{ID: "two"})
		w.submit(queue.Item{ID: "high", Priority: 1})
		var got []queue.ItemID
		for _, s := range w.Snapshot() {
			got = append(got, s.Item.ID)
		}
		if d := cmp.Diff([]queue.ItemID{"high", "one", "two", "low", "runs"}, got); d != "" {
			t.Errorf("snapshot (-want +got):\n%s", d)
		}
	})
}

func TestStickyThenLeastLoaded(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 4))
		w.farm.set(online("b", 4))
		first := w.granted(w.submit(queue.Item{ID: "1", Affinity: "app"}))
		other := w.granted(w.submit(queue.Item{ID: "2", Affinity: "lib"}))
		again := w.granted(w.submit(queue.Item{ID: "3", Affinity: "app"}))
		if first.Node != "a" || other.Node != "b" || again.Node != "a" {
			t.Errorf("placed on %s, %s, %s; want a, b, a", first.Node, other.Node, again.Node)
		}
		// Also after a restart.
		w.stop()
		w.begin(queue.Config{})
		if g := w.granted(w.submit(queue.Item{ID: "4", Affinity: "lib"})); g.Node != "b" {
			t.Errorf("after a restart placed on %s, want b", g.Node)
		}
	})
}

func TestSubscribersHear(t *testing.T) {
	run(t, func(w *world) {
		synctest.Wait()
		changed, cancel := w.Subscribe()
		defer cancel()
		if isLost(changed) {
			t.Error("a signal without a change")
		}
		w.submit(queue.Item{ID: "x"})
		if !isLost(changed) {
			t.Error("no signal of a new item")
		}
	})
}

func TestStoppedQueueAnswers(t *testing.T) {
	run(t, func(w *world) {
		ticket := w.submit(queue.Item{ID: "x"})
		w.stop()
		if _, err := ticket.Wait(context.Background()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Wait: %v", err)
		}
		if _, err := w.Submit(context.Background(), queue.Item{ID: "y"}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Submit: %v", err)
		}
		if ch := w.Lost(queue.Grant{Item: "x"}); ch != nil {
			t.Error("Lost answers after the stop")
		}
		if s := w.Snapshot(); len(s) != 0 {
			t.Errorf("Snapshot: %v", s)
		}
	})
}

// TestStartStop starts and stops the queue many times on one ledger, with work in flight.
func TestStartStop(t *testing.T) {
	f, ledger := &farm{}, memory.New()
	f.set(online("a", 1<<20))
	for i := range 300 {
		w := &world{T: t, farm: f, ledger: ledger}
		w.begin(queue.Config{})
		var clients sync.WaitGroup
		for j := range 4 {
			clients.Go(func() {
				it := queue.Item{ID: queue.ItemID(fmt.Sprintf("%d/%d", i, j)), Policy: agent.Kill}
				if ticket, err := w.Submit(context.Background(), it); err == nil {
					if g, err := ticket.Wait(context.Background()); err == nil && j%2 == 0 {
						_ = w.Release(context.Background(), g)
					}
				}
			})
		}
		if i%3 == 0 {
			clients.Wait()
		}
		w.stop()
		clients.Wait()
		f.mu.Lock()
		f.subs = nil
		f.mu.Unlock()
	}
}

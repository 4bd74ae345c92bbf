package queue_test

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/queue/memory"
)

// farm is a fleet whose nodes do as the test says.
type farm struct {
	mu     sync.Mutex
	nodes  []fleet.Status
	subs   []chan struct{}
	keeper fleet.Keeper
	idled  []fleet.NodeName
}

func (f *farm) Snapshot() []fleet.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.nodes)
}

func (f *farm) Subscribe() (<-chan struct{}, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan struct{}, 1)
	f.subs = append(f.subs, ch)
	return ch, func() {}
}

func (f *farm) Keep(k fleet.Keeper) { f.keeper = k }

func (f *farm) Idle(n fleet.NodeName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idled = append(f.idled, n)
}

// set puts a node into the farm, or changes it.
func (f *farm) set(st fleet.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st.Assigned = append(slices.Clone(st.Node.Labels), string(st.Node.Name))
	slices.Sort(st.Assigned)
	i, ok := slices.BinarySearchFunc(f.nodes, st.Node.Name, func(s fleet.Status, n fleet.NodeName) int { return cmp.Compare(s.Node.Name, n) })
	if ok {
		st.Revision = f.nodes[i].Revision + 1
		f.nodes[i] = st
	} else {
		st.Revision = 1
		f.nodes = slices.Insert(f.nodes, i, st)
	}
	for _, ch := range f.subs {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// online is a node that takes work.
func online(n fleet.NodeName, executors int, labels ...string) fleet.Status {
	return fleet.Status{
		Node: fleet.Node{Name: n, Executors: executors, Labels: labels}, State: fleet.Online, Machine: agent.Description{Boot: "boot-1"},
	}
}

func offline(n fleet.NodeName, executors int, labels ...string) fleet.Status {
	st := online(n, executors, labels...)
	st.State, st.Cause = fleet.Offline, &fleet.OfflineCause{Kind: fleet.CauseChannel, Text: "Connection was broken: EOF"}
	return st
}

// world is a queue at work in a synctest bubble.
type world struct {
	*testing.T
	*queue.Queue
	farm   *farm
	ledger queue.Ledger
	stop   func()
}

func run(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, farm: &farm{}, ledger: memory.New()}
		w.begin(queue.Config{})
		f(w)
		w.stop()
	})
}

// begin starts a queue on the world's ledger and farm.
func (w *world) begin(cfg queue.Config) {
	w.Helper()
	cfg.Ledger, cfg.Fleet, cfg.Log = w.ledger, w.farm, slog.New(slog.NewTextHandler(w.Output(), nil))
	q, err := queue.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- q.Run(ctx) }()
	w.Queue = q
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("Run: %v", err)
		}
	})
}

func (w *world) submit(it queue.Item) *queue.Ticket {
	w.Helper()
	t, err := w.Submit(w.Context(), it)
	if err != nil {
		w.Fatalf("submit %s: %v", it.ID, err)
	}
	return t
}

// granted waits for a ticket; a minute of the bubble's time is long enough for anything.
func (w *world) granted(t *queue.Ticket) queue.Grant {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	g, err := t.Wait(ctx)
	if err != nil {
		w.Fatal(err)
	}
	return g
}

// waits checks that a ticket has not been granted when all goroutines rest.
func (w *world) waits(t *queue.Ticket) {
	w.Helper()
	synctest.Wait()
	ctx, cancel := context.WithTimeout(w.Context(), time.Nanosecond)
	defer cancel()
	if g, err := t.Wait(ctx); err == nil {
		w.Fatalf("granted %+v, expected to wait", g)
	}
}

// beat is one answered heartbeat of a node.
func (w *world) beat(r fleet.Renewal) []agent.Lease {
	w.Helper()
	held, err := w.farm.keeper.Held(w.Context(), r.Node, r.Session)
	if err != nil {
		w.Fatal(err)
	}
	r.Held = held
	if r.Boot == "" {
		r.Boot = "boot-1"
	}
	garbage := w.farm.keeper.Renewed(w.Context(), r)
	synctest.Wait()
	return garbage
}

func isLost(ch <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// state of an item in the queue's snapshot; "" when it has none.
func (w *world) state(id queue.ItemID) queue.ItemState {
	synctest.Wait()
	for _, s := range w.Snapshot() {
		if s.Item.ID == id {
			return s.State
		}
	}
	return ""
}

// row is an item's newest lease in the ledger.
func (w *world) row(id queue.ItemID) queue.LeaseRow {
	w.Helper()
	_, rows, err := w.ledger.Load(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range rows {
		if r.Item == id {
			return r
		}
	}
	return queue.LeaseRow{}
}

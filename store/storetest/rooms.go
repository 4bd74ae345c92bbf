package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline"
	"github.com/outwork-build/outwork/queue"
)

// Details checks build.Details.
func Details(t *testing.T, open Opener) {
	w := newWorld(t, open)
	ctx := w.ctx()
	w.job("j")
	id, none := w.accept("j"), build.ID{Job: "j", Number: 9}

	st := []build.Stage{{ID: "2", Name: "Test", Kind: "stage", State: "running", Order: 2, Started: moment(1)},
		{ID: "1", Name: "Build", Kind: "stage", State: "running", Order: 1}}
	for _, s := range st {
		must(t, w.Builds.PutStage(ctx, id, s))
	}
	st[1].State, st[1].Result = "finished", build.Success
	must(t, w.Builds.PutStage(ctx, id, st[1]))
	got, err := w.Builds.Stages(ctx, id)
	must(t, err)
	same(t, "stages just put", got, []build.Stage{st[1], st[0]})
	_, err = w.Builds.Stages(ctx, none)
	wants(t, "stages of no build", err, fault.NotFound)

	as := []build.Artifact{{Path: "z/a", Digest: "d/1", Size: 1}, {Path: "b", Digest: "d/2", Size: 2, Mode: 0o755}}
	must(t, w.Builds.PutArtifacts(ctx, id, as))
	as[1].Size = 3
	must(t, w.Builds.PutArtifacts(ctx, id, as[1:]))
	wants(t, "artifacts of no build", w.Builds.PutArtifacts(ctx, none, as), fault.NotFound)

	must(t, w.Builds.PutStash(ctx, id, "s", "one"))
	must(t, w.Builds.PutStash(ctx, id, "s", "two"))
	wants(t, "stash of no build", w.Builds.PutStash(ctx, none, "s", "x"), fault.NotFound)
	w.reopen()
	arts, err := w.Builds.Artifacts(ctx, id)
	must(t, err)
	same(t, "artifacts", arts, []build.Artifact{as[1], as[0]})
	var blobs []string
	note := func(d string) error { blobs = append(blobs, d); return nil }
	must(t, w.Builds.Blobs(ctx, note, note))
	slices.Sort(blobs)
	same(t, "blobs", blobs, []string{"d/1", "d/2", "two"})
	digest, err := w.Builds.Stash(ctx, id, "s")
	must(t, err)
	same(t, "stash", digest, "two")
	_, err = w.Builds.Stash(ctx, id, "no")
	wants(t, "no such stash", err, fault.NotFound)
	got, err = w.Builds.Stages(ctx, id)
	must(t, err)
	same(t, "stages", got, []build.Stage{st[1], st[0]})

	other := w.accept("j")
	w.finish(id)
	must(t, w.Builds.DeleteBuild(ctx, id))
	_, err = w.Builds.Artifacts(ctx, id)
	wants(t, "artifacts of a deleted build", err, fault.NotFound)
	if s, err := w.Builds.Stages(ctx, other); err != nil || len(s) != 0 {
		t.Errorf("stages of another build: %v, %v", s, err)
	}
}

// Runs checks pipeline.Store.
func Runs(t *testing.T, open Opener) {
	w := newWorld(t, open)
	ctx := w.ctx()
	w.job("j")
	a, b := w.accept("j"), w.accept("j")
	none := build.ID{Job: "j", Number: 9}
	entry := func(seq uint64, text string) pipeline.Entry { return pipeline.Entry{Seq: seq, Data: []byte(text)} }
	must(t, w.Runs.Append(ctx, a, []pipeline.Entry{entry(1, "x"), entry(2, "")}))
	must(t, w.Runs.Append(ctx, b, []pipeline.Entry{entry(1, "of b")}))
	must(t, w.Runs.Append(ctx, a, nil))
	for _, bad := range [][]pipeline.Entry{{entry(2, "again")}, {entry(4, "gap")}, {entry(3, "good"), entry(5, "gap")}, {entry(0, "zero")}} {
		wants(t, fmt.Sprint("append ", bad[0].Seq), w.Runs.Append(ctx, a, bad), fault.Stale)
	}
	wants(t, "journal of no build", w.Runs.Append(ctx, none, []pipeline.Entry{entry(1, "x")}), fault.NotFound)
	big := bytes.Repeat([]byte{0, 0xff, 'x', '\n'}, 1<<20)
	must(t, w.Runs.Append(ctx, a, []pipeline.Entry{{Seq: 3, Data: big}}))
	must(t, w.Runs.PutText(ctx, a, "Jenkinsfile", "pipeline {}"))
	must(t, w.Runs.PutText(ctx, a, "Jenkinsfile", "another"))
	must(t, w.Runs.PutText(ctx, a, "lib", ""))
	w.reopen()
	es, err := w.Runs.Load(ctx, a)
	must(t, err)
	if len(es) != 3 || es[0].Seq != 1 || string(es[0].Data) != "x" || len(es[1].Data) != 0 || !bytes.Equal(es[2].Data, big) {
		t.Errorf("journal has %d entries", len(es))
	}
	texts, err := w.Runs.Texts(ctx, a)
	must(t, err)
	same(t, "texts", texts, map[string]string{"Jenkinsfile": "pipeline {}", "lib": ""})
	for _, id := range []build.ID{b, none} {
		texts, err := w.Runs.Texts(ctx, id)
		must(t, err)
		same(t, "no texts", texts, map[string]string{})
	}
	if es, err := w.Runs.Load(ctx, none); err != nil || len(es) != 0 {
		t.Errorf("journal of no build: %v, %v", es, err)
	}

	list := func() (ids []build.ID) {
		bs, err := w.Runs.Unfinished(ctx)
		must(t, err)
		for _, b := range bs {
			ids = append(ids, b.ID)
		}
		return ids
	}
	c := w.accept("j")
	same(t, "unfinished", list(), []build.ID{a, b, c})
	w.finish(b)
	same(t, "unfinished", list(), []build.ID{a, c})

	must(t, w.Runs.Drop(ctx, a))
	must(t, w.Runs.Drop(ctx, a))
	must(t, w.Runs.Drop(ctx, none))
	if es, err := w.Runs.Load(ctx, a); err != nil || len(es) != 0 {
		t.Errorf("dropped journal: %v, %v", es, err)
	}
	if es, err := w.Runs.Load(ctx, b); err != nil || len(es) != 1 {
		t.Errorf("another's journal: %v, %v", es, err)
	}

	// Of many controllers that go on with a run, one does.
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := w.Runs.Append(ctx, c, []pipeline.Entry{entry(1, fmt.Sprint(i))})
			if err == nil {
				won.Add(1)
			} else if !fault.Is(err, fault.Stale) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d callers wrote entry 1", won.Load())
	}
}

// Nodes checks fleet.Store.
func Nodes(t *testing.T, open Opener) {
	w := newWorld(t, open)
	ctx := w.ctx()
	n := fleet.Node{Name: "linux-1", Description: "first", Executors: 2, Labels: []string{"linux", "docker"}, Mode: fleet.Exclusive,
		Env: map[string]string{"A": "b"}, Launcher: fleet.LauncherSpec{Kind: "inbound", Config: map[string]string{"x": "y"}}, Created: moment(0)}
	must(t, w.Nodes.PutNode(ctx, n))
	must(t, w.Nodes.PutNode(ctx, fleet.Node{Name: "a"}))
	n.Offline = &fleet.OfflineCause{Kind: "user", Text: "new disk", By: "alice", When: moment(1)}
	n.Down, n.Used = &fleet.OfflineCause{Kind: "user", Text: "moved", By: "bob", When: moment(2)}, true
	must(t, w.Nodes.PutNode(ctx, n))
	wants(t, "bad name", w.Nodes.PutNode(ctx, fleet.Node{Name: "a/b"}), fault.Invalid)
	w.reopen()
	all, err := w.Nodes.Nodes(ctx)
	must(t, err)
	same(t, "nodes", all, []fleet.Node{{Name: "a"}, n})
	must(t, w.Nodes.DeleteNode(ctx, "a"))
	wants(t, "delete twice", w.Nodes.DeleteNode(ctx, "a"), fault.NotFound)
	all, err = w.Nodes.Nodes(ctx)
	must(t, err)
	same(t, "nodes", all, []fleet.Node{n})
	wants(t, "one bad name of two", w.Nodes.PutNode(ctx, fleet.Node{Name: "b"}, fleet.Node{Name: "b/b"}), fault.Invalid)
	must(t, w.Nodes.PutNode(ctx, fleet.Node{Name: "b"}, fleet.Node{Name: "c"}))
	all, err = w.Nodes.Nodes(ctx)
	must(t, err)
	same(t, "nodes", all, []fleet.Node{{Name: "b"}, {Name: "c"}, n})
	t.Run("records", func(t *testing.T) { nodeRecords(newWorld(t, open)) })
}

// nodeRecords checks what a fleet.Store keeps of what happened to nodes.
func nodeRecords(w *world) {
	t, ctx := w.t, w.ctx()
	must(t, w.Nodes.PutNode(ctx, fleet.Node{Name: "a"}, fleet.Node{Name: "b"}))
	record := func(n fleet.NodeName, i int) fleet.Record {
		return fleet.Record{Node: n, At: moment(i), State: fleet.Suspended,
			Cause: &fleet.OfflineCause{Kind: "user", Text: fmt.Sprintf("Disconnected by alice : %d", i), By: "alice", When: moment(i)}}
	}
	of := func(n fleet.NodeName, limit int, want ...fleet.Record) {
		t.Helper()
		rs, err := w.Nodes.Records(ctx, n, limit)
		must(t, err)
		same(t, "records of "+string(n), rs, append([]fleet.Record{}, want...))
	}
	of("a", 5)
	must(t, w.Nodes.AddRecords(ctx, nil))
	must(t, w.Nodes.AddRecords(ctx, []fleet.Record{record("a", 1), record("b", 2), record("nobody", 3), record("a", 4)}))
	of("a", 5, record("a", 4), record("a", 1))
	of("a", 1, record("a", 4))
	of("nobody", 5)
	var many []fleet.Record
	for i := range fleet.RecordsKept + 50 {
		many = append(many, record("a", 10+i))
	}
	must(t, w.Nodes.AddRecords(ctx, many))
	w.reopen()
	rs, err := w.Nodes.Records(ctx, "a", 10*fleet.RecordsKept)
	must(t, err)
	if len(rs) != fleet.RecordsKept || !rs[0].At.Equal(moment(10+len(many)-1)) || !rs[len(rs)-1].At.Equal(moment(10+50)) {
		t.Errorf("%d records are kept, from %v to %v", len(rs), rs[len(rs)-1].At, rs[0].At)
	}
	of("b", 5, record("b", 2))
	must(t, w.Nodes.DeleteNode(ctx, "a"))
	must(t, w.Nodes.PutNode(ctx, fleet.Node{Name: "a"}))
	of("a", 5) // it is another one
	of("b", 5, record("b", 2))
}

func lease(item string, epoch uint64, st queue.LeaseState) queue.LeaseRow {
	return queue.LeaseRow{Grant: queue.Grant{Item: queue.ItemID(item), Epoch: epoch, Node: fleet.NodeName(fmt.Sprint("n", epoch)), Executor: 1},
		State: st, Granted: moment(int(epoch))}
}

// Leases checks queue.Ledger.
func Leases(t *testing.T, open Opener) {
	t.Run("epochs", func(t *testing.T) { epochs(newWorld(t, open)) })
	t.Run("items", func(t *testing.T) { items(newWorld(t, open)) })
	t.Run("last nodes", func(t *testing.T) { lastNodes(newWorld(t, open)) })
	t.Run("one winner an epoch", func(t *testing.T) { oneWinner(newWorld(t, open)) })
}

func epochs(w *world) {
	t, ctx, s := w.t, w.ctx(), w.Leases
	row := func(i string, e uint64) queue.LeaseRow { return lease(i, e, queue.LeaseActive) }
	must(t, s.Grant(ctx, nil))
	must(t, s.Grant(ctx, []queue.LeaseRow{row("a", 1), row("b", 1)}))
	for _, bad := range [][]queue.LeaseRow{{row("a", 1)}, {row("a", 3)}, {row("c", 2)}, {row("c", 0)}, {row("c", 1), row("a", 1)}} {
		wants(t, fmt.Sprint("grant ", bad), s.Grant(ctx, bad), fault.Stale)
	}
	must(t, s.Grant(ctx, []queue.LeaseRow{row("a", 2)}))
	stale, err := s.SetLease(ctx, []queue.LeaseRow{lease("a", 1, queue.LeaseDone), lease("b", 1, queue.LeaseHeld), lease("no", 1, queue.LeaseDone), lease("a", 3, queue.LeaseDone)})
	must(t, err)
	same(t, "stale", stale, []queue.LeaseRow{lease("a", 1, queue.LeaseDone), lease("no", 1, queue.LeaseDone), lease("a", 3, queue.LeaseDone)})
	w.reopen()
	_, rows, err := w.Leases.Load(ctx)
	must(t, err)
	same(t, "leases", rows, []queue.LeaseRow{row("a", 2), lease("b", 1, queue.LeaseHeld)})
	ended := lease("b", 1, queue.LeaseLost)
	ended.Ended = moment(9)
	for range 2 {
		stale, err = w.Leases.SetLease(ctx, []queue.LeaseRow{ended})
		if err != nil || len(stale) != 0 {
			t.Errorf("end a lease: %v, %v", stale, err)
		}
	}
	must(t, w.Leases.DropItem(ctx, "b"))
	must(t, w.Leases.DropItem(ctx, "b"))
	must(t, w.Leases.DropItem(ctx, "a")) // its lease has not ended
	_, rows, err = w.Leases.Load(ctx)
	must(t, err)
	same(t, "leases", rows, []queue.LeaseRow{row("a", 2)})
}

func items(w *world) {
	t, ctx := w.t, w.ctx()
	it := queue.Item{ID: "j#1/a", Label: "linux && docker", Build: build.ID{Job: "j", Number: 1}, Title: "part of j#1", Affinity: "j",
		Priority: 2, Policy: agent.Hold, Waiting: moment(1)}
	must(t, w.Leases.PutItem(ctx, it))
	it.Label = "gpu"
	must(t, w.Leases.PutItem(ctx, it))
	got, _, err := w.Leases.Load(ctx)
	must(t, err)
	same(t, "items just put", got, []queue.Item{it})
	// Once a later write is durable, so is the item.
	must(t, w.Leases.PutItem(ctx, queue.Item{ID: "other"}))
	must(t, w.Leases.Grant(ctx, []queue.LeaseRow{lease("other", 1, queue.LeaseActive)}))
	w.reopen()
	got, _, err = w.Leases.Load(ctx)
	must(t, err)
	same(t, "items", got, []queue.Item{it, {ID: "other"}})
	must(t, w.Leases.DropItem(ctx, it.ID))
	got, _, err = w.Leases.Load(ctx)
	must(t, err)
	same(t, "items", got, []queue.Item{{ID: "other"}})
}

func lastNodes(w *world) {
	t, ctx := w.t, w.ctx()
	const many, batch = 12_000, 1000
	for from := 0; from < many; from += batch {
		var rows []queue.LeaseRow
		for i := range batch {
			id := fmt.Sprintf("i%d", from+i)
			must(t, w.Leases.PutItem(ctx, queue.Item{ID: queue.ItemID(id), Affinity: "job-" + id}))
			rows = append(rows, lease(id, 1, queue.LeaseActive))
		}
		must(t, w.Leases.Grant(ctx, rows))
	}
	must(t, w.Leases.Grant(ctx, []queue.LeaseRow{lease("i11000", 2, queue.LeaseActive), lease("without an item", 1, queue.LeaseActive)}))
	last, err := w.Leases.LastNodes(ctx)
	must(t, err)
	if len(last) != 10_000 {
		t.Errorf("LastNodes has %d affinities", len(last))
	}
	for affinity, want := range map[string]fleet.NodeName{"job-i11000": "n2", "job-i11999": "n1", "job-i2000": "n1", "job-i1999": ""} {
		if last[affinity] != want {
			t.Errorf("%s last ran on %q, want %q", affinity, last[affinity], want)
		}
	}
}

func oneWinner(w *world) {
	t, ctx := w.t, w.ctx()
	for epoch := uint64(1); epoch <= 10; epoch++ {
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := w.Leases.Grant(ctx, []queue.LeaseRow{lease("x", epoch, queue.LeaseActive)})
				if err == nil {
					won.Add(1)
				} else if !fault.Is(err, fault.Stale) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("epoch %d was granted %d times", epoch, won.Load())
		}
	}
}

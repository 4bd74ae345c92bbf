package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/pipeline"
)

// TestDiskFull is fault F5 for the ledger.
func TestDiskFull(t *testing.T) {
	mount := need.Disk(t, "8m")
	dir := filepath.Join(mount, "data")
	l := openLedger(t, dir, Config{})
	ctx := t.Context()
	putJob(t, l, "j")
	ballast := filepath.Join(mount, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 4<<20), 0o600))
	accept := func() (build.ID, error) {
		return l.Builds.Accept(ctx, build.Build{ID: build.ID{Job: "j"}, State: build.Queued, Description: strings.Repeat("x", 10_000)})
	}
	var kept []build.ID
	var err error
	for err == nil && len(kept) < 5000 {
		var id build.ID
		if id, err = accept(); err == nil {
			kept = append(kept, id)
		}
	}
	if !fault.Is(err, fault.Exhausted) || len(kept) < 10 {
		t.Fatalf("after %d builds: %v", len(kept), err)
	}
	// New work is refused, and what runs goes on: until the disk is really full.
	seq := uint64(0)
	for err = nil; err == nil && seq < 5000; {
		if err = l.Runs.Append(ctx, kept[0], []pipeline.Entry{{Seq: seq + 1, Data: make([]byte, 3000)}}); err == nil {
			seq++
		}
	}
	if !fault.Is(err, fault.Exhausted) || seq < 10 {
		t.Fatalf("after %d journal entries: %v", seq, err)
	}
	// What nobody waits for is kept for later, in order.
	for i := range 3 {
		must(t, l.Builds.PutStage(ctx, kept[0], build.Stage{ID: fmt.Sprint(i), Name: strings.Repeat("y", 100_000), Order: i}))
	}
	if _, err := accept(); !fault.Is(err, fault.Exhausted) {
		t.Errorf("once more: %v", err)
	}
	check := func(more int) {
		t.Helper()
		bs, err := l.Builds.Builds(ctx, build.Filter{Limit: 10_000})
		if err != nil || len(bs) != len(kept)+more {
			t.Fatalf("%d builds can be read of %d, %v", len(bs), len(kept)+more, err)
		}
		for i, id := range kept {
			if bs[len(bs)-1-i].ID != id {
				t.Fatalf("build %d is %s, want %s", i, bs[len(bs)-1-i].ID, id)
			}
		}
	}
	check(0)
	if es, err := l.Runs.Load(ctx, kept[0]); err != nil || len(es) != int(seq) {
		t.Errorf("%d journal entries of %d, %v", len(es), seq, err)
	}
	must(t, os.Remove(ballast))
	must(t, l.Runs.Append(ctx, kept[0], []pipeline.Entry{{Seq: seq + 1}}))
	id, err := accept()
	must(t, err)
	if want := kept[len(kept)-1].Number + 1; id.Number != want {
		t.Errorf("with space again the next number is %d, want %d: refused builds took none", id.Number, want)
	}
	check(1)
	stages, err := l.Builds.Stages(ctx, kept[0])
	must(t, err)
	if len(stages) != 3 {
		t.Errorf("%d of 3 stages that were put while the disk was full are there", len(stages))
	}
	must(t, l.Check(ctx))
	must(t, l.Close())
	l = openLedger(t, dir, Config{})
	check(1)
}

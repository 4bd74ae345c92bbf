package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// smallDisk mounts a file system of 8 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts a tmpfs of 8 MiB")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// TestDiskFull is fault F5 for the ledger.
func TestDiskFull(t *testing.T) {
	mount := smallDisk(t)
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
	if !fault.Is(err, fault.Exhausted) {
		t.Fatalf("after %d builds: %v", len(kept), err)
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
	must(t, os.Remove(ballast))
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

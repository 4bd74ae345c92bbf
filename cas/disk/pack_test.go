package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/disk"
)

func TestActions(t *testing.T) {
	castest.RunActions(t, func(t *testing.T) cas.ActionCache { return open(t, disk.Config{}) })
}

func TestActionsSurvive(t *testing.T) {
	dir := t.TempDir()
	s := open(t, disk.Config{Dir: dir})
	k := func(name string) cas.ActionKey { return cas.ActionKey{Space: "x", Key: name} }
	for i := range 3 {
		for _, name := range []string{"changed", "deleted"} {
			if err := s.PutAction(t.Context(), k(name), fmt.Appendf(nil, "%s %d", name, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.DeleteAction(t.Context(), k("deleted")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.Close()
		s = open(t, disk.Config{Dir: dir})
		if got, err := s.GetAction(t.Context(), k("changed")); err != nil || string(got) != "changed 2" {
			t.Errorf("%q, %v", got, err)
		}
		if got, err := s.GetAction(t.Context(), k("deleted")); !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("a deleted entry came back: %q, %v", got, err)
		}
	}
}

// putMany puts n blobs of a size, 50 with one commit.
func putMany(t testing.TB, s cas.Store, seed, n int, size int64) (ds []cas.Digest) {
	t.Helper()
	var blobs []cas.Blob
	for i := range n {
		b := castest.Bytes(uint64(seed+i), size)
		blobs = append(blobs, cas.Blob{Digest: cas.Of(b), Data: b})
		ds = append(ds, cas.Of(b))
		if len(blobs) < 50 && i < n-1 {
			continue
		}
		for _, err := range cas.PutBatch(t.Context(), s, blobs) {
			if err != nil {
				t.Fatal(err)
			}
		}
		blobs = blobs[:0]
	}
	return ds
}

func TestPutBatch(t *testing.T) {
	s := open(t, disk.Config{MaxBytes: 1 << 20})
	ok, big := castest.Bytes(1, 1000), castest.Bytes(2, large)
	blobs := []cas.Blob{
		{Digest: cas.Of(ok), Data: ok}, {Digest: cas.Of(ok), Data: []byte("other bytes")}, {Digest: cas.Empty},
		{Digest: cas.Of(big), Data: big}, {Digest: cas.Of(ok), Data: ok}, {Digest: cas.Digest{Hash: "..", Size: 1}, Data: []byte("x")},
		{Digest: cas.Of(castest.Bytes(3, 2<<20)), Data: castest.Bytes(3, 2<<20)},
	}
	want := []error{nil, cas.ErrMismatch, nil, nil, nil, nil, cas.ErrFull}
	for i, err := range cas.PutBatch(t.Context(), s, blobs) {
		if i == 5 {
			if err == nil {
				t.Error("a malformed digest was taken")
			}
		} else if !errors.Is(err, want[i]) {
			t.Errorf("blob %d: %v, want %v", i, err, want[i])
		}
	}
	for _, b := range [][]byte{ok, big} {
		if got, err := cas.ReadAll(t.Context(), s, cas.Of(b), 1<<20); err != nil || !bytes.Equal(got, b) {
			t.Error(err)
		}
	}
}

// packs returns the packs of a folder, oldest first.
func packs(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	slices.Sort(found)
	return found
}

// packed is what the packs of a folder take.
func packed(t testing.TB, dir string) (size int64) {
	t.Helper()
	for _, p := range packs(t, dir) {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

func TestSmallBlobsSpoiledOnDisk(t *testing.T) {
	for _, at := range []int{-60, -1, 0, 500, 999} { // in its record's header too
		dir := t.TempDir()
		s := open(t, disk.Config{Dir: dir})
		before, d, after := put(t, s, 1, 1000), put(t, s, 2, 1000), put(t, s, 3, 1000)
		spoil := func() {
			b, err := os.ReadFile(packs(t, dir)[0])
			if err != nil {
				t.Fatal(err)
			}
			b[bytes.Index(b, castest.Bytes(2, 1000))+max(at, -56)] ^= 4
			if err := os.WriteFile(packs(t, dir)[0], b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		spoil()
		if b, err := cas.ReadAll(t.Context(), s, d, 1<<20); !errors.Is(err, cas.ErrMismatch) {
			t.Fatalf("%d bytes were served: %v", len(b), err)
		}
		if got := s.Stats(); got.Dropped != 1 || got.Blobs != 2 {
			t.Fatalf("%+v", got)
		}
		s.Close()
		s = open(t, disk.Config{Dir: dir})
		if ds, err := s.Missing(t.Context(), []cas.Digest{before, d, after}); err != nil || !slices.Equal(ds, []cas.Digest{d}) {
			t.Fatalf("missing after a restart: %v, %v", ds, err)
		}
		put(t, s, 2, 1000)
		if _, err := cas.ReadAll(t.Context(), s, d, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
}

// However a crash cut the pack, what stands before the cut is there and the store goes on.
func TestPackCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	s := open(t, disk.Config{Dir: dir})
	var ends []int64
	var ds []cas.Digest
	for i := range 6 {
		ds = append(ds, put(t, s, uint64(i), int64(20+i*31)))
		info, err := os.Stat(packs(t, dir)[0])
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, info.Size())
	}
	s.Close()
	whole, err := os.ReadFile(packs(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	for cut := ends[3] - 3; cut <= int64(len(whole)); cut++ {
		tail := [][]byte{nil, make([]byte, 200), whole[16:70]}[cut%3] // nothing, or what the disk had there before
		torn := t.TempDir()
		if err := os.Mkdir(filepath.Join(torn, "packs"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(torn, "packs", "00000000.pack"), append(bytes.Clone(whole[:cut]), tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, disk.Config{Dir: torn})
		for i, d := range ds {
			b, err := cas.ReadAll(t.Context(), s, d, 1<<20)
			if want := ends[i] <= cut; want != (err == nil) || err == nil && cas.Of(b) != d {
				t.Fatalf("cut at %d: blob that ends at %d: %v", cut, ends[i], err)
			}
		}
		again := put(t, s, 77, 100)
		s.Close()
		s = open(t, disk.Config{Dir: torn})
		if _, err := cas.ReadAll(t.Context(), s, again, 1<<20); err != nil {
			t.Fatalf("cut at %d: a blob put after: %v", cut, err)
		}
		s.Close()
	}
}

// The list beside a full pack is a short cut: with a spoiled one, or none, the pack is read instead.
func TestListsAreOnlyAShortCut(t *testing.T) {
	dir := t.TempDir()
	cfg := disk.Config{Dir: dir, MaxBytes: 4 << 20} // packs of 32 KiB
	s := open(t, cfg)
	ds := putMany(t, s, 0, 200, 1000)
	lists, _ := filepath.Glob(filepath.Join(dir, "packs", "*.list"))
	if len(lists) < 4 {
		t.Fatalf("%d lists", len(lists))
	}
	s.Close()
	if err := os.Remove(lists[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lists[1], []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(lists[2])
	if err != nil {
		t.Fatal(err)
	}
	b[40] ^= 1
	if err := os.WriteFile(lists[2], b, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, cfg)
		if missing, err := s.Missing(t.Context(), ds); err != nil || len(missing) > 0 {
			t.Fatalf("%d of %d are missing: %v", len(missing), len(ds), err)
		}
		s.Close()
	}
	if again, _ := filepath.Glob(filepath.Join(dir, "packs", "*.list")); len(again) != len(lists) {
		t.Errorf("%d lists after a start, %d before", len(again), len(lists))
	}
}

func TestFilesOfEarlierVersionsGoOn(t *testing.T) {
	dir := t.TempDir()
	b := castest.Bytes(1, 300)
	d := cas.Of(b)
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "00000007"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "blobs", "00000007", d.Hash+"-300"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, disk.Config{Dir: dir})
	for range 2 {
		if got, err := cas.ReadAll(t.Context(), s, d, 1<<20); err != nil || !bytes.Equal(got, b) {
			t.Fatal(err)
		}
	}
}

// What is used stays and what is not goes, in a store that is written many times over and opened again in between.
func TestPacksKeepWhatIsUsed(t *testing.T) {
	dir := t.TempDir()
	cfg := disk.Config{Dir: dir, MaxBytes: 4 << 20, Lease: time.Nanosecond}
	s := open(t, cfg)
	hot := put(t, s, 1, 500)
	key := cas.ActionKey{Key: "hot"}
	if err := s.PutAction(t.Context(), key, []byte("result")); err != nil {
		t.Fatal(err)
	}
	var last []cas.Digest
	for i := range 24 { // three times what fits
		last = append(last, putMany(t, s, 100+500*i, 500, 1000)...)
		if i == 12 { // what is used within a second of its last use is not told to the disk: it is used again before others come
			s.Close()
			s = open(t, cfg)
		}
		if !has(t, s, hot) {
			t.Fatalf("a blob in use is gone in round %d: %+v", i, s.Stats())
		}
		if _, err := s.GetAction(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	st := s.Stats()
	if st.Evicted == 0 || st.Bytes > cfg.MaxBytes {
		t.Errorf("%+v", st)
	}
	if st.Blobs < 2500 {
		t.Errorf("only %d blobs of 1000 bytes are kept in %d: %+v", st.Blobs, cfg.MaxBytes, st)
	}
	for i, d := range last[len(last)-2000:] {
		if !has(t, s, d) {
			t.Fatalf("blob %d of the youngest 2000 is gone", i)
		}
	}
	if has(t, s, last[0]) {
		t.Error("the oldest blob is there")
	}
	if size := packed(t, dir); size > cfg.MaxBytes+200_000 { // the reads just above left notes
		t.Errorf("packs of %d bytes, the bound is %d", size, cfg.MaxBytes)
	}
}

// Kept blobs are copied out of packs whose others went, while they are read.
func TestCompactionKeepsReaders(t *testing.T) {
	var kept []cas.Digest
	cfg := disk.Config{Dir: t.TempDir(), MaxBytes: 2 << 20, Lease: time.Nanosecond, Keep: func(_ context.Context, keep func(cas.Digest)) error {
		for _, d := range kept {
			keep(d)
		}
		return nil
	}}
	s := open(t, cfg)
	for i := range 60 {
		d := putMany(t, s, 1000+i*12, 12, 800)
		kept = append(kept, d[0])
	}
	stop := make(chan struct{})
	var reads atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if b, err := cas.ReadAll(t.Context(), s, kept[i%len(kept)], 1<<20); err != nil || cas.Of(b) != kept[i%len(kept)] {
					t.Errorf("a kept blob: %v", err)
					return
				}
				reads.Add(1)
			}
		})
	}
	putMany(t, s, 10_000, 3000, 800)
	close(stop)
	wg.Wait()
	if reads.Load() == 0 || s.Stats().Evicted < 1000 {
		t.Errorf("%d reads, %+v", reads.Load(), s.Stats())
	}
	s.Close()
	s = open(t, cfg)
	if missing, err := s.Missing(t.Context(), kept); err != nil || len(missing) > 0 {
		t.Errorf("%d kept blobs are gone after a restart: %v", len(missing), err)
	}
}

func TestSmallLeaseSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	cfg := disk.Config{Dir: dir, MaxBytes: 64 << 10, Lease: 40 * time.Millisecond} // the least that is told is a second
	s := open(t, cfg)
	d := put(t, s, 1, 30<<10)
	for old := packed(t, dir); packed(t, dir) == old; { // until a use is told to the disk again
		if ds, err := s.Missing(t.Context(), []cas.Digest{d}); err != nil || len(ds) > 0 {
			t.Fatal(ds, err)
		}
	}
	image := t.TempDir() // what a kill leaves: nothing is flushed
	if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	cfg.Dir, cfg.Lease = image, time.Hour
	s = open(t, cfg)
	if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(2, 50<<10)); !errors.Is(err, cas.ErrFull) {
		t.Fatalf("a blob that was just asked for made room: %v", err)
	}
}

func TestFinder(t *testing.T) {
	dir := t.TempDir()
	castest.RunFinder(t, func(t *testing.T) cas.Finder { return open(t, disk.Config{Dir: dir}) })
	if n := tempFiles(t, dir); n > 0 {
		t.Errorf("%d files were left in tmp", n)
	}
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	s := open(t, disk.Config{Dir: dir})
	small, big := put(t, s, 1, 1000), put(t, s, 2, large)
	put(t, s, 3, 2000)
	put(t, s, 4, large)
	if err := s.PutAction(t.Context(), cas.ActionKey{Key: "k"}, []byte("value")); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Verify(t.Context()); err != nil || r != (disk.Report{Blobs: 4, Actions: 1, Bytes: 3005 + 2*large}) {
		t.Fatalf("%+v, %v", r, err)
	}
	for file, at := range map[string][]byte{packs(t, dir)[0]: castest.Bytes(1, 1000), blobFile(t, dir, big): castest.Bytes(2, large)} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b[bytes.Index(b, at)+700] ^= 1
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil { // as a disk that rots does
			t.Fatal(err)
		}
	}
	if r, err := s.Verify(t.Context()); err != nil || r != (disk.Report{Blobs: 2, Actions: 1, Bytes: 2005 + large, Dropped: 2}) {
		t.Errorf("%+v, %v", r, err)
	}
	if has(t, s, small) || has(t, s, big) {
		t.Error("a damaged blob is there")
	}
}

func TestShrink(t *testing.T) {
	s := open(t, disk.Config{MaxBytes: 8 << 20, Lease: time.Nanosecond})
	old := putMany(t, s, 0, 1000, 1000)
	big := put(t, s, 9000, large)
	young := putMany(t, s, 5000, 500, 1000)
	if used, err := s.Shrink(t.Context(), 1<<20); err != nil || used > 1<<20 || used < 1<<19 {
		t.Fatalf("%d bytes, %v", used, err)
	}
	if missing, err := s.Missing(t.Context(), append(young, big)); err != nil || len(missing) > 0 {
		t.Errorf("%d of the youngest are gone: %v", len(missing), err)
	}
	if missing, err := s.Missing(t.Context(), old[:400]); err != nil || len(missing) != 400 {
		t.Errorf("%d of the 400 oldest are gone: %v", len(missing), err)
	}
	if used, err := s.Shrink(t.Context(), 0); err != nil || used > 100_000 || s.Stats().Blobs > 0 {
		t.Errorf("%d bytes of %+v, %v", used, s.Stats(), err)
	}
}

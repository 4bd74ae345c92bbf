package disk_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/disk"
	"github.com/outwork-build/outwork/internal/fault"
)

func open(t testing.TB, cfg disk.Config) *disk.Store {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := disk.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s cas.Store, seed uint64, n int64) cas.Digest {
	t.Helper()
	d, err := cas.PutBytes(t.Context(), s, castest.Bytes(seed, n))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func has(t testing.TB, s cas.Store, d cas.Digest) bool {
	t.Helper()
	r, err := s.Get(t.Context(), d, 0)
	if err != nil {
		if !errors.Is(err, cas.ErrNotFound) {
			t.Fatal(err)
		}
		return false
	}
	r.Close()
	return true
}

// large is the size of a blob that is kept in a file, a whole number of blocks.
const large = 100 << 10

// blobFile finds the file of a blob, which tests may spoil.
func blobFile(t testing.TB, dir string, d cas.Digest) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "blobs", "*", d.Hash+"*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0]
}

// tempFiles counts what is left in tmp.
func tempFiles(t testing.TB, dir string) int {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

func TestConformance(t *testing.T) {
	castest.Run(t, func(t *testing.T) cas.Store {
		dir := t.TempDir()
		s := open(t, disk.Config{Dir: dir})
		t.Cleanup(func() {
			if n := tempFiles(t, dir); n > 0 {
				t.Errorf("%d files were left in tmp", n)
			}
		})
		return s
	}, castest.Options{})
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, disk.Config{Dir: dir})
	small, large := put(t, s, 1, 100), put(t, s, 2, 1<<20)
	if _, err := disk.Open(disk.Config{Dir: dir}); fault.Of(err) != fault.Conflict {
		t.Fatalf("opened twice: %v", err)
	}
	s.Close()
	for _, name := range []string{"tmp/half", "blobs/00000000/garbage", "blobs/00000000/" + cas.Of([]byte("x")).Hash + "-77"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("xyz"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, disk.Config{Dir: dir})
	if !has(t, s, small) || !has(t, s, large) {
		t.Fatal("a blob is gone after reopening")
	}
	if n := tempFiles(t, dir); n != 0 {
		t.Fatalf("%d files in tmp survived", n)
	}
	if has(t, s, cas.Digest{Hash: cas.Of([]byte("x")).Hash, Size: 77}) {
		t.Fatal("a file of another size than its name says is served")
	}
}

func TestOrderOfUseDecidesAndSurvives(t *testing.T) {
	dir := t.TempDir()
	cfg := disk.Config{Dir: dir, MaxBytes: 5 * large, Lease: time.Nanosecond} // every use goes to the file's time
	s := open(t, cfg)
	var ds []cas.Digest
	for i := range 5 {
		ds = append(ds, put(t, s, uint64(i), large))
		old := time.Now().Add(time.Duration(i-100) * time.Hour)
		if err := os.Chtimes(blobFile(t, dir, ds[i]), old, old); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = open(t, cfg)
	if !has(t, s, ds[0]) { // uses it
		t.Fatal("no first blob")
	}
	s.Close()
	s = open(t, cfg)
	put(t, s, 10, large)
	put(t, s, 11, large)
	for i, want := range []bool{true, false, false, true, true} {
		if has(t, s, ds[i]) != want {
			t.Errorf("blob %d is there: %v", i, !want)
		}
	}
	s.Close()
	cfg.MaxBytes = large
	s = open(t, cfg)
	if es, _ := filepath.Glob(filepath.Join(dir, "blobs", "*", "*")); len(es) != 1 {
		t.Errorf("%d blobs in a store made smaller, expected 1", len(es))
	}
	if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(12, 2*large)); !errors.Is(err, cas.ErrFull) {
		t.Errorf("a blob larger than the store: %v", err)
	}
}

func TestNumberOfBlobsIsBounded(t *testing.T) {
	s := open(t, disk.Config{MaxBlobs: 3})
	first := put(t, s, 0, 10)
	for i := range 3 {
		put(t, s, uint64(i+1), 10)
	}
	if has(t, s, first) {
		t.Error("the oldest of four blobs is there in a store of three")
	}
	if got := s.Stats(); got.Blobs != 3 || got.Evicted != 1 {
		t.Errorf("%+v", got)
	}
}

func TestMissingProtects(t *testing.T) {
	dir := t.TempDir()
	cfg := disk.Config{Dir: dir, MaxBytes: large + 5000, Lease: time.Hour}
	s := open(t, cfg)
	a := put(t, s, 1, large)
	if ds, err := s.Missing(t.Context(), []cas.Digest{a}); err != nil || len(ds) > 0 {
		t.Fatal(ds, err)
	}
	if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(2, 6000)); !errors.Is(err, cas.ErrFull) {
		t.Fatalf("a protected blob made room: %v", err)
	}
	s.Close()
	s = open(t, cfg)
	if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(2, 6000)); !errors.Is(err, cas.ErrFull) {
		t.Fatalf("the protection did not survive a restart: %v", err)
	}
	s.Close()
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(blobFile(t, dir, a), old, old); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	put(t, s, 2, 6000)
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	var kept []cas.Digest
	var broken error
	cfg := disk.Config{Dir: dir, MaxBytes: 4 * large, Lease: time.Nanosecond, Keep: func(_ context.Context, keep func(cas.Digest)) error {
		for _, d := range kept {
			keep(d)
		}
		return broken
	}}
	s := open(t, cfg)
	artifact, other := put(t, s, 1, large), put(t, s, 2, large)
	kept = []cas.Digest{artifact}
	for i := range 10 {
		put(t, s, uint64(10+i), large)
	}
	if !has(t, s, artifact) || has(t, s, other) {
		t.Errorf("the kept blob is there: %v; the other, older than the rest: %v", has(t, s, artifact), has(t, s, other))
	}
	s.Close()
	cfg.MaxBytes = 2 * large
	s = open(t, cfg)
	put(t, s, 30, large)
	if !has(t, s, artifact) {
		t.Error("a store made smaller dropped what is kept")
	}
	broken = errors.New("the ledger is away")
	if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(31, large)); !errors.Is(err, cas.ErrFull) || !errors.Is(err, broken) {
		t.Errorf("when it is unknown what is kept: %v", err)
	}
	broken = nil
	kept = nil
	put(t, s, 31, large)
	put(t, s, 32, large)
	if has(t, s, artifact) {
		t.Error("a blob that is kept no longer stays")
	}
}

func TestKeepProtectsWhatWasJustPut(t *testing.T) {
	asked := 0
	s := open(t, disk.Config{MaxBytes: 2 * large, Lease: time.Hour, Keep: func(context.Context, func(cas.Digest)) error { asked++; return nil }})
	put(t, s, 1, large)
	put(t, s, 2, large)
	for i := range uint64(3) {
		if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(3+i, large)); !errors.Is(err, cas.ErrFull) {
			t.Errorf("a blob whose keeper may not have heard of it yet was evicted: %v", err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times within half a lease", asked)
	}
}

func TestBitRot(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(b []byte) []byte
	}{
		{"first byte", func(b []byte) []byte { b[0] ^= 1; return b }},
		{"last byte", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
		{"shorter", func(b []byte) []byte { return b[:len(b)-1] }},
		{"longer", func(b []byte) []byte { return append(b, 0) }},
		{"empty", func([]byte) []byte { return nil }},
	} {
		for _, size := range []int64{large, 1 << 20} {
			for _, offset := range []int64{0, size / 2, size - 1} {
				t.Run(fmt.Sprintf("%s of %d from %d", c.name, size, offset), func(t *testing.T) {
					dir := t.TempDir()
					s := open(t, disk.Config{Dir: dir})
					d := put(t, s, 1, size)
					file := blobFile(t, dir, d)
					b, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, c.spoil(b), 0o600); err != nil {
						t.Fatal(err)
					}
					r, err := s.Get(t.Context(), d, offset)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(r)
					r.Close()
					if !errors.Is(err, cas.ErrMismatch) || int64(len(got)) >= size-offset {
						t.Fatalf("%d of %d bytes were served: %v", len(got), size-offset, err)
					}
					if ds, _ := s.Missing(t.Context(), []cas.Digest{d}); len(ds) != 1 {
						t.Fatal("the corrupt blob is still offered")
					}
					if got := s.Stats(); got != (disk.Stats{Dropped: 1}) {
						t.Fatalf("%+v", got)
					}
					put(t, s, 1, size)
					if b, err := cas.ReadAll(t.Context(), s, d, 1<<30); err != nil || !bytes.Equal(b, castest.Bytes(1, size)) {
						t.Fatalf("after it was put again: %v", err)
					}
				})
			}
		}
	}
}

// Many writers and readers of a store that holds a part of what they write: nothing wrong is ever served, nothing is left over.
func TestChurn(t *testing.T) {
	dir := t.TempDir()
	const bound = 40 << 16
	s := open(t, disk.Config{Dir: dir, MaxBytes: bound, Lease: time.Nanosecond})
	var served atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 150 {
				seed := uint64((i*7 + g*3) % 60)
				want := castest.Bytes(seed, int64(seed)*3000+1)
				d, err := cas.PutBytes(t.Context(), s, want)
				if err != nil && !errors.Is(err, cas.ErrFull) {
					t.Errorf("put: %v", err)
				}
				got, err := cas.ReadAll(t.Context(), s, d, 1<<20)
				if err != nil && !errors.Is(err, cas.ErrNotFound) {
					t.Errorf("get: %v", err)
				} else if err == nil {
					served.Add(1)
					if !bytes.Equal(got, want) {
						t.Error("wrong bytes were served")
					}
				}
			}
		})
	}
	wg.Wait()
	if served.Load() < 600 {
		t.Errorf("only %d of 1200 reads were served", served.Load())
	}
	if n := tempFiles(t, dir); n != 0 {
		t.Errorf("%d files in tmp", n)
	}
	size := int64(0)
	files, _ := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
	packs, _ := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	for _, f := range append(packs, files...) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > bound+bound/8 { // each read leaves a note of its time here
		t.Errorf("%d bytes are kept, the bound is %d", size, bound)
	}
	for _, f := range files {
		d, err := cas.ParseDigest(filepath.Base(f)[:64] + "/" + filepath.Base(f)[65:])
		if err != nil || !has(t, s, d) {
			t.Errorf("%s is kept and not known", f)
		}
	}
}

// A process that is killed at any moment leaves every blob that it said it kept, and no other.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("DISK_TEST_FILL"); dir != "" {
		fill(dir)
		return
	}
	dir := t.TempDir()
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "DISK_TEST_FILL="+dir, fmt.Sprint("DISK_TEST_SEED=", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var kept []cas.Digest
		for lines := bufio.NewScanner(out); lines.Scan(); {
			d, err := cas.ParseDigest(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			if kept = append(kept, d); len(kept) == 50*(round+1) {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if len(kept) < 50*(round+1) {
			t.Fatalf("the writer ended by itself after %d blobs", len(kept))
		}
		s, err := disk.Open(disk.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range kept {
			if _, err := cas.ReadAll(t.Context(), s, d, 1<<20); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		if n := tempFiles(t, dir); n != 0 {
			t.Errorf("%d files in tmp", n)
		}
		s.Close()
	}
}

func fill(dir string) {
	s, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100_000 {
				b := fmt.Appendf(nil, "%s %d %d", os.Getenv("DISK_TEST_SEED"), g, i)
				if i%5 == 0 {
					b = append(b, make([]byte, 200<<10)...)
				}
				d, err := cas.PutBytes(context.Background(), s, b)
				mu.Lock()
				if err != nil {
					fmt.Println(err)
				} else {
					fmt.Println(d)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func BenchmarkPutSmall(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d writers", writers), func(b *testing.B) {
			s := open(b, disk.Config{})
			var n atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						if _, err := cas.PutBytes(b.Context(), s, fmt.Appendf(make([]byte, 1000), "%d", i)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
		})
	}
	b.Run("bare fsync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "f"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for b.Loop() {
			f.Write(make([]byte, 1000))
			f.Sync()
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s := open(b, disk.Config{})
	d := put(b, s, 1, 64<<20)
	b.SetBytes(64 << 20)
	for b.Loop() {
		r, err := s.Get(b.Context(), d, 0)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != 64<<20 {
			b.Fatal(n, err)
		}
		r.Close()
	}
}

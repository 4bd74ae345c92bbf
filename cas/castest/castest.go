// Package castest is what every cas.Store must pass.
//
// A store's own test calls Run with a function that opens an empty store; Run opens one for each subtest.
package castest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/outwork-build/outwork/cas"
)

// Options say what a store is, where stores may differ.
type Options struct {
	// Large is the size in bytes of the large blob that is sent through; 0 is 9 MiB and a bit.
	Large int64
}

// Run holds the stores that open returns to the contract of cas.Store. A store need hold 32 MiB.
func Run(t *testing.T, open func(t *testing.T) cas.Store, opts Options) {
	if opts.Large == 0 {
		opts.Large = 9<<20 + 12345
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, cas.Store)
	}{
		{"RoundTrip", func(t *testing.T, s cas.Store) { roundTrip(t, s, opts.Large) }},
		{"Empty", empty},
		{"NotFound", notFound},
		{"Missing", missing},
		{"Mismatch", mismatch},
		{"FailingReader", failingReader},
		{"Offsets", offsets},
		{"PutAgain", putAgain},
		{"InvalidDigest", invalidDigest},
		{"Canceled", canceled},
		{"Concurrent", concurrent},
		{"SameBlobConcurrent", sameBlob},
		{"AbandonedReader", abandoned},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Bytes returns n bytes that are the same for the same seed.
func Bytes(seed uint64, n int64) []byte {
	b := make([]byte, n)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	rand.NewChaCha8(key).Read(b)
	return b
}

func put(t *testing.T, s cas.Store, b []byte) cas.Digest {
	t.Helper()
	d, err := cas.PutBytes(t.Context(), s, b)
	if err != nil {
		t.Fatalf("put of %d bytes: %v", len(b), err)
	}
	return d
}

func read(s cas.Store, d cas.Digest, offset int64) ([]byte, error) {
	r, err := s.Get(context.Background(), d, offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func mustRead(t *testing.T, s cas.Store, d cas.Digest, offset int64, want []byte) {
	t.Helper()
	got, err := read(s, d, offset)
	if err != nil {
		t.Fatalf("get %s from %d: %v", d, offset, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("get %s from %d: %d bytes that differ from the %d put", d, offset, len(got), len(want))
	}
}

func wantMissing(t *testing.T, s cas.Store, ds []cas.Digest, want ...cas.Digest) {
	t.Helper()
	got, err := s.Missing(t.Context(), ds)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("missing: got %v, want %v", got, want)
	}
}

func roundTrip(t *testing.T, s cas.Store, large int64) {
	for i, n := range []int64{1, 100, 4096, 64 << 10, 64<<10 + 1, 1 << 20, large} {
		b := Bytes(uint64(i), n)
		d := put(t, s, b)
		mustRead(t, s, d, 0, b)
		wantMissing(t, s, []cas.Digest{d})
	}
	// One byte at a time, and with the end told beside the last bytes: both are readers that a store must take.
	b := Bytes(99, 3000)
	if err := s.Put(t.Context(), cas.Of(b), iotest.OneByteReader(bytes.NewReader(b))); err != nil {
		t.Fatal(err)
	}
	c := Bytes(98, 3000)
	if err := s.Put(t.Context(), cas.Of(c), iotest.DataErrReader(bytes.NewReader(c))); err != nil {
		t.Fatal(err)
	}
	mustRead(t, s, cas.Of(b), 0, b)
	mustRead(t, s, cas.Of(c), 0, c)
}

func empty(t *testing.T, s cas.Store) {
	wantMissing(t, s, []cas.Digest{cas.Empty})
	mustRead(t, s, cas.Empty, 0, nil)
	if d := put(t, s, nil); d != cas.Empty {
		t.Fatalf("the digest of nothing is %s", d)
	}
	mustRead(t, s, cas.Empty, 0, nil)
	if err := s.Put(t.Context(), cas.Empty, bytes.NewReader([]byte("x"))); err != nil && !errors.Is(err, cas.ErrMismatch) {
		t.Fatalf("a byte put under the empty digest: %v", err)
	}
	mustRead(t, s, cas.Empty, 0, nil)
}

func notFound(t *testing.T, s cas.Store) {
	d := cas.Of([]byte("nobody put this"))
	if _, err := read(s, d, 0); !errors.Is(err, cas.ErrNotFound) {
		t.Fatalf("get of what is not there: %v", err)
	}
	b := Bytes(1, 50)
	put(t, s, b)
	wrongSize := cas.Of(b)
	wrongSize.Size++
	if _, err := read(s, wrongSize, 0); !errors.Is(err, cas.ErrNotFound) {
		t.Fatalf("get of another size than was put: %v", err)
	}
}

func missing(t *testing.T, s cas.Store) {
	here := put(t, s, []byte("here"))
	a, b := cas.Of([]byte("a")), cas.Of([]byte("b"))
	wantMissing(t, s, nil)
	wantMissing(t, s, []cas.Digest{b, here, a, b, cas.Empty, a, here}, b, a)
	var many, absent []cas.Digest
	for i := range 2500 {
		d := cas.Of(fmt.Appendf(nil, "absent %d", i))
		many = append(many, d, here)
		absent = append(absent, d)
	}
	wantMissing(t, s, many, absent...)
}

func mismatch(t *testing.T, s cas.Store) {
	for _, n := range []int64{10, 100 << 10, 5 << 20} {
		b := Bytes(7, n)
		d := cas.Of(b)
		flipped := bytes.Clone(b)
		flipped[n/2] ^= 1
		for name, bad := range map[string][]byte{"flipped": flipped, "short": b[:n-1], "long": append(bytes.Clone(b), 'x'), "nothing": nil} {
			if err := s.Put(t.Context(), d, bytes.NewReader(bad)); !errors.Is(err, cas.ErrMismatch) {
				t.Fatalf("%s bytes under a digest of %d: %v", name, n, err)
			}
			wantMissing(t, s, []cas.Digest{d}, d)
		}
		if err := s.Put(t.Context(), d, bytes.NewReader(b)); err != nil {
			t.Fatalf("the right bytes after wrong ones: %v", err)
		}
		mustRead(t, s, d, 0, b)
	}
	b := []byte("it is read no further than it must be")
	r := &endless{}
	if err := s.Put(t.Context(), cas.Of(b), r); !errors.Is(err, cas.ErrMismatch) {
		t.Fatalf("an endless reader: %v", err)
	}
	if r.n > int64(len(b))+1 {
		t.Fatalf("%d bytes were read for a blob of %d", r.n, len(b))
	}
}

// endless has zero bytes without end.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n += int64(len(p))
	return len(p), nil
}

func failingReader(t *testing.T, s cas.Store) {
	broken := errors.New("the source broke")
	for _, n := range []int64{100, 3 << 20} {
		b := Bytes(3, n)
		r := io.MultiReader(bytes.NewReader(b[:n/2]), iotest.ErrReader(broken))
		if err := s.Put(t.Context(), cas.Of(b), r); !errors.Is(err, broken) {
			t.Fatalf("put from a reader that fails: %v", err)
		}
		wantMissing(t, s, []cas.Digest{cas.Of(b)}, cas.Of(b))
	}
}

func offsets(t *testing.T, s cas.Store) {
	for _, n := range []int64{10, 200 << 10, 5 << 20} {
		b := Bytes(5, n)
		d := put(t, s, b)
		for _, off := range []int64{0, 1, n / 2, n - 1, n} {
			mustRead(t, s, d, off, b[off:])
		}
		for _, off := range []int64{-1, n + 1} {
			if _, err := read(s, d, off); !errors.Is(err, cas.ErrRange) {
				t.Fatalf("get from %d of %d: %v", off, n, err)
			}
		}
	}
}

func putAgain(t *testing.T, s cas.Store) {
	b := Bytes(11, 1000)
	d := put(t, s, b)
	put(t, s, b)
	mustRead(t, s, d, 0, b)
}

func invalidDigest(t *testing.T, s cas.Store) {
	for _, d := range []cas.Digest{{}, {Hash: "../../etc/passwd", Size: 1}, {Hash: cas.Empty.Hash, Size: -1}, {Hash: "E" + cas.Empty.Hash[1:], Size: 0}} {
		if err := s.Put(t.Context(), d, bytes.NewReader(nil)); err == nil {
			t.Errorf("put under %v was taken", d)
		}
		if _, err := read(s, d, 0); err == nil {
			t.Errorf("get of %v answered", d)
		}
		if _, err := s.Missing(t.Context(), []cas.Digest{d}); err == nil {
			t.Errorf("missing of %v answered", d)
		}
	}
}

func canceled(t *testing.T, s cas.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	b := Bytes(13, 4<<20)
	d := cas.Of(b)
	r := io.MultiReader(bytes.NewReader(b[:1<<20]), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }), bytes.NewReader(b[1<<20:]))
	if err := s.Put(ctx, d, r); err == nil {
		t.Fatal("a put whose context ended in its middle succeeded")
	}
	wantMissing(t, s, []cas.Digest{d}, d)
	if err := s.Put(ctx, d, bytes.NewReader(b)); err == nil {
		t.Fatal("a put with an ended context succeeded")
	}
	put(t, s, b)
	if _, err := s.Missing(ctx, []cas.Digest{d}); err == nil {
		t.Fatal("missing with an ended context succeeded")
	}
	if rc, err := s.Get(ctx, d, 0); err == nil {
		_, err = io.ReadAll(rc)
		rc.Close()
		if err == nil {
			t.Fatal("a get with an ended context succeeded")
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func concurrent(t *testing.T, s cas.Store) {
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 30 {
				b := Bytes(uint64(i%20), 500+int64(i%20)*997) // half of them shared by all
				if i%2 == 0 {
					b = append(b, byte(g))
				}
				d, err := cas.PutBytes(t.Context(), s, b)
				if err != nil {
					t.Errorf("put: %v", err)
					return
				}
				if ds, err := s.Missing(t.Context(), []cas.Digest{d}); err != nil || len(ds) > 0 {
					t.Errorf("missing after put: %v %v", ds, err)
					return
				}
				if got, err := read(s, d, 0); err != nil || !bytes.Equal(got, b) {
					t.Errorf("get after put: %d bytes, %v", len(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func sameBlob(t *testing.T, s cas.Store) {
	b := Bytes(17, 2<<20)
	bad := bytes.Clone(b)
	bad[len(bad)-1] ^= 1
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if i%3 == 0 {
				if err := s.Put(t.Context(), cas.Of(b), bytes.NewReader(bad)); err != nil && !errors.Is(err, cas.ErrMismatch) {
					t.Errorf("wrong bytes beside right ones: %v", err)
				}
				return
			}
			if err := s.Put(t.Context(), cas.Of(b), bytes.NewReader(b)); err != nil {
				t.Errorf("right bytes beside wrong ones: %v", err)
			}
		})
	}
	wg.Wait()
	mustRead(t, s, cas.Of(b), 0, b)
}

func abandoned(t *testing.T, s cas.Store) {
	b := Bytes(19, 4<<20)
	d := put(t, s, b)
	for range 50 {
		r, err := s.Get(t.Context(), d, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	mustRead(t, s, d, 0, b)
}

// RunFinder holds the stores that open returns to the contracts of cas.Finder and, by cas.Add, cas.Adder.
func RunFinder(t *testing.T, open func(t *testing.T) cas.Finder) {
	s := open(t)
	for i, n := range []int64{0, 1, 1000, 300 << 10} {
		b := Bytes(uint64(40+i), n)
		want := cas.Of(b)
		if d, err := s.Find(t.Context(), want.Hash); n > 0 && !errors.Is(err, cas.ErrNotFound) {
			t.Fatalf("find what is not there: %v, %v", d, err)
		}
		for range 2 {
			if d, err := cas.Add(t.Context(), s, n, bytes.NewReader(b)); err != nil || d != want {
				t.Fatalf("add %d bytes: %v, %v", n, d, err)
			}
		}
		if d, err := s.Find(t.Context(), want.Hash); err != nil || d != want {
			t.Fatalf("find %s: %v, %v", want, d, err)
		}
		mustRead(t, s, want, 0, b)
		for _, wrong := range []int64{n + 1, n - 1} {
			if wrong < 0 {
				continue
			}
			if _, err := cas.Add(t.Context(), s, wrong, bytes.NewReader(b)); !errors.Is(err, cas.ErrMismatch) {
				t.Fatalf("%d bytes added as %d: %v", n, wrong, err)
			}
		}
	}
}

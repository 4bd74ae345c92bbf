package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/disk"
	"github.com/outwork-build/outwork/internal/need"
)

func TestFullDisk(t *testing.T) {
	dir := need.Disk(t, "8m")
	store := filepath.Join(dir, "cas")
	s := open(t, disk.Config{Dir: store, Lease: time.Hour})
	ballast := filepath.Join(dir, "somebody else's file")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := put(t, s, 1, 2<<20)
	if ds, err := s.Missing(t.Context(), []cas.Digest{kept}); err != nil || len(ds) > 0 {
		t.Fatal(ds, err)
	}
	// Nothing may be evicted: the blobs that do not fit are refused, whole.
	for _, size := range []int64{3 << 20, 6 << 20} {
		b := castest.Bytes(uint64(size), size)
		if _, err := cas.PutBytes(t.Context(), s, b); !errors.Is(err, cas.ErrFull) {
			t.Fatalf("%d bytes on a full disk: %v", size, err)
		}
		if ds, err := s.Missing(t.Context(), []cas.Digest{cas.Of(b)}); err != nil || len(ds) != 1 {
			t.Fatal("a refused blob is there", err)
		}
	}
	var fitting []cas.Digest
	for i := uint64(100); ; i++ { // down to the last page
		d, err := cas.PutBytes(t.Context(), s, castest.Bytes(i, 4000))
		if errors.Is(err, cas.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if ds, err := s.Missing(t.Context(), []cas.Digest{d}); err != nil || len(ds) > 0 {
			t.Fatal(ds, err)
		}
		fitting = append(fitting, d)
	}
	if len(fitting) < 100 {
		t.Fatalf("only %d blobs of 4000 bytes fit into 2 MB", len(fitting))
	}
	if n := tempFiles(t, store); n != 0 {
		t.Fatalf("%d files in tmp of a full disk", n)
	}
	// Space comes back: so does the store, by itself.
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	put(t, s, 3<<20, 3<<20)
	for _, d := range append(fitting, kept) {
		if _, err := cas.ReadAll(t.Context(), s, d, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
}

// When blobs may go, a full disk makes the store smaller instead of useless.
func TestFullDiskEvicts(t *testing.T) {
	dir := need.Disk(t, "8m")
	s := open(t, disk.Config{Dir: filepath.Join(dir, "cas"), Lease: time.Nanosecond})
	var wg sync.WaitGroup
	for g := range uint64(2) {
		wg.Go(func() {
			for i := range uint64(20) {
				size := int64(900 << 10)
				if i%2 == 0 {
					size = 60 << 10
				}
				if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(g*100+i, size)); err != nil {
					t.Errorf("put on a disk that can be freed: %v", err)
				}
			}
		})
	}
	wg.Wait()
	d := put(t, s, 999, 7<<20)
	if _, err := cas.ReadAll(t.Context(), s, d, 1<<30); err != nil {
		t.Fatal(err)
	}
}

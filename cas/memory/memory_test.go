package memory_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
)

func TestConformance(t *testing.T) {
	castest.Run(t, func(*testing.T) cas.Store { return memory.New(memory.Config{}) }, castest.Options{})
}

func TestLeastRecentlyUsedMakesRoom(t *testing.T) {
	s := memory.New(memory.Config{MaxBytes: 1000})
	put := func(seed uint64, n int64) cas.Digest {
		t.Helper()
		d, err := cas.PutBytes(t.Context(), s, castest.Bytes(seed, n))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a, b := put(1, 400), put(2, 400)
	if _, err := cas.ReadAll(t.Context(), s, a, 1000); err != nil {
		t.Fatal(err)
	}
	put(3, 400)
	if _, err := cas.ReadAll(t.Context(), s, a, 1000); err != nil {
		t.Fatalf("the blob just used was evicted: %v", err)
	}
	if _, err := cas.ReadAll(t.Context(), s, b, 1000); !errors.Is(err, cas.ErrNotFound) {
		t.Fatalf("the blob not used longest: %v", err)
	}
	if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(4, 1001)); !errors.Is(err, cas.ErrFull) {
		t.Fatalf("a blob larger than the store: %v", err)
	}
}

func TestMissingProtects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(memory.Config{MaxBytes: 1000, Lease: time.Minute})
		a, err := cas.PutBytes(t.Context(), s, castest.Bytes(1, 800))
		if err != nil {
			t.Fatal(err)
		}
		if ds, err := s.Missing(t.Context(), []cas.Digest{a}); err != nil || len(ds) > 0 {
			t.Fatal(ds, err)
		}
		if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(2, 800)); !errors.Is(err, cas.ErrFull) {
			t.Fatalf("a protected blob made room: %v", err)
		}
		time.Sleep(time.Minute) // the bubble's clock
		if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(2, 800)); err != nil {
			t.Fatalf("after the protection ended: %v", err)
		}
	})
}

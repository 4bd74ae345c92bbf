package castest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/outwork-build/outwork/cas"
)

// RunActions holds the caches that open returns to the contract of cas.ActionCache.
func RunActions(t *testing.T, open func(t *testing.T) cas.ActionCache) {
	for _, c := range []struct {
		name string
		test func(*testing.T, cas.ActionCache)
	}{
		{"RoundTrip", actionRoundTrip},
		{"Spaces", actionSpaces},
		{"Delete", actionDelete},
		{"Refused", actionRefused},
		{"Concurrent", actionConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func wantAction(t *testing.T, c cas.ActionCache, k cas.ActionKey, want []byte) {
	t.Helper()
	got, err := c.GetAction(t.Context(), k)
	if err != nil {
		t.Fatalf("get %+v: %v", k, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("get %+v: %d bytes that differ from the %d put", k, len(got), len(want))
	}
}

func putAction(t *testing.T, c cas.ActionCache, k cas.ActionKey, value []byte) {
	t.Helper()
	if err := c.PutAction(t.Context(), k, value); err != nil {
		t.Fatalf("put %+v: %v", k, err)
	}
}

func wantNoAction(t *testing.T, c cas.ActionCache, k cas.ActionKey) {
	t.Helper()
	if got, err := c.GetAction(t.Context(), k); !errors.Is(err, cas.ErrNotFound) {
		t.Fatalf("get %+v: %d bytes, %v", k, len(got), err)
	}
}

func actionRoundTrip(t *testing.T, c cas.ActionCache) {
	k := cas.ActionKey{Key: cas.Of([]byte("action")).Hash}
	wantNoAction(t, c, k)
	for i, n := range []int64{10, 1, 100_000, cas.MaxAction, 20} { // the last one put counts
		v := Bytes(uint64(i), n)
		putAction(t, c, k, v)
		wantAction(t, c, k, v)
	}
}

func actionSpaces(t *testing.T, c cas.ActionCache) {
	keys := []cas.ActionKey{{Space: "a", Key: "b"}, {Space: "ab", Key: ""}, {Space: "", Key: "ab"}, {Space: "a/b", Key: "c"}, {Space: "a", Key: "b/c"}, {Space: "a ", Key: "b"}, {Space: "1", Key: "a"}}
	for i, k := range keys {
		wantNoAction(t, c, k)
		putAction(t, c, k, fmt.Append(nil, i))
	}
	for i, k := range keys {
		wantAction(t, c, k, fmt.Append(nil, i))
	}
}

func actionDelete(t *testing.T, c cas.ActionCache) {
	k := cas.ActionKey{Space: "s", Key: "k"}
	if err := c.DeleteAction(t.Context(), k); err != nil {
		t.Fatalf("delete of what is not there: %v", err)
	}
	for _, v := range []string{"first", "second"} {
		putAction(t, c, k, []byte(v))
		wantAction(t, c, k, []byte(v))
		if err := c.DeleteAction(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		wantNoAction(t, c, k)
	}
}

func actionRefused(t *testing.T, c cas.ActionCache) {
	k := cas.ActionKey{Key: "k"}
	for _, n := range []int64{0, cas.MaxAction + 1} {
		if err := c.PutAction(t.Context(), k, Bytes(1, n)); err == nil {
			t.Errorf("an entry of %d bytes was taken", n)
		}
	}
	wantNoAction(t, c, k)
}

func actionConcurrent(t *testing.T, c cas.ActionCache) {
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 30 {
				own := cas.ActionKey{Space: fmt.Sprint(g), Key: fmt.Sprint(i % 7)}
				v := fmt.Appendf(nil, "%d of %d", i, g)
				if err := c.PutAction(t.Context(), own, v); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				if got, err := c.GetAction(t.Context(), own); err != nil || !bytes.Equal(got, v) {
					t.Errorf("get after put: %q, %v; want %q", got, err, v)
				}
				if err := c.PutAction(t.Context(), cas.ActionKey{Key: "shared"}, v); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := c.GetAction(t.Context(), cas.ActionKey{Key: "shared"}); err != nil {
		t.Error(err)
	}
}

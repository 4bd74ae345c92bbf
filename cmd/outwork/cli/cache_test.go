package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/disk"
)

func TestCache(t *testing.T) {
	cache := t.TempDir()
	store := filepath.Join(cache, "blobs")
	s, err := disk.Open(disk.Config{Dir: store, Lease: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int64{1000, 2 << 20, 3 << 20} {
		if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(uint64(i), n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutAction(t.Context(), cas.ActionKey{Key: "k"}, []byte("result")); err != nil {
		t.Fatal(err)
	}
	cacheVerb := func(want int, args ...string) string {
		t.Helper()
		e, out, errs := testEnv(map[string]string{"OUTWORK_CACHE": cache})
		if got := run(t.Context(), append([]string{"cache"}, args...), e); got != want {
			t.Errorf("outwork cache %v: exit %d, expected %d\n%s%s", args, got, want, out, errs)
		}
		return out.String() + errs.String()
	}
	if got := cacheVerb(exitConflict, "stats"); !strings.Contains(got, "another process") {
		t.Errorf("a cache in use: %s", got)
	}
	s.Close()
	if got := cacheVerb(0, "stats"); !strings.Contains(got, "blobs             3") || !strings.Contains(got, "results           1") || !strings.Contains(got, "5.0 MiB") {
		t.Errorf("stats:\n%s", got)
	}
	if got := cacheVerb(0, "verify"); !strings.Contains(got, "3 blobs and 1 results are sound") {
		t.Errorf("verify:\n%s", got)
	}
	files, err := filepath.Glob(filepath.Join(store, "blobs", "*", "*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, 1<<20); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, 1<<20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := cacheVerb(exitFailed, "verify"); !strings.Contains(got, "1 were damaged") {
		t.Errorf("verify of a damaged one:\n%s", got)
	}
	if got := cacheVerb(0, "verify", "--store", store); !strings.Contains(got, "2 blobs and 1 results are sound") {
		t.Errorf("verify after that:\n%s", got)
	}
	if got := cacheVerb(0, "gc", "--max-mib", "100"); !strings.Contains(got, "Gave up 0") {
		t.Errorf("gc with room to spare:\n%s", got)
	}
	cacheVerb(exitNotFound, "stats", "--store", filepath.Join(cache, "nowhere"))
	cacheVerb(exitUsage, "gc", "--max-mib", "-1")
}

package reapi

import (
	"strings"
	"testing"

	"github.com/outwork-build/outwork/cas"
)

// FuzzParseName: whatever is read as a name holds that digest, and nothing else gets through.
func FuzzParseName(f *testing.F) {
	d := cas.Empty.String()
	for _, s := range []string{"blobs/" + d, "a/b/blobs/" + d, "uploads/u/blobs/" + d, "i/uploads/u/blobs/" + d + "/meta/x", "blobs/blobs/" + d, "uploads/uploads/uploads/blobs/" + d, "a/compressed-blobs/zstd/" + d, "uploads/u/compressed-blobs/zstd/sha256/" + d + "/x", ""} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, name string, upload bool) {
		r, err := parseName(name, upload)
		d := r.digest
		if err != nil {
			return
		}
		if d.Validate() != nil || !strings.Contains(name, d.Hash+"/") || upload && !strings.Contains(name, "uploads/") {
			t.Fatalf("%q was read as %v", name, d)
		}
	})
}

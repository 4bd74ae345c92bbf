package tree_test

import (
	"io/fs"
	"reflect"
	"testing"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
)

// What Build is told comes back from Read: modes and times of files, links and folders, the root's too.
func TestBuildAndRead(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(1_600_000_000+s, 123_456_789).UTC() }
	file := cas.Of([]byte("bytes"))
	want := []tree.Entry{
		{Path: "read-only", Mode: 0o444, Digest: file, Time: at(1)},
		{Path: "up", Mode: fs.ModeSymlink | fs.ModePerm, Link: "bin/run", Time: at(2)},
		{Path: "bin", Mode: fs.ModeDir | 0o750, Time: at(3)},
		{Path: "bin/run", Mode: 0o755, Digest: file, Time: at(4)},
		{Path: "bare", Mode: fs.ModeDir | 0o755},
	}
	top := tree.Entry{Mode: fs.ModeDir | 0o700, Time: at(5)}
	root, manifests, err := tree.Build(append([]tree.Entry{top}, want...))
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(memory.Config{})
	for d, b := range manifests {
		if got, err := cas.PutBytes(t.Context(), store, b); err != nil || got != d {
			t.Fatalf("manifest %s: %v %v", d, got, err)
		}
	}
	gotTop, got, err := tree.Read(t.Context(), store, root, tree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]tree.Entry{}
	for _, e := range got {
		if e.Mode.IsDir() {
			e.Digest = cas.Digest{}
		}
		byPath[e.Path] = e
	}
	if gotTop.Mode != top.Mode || !gotTop.Time.Equal(top.Time) || len(got) != len(want) {
		t.Errorf("root %+v, %d entries", gotTop, len(got))
	}
	for _, e := range want {
		if !reflect.DeepEqual(byPath[e.Path], e) {
			t.Errorf("%s: %+v, want %+v", e.Path, byPath[e.Path], e)
		}
	}
	again, _, err := tree.Build(append([]tree.Entry{top}, want...))
	if err != nil || again != root {
		t.Errorf("built again: %s %v, want %s", again, err, root)
	}
}

func TestBuildRefuses(t *testing.T) {
	file := cas.Of(nil)
	for name, c := range map[string]struct {
		entries []tree.Entry
		kind    fault.Kind
	}{
		"a way up":         {[]tree.Entry{{Path: "a/../../b", Digest: file}}, fault.Invalid},
		"absolute":         {[]tree.Entry{{Path: "/a", Digest: file}}, fault.Invalid},
		"no digest":        {[]tree.Entry{{Path: "a"}}, fault.Invalid},
		"link out":         {[]tree.Entry{{Path: "d/l", Mode: fs.ModeSymlink, Link: "../../x"}}, fault.Invalid},
		"twice":            {[]tree.Entry{{Path: "a", Digest: file}, {Path: "a", Digest: file}}, fault.Conflict},
		"file over folder": {[]tree.Entry{{Path: "a/b", Digest: file}, {Path: "a", Digest: file}}, fault.Conflict},
		"folder over file": {[]tree.Entry{{Path: "a", Digest: file}, {Path: "a", Mode: fs.ModeDir}}, fault.Conflict},
	} {
		if _, _, err := tree.Build(c.entries); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v, expected a %s error", name, err, c.kind)
		}
	}
}

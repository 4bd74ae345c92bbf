package action_test

import (
	"errors"
	"slices"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/action"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/internal/fault"
)

func pb(b []byte) *repb.Digest {
	d := cas.Of(b)
	return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size}
}

// Whichever output of a result is gone: it is no hit. With all of them it is one.
func TestComplete(t *testing.T) {
	blobs := [][]byte{[]byte("file"), []byte("stdout"), []byte("stderr"), []byte("at the root"), []byte("below")}
	below := &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: pb(blobs[4])}}}
	b, err := proto.Marshal(below)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := proto.Marshal(&repb.Tree{Root: &repb.Directory{Files: []*repb.FileNode{{Name: "r", Digest: pb(blobs[3])}},
		Directories: []*repb.DirectoryNode{{Name: "d", Digest: pb(b)}}}, Children: []*repb.Directory{below}})
	if err != nil {
		t.Fatal(err)
	}
	blobs = append(blobs, tree)
	r := &repb.ActionResult{ExitCode: 0, StdoutDigest: pb(blobs[1]), StderrDigest: pb(blobs[2]),
		OutputFiles:       []*repb.OutputFile{{Path: "a/file", Digest: pb(blobs[0])}},
		OutputDirectories: []*repb.OutputDirectory{{Path: "dir", TreeDigest: pb(tree)}}}
	k := action.Key("i", "hash")
	for gone := range len(blobs) + 1 {
		c := action.Cache{Store: memory.New(memory.Config{}), Actions: new(memory.Actions)}
		for i, b := range blobs {
			if i != gone {
				if _, err := cas.PutBytes(t.Context(), c.Store, b); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Put(t.Context(), k, r); err != nil {
			t.Fatal(err)
		}
		got, err := c.Get(t.Context(), k)
		if gone < len(blobs) && !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("without %q it is a hit: %v", blobs[gone], err)
		}
		if gone == len(blobs) && (err != nil || !proto.Equal(got, r)) {
			t.Errorf("with all outputs: %v, %v", got, err)
		}
	}
}

// A hit protects what it names: what came after it must not push it out.
func TestHitProtects(t *testing.T) {
	store := memory.New(memory.Config{MaxBytes: 10_000})
	c := action.Cache{Store: store, Actions: new(memory.Actions)}
	out := castest.Bytes(1, 4000)
	if _, err := cas.PutBytes(t.Context(), store, out); err != nil {
		t.Fatal(err)
	}
	k := action.Key("", "h")
	if err := c.Put(t.Context(), k, &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "o", Digest: pb(out)}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(10) {
		if _, err := cas.PutBytes(t.Context(), store, castest.Bytes(10+i, 4000)); err != nil {
			t.Fatal(err)
		}
	}
	if ds, err := store.Missing(t.Context(), []cas.Digest{cas.Of(out)}); err != nil || len(ds) > 0 {
		t.Errorf("an output of a hit is gone: %v", err)
	}
}

func TestPutRefuses(t *testing.T) {
	c := action.Cache{Store: memory.New(memory.Config{}), Actions: new(memory.Actions)}
	bad := &repb.Digest{Hash: "../x", SizeBytes: 3}
	for name, r := range map[string]*repb.ActionResult{
		"nothing":       nil,
		"bad file":      {OutputFiles: []*repb.OutputFile{{Path: "a", Digest: bad}}},
		"no digest":     {OutputFiles: []*repb.OutputFile{{Path: "a"}}},
		"absolute path": {OutputFiles: []*repb.OutputFile{{Path: "/etc/passwd", Digest: pb(nil)}}},
		"bad tree":      {OutputDirectories: []*repb.OutputDirectory{{Path: "a", TreeDigest: bad}}},
		"bad output":    {StdoutDigest: bad},
	} {
		if err := c.Put(t.Context(), action.Key("", name), r); fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Put(t.Context(), action.Key("", "success"), &repb.ActionResult{}); err != nil {
		t.Errorf("a result without outputs: %v", err)
	}
	if r, err := c.Get(t.Context(), action.Key("", "success")); err != nil || !proto.Equal(r, &repb.ActionResult{}) {
		t.Errorf("%v, %v", r, err)
	}
}

// What stands in the cache and is no result, or names what is no digest, is no hit and no failure.
func FuzzGet(f *testing.F) {
	good, _ := proto.Marshal(&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "a", Digest: pb(nil)}}})
	f.Add(good)
	f.Add([]byte("no message"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := action.Cache{Store: memory.New(memory.Config{}), Actions: new(memory.Actions)}
		k := action.Key("", "x")
		if c.Actions.PutAction(t.Context(), k, slices.Clone(b)) != nil {
			return
		}
		if _, err := c.Get(t.Context(), k); err != nil && fault.Of(err) == fault.Internal {
			t.Error(err)
		}
	})
}

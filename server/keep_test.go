package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/store/sqlite"
)

func TestArtifactsAndStashesAreKept(t *testing.T) {
	ledger, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	b := ledger.Tables.Builds
	want := map[cas.Digest]bool{}
	for _, job := range []build.JobName{"a", "team/b"} {
		if err := b.PutJob(t.Context(), build.Job{Name: job, Created: time.Now()}, true); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			id, err := b.Accept(t.Context(), build.Build{ID: build.ID{Job: job}, State: build.Queued, Accepted: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			d := cas.Of(fmt.Appendf(nil, "%s %d", job, i))
			want[d] = true
			if err := b.PutArtifacts(t.Context(), id, []build.Artifact{{Path: "x", Digest: d.String(), Size: d.Size}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	blobs := memory.New(memory.Config{})
	stashed := func(name string, state build.State) {
		root, digests := stashTree(t, blobs, name)
		id, err := b.Accept(t.Context(), build.Build{ID: build.ID{Job: "a"}, State: build.Queued, Accepted: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.PutStash(t.Context(), id, "s", root.String()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Update(t.Context(), id, func(b *build.Build) error { b.State = state; return nil }); err != nil {
			t.Fatal(err)
		}
		for _, d := range digests {
			if state != build.Finished {
				want[d] = true
			}
		}
	}
	stashed("running", build.Running)
	stashed("queued", build.Queued)
	stashed("finished", build.Finished)
	keeper := keepBlobs(b, func() cas.Store { return blobs })
	got := map[cas.Digest]bool{}
	if err := keeper(t.Context(), func(d cas.Digest) { got[d] = true }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d blobs are kept, %d are needed", len(got), len(want))
	}
	for d := range want {
		if !got[d] {
			t.Errorf("%s is not kept", d)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := keeper(ctx, func(cas.Digest) {}); err == nil {
		t.Error("with an ended context all is known")
	}
}

// stashTree puts a tree of two folders and two files into the store and returns all its blobs.
func stashTree(t *testing.T, blobs cas.Store, name string) (root cas.Digest, all []cas.Digest) {
	dir := t.TempDir()
	files := []string{"bin/" + name, "top-" + name}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), []byte("content of "+f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := tree.Pack(t.Context(), blobs, r, ".", files)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := tree.List(t.Context(), blobs, p.Root, tree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, p.Root)
	for _, e := range entries {
		all = append(all, e.Digest)
	}
	if len(all) != 4 {
		t.Fatalf("the stash has %d blobs, not a root, a folder and two files", len(all))
	}
	return p.Root, all
}

package server

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/store/sqlite"
)

func TestArtifactsAreKept(t *testing.T) {
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
	got := map[cas.Digest]bool{}
	if err := keepArtifacts(b, b)(t.Context(), func(d cas.Digest) { got[d] = true }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d blobs are kept, %d are artifacts", len(got), len(want))
	}
	for d := range want {
		if !got[d] {
			t.Errorf("%s is not kept", d)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := keepArtifacts(b, b)(ctx, func(cas.Digest) {}); err == nil {
		t.Error("with an ended context all is known")
	}
}

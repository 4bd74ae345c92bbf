package archive_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/pipeline/step/archive"
	"github.com/outwork-build/outwork/pipeline/step/executor/hosttest"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

func TestArchive(t *testing.T) {
	w := hosttest.New(t)
	th := w.Node()
	hosttest.Sh(t, th.Scope().Node.Workspace.Path, "mkdir -p out; echo jar > out/a.jar; echo JAR > out/B.JAR; chmod 755 out/a.jar; touch out/x~")
	w.Must(th, archive.Artifacts{}, steptest.Args{"artifacts": "out/*", "fingerprint": true})
	got, err := w.Details().Artifacts(t.Context(), w.Build().ID)
	if err != nil || len(got) != 2 || got[0].Path != "out/B.JAR" || got[1].Path != "out/a.jar" || got[1].Digest != cas.Of([]byte("jar\n")).String() || got[1].Size != 4 || got[1].Mode != 0o755 {
		t.Fatalf("%+v %v", got, err)
	}
	d, err := cas.ParseDigest(got[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := cas.ReadAll(t.Context(), w.Blobs, d, 100); err != nil || string(b) != "jar\n" {
		t.Errorf("%q %v", b, err)
	}
	if !strings.Contains(w.Console(), "[Pipeline] archiveArtifacts\nArchiving artifacts\n") {
		t.Errorf("console %q", w.Console())
	}
	none := `No artifacts found that match the file pattern "*.x". Configuration error?`
	if _, err := th.Step(archive.Artifacts{}, steptest.Args{"artifacts": "*.x"}, nil); err == nil || err.Error() != none {
		t.Errorf("no match: %v", err)
	}
	w.Must(th, archive.Artifacts{}, steptest.Args{"artifacts": "*.x", "allowEmptyArchive": true})
	if !strings.HasSuffix(w.Console(), "Archiving artifacts\n"+none+"\n") {
		t.Errorf("console %q", w.Console())
	}
	w.Must(th, archive.Artifacts{}, steptest.Args{"artifacts": "OUT/*.jar", "caseSensitive": false})
	if _, err := th.Step(archive.Artifacts{}, steptest.Args{"artifacts": " "}, nil); err == nil {
		t.Error("no pattern was taken")
	}
	w.SetResult(build.Failure)
	w.Must(th, archive.Artifacts{}, steptest.Args{"artifacts": "*.x", "onlyIfSuccessful": true})
	if !strings.HasSuffix(w.Console(), "Skipping archiving because build is not successful\n") {
		t.Errorf("console %q", w.Console())
	}
}

// An agent says what it packed; what cannot be a path of an artifact is refused, all of it.
func TestHostileAgent(t *testing.T) {
	for _, p := range []string{"../x", "/etc/passwd", "a/../b", "", ".", "a//b", `a\b`, "a\nb", "a/\x1b[2J", "\xff", strings.Repeat("a/", 3000) + "a"} {
		w := hosttest.New(t)
		w.Machine = liar{w.Machine, []agent.PackedFile{{Path: "good", Digest: cas.Empty}, {Path: p, Digest: cas.Empty}}}
		if _, err := w.Node().Step(archive.Artifacts{}, steptest.Args{"artifacts": "**"}, nil); err == nil {
			t.Errorf("%.20q was taken", p)
		}
		if as, _ := w.Details().Artifacts(t.Context(), w.Build().ID); len(as) > 0 {
			t.Errorf("%.20q: %v was kept", p, as)
		}
	}
	for name, files := range map[string][]agent.PackedFile{
		"no digest": {{Path: "a"}},
		"twice":     {{Path: "a", Digest: cas.Empty}, {Path: "a", Digest: cas.Empty}},
	} {
		w := hosttest.New(t)
		w.Machine = liar{w.Machine, files}
		if _, err := w.Node().Step(archive.Artifacts{}, steptest.Args{"artifacts": "**"}, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

type liar struct {
	agent.Machine
	files []agent.PackedFile
}

func (l liar) Pack(context.Context, agent.GlobRequest) (agent.Packed, error) {
	return agent.Packed{Root: cas.Empty, Files: l.files}, nil
}

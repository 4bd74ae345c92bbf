//go:build unix

package local_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/graph"
	"github.com/outwork-build/outwork/task/local"
	"github.com/outwork-build/outwork/task/sandbox"
)

// bench is an executor with its store.
type bench struct {
	t     *testing.T
	store *memory.Store
	exec  *local.Executor
	dir   string
}

func newBench(t *testing.T) bench {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := bench{t: t, store: memory.New(memory.Config{}), dir: t.TempDir()}
	b.exec = local.New(local.Config{Store: b.store, Sandbox: box, Dir: b.dir, Timeout: time.Minute, MaxLog: 100})
	return b
}

func (b bench) put(m proto.Message) *repb.Digest {
	b.t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	d, err := cas.PutBytes(b.t.Context(), b.store, raw)
	if err != nil {
		b.t.Fatal(err)
	}
	return task.Proto(d)
}

// run executes a script with the inputs given, contents by path.
func (b bench) run(inputs map[string]string, script string, change func(*repb.Command, *repb.Action)) (*repb.ActionResult, error) {
	b.t.Helper()
	var entries []tree.Entry
	for name, text := range inputs {
		d, err := cas.PutBytes(b.t.Context(), b.store, []byte(text))
		if err != nil {
			b.t.Fatal(err)
		}
		entries = append(entries, tree.Entry{Path: name, Mode: 0o644, Digest: d})
	}
	root, manifests, err := tree.Build(entries)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range manifests {
		if _, err := cas.PutBytes(b.t.Context(), b.store, m); err != nil {
			b.t.Fatal(err)
		}
	}
	c := &repb.Command{Arguments: []string{"/bin/sh", "-c", script}, EnvironmentVariables: []*repb.Command_EnvironmentVariable{{Name: "PATH", Value: "/usr/bin:/bin"}}}
	a := &repb.Action{InputRootDigest: task.Proto(root)}
	if change != nil {
		change(c, a)
	}
	a.CommandDigest = b.put(c)
	return b.exec.Execute(b.t.Context(), task.Request{Action: task.Digest(b.put(a)), Title: "test"})
}

func (b bench) blob(d *repb.Digest) string {
	b.t.Helper()
	raw, err := cas.ReadAll(b.t.Context(), b.store, task.Digest(d), 1<<20)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

// outputs are the outputs of a result: contents, links' targets, or / for a folder, by path.
func (b bench) outputs(r *repb.ActionResult) map[string]string {
	b.t.Helper()
	entries, err := graph.Outputs(r, func(d cas.Digest) ([]byte, error) { return cas.ReadAll(b.t.Context(), b.store, d, 1<<20) })
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		switch {
		case e.Mode.IsDir():
			out[e.Path] = "/"
		case e.Link != "":
			out[e.Path] = "→" + e.Link
		default:
			out[e.Path] = b.blob(task.Proto(e.Digest))
			if e.Mode&0o111 != 0 {
				out[e.Path] += "!"
			}
		}
	}
	return out
}

func same(t *testing.T, got map[string]string, want ...string) {
	t.Helper()
	if len(got) != len(want)/2 {
		t.Errorf("got %v, want %v", got, want)
	}
	for i := 0; i < len(want); i += 2 {
		if got[want[i]] != want[i+1] {
			t.Errorf("%s is %q, want %q", want[i], got[want[i]], want[i+1])
		}
	}
}

func TestOutputsComeBackAsTheStandardSays(t *testing.T) {
	b := newBench(t)
	r, err := b.run(map[string]string{"in/a": "A"}, `cat in/a > out/b; mkdir -p d/empty d/sub; echo x > d/sub/x; chmod +x d/sub/x; ln -s sub/x d/l; ln -s nowhere link; exit 3`, func(c *repb.Command, _ *repb.Action) {
		c.OutputPaths = []string{"d", "link", "missing", "out/b"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.ExitCode != 3 || !strings.HasPrefix(r.ExecutionMetadata.Worker, "here (") {
		t.Errorf("exit %d on %q", r.ExitCode, r.ExecutionMetadata.Worker)
	}
	same(t, b.outputs(r), "d", "/", "d/empty", "/", "d/sub", "/", "d/sub/x", "x\n!", "d/l", "→sub/x", "link", "→nowhere", "out/b", "A")
	// Clients of the standard's first version name files and folders apart, and a folder to work in.
	r, err = b.run(map[string]string{"w/a": "A"}, `cp a o/b; mkdir -p p/q; touch p/q/r`, func(c *repb.Command, _ *repb.Action) {
		c.WorkingDirectory, c.OutputFiles, c.OutputDirectories = "w", []string{"o/b"}, []string{"p/q"}
	})
	if err != nil || r.ExitCode != 0 {
		t.Fatal(r, err)
	}
	same(t, b.outputs(r), "o/b", "A", "p/q", "/", "p/q/r", "")
}

func TestWhatCannotBeRun(t *testing.T) {
	b := newBench(t)
	r, err := b.run(nil, "echo begun; while :; do :; done", func(_ *repb.Command, a *repb.Action) { a.Timeout = durationpb.New(300 * time.Millisecond) })
	if !errors.Is(err, task.ErrTimeout) || r == nil || b.blob(r.StdoutDigest) != "begun\n" {
		t.Errorf("%v, %v; expected the time limit, and the log until then", r, err)
	}
	gone := cas.Of([]byte("nobody has it"))
	if _, err := b.run(nil, "true", func(_ *repb.Command, a *repb.Action) { a.InputRootDigest = task.Proto(gone) }); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("missing inputs: %v", err)
	}
	if _, err := b.exec.Execute(t.Context(), task.Request{Action: gone}); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("missing action: %v", err)
	}
	if _, err := b.run(nil, "true", func(c *repb.Command, _ *repb.Action) { c.Arguments = nil }); !fault.Is(err, fault.Invalid) {
		t.Errorf("no arguments: %v", err)
	}
	if _, err := b.run(nil, "true", func(c *repb.Command, _ *repb.Action) { c.OutputPaths = []string{"../../evil"} }); err == nil {
		t.Error("an output outside of the input root was taken")
	}
	if _, err := b.run(nil, "mkdir o; ln -s /etc/passwd o/p", func(c *repb.Command, _ *repb.Action) { c.OutputPaths = []string{"o"} }); err == nil || !strings.Contains(err.Error(), "output o: ") {
		t.Errorf("a link that leads away: %v", err)
	}
}

// The log is bounded, and who watches sees all of it.
func TestLogs(t *testing.T) {
	b := newBench(t)
	c := b.put(&repb.Command{Arguments: []string{"/bin/sh", "-c", "yes outwork | head -n 100; echo end >&2"}, EnvironmentVariables: []*repb.Command_EnvironmentVariable{{Name: "PATH", Value: "/usr/bin:/bin"}}})
	var seen bytes.Buffer
	root := b.put(&repb.Directory{})
	r, err := b.exec.Execute(t.Context(), task.Request{Action: task.Digest(b.put(&repb.Action{CommandDigest: c, InputRootDigest: root})), Output: &seen})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := b.blob(r.StdoutDigest), strings.Repeat("outwork\n", 12)+"outw\n[704 more bytes were not kept]\n"; got != want {
		t.Errorf("kept %q", got)
	}
	if want := strings.Repeat("outwork\n", 100) + "end\n"; seen.String() != want {
		t.Errorf("seen %q", seen.String())
	}
}

package run_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/graph"
	"github.com/outwork-build/outwork/task/local"
	"github.com/outwork-build/outwork/task/recipe"
	"github.com/outwork-build/outwork/task/run"
	"github.com/outwork-build/outwork/task/sandbox"
)

// world is a workspace with a cache, and an executor of this machine whose runs are counted.
type world struct {
	t       *testing.T
	dir     string
	state   string
	store   *forgetful
	actions *memory.Actions
	cfg     run.Config

	mu   sync.Mutex
	runs []string
	// before is called before an action runs.
	before func(r task.Request)
}

func newWorld(t *testing.T, files ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), state: t.TempDir(), store: &forgetful{Store: memory.New(memory.Config{})}, actions: &memory.Actions{}}
	for i := 0; i < len(files); i += 2 {
		w.write(files[i], files[i+1])
	}
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// Execute runs actions in a clean folder.
func (w *world) Execute(ctx context.Context, r task.Request) (*repb.ActionResult, error) {
	w.mu.Lock()
	w.runs = append(w.runs, r.Title)
	before := w.before
	w.mu.Unlock()
	if before != nil {
		before(r)
	}
	box, err := sandbox.New(sandbox.Config{Kind: sandbox.Folder})
	if err != nil {
		return nil, err
	}
	return local.New(local.Config{Store: w.store, Sandbox: box, Dir: w.t.TempDir()}).Execute(ctx, r)
}

// built are the results of a build by task, and what ran.
type built struct {
	graph   *graph.Graph
	report  *run.Report
	results map[string]run.Result
	runs    []string // sorted
}

func (w *world) build(goals ...string) built {
	w.t.Helper()
	b, err := w.try(w.t.Context(), goals...)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) try(ctx context.Context, goals ...string) (built, error) {
	w.t.Helper()
	ws, err := run.OpenWorkspace(w.dir, filepath.Join(w.state, "hashes"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer ws.Close()
	set, err := recipe.Load(ctx, recipe.Config{Files: ws.Files()}, recipe.File)
	if err != nil {
		w.t.Fatal(err)
	}
	var refs []recipe.Ref
	for _, g := range goals {
		r, err := recipe.ParseRef(g)
		if err != nil {
			w.t.Fatal(err)
		}
		refs = append(refs, r)
	}
	g, err := graph.Resolve(ctx, set, refs)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := w.cfg
	cfg.Store, cfg.Actions, cfg.Workspace, cfg.Dir = w.store, w.actions, ws, w.state
	if cfg.Executor == nil {
		cfg.Executor = w
	}
	b, err := run.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.runs = nil
	rep, err := b.Build(ctx, g)
	if err != nil {
		return built{}, err
	}
	out := built{graph: g, report: rep, results: map[string]run.Result{}, runs: slices.Sorted(slices.Values(w.runs))}
	for _, r := range rep.Results {
		out.results[r.ID] = r
	}
	return out, nil
}

func (b built) states() map[string]run.State {
	out := map[string]run.State{}
	for id, r := range b.results {
		out[id] = r.State
	}
	return out
}

func (w *world) states(b built, want map[string]run.State) {
	w.t.Helper()
	if d := cmp.Diff(want, b.states()); d != "" {
		w.t.Errorf("states (-want +got):\n%s%v", d, b.results)
	}
}

// artifact is what a task has published: contents by path.
func (w *world) artifact(b built, id string) map[string]string {
	w.t.Helper()
	entries, err := tree.List(w.t.Context(), w.store, b.results[id].Artifact, tree.Limits{})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		if !e.Mode.IsDir() {
			data, err := cas.ReadAll(w.t.Context(), w.store, e.Digest, 1<<20)
			if err != nil {
				w.t.Fatal(err)
			}
			out[e.Path] = string(data)
		}
	}
	return out
}

// forgetful is a store that loses blobs when it is told to.
type forgetful struct {
	cas.Store
	mu   sync.Mutex
	gone map[cas.Digest]bool
}

func (f *forgetful) forget(d cas.Digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone == nil {
		f.gone = map[cas.Digest]bool{}
	}
	f.gone[d] = true
}

func (f *forgetful) lost(d cas.Digest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gone[d]
}

func (f *forgetful) Missing(ctx context.Context, ds []cas.Digest) ([]cas.Digest, error) {
	missing, err := f.Store.Missing(ctx, ds)
	for _, d := range ds {
		if f.lost(d) && !slices.Contains(missing, d) {
			missing = append(missing, d)
		}
	}
	return missing, err
}

func (f *forgetful) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	f.mu.Lock()
	delete(f.gone, d)
	f.mu.Unlock()
	return f.Store.Put(ctx, d, r)
}

func (f *forgetful) Get(ctx context.Context, d cas.Digest, off int64) (io.ReadCloser, error) {
	if f.lost(d) {
		return nil, fmt.Errorf("get %s: %w", d, cas.ErrNotFound)
	}
	return f.Store.Get(ctx, d, off)
}

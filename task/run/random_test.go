package run_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/recipe"
	"github.com/outwork-build/outwork/task/run"
)

// random is a task of a random graph: its output says what it saw, or, if it is blunt, only how much.
type random struct {
	sources []string
	deps    []int
	blunt   bool
}

// said is the output of a task that saw lines.
func (r random) said(lines []string) string {
	slices.Sort(lines)
	if r.blunt {
		return fmt.Sprintf("%d lines", len(lines))
	}
	return strings.Join(lines, "; ")
}

// model knows what tasks come to, without files, keys or a cache.
type model struct {
	tasks []random
	files map[string]string
	seen  map[string]bool // what has been built
}

// build returns the outputs of all tasks and the names of those that must run.
func (m model) build() (outputs, runs []string) {
	for i, r := range m.tasks {
		var lines []string
		for _, s := range r.sources {
			lines = append(lines, "ws/"+s+" "+m.files[s])
		}
		for _, d := range r.deps {
			lines = append(lines, fmt.Sprintf("deps/t%d/f %s", d, outputs[d]))
		}
		outputs = append(outputs, r.said(lines))
		if key := fmt.Sprint(i, lines); !m.seen[key] {
			m.seen[key] = true
			runs = append(runs, fmt.Sprintf("t%d", i))
		}
	}
	return outputs, runs
}

// fake executes the tasks of a model: it reads the input root and says what is in it.
type fake struct {
	*world
	model model
}

func (f fake) Execute(ctx context.Context, r task.Request) (*repb.ActionResult, error) {
	f.mu.Lock()
	f.runs = append(f.runs, r.Title)
	f.mu.Unlock()
	raw, err := cas.ReadAll(ctx, f.store, r.Action, 1<<20)
	if err != nil {
		return nil, err
	}
	a := new(repb.Action)
	if err := proto.Unmarshal(raw, a); err != nil {
		return nil, err
	}
	entries, err := tree.List(ctx, f.store, task.Digest(a.InputRootDigest), tree.Limits{})
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, e := range entries {
		if e.Mode.IsRegular() {
			b, err := cas.ReadAll(ctx, f.store, e.Digest, 1<<20)
			if err != nil {
				return nil, err
			}
			lines = append(lines, e.Path+" "+string(b))
		}
	}
	var i int
	fmt.Sscanf(r.Title, "t%d", &i)
	out := []byte(f.model.tasks[i].said(lines))
	d := cas.Of(out)
	return &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "out/f", Digest: task.Proto(d)}}}, f.store.Put(ctx, d, bytes.NewReader(out))
}

// Whatever the graph and whatever changes, also back to what was: a task runs exactly when nothing that it sees was built before, and
// what comes out is what a build from nothing would make.
func TestRandomGraphsAreBuiltAsFarAsTheyChanged(t *testing.T) {
	sources := []string{"a", "b", "c"}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		m := model{files: map[string]string{}, seen: map[string]bool{}}
		var text strings.Builder
		var goals []string
		for i := range rapid.IntRange(1, 7).Draw(rt, "tasks") {
			r := random{blunt: rapid.Bool().Draw(rt, "blunt"), sources: rapid.SliceOfNDistinct(rapid.SampledFrom(sources), 0, 2, rapid.ID).Draw(rt, "sources")}
			if i > 0 {
				r.deps = rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, 3, rapid.ID).Draw(rt, "deps")
			}
			m.tasks = append(m.tasks, r)
			var requires, files []string
			for _, d := range r.deps {
				requires = append(requires, fmt.Sprintf("%q", fmt.Sprintf("t%d", d)))
			}
			for _, s := range r.sources {
				files = append(files, fmt.Sprintf("%q", s))
			}
			fmt.Fprintf(&text, "task(name = \"t%d\", requires = [%s], sources = [%s], run = \"task %d\")\n", i, strings.Join(requires, ", "), strings.Join(files, ", "), i)
			goals = append(goals, fmt.Sprintf("t%d", i))
		}
		w.write(recipe.File, text.String())
		w.cfg.Executor = fake{w, m}
		for range rapid.IntRange(1, 5).Draw(rt, "builds") {
			for _, s := range sources {
				m.files[s] = rapid.SampledFrom([]string{"x", "y"}).Draw(rt, s)
				w.write(s, m.files[s])
			}
			outputs, runs := m.build()
			slices.SortFunc(runs, cmp.Compare[string])
			b := w.build(goals...)
			if !slices.Equal(b.runs, runs) {
				rt.Fatalf("%v ran, want %v", b.runs, runs)
			}
			for i, want := range outputs {
				if r := b.results[goals[i]]; !r.OK() || (r.State == run.Built) != slices.Contains(runs, goals[i]) {
					rt.Fatalf("%s is %s", goals[i], r.State)
				}
				if got := w.artifact(b, goals[i])["f"]; got != want {
					rt.Fatalf("%s came to %q, want %q", goals[i], got, want)
				}
			}
		}
	})
}

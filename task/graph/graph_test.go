package graph_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task/graph"
	"github.com/outwork-build/outwork/task/recipe"
)

func set(t rapid.TB, text string) *recipe.Set {
	t.Helper()
	s, err := recipe.Load(context.Background(), recipe.Config{Files: fstest.MapFS{recipe.File: {Data: []byte(text)}}}, recipe.File)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func resolve(t rapid.TB, text string, goals ...string) (*graph.Graph, error) {
	t.Helper()
	var refs []recipe.Ref
	for _, g := range goals {
		r, err := recipe.ParseRef(g)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, r)
	}
	return graph.Resolve(context.Background(), set(t, text), refs)
}

func ids(nodes []*graph.Node) (out []string) {
	for _, n := range nodes {
		out = append(out, n.Task.ID)
	}
	return out
}

func TestOrderFollowsRecipesAndGoals(t *testing.T) {
	const text = `
task(name = "lib", params = {"arch": ["x64", "x86"]})
task(name = "app", params = {"arch": ["x64", "x86"]}, requires = ["lib:arch={arch}", "gen"])
task(name = "gen", requires = "host=lib")
alias(name = "both", tasks = ["app", "x86=app:arch=x86"])
task(name = "pack", requires = ["all=both", "gen"])`
	g, err := resolve(t, text, "pack", "both", "gen")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ids(g.Nodes), []string{"lib:arch=x64", "gen", "app:arch=x64", "lib:arch=x86", "app:arch=x86", "pack"}; !cmp.Equal(got, want) {
		t.Errorf("nodes %v, want %v", got, want)
	}
	if got, want := ids(g.Goals), []string{"pack", "app:arch=x64", "app:arch=x86", "gen"}; !cmp.Equal(got, want) {
		t.Errorf("goals %v, want %v", got, want)
	}
	var places []string
	for _, d := range g.Nodes[5].Deps {
		places = append(places, d.As+" "+d.Node.Task.ID)
	}
	if want := []string{"all/app app:arch=x64", "all/x86 app:arch=x86", "gen gen"}; !cmp.Equal(places, want) {
		t.Errorf("pack sees %v, want %v", places, want)
	}
	if got, want := ids(g.Nodes[0].Users), []string{"gen", "app:arch=x64"}; !cmp.Equal(got, want) {
		t.Errorf("lib is used by %v, want %v", got, want)
	}
}

func TestGraphsThatCannotBe(t *testing.T) {
	for _, c := range []struct{ text, goal, want string }{
		{"task(name = \"a\", requires = \"b\")\ntask(name = \"b\", requires = \"c\")\ntask(name = \"c\", requires = \"b\")", "a",
			"outwork.star:3:18: tasks require each other in a circle: b → c → b"},
		{`alias(name = "a", tasks = "a")`, "a", "outwork.star:1:19: tasks require each other in a circle: a → a"},
		{`task(name = "a", requires = "bb")
task(name = "b")`, "a", `outwork.star:1:18: there is no task "bb"; did you mean b?`},
		{`task(name = "a", requires = ["x=b", "x/y=b"])
task(name = "b")`, "a", `b at deps/x and b at deps/x/y would be one inside the other`},
	} {
		_, err := resolve(t, c.text, c.goal)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// made is a node that requires two others, with inputs for it.
type made struct {
	Env, Run, Label string
	Timeout         int
	Params          string
	Export          string
	Cacheable       bool
	Sources         []tree.Entry
	Artifacts       []cas.Digest
	Salt            string
}

func (m made) action(t rapid.TB) (*graph.Action, []graph.Part) {
	t.Helper()
	g, err := resolve(t, fmt.Sprintf(`
task(name = "one", exports = {"env": {"ONE": %q}, "path": ["bin"]})
task(name = "two")
task(name = "goal", params = {"unused": %q}, requires = ["one", "two"], env = {"V": %q}, run = [%q], labels = [%q], timeout = "%ds", cacheable = %s)`,
		m.Export, m.Params, m.Env, m.Run, m.Label, m.Timeout, map[bool]string{true: "True", false: "False"}[m.Cacheable]), "goal")
	if err != nil {
		t.Fatal(err)
	}
	n, in := g.Goals[0], graph.Inputs{Sources: m.Sources, Artifacts: m.Artifacts, Salt: m.Salt}
	a, err := graph.NewAction(n, in)
	if err != nil {
		t.Fatal(err)
	}
	return a, graph.Explain(n, in, a)
}

func digest() *rapid.Generator[cas.Digest] {
	return rapid.Custom(func(t *rapid.T) cas.Digest { return cas.Of([]byte(rapid.StringN(0, 3, 8).Draw(t, "bytes"))) })
}

func source() *rapid.Generator[tree.Entry] {
	return rapid.Custom(func(t *rapid.T) tree.Entry {
		name := rapid.StringMatching(`[a-c]{1,2}\.[ch]`).Draw(t, "name")
		if dir := rapid.StringMatching(`[x-z]{0,2}`).Draw(t, "dir"); dir != "" {
			name = dir + "/" + name
		}
		if rapid.IntRange(0, 5).Draw(t, "kind") == 0 {
			return tree.Entry{Path: name, Mode: fs.ModeSymlink | 0o777, Link: rapid.StringMatching(`[a-c]{1,2}\.h`).Draw(t, "target")}
		}
		return tree.Entry{Path: name, Mode: rapid.SampledFrom([]fs.FileMode{0o644, 0o755}).Draw(t, "mode"), Digest: digest().Draw(t, "digest")}
	})
}

func anything() *rapid.Generator[made] {
	word := rapid.StringMatching(`[a-z]{1,3}`)
	return rapid.Custom(func(t *rapid.T) made {
		return made{
			Env: word.Draw(t, "env"), Run: word.Draw(t, "run"), Label: word.Draw(t, "label"), Timeout: rapid.IntRange(1, 3).Draw(t, "timeout"),
			Export: word.Draw(t, "export"), Cacheable: rapid.Bool().Draw(t, "cacheable"), Params: word.Draw(t, "unused"), Salt: rapid.StringMatching(`[a-z]?`).Draw(t, "salt"),
			Sources:   rapid.SliceOfNDistinct(source(), 0, 6, func(e tree.Entry) string { return e.Path }).Draw(t, "sources"),
			Artifacts: []cas.Digest{digest().Draw(t, "one"), digest().Draw(t, "two")},
		}
	})
}

// The same inputs have the same key, whatever their order, their times and what of their modes nobody declared; and a parameter that
// nothing uses is no input.
func TestEqualWorkHasEqualKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anything().Draw(t, "node")
		a, parts := m.action(t)
		other := m
		other.Params = m.Params + "x"
		other.Sources = slices.Clone(m.Sources)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "order"))).Shuffle(len(other.Sources), func(i, j int) {
			other.Sources[i], other.Sources[j] = other.Sources[j], other.Sources[i]
		})
		for i := range other.Sources {
			other.Sources[i].Time = time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "time"), 0)
			if e := &other.Sources[i]; e.Mode.IsRegular() {
				e.Mode = e.Mode&0o100 | e.Mode&0o100>>3 | 0o440
			}
		}
		if len(other.Sources) > 0 {
			other.Sources = append(other.Sources, other.Sources[0]) // two globs that meet
		}
		b, otherParts := other.action(t)
		if a.Digest != b.Digest || a.Root != b.Root {
			t.Fatalf("keys %s and %s: %v", a.Digest, b.Digest, graph.Changed(parts, otherParts))
		}
		if d := cmp.Diff(parts, otherParts); d != "" {
			t.Fatal(d)
		}
	})
}

// Two nodes have one key exactly when the parts that --explain shows are the same; and what is different is said.
func TestKeysArePartsAndPartsAreKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anything().Draw(t, "node")
		other := m
		switch field := rapid.IntRange(0, 9).Draw(t, "field"); field {
		case 0:
			other.Env += "x"
		case 1:
			other.Run += "x"
		case 2:
			other.Label += "x"
		case 3:
			other.Timeout++
		case 4:
			other.Export += "x"
		case 5:
			other.Cacheable = !m.Cacheable
		case 6:
			other.Salt += "x"
		case 7:
			other.Artifacts = []cas.Digest{m.Artifacts[0], cas.Of([]byte("another artifact"))}
		case 8:
			other.Sources = append(slices.Clone(m.Sources), tree.Entry{Path: "new", Mode: 0o644, Digest: cas.Empty})
		default:
			if len(m.Sources) == 0 {
				t.Skip("nothing to change")
			}
			other.Sources = slices.Clone(m.Sources)
			i := rapid.IntRange(0, len(m.Sources)-1).Draw(t, "which")
			other.Sources[i] = source().Draw(t, "instead")
			if slices.ContainsFunc(other.Sources, func(e tree.Entry) bool { return e.Path == other.Sources[i].Path && e != other.Sources[i] }) {
				t.Skip("two at one path")
			}
		}
		a, before := m.action(t)
		b, after := other.action(t)
		changed := graph.Changed(before, after)
		if (a.Digest == b.Digest) != cmp.Equal(before, after) || (a.Digest == b.Digest) != (len(changed) == 0) {
			t.Fatalf("keys %s and %s, parts differ in %q, which are said as %q", a.Digest, b.Digest, cmp.Diff(before, after), changed)
		}
	})
}

func TestTheActionIsWhatTheStandardAsksFor(t *testing.T) {
	g, err := resolve(t, `
task(name = "tool", exports = {"env": {"TOOL": "$ARTIFACT/it's", "N": "1"}, "path": ["bin"], "include": ["include"], "lib": ["."]})
task(name = "app", requires = "t=tool", labels = ["os=linux", "gpu"], timeout = "90s", run = ["make", "touch x"], env = {"B": 2, "LANG": "C"},
     publish = {"bin/": ["build/app", "build/*.so"], "doc/": "*.md"}, tests = "reports/*.xml")`, "app")
	if err != nil {
		t.Fatal(err)
	}
	a, err := graph.NewAction(g.Goals[0], graph.Inputs{Sources: []tree.Entry{{Path: "Makefile", Mode: 0o644, Digest: cas.Empty}}, Artifacts: []cas.Digest{cas.Of(nil)}, Salt: "s"})
	if err != nil {
		t.Fatal(err)
	}
	want := `export OUTWORK_ROOT="$PWD" OUTWORK_DEPS="$PWD/deps" OUTWORK_OUT="$PWD/out" HOME="${HOME:-$PWD/home}" TMPDIR="${TMPDIR:-/tmp}"
export PATH="$OUTWORK_DEPS"/'t/bin'"${PATH:+:$PATH}"
export CPATH="$OUTWORK_DEPS"/'t/include'"${CPATH:+:$CPATH}"
export LIBRARY_PATH="$OUTWORK_DEPS"/'t'"${LIBRARY_PATH:+:$LIBRARY_PATH}"
export N='1'
export TOOL=''"$OUTWORK_DEPS"/'t''/it'\''s'
cd 'ws'
set -x
make
touch x
`
	if d := cmp.Diff([]string{"/bin/sh", "-ec", want}, a.Command.Arguments); d != "" {
		t.Error(d)
	}
	var env []string
	for _, v := range a.Command.EnvironmentVariables {
		env = append(env, v.Name+"="+v.Value)
	}
	if want := []string{"B=2", "LANG=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH=315532800", "TZ=UTC"}; !cmp.Equal(env, want) {
		t.Errorf("env %v, want %v", env, want)
	}
	if want := []string{"out", "ws"}; !cmp.Equal(a.Command.OutputPaths, want) {
		t.Errorf("outputs %v, want %v", a.Command.OutputPaths, want)
	}
	if got := a.Message.Platform.Properties; len(got) != 2 || got[0].Name != "label" || got[0].Value != "gpu" || got[1].Name != "os" {
		t.Errorf("platform %v", got)
	}
	if a.Message.Timeout.AsDuration() != 90*time.Second || string(a.Message.Salt) != "s" || a.Message.DoNotCache {
		t.Errorf("action %v", a.Message)
	}
	read := new(repb.Action)
	if err := proto.Unmarshal(a.Blobs[a.Digest], read); err != nil || !proto.Equal(read, a.Message) {
		t.Errorf("the action's blob is %v, %v", read, err)
	}
	for d, b := range a.Blobs {
		if cas.Of(b) != d {
			t.Errorf("blob %s is not what it is called", d)
		}
	}
}

// files are outputs with a digest of their path each.
func files(paths ...string) (out []tree.Entry) {
	for _, p := range paths {
		e := tree.Entry{Path: strings.TrimSuffix(p, "/"), Mode: 0o644, Digest: cas.Of([]byte(p))}
		if strings.HasSuffix(p, "/") {
			e = tree.Entry{Path: e.Path, Mode: fs.ModeDir | 0o755}
		}
		out = append(out, e)
	}
	return out
}

func TestPublishing(t *testing.T) {
	outputs := files("out/", "out/log.txt", "out/empty/", "ws/lib/", "ws/lib/a.c", "ws/lib/build/", "ws/lib/build/libx.a", "ws/lib/build/sub/", "ws/lib/build/sub/y.o", "ws/lib/api/", "ws/lib/api/x.h", "ws/lib/api/in/z.h")
	for _, c := range []struct {
		publish string
		want    []string // path in the artifact ← output
		err     string
	}{
		{`None`, []string{"empty", "log.txt←out/log.txt"}, ""},
		{`["build/*.a"]`, []string{"build", "build/libx.a←ws/lib/build/libx.a", "empty", "log.txt←out/log.txt"}, ""},
		{`{"lib/": "build/*.a", "log": "a.c"}`, []string{"empty", "lib", "lib/libx.a←ws/lib/build/libx.a", "log.txt←out/log.txt", "log←ws/lib/a.c"}, ""},
		{`{"include/": "api/**/*.h"}`, []string{"empty", "include", "include/in", "include/in/z.h←ws/lib/api/in/z.h", "include/x.h←ws/lib/api/x.h", "log.txt←out/log.txt"}, ""},
		{`{"include/": "api/", "src/": "a.c"}`, []string{"empty", "include", "include/in", "include/in/z.h←ws/lib/api/in/z.h", "include/x.h←ws/lib/api/x.h", "log.txt←out/log.txt", "src", "src/a.c←ws/lib/a.c"}, ""},
		{`{"obj": "build/sub"}`, []string{"empty", "log.txt←out/log.txt", "obj", "obj/y.o←ws/lib/build/sub/y.o"}, ""},
		{`["*.c"]`, []string{"a.c←ws/lib/a.c", "empty", "log.txt←out/log.txt"}, ""},
		{`["build/*.so"]`, nil, "outwork.star:1:23: publish: build/*.so: the commands made no such file"},
		{`{"x": "api/x.h", "x/": "a.c"}`, nil, "x: is a folder and something else at once"},
		{`{"one": "api/**/*.h"}`, []string{"empty", "log.txt←out/log.txt", "one", "one/in", "one/in/z.h←ws/lib/api/in/z.h", "one/x.h←ws/lib/api/x.h"}, ""},
		{`{"one": "**/*.h"}`, nil, `**/*.h names 2 files, "one" is one; end it with / to make a folder of it`},
		{`{"log.txt": "a.c"}`, nil, "log.txt: two different files come to stand there"},
	} {
		s, err := recipe.Load(t.Context(), recipe.Config{Files: fstest.MapFS{"lib/outwork.star": {Data: []byte(`task(name = "x", publish = ` + c.publish + `)`)}, "outwork.star": {Data: []byte(`include("lib/outwork.star")`)}}}, recipe.File)
		if err != nil {
			t.Fatal(err)
		}
		task, err := s.Task(t.Context(), recipe.Ref{Name: "x"}, recipe.Pos{})
		if err != nil {
			t.Fatal(err)
		}
		root, blobs, err := graph.Publish(task, outputs)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), strings.Replace(c.err, "outwork.star:1:23", "lib/outwork.star:1:18", 1)) {
				t.Errorf("%s: got %v, want %s", c.publish, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.publish, err)
			continue
		}
		if got := listed(t, root, blobs, outputs); !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.publish, got, c.want)
		}
	}
}

// listed are the entries of an artifact, each file with the output that it is.
func listed(t *testing.T, root cas.Digest, blobs map[cas.Digest][]byte, outputs []tree.Entry) (got []string) {
	t.Helper()
	store := memory.New(memory.Config{})
	for _, b := range blobs {
		if _, err := cas.PutBytes(t.Context(), store, b); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := tree.List(t.Context(), store, root, tree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Mode.IsDir() {
			got = append(got, e.Path)
			continue
		}
		i := slices.IndexFunc(outputs, func(o tree.Entry) bool { return o.Digest == e.Digest })
		if i < 0 {
			t.Fatalf("%s has bytes that no output had", e.Path)
		}
		got = append(got, e.Path+"←"+outputs[i].Path)
	}
	slices.Sort(got)
	return got
}

// A result comes back as the entries that were packed, and a Tree that lacks a folder is refused.
func TestOutputsAreRead(t *testing.T) {
	sub := &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: &repb.Digest{Hash: cas.Empty.Hash}, IsExecutable: true}}}
	b, _ := proto.Marshal(sub)
	d := cas.Of(b)
	top := &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "sub", Digest: &repb.Digest{Hash: d.Hash, SizeBytes: d.Size}}}, Symlinks: []*repb.SymlinkNode{{Name: "l", Target: "sub/f"}}}
	whole, _ := proto.Marshal(&repb.Tree{Root: top, Children: []*repb.Directory{sub}})
	lacking, _ := proto.Marshal(&repb.Tree{Root: top})
	for _, c := range []struct {
		tree []byte
		err  bool
	}{{whole, false}, {lacking, true}, {[]byte("no message"), true}} {
		td := cas.Of(c.tree)
		got, err := graph.Outputs(&repb.ActionResult{
			OutputDirectories: []*repb.OutputDirectory{{Path: "ws/d", TreeDigest: &repb.Digest{Hash: td.Hash, SizeBytes: td.Size}}},
			OutputFiles:       []*repb.OutputFile{{Path: "ws/a", Digest: &repb.Digest{Hash: cas.Empty.Hash}}},
			OutputSymlinks:    []*repb.OutputSymlink{{Path: "ws/z", Target: "a"}}, OutputFileSymlinks: []*repb.OutputSymlink{{Path: "ws/z", Target: "a"}},
		}, func(cas.Digest) ([]byte, error) { return c.tree, nil })
		if c.err {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("a broken Tree was answered with %v", err)
			}
			continue
		}
		want := []tree.Entry{{Path: "ws/a", Mode: 0o644, Digest: cas.Empty}, {Path: "ws/d", Mode: fs.ModeDir | 0o755}, {Path: "ws/d/l", Mode: fs.ModeSymlink | 0o777, Link: "sub/f"},
			{Path: "ws/d/sub", Mode: fs.ModeDir | 0o755}, {Path: "ws/d/sub/f", Mode: 0o755, Digest: cas.Empty}, {Path: "ws/z", Mode: fs.ModeSymlink | 0o777, Link: "a"}}
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
}

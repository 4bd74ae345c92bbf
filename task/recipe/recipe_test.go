package recipe_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task/recipe"
)

// files makes a workspace of name, text pairs.
func files(pairs ...string) fstest.MapFS {
	fs := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fs[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fs
}

func load(t *testing.T, fs fstest.MapFS) *recipe.Set {
	t.Helper()
	s, err := recipe.Load(t.Context(), recipe.Config{Files: fs}, recipe.File)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func instance(t *testing.T, s *recipe.Set, ref string) (*recipe.Task, error) {
	t.Helper()
	r, err := recipe.ParseRef(ref)
	if err != nil {
		return nil, err
	}
	return s.Task(t.Context(), r, recipe.Pos{})
}

func TestATaskHasWhatItsRecipeSays(t *testing.T) {
	s := load(t, files(recipe.File, `
load("lib/defs.star", "flags")
include("lib/lib.star")
task(
    name = "app",
    help = "the program",
    params = {"arch": ["x64", "x86"], "debug": False, "jobs": 4, "who": param(default = "me", help = "the user")},
    requires = ["lib:arch={arch}", "host=lib:arch=x64,debug=true"],
    sources = [glob("src/**/*.c", exclude = ["src/old/**"]), "Makefile"],
    env = {"CFLAGS": flags, "JOBS": "{jobs}"},
    labels = ["os=linux", "arch={arch}"],
    resources = {"cpu": 2, "memory": "512M", "gpu": 1},
    timeout = "10m",
    run = lambda t: ["make ARCH={arch} -j%d" % t.cpu] + (["strip app ${arch} {unknown}"] if not t.params.debug else []),
    publish = {"bin/app-{arch}": "app", "doc/": ["*.md"]},
    exports = {"env": {"APP": "$ARTIFACT/bin"}, "path": ["bin"]},
    tests = ["out/*.xml"],
    cacheable = False,
)
alias(name = "all", tasks = ["app", "app:debug=true"])
`, "lib/defs.star", `flags = "-O2"`, "lib/lib.star", `task(name = "lib", params = {"arch": ["x64", "x86"], "debug": False}, run = "true")`))
	if got, want := s.Names(), []string{"all", "app", "lib"}; !cmp.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	if got, want := s.Files(), []string{"outwork.star", "lib/defs.star", "lib/lib.star"}; !cmp.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	got, err := instance(t, s, "app:who=you,arch=x86")
	if err != nil {
		t.Fatal(err)
	}
	x86, at := []recipe.Value{{"arch", "x86"}}, func(line, col int) recipe.Pos { return recipe.Pos{recipe.File, line, col} }
	want := &recipe.Task{
		ID: "app:arch=x86,debug=false,jobs=4,who=you", Name: "app", Help: "the program", Pos: at(4, 5),
		Params: []recipe.Value{{"arch", "x86"}, {"debug", "false"}, {"jobs", "4"}, {"who", "you"}},
		Requires: []recipe.Require{{"lib", recipe.Ref{"lib", x86}, at(8, 5)},
			{"host", recipe.Ref{"lib", []recipe.Value{{"arch", "x64"}, {"debug", "true"}}}, at(8, 5)}},
		Sources: []recipe.Glob{{Include: []string{"src/**/*.c"}, Exclude: []string{"src/old/**"}, Pos: at(9, 20)}, {Include: []string{"Makefile"}, Pos: at(9, 5)}},
		Env:     map[string]string{"CFLAGS": "-O2", "JOBS": "4"}, Labels: []string{"arch=x86", "os=linux"},
		Resources: recipe.Resources{CPU: 2, Memory: 512 << 20, Named: map[string]int{"gpu": 1}}, Timeout: 10 * time.Minute,
		Run:     []string{"make ARCH=x86 -j2", "strip app ${arch} {unknown}"},
		Publish: []recipe.Rule{{"bin/app-x86", []string{"app"}, at(15, 5)}, {"doc/", []string{"*.md"}, at(15, 5)}},
		Exports: recipe.Exports{Env: map[string]string{"APP": "$ARTIFACT/bin"}, Path: []string{"bin"}}, Tests: []string{"out/*.xml"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	lib, err := instance(t, s, "lib")
	if err != nil || lib.Dir != "lib" || !lib.Cacheable || lib.ID != "lib:arch=x64,debug=false" {
		t.Errorf("lib = %+v, %v", lib, err)
	}
	all, err := instance(t, s, "all")
	if err != nil || !all.Alias || len(all.Requires) != 2 {
		t.Errorf("all = %+v, %v; an alias has no place where its tasks could meet", all, err)
	}
}

// Every mistake is answered with its place, what is wrong and what to do.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, ref, want string }{
		{"syntax", "task(name = \"a\",\n  run = )", "a", "outwork.star:2:9: got ')', want primary expression"},
		{"unknown name", "x = tsk", "a", "outwork.star:1:5: undefined: tsk"},
		{"unknown attribute", "task(name = \"a\",\n     source = [])", "a", "outwork.star:2:6: task() has no attribute source; did you mean sources?"},
		{"no name", "task(run = \"true\")", "a", `outwork.star:1:5: task(): name "": expected letters, digits, and . _ - + / between them`},
		{"name of another kind", "task(name = 3)", "a", "outwork.star:1:6: task(): name: expected a string, found a int"},
		{"not named", "task(\"a\")", "a", `outwork.star:1:5: task(): expected attributes as name = value, found "a" without a name`},
		{"twice", "task(name = \"a\")\ntask(name = \"a\")", "a", `outwork.star:2:6: task "a" is there already, at outwork.star:1:5`},
		{"unknown task", "task(name = \"applet\")\ntask(name = \"tool\")", "aplet", `there is no task "aplet"; did you mean applet?`},
		{"unknown parameter", "task(name = \"a\", params = {\"arch\": \"x\"})", "a:arhc=y", `task "a": it has no parameter arhc; did you mean arch?`},
		{"no parameter at all", "task(name = \"a\")", "a:b=c", `task "a": it has no parameter b; it has none`},
		{"choice", "task(name = \"a\", params = {\"arch\": [\"x64\", \"x86\"]})", "a:arch=x68", `task "a": parameter arch: "x68" is not one of x64, x86; did you mean x64?`},
		{"truth", "task(name = \"a\", params = {\"d\": True})", "a:d=maybe", `task "a": parameter d: "maybe" is not one of true, false`},
		{"number", "task(name = \"a\", params = {\"n\": param(default = 3, min = 1, max = 4)})", "a:n=5", `task "a": parameter n: 5 is not within 1 and 4`},
		{"default that is no choice", "task(name = \"a\", params = {\"n\": param(default = 3, min = 5)})", "a", `outwork.star:1:18: task "a": parameter n: parameter n: 3 is not within 5 and`},
		{"required", "task(name = \"a\", params = {\"v\": None})", "a", `task "a": parameter v has no default; say a:v=…`},
		{"value a shell would read", "task(name = \"a\", params = {\"v\": \"1\"})", "a:v=$(id)", `task "a:v=$(id)": parameter v: value "$(id)": expected letters, digits and . _ - + / @ % = ^`},
		{"unknown expansion", "task(name = \"a\",\n requires = [\"b:arch={arhc}\"], params = {\"arch\": \"x\"})", "a", `outwork.star:2:2: task "a": requires: "b:arch={arhc}": there is no parameter {arhc}; did you mean arch?`},
		{"two at one place", "task(name = \"a\", requires = [\"b:x=1\", \"b:x=2\"])", "a", `"b:x=1" and "b:x=2" would both stand at deps/b; give one another name: "NAME=b:x=2"`},
		{"pattern outside", "task(name = \"a\", sources = \"../x\")", "a", `outwork.star:1:18: task "a": sources: pattern "../x": expected a path below the recipe's folder`},
		{"pattern", "task(name = \"a\", sources = glob(\"[x\"))", "a", `pattern "[x": a bracket or brace is not closed`},
		{"timeout", "task(name = \"a\", timeout = \"soon\")", "a", `outwork.star:1:18: task "a": timeout: "soon": expected a time such as 90s, 10m or 2h`},
		{"memory", "task(name = \"a\", resources = {\"memory\": \"much\"})", "a", `"much": expected a number of bytes such as 512M or 2G`},
		{"publish outside", "task(name = \"a\", publish = {\"../x\": \"y\"})", "a", `publish: "../x": expected a path in the artifact`},
		{"exports", "task(name = \"a\", exports = {\"paths\": []})", "a", `exports: "paths": expected one of env, path, include, lib`},
		{"kind", "task(name = \"a\", cacheable = 1)", "a", `outwork.star:1:18: task "a": cacheable: expected True or False, found a int`},
		{"in a function", "def r(t):\n  return t.params.x\ntask(name = \"a\", run = r)", "a", "outwork.star:2:18: struct has no .x attribute"},
		{"fail", "\nfail(\"no\", 3)", "a", "outwork.star:2:5: no 3"},
		{"endless", "def f():\n  for x in range(1000000000):\n    pass\nf()", "a", "too many steps"},
		{"outside", "load(\"../x.star\", \"y\")", "a", `load "../x.star": leads out of the workspace`},
		{"absolute", "load(\"/etc/x.star\", \"y\")", "a", `load "/etc/x.star": leads out of the workspace`},
		{"not there", "include(\"x.star\")", "a", "outwork.star:1:8: read recipe x.star: open x.star: file does not exist"},
		{"itself", "include(\"outwork.star\")", "a", "outwork.star:1:8: recipes load each other in a circle: outwork.star → outwork.star"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := recipe.Load(t.Context(), recipe.Config{Files: files(recipe.File, c.text), Steps: 100_000}, recipe.File)
			if err == nil {
				_, err = instance(t, s, c.ref)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
			if k := fault.Of(err); k != fault.Invalid && k != fault.NotFound {
				t.Errorf("kind %v", k)
			}
		})
	}
}

// Recipes that work without end are stopped by the clock too.
func TestTimeIsBounded(t *testing.T) {
	_, err := recipe.Load(t.Context(), recipe.Config{Files: files(recipe.File, "def f():\n  for x in range(1000000000):\n    pass\nf()"), Steps: 1 << 62, Time: time.Millisecond}, recipe.File)
	if err == nil || !strings.Contains(err.Error(), "recipes took longer than 1ms") {
		t.Fatal(err)
	}
}

func TestRefsComeBack(t *testing.T) {
	for _, s := range []string{"a", "a/b.c-d+e", "a:b=c", "a:b=c,d=e/f@g%h=i^"} {
		if r, err := recipe.ParseRef(s); err != nil || r.String() != s {
			t.Errorf("%s came back as %s, %v", s, r, err)
		}
	}
	for _, s := range []string{"", ":a=b", "a:", "a:b", "a:b=c,b=d", "a//b", "../a", "a/..", "a b", "-a", "a:b=c d", "a:1b=c"} {
		if r, err := recipe.ParseRef(s); err == nil {
			t.Errorf("%q was read as %v", s, r)
		}
	}
}

func TestBytes(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "17": 17, "2K": 2048, "512M": 512 << 20, "2GiB": 2 << 30, "1 t": 1 << 40} {
		if got, err := recipe.ParseBytes(s); err != nil || got != want {
			t.Errorf("%q = %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "G", "-1", "1X", "99999999999T"} {
		if got, err := recipe.ParseBytes(s); err == nil {
			t.Errorf("%q = %d", s, got)
		}
	}
}

// Whatever stands in a recipe or a reference, reading it ends, and ends in a task or an error.
func FuzzRecipe(f *testing.F) {
	f.Add("task(name = \"a\", params = {\"x\": [1, 2]}, run = lambda t: \"{x}\")", "a:x=2")
	f.Add("def f(t): return glob(\"**/*.c\")\ntask(name = \"a\", sources = f)", "a")
	f.Add("alias(name = \"a\", tasks = [\"b\"])", "a")
	f.Fuzz(func(t *testing.T, text, ref string) {
		s, err := recipe.Load(t.Context(), recipe.Config{Files: files(recipe.File, text), Steps: 20_000, Time: time.Second}, recipe.File)
		if err != nil {
			return
		}
		r, err := recipe.ParseRef(ref)
		if err != nil {
			return
		}
		if task, err := s.Task(t.Context(), r, recipe.Pos{}); err == nil {
			if _, err := recipe.ParseRef(task.ID); err != nil {
				t.Errorf("the task's name %q is none: %v", task.ID, err)
			}
		}
	})
}

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/internal/need"
)

// tasks is a workspace with a cache, and the command line in it.
type tasks struct {
	t          *testing.T
	dir, cache string
}

func exampleTasks(t *testing.T) tasks {
	t.Helper()
	need.Program(t, "gcc", "gcc")
	w := tasks{t, t.TempDir(), t.TempDir()}
	if err := os.CopyFS(w.dir, os.DirFS("../../../examples/tasks")); err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs a verb in the workspace and returns what it wrote to both streams, and its exit code.
func (w tasks) run(args ...string) (out, errw string, code int) {
	w.t.Helper()
	e, o, x := testEnv(map[string]string{"OUTWORK_CACHE": w.cache})
	code = run(w.t.Context(), append(args, "-C", w.dir), e)
	return o.String(), x.String(), code
}

// states builds and returns each task's state.
func (w tasks) states(args ...string) map[string]string {
	w.t.Helper()
	out, errw, _ := w.run(append([]string{"build", "--json"}, args...)...)
	var report taskReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		w.t.Fatalf("%v: %s%s", err, out, errw)
	}
	states := map[string]string{}
	for _, r := range report.Tasks {
		name, _, _ := strings.Cut(r.ID, ":")
		states[name] = string(r.State)
	}
	return states
}

func (w tasks) edit(file, old, text string) {
	w.t.Helper()
	p := filepath.Join(w.dir, file)
	b, err := os.ReadFile(p)
	if err != nil {
		w.t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(old)) {
		w.t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(p, bytes.Replace(b, []byte(old), []byte(text), 1), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// The example builds with the real compiler, only what a change reaches is built again, and mistakes are named.
func TestTheExamplesTasksBuild(t *testing.T) {
	w := exampleTasks(t)
	out := filepath.Join(t.TempDir(), "out")
	_, said, code := w.run("build", "tests", "wordcount", "--result", out)
	if code != 0 || !strings.Contains(said, "5 tests") || !strings.Contains(said, "3 tasks: 3 built in") {
		t.Fatalf("exit %d: %s", code, said)
	}
	program := filepath.Join(out, "wordcount-arch=x86-64-debug=false", "bin", "wordcount")
	cmd := exec.Command(program)
	cmd.Stdin = strings.NewReader("so many words\nhere")
	if b, err := cmd.Output(); err != nil || string(b) != "4\n" {
		t.Errorf("the program says %q, %v", b, err)
	}
	expect := func(want map[string]string, args ...string) {
		t.Helper()
		if d := cmp.Diff(want, w.states(args...)); d != "" {
			t.Error(d)
		}
	}
	expect(map[string]string{"strutil": "hit", "wordcount": "hit", "tests": "hit"}, "tests")
	w.edit("lib/src/words.c", "#include <ctype.h>", "#include <ctype.h> /* isspace */")
	expect(map[string]string{"strutil": "built", "wordcount": "hit", "tests": "hit"}, "tests")
	w.edit("lib/src/words.c", "inside = !space", "inside = space")
	_, said, code = w.run("build", "tests", "--why-miss")
	for _, want := range []string{"source lib/src/words.c changed:", "artifact deps/strutil changed:", "4 of 5 tests failed", "failed: words.one\n", "No artifact: tests:arch=x86-64,debug=false"} {
		if code != exitFailed || !strings.Contains(said, want) {
			t.Errorf("exit %d; nothing of %q in: %s", code, want, said)
		}
	}
	w.edit("lib/src/words.c", "inside = space", "inside = !space")
	expect(map[string]string{"strutil": "hit", "wordcount": "hit", "tests": "hit"}, "tests")
	expect(map[string]string{"strutil": "built", "wordcount": "built", "tests": "built"}, "tests", "--salt", "1")
	expect(map[string]string{"strutil": "built", "wordcount": "built", "tests": "built"}, "tests", "--no-cache")
	if _, said, code = w.run("clean", "wordcount"); code != 0 || said != "Forgot 1 results.\n" {
		t.Errorf("clean: %d, %s", code, said)
	}
	expect(map[string]string{"strutil": "hit", "wordcount": "built", "tests": "hit"}, "tests")

	w.edit("lib/outwork.star", `"src/*.c", "include/*.h"`, `"src/*.c"`)
	if _, said, code = w.run("build", "tests"); code != exitFailed || !strings.Contains(said, "lib/include/words.h is in the workspace, but not among the task's sources") {
		t.Errorf("exit %d: %s", code, said)
	}
	if _, said, code = w.run("clean", "--all"); code != 0 {
		t.Errorf("clean --all: %d, %s", code, said)
	}
	left, _ := os.ReadDir(w.cache)
	if len(left) != 0 {
		t.Errorf("left of the cache: %v", left)
	}
}

// columns are the gaps between those of a table.
var columns = regexp.MustCompile(`(?m)([^ \n]) {2,}`)

func TestTasksAreShown(t *testing.T) {
	w := exampleTasks(t)
	for _, c := range []struct {
		args []string
		want []string
		code int
	}{
		{[]string{"task", "list"}, []string{"wordcount  arch=x86-64|x86-64-v2|x86-64-v3 debug=false  a program that counts words"}, 0},
		{[]string{"task", "show", "wordcount:debug=true"}, []string{"Task:  wordcount:arch=x86-64,debug=true", "Declared at:  app/outwork.star:3:5", "CFLAGS=-Wall -Werror -march=x86-64 -g -O0"}, 0},
		{[]string{"task", "graph", "tests"}, []string{"tests:arch=x86-64,debug=false\n├─ strutil:arch=x86-64,debug=false\n└─ wordcount:arch=x86-64,debug=false\n   └─ strutil:arch=x86-64,debug=false\n"}, 0},
		{[]string{"task", "graph", "--dot", "wordcount"}, []string{`"wordcount:arch=x86-64,debug=false" -> "strutil:arch=x86-64,debug=false";`}, 0},
		{[]string{"build", "--explain", "wordcount"}, []string{"Key:  not known before strutil:arch=x86-64,debug=false is built", "source  app/main.c", "artifact  deps/strutil  not known before it is built"}, 0},
		{[]string{"build", "--explain", "strutil"}, []string{"Cached:  no", "Because:  it was never built here"}, 0},
		{[]string{"build", "wordcuont"}, []string{`there is no task "wordcuont"; did you mean wordcount?`}, exitNotFound},
		{[]string{"build", "lst"}, []string{"(or was the command list meant?)"}, exitNotFound},
		{[]string{"build", "wordcount:arch=arm"}, []string{`task "wordcount": parameter arch: "arm" is not one of x86-64, x86-64-v2, x86-64-v3`}, exitUsage},
		{[]string{"build", "wordcount", "--sandbox", "castle"}, []string{"expected bubblewrap, namespaces or folder"}, exitUsage},
		{[]string{"build", "wordcount", "--resource", "gpu"}, []string{"expected NAME=NUMBER"}, exitUsage},
	} {
		out, errw, code := w.run(c.args...)
		out = columns.ReplaceAllString(out, "$1  ")
		for _, want := range c.want {
			if code != c.code || !strings.Contains(out+errw, want) {
				t.Errorf("outwork %s: exit %d, want %d and %q in:\n%s%s", strings.Join(c.args, " "), code, c.code, want, out, errw)
			}
		}
	}
}

// The names of commands come before those of tasks, which can be said with ./ then; and without recipes the way out is shown.
func TestCommandsWinOverTasks(t *testing.T) {
	dir := t.TempDir()
	w := tasks{t, dir, t.TempDir()}
	if _, said, code := w.run("build", "app"); code != exitNotFound || !strings.Contains(said, "there is no outwork.star in ") {
		t.Errorf("exit %d: %s", code, said)
	}
	if err := os.WriteFile(filepath.Join(dir, "outwork.star"), []byte(`task(name = "list", run = "true")`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, said, code := w.run("build", "./list"); code != 0 || !strings.Contains(said, "1 tasks: 1 built") {
		t.Errorf("exit %d: %s", code, said)
	}
	e, _, errw := testEnv(map[string]string{"OUTWORK_CONFIG": filepath.Join(t.TempDir(), "logins.json")})
	if code := run(context.Background(), []string{"build", "list", "--url", "http://127.0.0.1:1", "--token", "x"}, e); code != exitUnavailable {
		t.Errorf("exit %d: %s", code, errw)
	}
}

// Ctrl-C ends the commands and the build, with the exit code that says so.
func TestAnInterruptEndsTasks(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
		need.Lack(t, "mkfifo: %v: %s", err, out)
	}
	recipe := `task(name = "endless", run = ["trap '' TERM INT", "echo up > ` + pipe + `", "while :; do sleep 0.05; done"])
task(name = "user", requires = "endless")`
	if err := os.WriteFile(filepath.Join(dir, "outwork.star"), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		os.ReadFile(pipe) // until the task has written
		cancel(errInterrupted)
	}()
	e, _, errw := testEnv(map[string]string{"OUTWORK_CACHE": t.TempDir()})
	if code := run(ctx, []string{"build", "user", "-C", dir, "--sandbox", "folder"}, e); code != exitInterrupted || !strings.Contains(errw.String(), "2 tasks: 2 canceled") {
		t.Errorf("exit %d: %s", code, errw)
	}
}

package run_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/recipe"
	"github.com/outwork-build/outwork/task/run"
)

const chain = `
task(name = "lib", params = {"arch": ["x64", "x86"]}, sources = "lib.c", run = "grep -v '^#' lib.c > lib.o; echo {arch} >> lib.o", publish = {"lib/": "lib.o"}, exports = {"env": {"LIB": "$ARTIFACT/lib/lib.o"}})
task(name = "app", params = {"arch": ["x64", "x86"]}, requires = "lib:arch={arch}", sources = "app.c", run = "cat app.c $LIB > $OUTWORK_OUT/app")
task(name = "test", requires = ["app", "x86=app:arch=x86"], run = "cat $OUTWORK_DEPS/app/app $OUTWORK_DEPS/x86/app > $OUTWORK_OUT/log")
`

func TestWhatIsKnownIsNotBuiltAgain(t *testing.T) {
	w := newWorld(t, recipe.File, chain, "lib.c", "# comment\nlib\n", "app.c", "app\n")
	b := w.build("test")
	if want := []string{"app:arch=x64", "app:arch=x86", "lib:arch=x64", "lib:arch=x86", "test"}; !cmp.Equal(b.runs, want) {
		t.Errorf("ran %v, want %v", b.runs, want)
	}
	if got, want := w.artifact(b, "test"), map[string]string{"log": "app\nlib\nx64\napp\nlib\nx86\n"}; !cmp.Equal(got, want) {
		t.Errorf("artifact %v, want %v", got, want)
	}
	if got, want := w.artifact(b, "lib:arch=x86"), map[string]string{"lib/lib.o": "lib\nx86\n"}; !cmp.Equal(got, want) {
		t.Errorf("artifact %v, want %v", got, want)
	}
	again := w.build("test")
	if len(again.runs) != 0 || again.report.Count(run.Hit) != 5 || again.results["test"].Artifact != b.results["test"].Artifact {
		t.Errorf("ran again: %v", again.results)
	}

	w.write("lib.c", "# another comment\nlib\n")
	b = w.build("test")
	if want := []string{"lib:arch=x64", "lib:arch=x86"}; !cmp.Equal(b.runs, want) {
		t.Errorf("a comment made %v run, want %v: their artifacts are the same", b.runs, want)
	}
	if got := b.results["lib:arch=x64"].Reasons; len(got) != 1 || !strings.HasPrefix(got[0], "source lib.c changed: ") {
		t.Errorf("reasons %v", got)
	}

	w.write("app.c", "APP\n")
	b = w.build("app:arch=x86")
	if want := []string{"app:arch=x86"}; !cmp.Equal(b.runs, want) {
		t.Errorf("ran %v, want %v", b.runs, want)
	}
	w.write("stray.c", "x")
	if b = w.build("app:arch=x86"); len(b.runs) != 0 {
		t.Errorf("a file that nobody declared made %v run", b.runs)
	}

	w.cfg.Salt = "salt"
	if b = w.build("app:arch=x86"); len(b.runs) != 2 || !cmp.Equal(b.results["app:arch=x86"].Reasons, []string{"salt is new"}) {
		t.Errorf("with salt %v ran: %v", b.runs, b.results)
	}
	w.cfg.NoCache = true
	if b = w.build("app:arch=x86"); len(b.runs) != 2 {
		t.Errorf("without the cache %v ran", b.runs)
	}
}

func TestATaskThatFailsEndsWhatNeedsIt(t *testing.T) {
	w := newWorld(t, recipe.File, `
task(name = "bad", run = ["echo some words", "exit 3"])
task(name = "user", requires = "bad")
task(name = "goal", requires = "user")
task(name = "other", run = "true")
task(name = "after", requires = "other")
task(name = "unmade", run = "true", publish = "build/*.a")
task(name = "slow", run = "while :; do :; done", timeout = "100ms")
`)
	w.cfg.KeepGoing = true
	b := w.build("goal", "after", "unmade", "slow")
	w.states(b, map[string]run.State{"bad": run.Failed, "user": run.Skipped, "goal": run.Skipped, "other": run.Built, "after": run.Built, "unmade": run.Failed, "slow": run.Failed})
	if got, want := b.report.Missing(b.graph), []string{"goal", "unmade", "slow"}; !cmp.Equal(got, want) {
		t.Errorf("goals without artifact %v, want %v", got, want)
	}
	for id, want := range map[string]string{"bad": "exit code 3", "user": "bad has no artifact", "goal": "user has no artifact", "slow": "took longer than its timeout of 100ms",
		"unmade": "outwork.star:7:37: publish: build/*.a: the commands made no such file"} {
		if got := b.results[id].Error; got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if log, err := os.ReadFile(b.results["bad"].Log); err != nil || string(log) != "+ echo some words\nsome words\n+ exit 3\n" {
		t.Errorf("log %q, %v", log, err)
	}
	if again := w.build("bad"); len(again.runs) != 1 {
		t.Error("a failure was taken from the cache")
	}

	w.cfg.KeepGoing, w.cfg.Jobs = false, 1
	b = w.build("goal", "slow", "after")
	if b.report.Count(run.Failed) != 1 || b.report.Count(run.Built) != 0 || len(b.report.Missing(b.graph)) < 2 {
		t.Errorf("without going on: %v", b.states())
	}
}

// Two tasks that do the same are one action, which runs once.
func TestEqualActionsRunOnce(t *testing.T) {
	w := newWorld(t, recipe.File, `
task(name = "a", run = "echo same > $OUTWORK_OUT/x")
task(name = "b", run = "echo same > $OUTWORK_OUT/x")
task(name = "both", requires = ["a", "b"], run = "cat $OUTWORK_DEPS/a/x $OUTWORK_DEPS/b/x > $OUTWORK_OUT/y")
task(name = "n", run = "echo n", cacheable = False)
task(name = "m", run = "echo n", cacheable = False)
task(name = "f", run = "false")
task(name = "g", run = "false")
`)
	w.cfg.KeepGoing = true
	b := w.build("both", "n", "m", "f", "g")
	var counts []int
	for _, pair := range [][]string{{"a", "b"}, {"n", "m"}, {"f", "g"}} {
		n := 0
		for _, id := range pair {
			n += len(slices.DeleteFunc(slices.Clone(b.runs), func(r string) bool { return r != id }))
		}
		counts = append(counts, n)
	}
	if want := []int{1, 2, 1}; !cmp.Equal(counts, want) {
		t.Errorf("runs %v, want %v: %v", counts, want, b.runs)
	}
	if got := w.artifact(b, "both"); got["y"] != "same\nsame\n" {
		t.Errorf("artifact %v", got)
	}
	w.states(b, map[string]run.State{"a": run.Built, "b": run.Built, "both": run.Built, "n": run.Built, "m": run.Built, "f": run.Failed, "g": run.Failed})
}

// Never more runs at once than the resources allow, and whatever they are everything runs.
func TestResourcesAreKept(t *testing.T) {
	var text strings.Builder
	for i := range 12 {
		fmt.Fprintf(&text, "task(name = \"gpu%d\", run = \"echo gpu %d\", resources = {\"gpu\": 1})\n", i, i)
		fmt.Fprintf(&text, "task(name = \"cpu%d\", run = \"echo cpu %d\", resources = {\"cpu\": %d, \"memory\": \"1G\"})\n", i, i, 1+i)
	}
	w := newWorld(t, recipe.File, text.String())
	w.cfg.Jobs, w.cfg.Memory, w.cfg.Named = 4, 2<<30, map[string]int{"gpu": 2}
	now, most := map[string]int{}, map[string]int{}
	count := func(name string, sign int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		cpu := 1
		if strings.HasPrefix(name, "gpu") {
			now["gpu"] += sign
		} else {
			fmt.Sscanf(name, "cpu%d", &cpu)
			cpu = min(4, cpu+1)
			now["memory"] += sign
		}
		now["cpu"] += sign * cpu
		for k, n := range now {
			most[k] = max(most[k], n)
		}
	}
	w.cfg.Executor = around{w, count}
	var goals []string
	for i := range 12 {
		goals = append(goals, fmt.Sprintf("gpu%d", i), fmt.Sprintf("cpu%d", i))
	}
	if b := w.build(goals...); b.report.Count(run.Built) != 24 {
		t.Errorf("states %v", b.states())
	}
	for k, limit := range map[string]int{"cpu": 4, "gpu": 2, "memory": 2} {
		if most[k] > limit || most[k] == 0 {
			t.Errorf("%d of %s at once, there are %d", most[k], k, limit)
		}
	}
	w.cfg.Named = map[string]int{"gpu": 0}
	if _, err := w.try(t.Context(), "gpu0"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "needs gpu=1, here is 0; say --resource gpu=1") {
		t.Error(err)
	}
}

type around struct {
	*world
	count func(name string, sign int)
}

func (a around) Execute(ctx context.Context, r task.Request) (*repb.ActionResult, error) {
	a.count(r.Title, 1)
	defer a.count(r.Title, -1)
	return a.world.Execute(ctx, r)
}

// Bytes that are lost while a build runs are made again by whoever made them.
func TestLostBytesAreMadeAgain(t *testing.T) {
	w := newWorld(t, recipe.File, chain, "lib.c", "lib\n", "app.c", "app\n")
	first := w.build("test")
	w.write("app.c", "new\n") // libs are hits, the rest must run
	once := sync.OnceFunc(func() {
		w.store.forget(cas.Of([]byte("lib\nx64\n")))
		w.store.forget(cas.Of([]byte("new\n"))) // a source
	})
	w.before = func(r task.Request) {
		if r.Title == "app:arch=x64" {
			once()
		}
	}
	b := w.build("test")
	if n := b.report.Count(run.Built); n != 3 || !slices.Contains(b.runs, "lib:arch=x64") || slices.Contains(b.runs, "lib:arch=x86") {
		t.Errorf("%v ran: %v", b.runs, b.results)
	}
	if got := w.artifact(b, "test")["log"]; got != "new\nlib\nx64\nnew\nlib\nx86\n" {
		t.Errorf("artifact %q", got)
	}
	// What is lost between builds is no hit.
	w.before = nil
	w.store.forget(cas.Of([]byte("lib\nx86\n")))
	w.store.forget(first.results["app:arch=x86"].Artifact)
	if b = w.build("test"); !cmp.Equal(b.runs, []string{"lib:arch=x86"}) || b.report.Missing(b.graph) != nil {
		t.Errorf("%v ran: %v", b.runs, b.results)
	}
	// What nobody can make again fails the task, and ends.
	w.write("app.c", "newer\n")
	w.before = func(task.Request) { w.store.forget(cas.Of([]byte("newer\n"))) }
	if b = w.build("app"); b.results["app:arch=x64"].State != run.Failed || !strings.Contains(b.results["app:arch=x64"].Error, "blob not found") {
		t.Errorf("%v", b.results)
	}
}

func TestABuildThatIsGivenUpEnds(t *testing.T) {
	w := newWorld(t, recipe.File, `
task(name = "endless", run = ["trap '' TERM", "while :; do sleep 0.1; done"])
task(name = "user", requires = "endless")
task(name = "late", run = "true")`)
	w.cfg.Jobs = 1
	ctx, cancel := context.WithCancelCause(t.Context())
	w.cfg.Events = func(e run.Event) {
		if e.Result.State == run.Running {
			cancel(errors.New("enough"))
		}
	}
	b, err := w.try(ctx, "user", "late")
	if err != nil {
		t.Fatal(err)
	}
	w.states(b, map[string]run.State{"endless": run.Canceled, "user": run.Canceled, "late": run.Canceled})
}

func TestUndeclaredFilesAreNamed(t *testing.T) {
	w := newWorld(t, recipe.File, `include("lib/outwork.star")`, "lib/outwork.star", `
task(name = "lib", sources = "lib.c", run = "cat lib.c config.h")
task(name = "optional", sources = "lib.c", run = "cat config.h 2>/dev/null || true")
`, "lib/lib.c", "x", "lib/config.h", "y")
	w.cfg.KeepGoing = true
	b := w.build("lib", "optional")
	if got, want := b.results["lib"].Error, "exit code 1; lib/config.h is in the workspace, but not among the task's sources"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if b.results["optional"].State != run.Built {
		t.Errorf("%v", b.results["optional"])
	}
	w.cfg.Strict, w.cfg.NoCache = true, true
	b = w.build("lib", "optional")
	for _, id := range []string{"lib", "optional"} {
		if got, want := b.results[id].Error, "read files of the workspace that are not among its sources: lib/config.h; add them to sources"; got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

func TestTestsAreCounted(t *testing.T) {
	report := func(cases string) string {
		return `<testsuites><testsuite name="s">` + cases + `</testsuite></testsuites>`
	}
	w := newWorld(t, recipe.File, `
task(name = "good", sources = "good.xml", run = "cp good.xml out.xml", tests = "*.xml")
task(name = "bad", sources = "bad.xml", run = "mkdir r; cp bad.xml r/", tests = "r/*.xml")
task(name = "broken", run = "mkdir r; echo '<testcase' > r/x.xml", tests = "r/*.xml")
`, "good.xml", report(`<testcase name="a"/><testcase name="b"><skipped/></testcase>`), "bad.xml", report(`<testcase name="a"/><testcase classname="c" name="b"><failure>no</failure></testcase>`))
	w.cfg.KeepGoing = true
	b := w.build("good", "bad", "broken")
	good, bad := b.results["good"], b.results["bad"]
	if d := cmp.Diff(&run.Tests{Total: 4, Skipped: 2}, good.Tests); d != "" || good.State != run.Built { // the source is one more report
		t.Error(d, good)
	}
	if d := cmp.Diff(&run.Tests{Total: 2, Failed: 1, Names: []string{"c.b"}}, bad.Tests); d != "" || bad.State != run.Failed || bad.Error != "1 of 2 tests failed" {
		t.Error(d, bad)
	}
	if r := b.results["broken"]; r.State != run.Failed || !strings.Contains(r.Error, "report r/x.xml: ") {
		t.Error(r)
	}
	if again := w.build("good", "bad"); !cmp.Equal(again.runs, []string{"bad"}) || again.results["good"].Tests.Total != 4 {
		t.Errorf("%v ran: %v", again.runs, again.results)
	}
}

// Every event is one step of the way that State draws, and the last is what the report says.
func TestEventsTellTheWholeStory(t *testing.T) {
	w := newWorld(t, recipe.File, chain+`
task(name = "bad", requires = "lib", run = "false")
task(name = "user", requires = "bad")`, "lib.c", "lib\n", "app.c", "app\n")
	w.cfg.KeepGoing = true
	for range 2 {
		last := map[string]run.State{}
		w.cfg.Events = func(e run.Event) {
			from, to := last[e.Result.ID], e.Result.State
			if ok := from == "" && to != run.Built || from == run.Running && (to == run.Built || to == run.Failed); !ok {
				t.Errorf("%s went from %q to %q", e.Result.ID, from, to)
			}
			last[e.Result.ID] = to
		}
		b := w.build("test", "user")
		if d := cmp.Diff(b.states(), last); d != "" {
			t.Error(d)
		}
		if n := len(slices.Collect(maps.Keys(last))); n != 7 {
			t.Errorf("%d tasks were told of", n)
		}
	}
}

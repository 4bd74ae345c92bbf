package flow_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/pipeline/value"
)

type args = steptest.Args

func body(lines ...string) steptest.Body {
	return func(t *steptest.Thread, _ ...value.Value) (value.Value, error) {
		for _, l := range lines {
			if _, err := t.Step(flow.Echo{}, args{"message": l}, nil); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
}

func fails(e *value.Exception) steptest.Body {
	return func(*steptest.Thread, ...value.Value) (value.Value, error) { return nil, e }
}

func console(t *testing.T, w *steptest.World, want string) {
	t.Helper()
	if got := w.Console(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("console:\n%s\nwant:\n%s", got, strings.TrimPrefix(want, "\n"))
	}
}

// TestNode runs the ECS tutorial's program; its lines are those that Jenkins prints.
func TestNode(t *testing.T) {
	w := steptest.New(t)
	m := w.Machine.(*steptest.Machine)
	m.Root, w.Host, w.OfJob.Name = t.TempDir(), "ecs-cloud-ecs-39cg6", "slave-test"
	program := func() {
		var env []string
		_, err := w.Thread().Step(flow.Node{}, args{"label": "ecs"}, func(t *steptest.Thread, _ ...value.Value) (value.Value, error) {
			env = t.Scope().Env
			return t.Step(flow.Stage{}, args{"name": "Awesomeness"}, body("Hello from Jenkins slave!"))
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(env, "WORKSPACE="+m.Root+"/workspace/slave-test") || !slices.Contains(env, "NODE_NAME=ecs-cloud-ecs-39cg6") {
			t.Errorf("environment %q", env)
		}
	}
	want := `
[Pipeline] node
Running on ecs-cloud-ecs-39cg6 in ` + m.Root + `/workspace/slave-test
[Pipeline] {
[Pipeline] stage
[Pipeline] { (Awesomeness)
[Pipeline] echo
Hello from Jenkins slave!
[Pipeline] }
[Pipeline] // stage
[Pipeline] }
[Pipeline] // node
`
	program()
	console(t, w, want)
	for n := len(w.Journal()); n >= 0; n-- {
		w.Crash(n)
		program()
		console(t, w, want)
		if held := w.Held(); len(held) > 0 {
			t.Errorf("still held after the end: %q", held)
		}
	}
}

func TestRetry(t *testing.T) {
	w := steptest.New(t)
	n := 0
	v, err := w.Thread().Step(flow.Retry{}, args{"count": 3}, func(*steptest.Thread, ...value.Value) (value.Value, error) {
		if n++; n < 3 {
			return nil, value.Abort("no luck")
		}
		return "done", nil
	})
	if err != nil || v != "done" {
		t.Errorf("got %v, %v", v, err)
	}
	console(t, w, `
[Pipeline] retry
[Pipeline] {
[Pipeline] }
ERROR: no luck
Retrying
[Pipeline] {
[Pipeline] }
ERROR: no luck
Retrying
[Pipeline] {
[Pipeline] }
[Pipeline] // retry
`)
}

func TestRetryConditions(t *testing.T) {
	agent := value.NewList(value.Pairs("$class", "agent"))
	user := &value.Exception{Class: value.FlowInterrupted, Result: "ABORTED", Causes: []string{"Aborted by alice"}}
	for _, c := range []struct {
		name       string
		conditions value.Value
		err        *value.Exception
		tries      int
	}{
		{"a failure", nil, value.Abort("x"), 2},
		{"an abort", nil, user, 1},
		{"a lost agent without conditions", nil, flow.Lost("a"), 1},
		{"a lost agent", agent, flow.Lost("a"), 2},
		{"a failure that no condition knows", agent, value.Abort("x"), 1},
		{"an abort with conditions", agent, user, 1},
	} {
		a := args{"count": 2}
		if c.conditions != nil {
			a["conditions"] = c.conditions
		}
		tries, retryable := 0, false
		_, err := steptest.New(t).Thread().Step(flow.Retry{}, a, func(t *steptest.Thread, _ ...value.Value) (value.Value, error) {
			tries++
			retryable = t.Scope().Retryable
			return nil, c.err
		})
		if tries != c.tries || !errors.Is(err, c.err) || retryable != (c.conditions != nil) {
			t.Errorf("%s: %d tries, want %d; error %v; retryable %v", c.name, tries, c.tries, err, retryable)
		}
	}
	_, err := steptest.New(t).Thread().Step(flow.Retry{}, args{"count": 2, "conditions": value.NewList(value.Pairs("$class", "moon"))}, body())
	if err == nil || !strings.Contains(err.Error(), `unknown condition "moon"`) {
		t.Errorf("unknown condition: %v", err)
	}
}

func TestCatchError(t *testing.T) {
	w := steptest.New(t)
	th := w.Thread().Scoped(func(s *step.Scope) { s.Mark = &step.Mark{} })
	if _, err := th.Step(flow.CatchError{}, args{"buildResult": "UNSTABLE", "stageResult": "FAILURE", "message": "tests"}, fails(value.Abort("exit code 1"))); err != nil {
		t.Fatal(err)
	}
	if _, err := th.Step(flow.WarnError{}, args{"message": "lint"}, fails(value.Abort("exit code 2"))); err != nil {
		t.Fatal(err)
	}
	console(t, w, `
[Pipeline] catchError
[Pipeline] {
[Pipeline] }
ERROR: tests
ERROR: exit code 1
Setting overall build result to UNSTABLE
[Pipeline] // catchError
[Pipeline] warnError
[Pipeline] {
[Pipeline] }
ERROR: lint
ERROR: exit code 2
[Pipeline] // warnError
`)
	if w.Result() != build.Unstable || th.Scope().Mark.Result != build.Failure {
		t.Errorf("build %s, stage %s", w.Result(), th.Scope().Mark.Result)
	}
	abort := &value.Exception{Class: value.FlowInterrupted}
	if _, err := th.Step(flow.CatchError{}, args{"catchInterruptions": false}, fails(abort)); !errors.Is(err, abort) {
		t.Errorf("an interruption that is not to be caught: %v", err)
	}
	farm := errors.New("the disk is full")
	if _, err := th.Step(flow.CatchError{}, nil, func(*steptest.Thread, ...value.Value) (value.Value, error) { return nil, farm }); !errors.Is(err, farm) {
		t.Errorf("the farm's own failure was caught: %v", err)
	}
}

func TestUnstable(t *testing.T) {
	w := steptest.New(t)
	outer := &step.Mark{}
	th := w.Thread().Scoped(func(s *step.Scope) { s.Mark = &step.Mark{Outer: outer} })
	if _, err := th.Step(flow.Unstable{}, args{"message": "flaky"}, nil); err != nil {
		t.Fatal(err)
	}
	console(t, w, "[Pipeline] unstable\nWARNING: flaky\n")
	if w.Result() != build.Unstable || outer.Result != build.Unstable {
		t.Errorf("build %s, outer stage %s", w.Result(), outer.Result)
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := steptest.New(t)
		start := time.Now()
		slow := func(t *steptest.Thread, _ ...value.Value) (value.Value, error) {
			return t.Step(flow.Sleep{}, args{"time": 1, "unit": "HOURS"}, nil)
		}
		_, err := w.Thread().Step(flow.Timeout{}, args{"time": 5}, slow)
		var e *value.Exception
		if !errors.As(err, &e) || e.Result != "ABORTED" || !slices.Equal(e.Causes, []string{"Timeout has been exceeded"}) {
			t.Errorf("error %#v", err)
		}
		if d := time.Since(start); d != 5*time.Minute {
			t.Errorf("it ended after %v", d)
		}
		console(t, w, `
[Pipeline] timeout
Timeout set to expire in 5 min 0 sec
[Pipeline] {
[Pipeline] sleep
Sleeping for 1 hr 0 min
Cancelling nested steps due to timeout
[Pipeline] }
[Pipeline] // timeout
`)
	})
}

// TestSleepAcrossRestart: what passed while the controller was down counts.
func TestSleepAcrossRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := steptest.New(t)
		start := time.Now()
		program := func(th *steptest.Thread) error {
			_, err := th.Step(flow.Sleep{}, args{"time": 10}, nil)
			return err
		}
		th, interrupt := w.Thread().Interrupt()
		time.AfterFunc(4*time.Second, func() { interrupt(&value.Exception{Class: "stop"}) })
		if err := program(th); err == nil {
			t.Fatal("the sleep was not interrupted")
		}
		w.Crash(1) // the deadline is journalled, its end is not
		time.Sleep(3 * time.Second)
		if err := program(w.Thread()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("slept %v in all, want 10s", d)
		}
		console(t, w, "[Pipeline] sleep\nSleeping for 10 sec\n")
	})
}

func TestWaitUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := steptest.New(t), 0
		start := time.Now()
		_, err := w.Thread().Step(flow.WaitUntil{}, nil, func(*steptest.Thread, ...value.Value) (value.Value, error) {
			n++
			return n == 3, nil
		})
		if err != nil || time.Since(start) != 550*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		console(t, w, `
[Pipeline] waitUntil
[Pipeline] {
[Pipeline] }
Will try again after 0.25 sec
[Pipeline] {
[Pipeline] }
Will try again after 0.3 sec
[Pipeline] {
[Pipeline] }
[Pipeline] // waitUntil
`)
	})
}

func TestParallel(t *testing.T) {
	w := steptest.New(t)
	branches := value.Pairs("a", body("one"), "b", fails(value.Abort("broken")))
	_, err := w.Thread().Step(flow.Parallel{}, args{"branches": branches}, nil)
	if err == nil || err.Error() != "broken" {
		t.Errorf("error %v", err)
	}
	out := w.Console()
	if !strings.HasPrefix(out, "[Pipeline] parallel\n[Pipeline] { (Branch: a)\n[Pipeline] { (Branch: b)\n") || !strings.Contains(out, "[Pipeline] }\nFailed in branch b\n") {
		t.Errorf("console:\n%s", out)
	}
}

// TestParallelWorst: what is thrown is the worst failure, not the first; with failFast the first by time.
func TestParallelWorst(t *testing.T) {
	runtime := &value.Exception{Class: "java.lang.RuntimeException", Message: "r"}
	unstable := &value.Exception{Class: value.FlowInterrupted, Result: "UNSTABLE", Causes: []string{"u"}}
	aborted := &value.Exception{Class: value.FlowInterrupted, Result: "ABORTED", Causes: []string{"x"}}
	_, err := steptest.New(t).Thread().Step(flow.Parallel{}, args{"branches": value.Pairs(
		"a", fails(runtime), "b", fails(unstable), "c", fails(value.Abort("m")), "d", fails(aborted))}, nil)
	var e *value.Exception
	if !errors.As(err, &e) || e.Result != "ABORTED" || len(e.Suppressed) != 3 {
		t.Errorf("threw %#v", err)
	}
}

func TestProperties(t *testing.T) {
	var p build.Properties
	for _, v := range []value.Value{
		value.Pairs("$class", "disableConcurrentBuilds", "abortPrevious", true),
		value.Pairs("$class", "buildDiscarder", "strategy", value.Pairs("$class", "logRotator", "numToKeepStr", "5", "daysToKeepStr", "-1")),
		value.Pairs("$class", "BuildDiscarderProperty", "strategy", value.Pairs("$class", "hudson.tasks.LogRotator", "artifactNumToKeepStr", "2")),
		value.Pairs("$class", "ParametersDefinitionProperty", "parameterDefinitions", value.NewList(
			value.Pairs("$class", "hudson.model.StringParameterDefinition", "name", "OLD", "defaultValue", "x"))),
		value.Pairs("$class", "parameters", "parameterDefinitions", value.NewList(
			value.Pairs("$class", "choice", "name", "ENV", "choices", "dev\nprod\n"),
			value.Pairs("$class", "booleanParam", "name", "FAST", "defaultValue", true))),
	} {
		if err := flow.Property(&p, v); err != nil {
			t.Fatal(err)
		}
	}
	if !p.DisableConcurrent || !p.AbortPrevious || p.KeepBuilds != 5 || p.KeepDays != 0 || p.KeepArtifacts != 2 || len(p.Parameters) != 3 ||
		p.Parameters[0].Default != "x" || p.Parameters[1].Default != "dev" || p.Parameters[2].Default != "true" {
		t.Errorf("%+v", p)
	}
}

func TestUnknownProperties(t *testing.T) {
	w := steptest.New(t)
	list := value.NewList(value.Pairs("$class", "disableConcurrentBuilds"), value.Pairs("$class", "pipelineTriggers", "triggers", value.NewList()))
	if _, err := w.Thread().Step(flow.Properties{}, args{"properties": list}, nil); err != nil {
		t.Fatal(err)
	}
	console(t, w, `
[Pipeline] properties
WARNING: properties: unknown property "pipelineTriggers": accepted, no effect
`)
}

func TestStageWithoutBody(t *testing.T) {
	w := steptest.New(t)
	if _, err := w.Thread().Step(flow.Stage{}, args{"name": "Build"}, nil); err != nil {
		t.Fatal(err)
	}
	console(t, w, `
[Pipeline] stage
Using the ‘stage’ step without a block argument is deprecated
Entering stage Build
Proceeding
`)
}

// TestInterruptionsThatAreCaught: an interruption gives its own result, except when another branch failed first.
func TestInterruptionsThatAreCaught(t *testing.T) {
	for _, tt := range []struct {
		cause string
		want  build.Result
	}{{"Timeout has been exceeded", build.Aborted}, {"Failed in branch x", build.Unstable}} {
		w := steptest.New(t)
		e := &value.Exception{Class: value.FlowInterrupted, Result: "ABORTED", Causes: []string{tt.cause}}
		if _, err := w.Thread().Step(flow.CatchError{}, args{"buildResult": "UNSTABLE"}, fails(e)); err != nil || w.Result() != tt.want {
			t.Errorf("%s: %v, %s", tt.cause, err, w.Result())
		}
	}
}

func TestSpan(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"5 min 0 sec": 5 * time.Minute, "10 min": 10 * time.Minute, "10 sec": 10 * time.Second, "1 sec": time.Second, "1.2 sec": 1250 * time.Millisecond,
		"0.25 sec": 250 * time.Millisecond, "42 ms": 42 * time.Millisecond, "1 hr 30 min": 90 * time.Minute, "2 days 3 hr": 51 * time.Hour, "1 day 0 hr": 24 * time.Hour,
	} {
		if got := flow.Span(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
}

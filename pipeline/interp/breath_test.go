package interp

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// TestEndlessCode aborts code that never comes to a step, and replays where it was caught.
func TestEndlessCode(t *testing.T) {
	abort := &value.Exception{Class: value.FlowInterrupted, Message: "Aborted by alice", Result: "ABORTED"}
	f := parse(t, `int n = 0; try { while (true) { n++ } } finally { echo "$n" }`)
	life := func(entries []Entry, abortIt bool) (string, []Entry) {
		r, j := newMemoryRun(), &memoryJournal{entries: entries}
		p, err := New(Config{File: f, Run: r, Steps: testSteps(), Journal: j, Replay: entries})
		if err != nil {
			t.Fatal(err)
		}
		if abortIt {
			p.Abort(abort)
		}
		if err := p.Run(t.Context()); outcomeText(err) != outcomeText(abort) {
			t.Fatalf("ended with %v", err)
		}
		return r.text(), j.entries
	}
	want, entries := life(nil, true)
	if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Kind == Interrupted }) {
		t.Error("no interruption in the journal")
	}
	if got, _ := life(entries, false); got != want {
		t.Errorf("resumed, it printed %q, the first time %q", got, want)
	}
}

// TestLongResults: what no journal could keep fails the step, not the farm.
func TestLongResults(t *testing.T) {
	j := &memoryJournal{}
	out, err := run(t, `try { big() } catch (e) { echo e.message }`, func(c *Config) {
		withSteps(c)
		c.Journal = j
		c.Steps["big"] = funcStep{step.Spec{Name: "big"}, func(t step.Thread, _ *step.Call) (value.Value, error) {
			_, err := t.Do(step.Effect{Name: "big", Run: func(context.Context, step.Address) (any, error) { return strings.Repeat("x", maxPayload), nil }})
			return nil, err
		}}
	})
	if err != nil || !strings.Contains(out, "big: its result takes ") || !strings.Contains(out, "write it to a file instead\n") {
		t.Errorf("%q %v", out, err)
	}
	for _, e := range j.entries {
		if len(e.Payload) > 1000 {
			t.Errorf("an entry of %d bytes", len(e.Payload))
		}
	}
}

// TestEnvironmentOfANode: what the machine has itself comes last, and only inside of the node block.
func TestEnvironmentOfANode(t *testing.T) {
	out, err := run(t, `
		def show = { echo "${env.PATH} ${env.EDITOR} ${env.HOME} ${env.NOPE}" }
		show()
		machine { show(); echo EDITOR; withEnv(["EDITOR=vi", "HOME+X=/x"]) { show() } }
		try { echo EDITOR } catch (MissingPropertyException e) { echo 'gone' }`, func(c *Config) {
		withSteps(c)
		node := &step.Node{OS: "linux", Env: map[string]string{"PATH": "/usr/bin", "EDITOR": "ed"}, Workspace: agent.Workspace{Home: "/home/ci"}}
		c.Steps["machine"] = funcStep{step.Spec{Name: "machine", Block: true}, func(t step.Thread, c *step.Call) (value.Value, error) {
			return t.With(func(s *step.Scope) { s.Node = node }, func() (value.Value, error) { return t.Call(c.Body) })
		}}
	})
	var got []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "[Pipeline]") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := "/bin null null null|/bin ed /home/ci null|ed|/bin vi /x:/home/ci null|gone"
	if err != nil || strings.Join(got, "|") != want {
		t.Errorf("%q %v", got, err)
	}
}

// TestCauses: what a script asks of an interruption.
func TestCauses(t *testing.T) {
	out, err := run(t, `try { stop() } catch (org.jenkinsci.plugins.workflow.steps.FlowInterruptedException e) {
		echo "${e.causes[0].class.simpleName} ${e.causes*.shortDescription} ${e.getCauses()[0].getUser()} ${e.isActualInterruption()}" }`, func(c *Config) {
		withSteps(c)
		c.Steps["stop"] = funcStep{step.Spec{Name: "stop"}, func(step.Thread, *step.Call) (value.Value, error) {
			return nil, &value.Exception{Class: value.FlowInterrupted, Result: "ABORTED", Causes: []string{"Aborted by alice"}}
		}}
	})
	var ex *value.Exception
	if errors.As(err, &ex) || !strings.Contains(out, "UserInterruption [Aborted by alice] alice true\n") {
		t.Errorf("%q %v", out, err)
	}
}

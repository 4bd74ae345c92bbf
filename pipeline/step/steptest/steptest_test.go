package steptest_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/pipeline/value"
)

// run starts a process on the node and prints its output: the smallest step that re-attaches.
type run struct{}

func (run) Spec() step.Spec {
	return step.Spec{Name: "run", Params: []step.Param{{Name: "script", Type: step.Str, Required: true}}, Sole: "script", NeedsNode: true}
}

func (run) Run(t step.Thread, c *step.Call) (value.Value, error) {
	n, script, r := t.Scope().Node, c.String("script"), t.Run()
	_, err := t.Do(step.Effect{Name: "run", Args: script, Run: func(ctx context.Context, a step.Address) (any, error) {
		m, err := n.Machine(ctx)
		if err != nil {
			return nil, err
		}
		id, out := agent.StepID(a), r.Output(a, "")
		if err := m.Start(ctx, agent.StartRequest{Lease: n.Grant.Lease(), Step: id, Script: []byte(script)}); err != nil {
			return nil, err
		}
		e, err := m.Follow(ctx, n.Grant.Lease(), id, out.Received(), func(o agent.Output) error {
			_, err := out.WriteAt(o.Data, o.Offset)
			return err
		})
		if err == nil && e.Code != 0 {
			err = value.Abort(fmt.Sprintf("script returned exit code %d", e.Code))
		}
		return nil, err
	}})
	return nil, err
}

// TestReplay pins what the fake promises to the tests that use it: no effect twice, no line twice, whatever was journalled.
func TestReplay(t *testing.T) {
	w := steptest.New(t)
	m := w.Machine.(*steptest.Machine)
	m.Process = func(_ context.Context, r agent.StartRequest, out io.Writer) agent.Exit {
		fmt.Fprintf(out, "did %s\n", r.Script)
		return agent.Exit{}
	}
	program := func() {
		th := w.OnNode(w.Thread(), "agent-1")
		for _, s := range []string{"a", "b"} {
			if _, err := th.Step(run{}, steptest.Args{"script": s}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := "[Pipeline] run\ndid a\n[Pipeline] run\ndid b\n"
	program()
	for kept := 2; kept >= 0; kept-- {
		w.Crash(kept)
		program()
		if got := w.Console(); got != want {
			t.Fatalf("after a crash with %d effects journalled:\n%s\nwant:\n%s", kept, got, want)
		}
		if n := len(m.Started()); n != 2 {
			t.Fatalf("after a crash with %d effects journalled: %d processes were started, want 2", kept, n)
		}
	}
}

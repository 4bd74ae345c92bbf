package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
	"github.com/outwork-build/outwork/queue"
)

// Node is `node('label') { … }`: an executor and a workspace for its body. The workspace parameter is Declarative's customWorkspace.
type Node struct{}

// Spec implements step.Step.
func (Node) Spec() step.Spec {
	return step.Spec{Name: "node", Sole: "label", Block: true, Doc: "run on a machine that has the label",
		Params: []step.Param{{Name: "label", Type: step.Str, Default: ""}, {Name: "workspace", Type: step.Str}}}
}

// seat is what the journal keeps of an executor, and of what was asked for: who resumes the run claims it with the same words.
type seat struct {
	Request   step.Request    `json:"request"`
	Grant     queue.Grant     `json:"grant"`
	Workspace agent.Workspace `json:"workspace"`
	OS        string          `json:"os"`
	Labels    []string        `json:"labels,omitempty"`
	// Env is what the machine gave to its steps then; a script that reads it again on resume must find the same.
	Env map[string]string `json:"env,omitempty"`
}

// Run implements step.Step.
func (Node) Run(t step.Thread, c *step.Call) (value.Value, error) {
	n, err := acquire(t, step.Request{Label: c.String("label"), Workspace: c.String("workspace"), Policy: policy(t), Stage: t.Scope().Stage})
	if err != nil {
		return nil, err
	}
	onNode(t, n.Name)
	t.Print(fmt.Sprintf("Running on %s in %s", n.Name, n.Workspace.Path))
	v, err := t.Interruptible(func(in step.Interrupter) (value.Value, error) {
		defer watch(n, in)()
		return block(t, c, "", func(s *step.Scope) {
			s.Node, s.Dir = n, ""
			s.Env = append(s.Env, environment(n)...)
		})
	})
	if rerr := release(t, n); err == nil {
		err = rerr
	}
	return v, err
}

// policy is what losing the agent means for a node block: only what may be run again is killed.
func policy(t step.Thread) agent.Policy {
	if t.Scope().Retryable {
		return agent.Kill
	}
	return agent.Hold
}

func acquire(t step.Thread, r step.Request) (*step.Node, error) {
	run, stage, stamps := t.Run(), t.Scope().StageID, t.Scope().Timestamps
	got, err := t.Do(step.Effect{Name: "node", Args: r, Run: func(ctx context.Context, a step.Address) (any, error) {
		waiting := func(why string) {
			out := step.Stamped(run.Output(a+"/why", stage), stamps)
			if out.Received() > 0 {
				return // it was said before a restart, maybe in other words
			}
			_, _ = out.WriteAt([]byte("Still waiting to schedule task\n"+why+"\n"), 0)
		}
		n, err := run.Nodes().Acquire(ctx, a, r, waiting)
		if err != nil {
			return nil, err
		}
		return seat{r, n.Grant, n.Workspace, n.OS, n.Labels, n.Env}, nil
	}})
	if err != nil {
		return nil, err
	}
	var s seat
	if err := json.Unmarshal(got, &s); err != nil {
		return nil, fmt.Errorf("read the journal's grant: %w", err)
	}
	n := run.Nodes().Attach(s.Grant, s.Workspace)
	n.OS, n.Labels, n.Env = s.OS, s.Labels, s.Env
	return n, nil
}

// release gives the executor back. A program that was stopped does not get here with a live thread: it keeps its executors.
func release(t step.Thread, n *step.Node) error {
	nodes := t.Run().Nodes()
	_, err := t.Do(step.Effect{Name: "node.release", Key: "release", Run: func(ctx context.Context, _ step.Address) (any, error) {
		return nil, nodes.Release(ctx, n)
	}})
	return err
}

// watch interrupts what runs in the body when the lease is lost, until the returned function is called.
func watch(n *step.Node, in step.Interrupter) (stop func()) {
	if n.Lost == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-n.Lost:
			in.Interrupt(Lost(n.Name))
		case <-done:
		}
	}()
	return func() { close(done) }
}

// Lost is the exception of everything that runs on a node whose lease was lost. retry(conditions: [agent()]) knows it by its tag.
func Lost(node string) *value.Exception {
	text := "Agent " + node + " was lost"
	return &value.Exception{Class: value.FlowInterrupted, Message: text, Result: "ABORTED", Causes: []string{text}, Tags: []string{"agent"}}
}

func environment(n *step.Node) []string {
	return []string{
		"NODE_NAME=" + n.Name, "NODE_LABELS=" + strings.Join(n.Labels, " "), "EXECUTOR_NUMBER=" + strconv.Itoa(n.Grant.Executor),
		"WORKSPACE=" + n.Workspace.Path, "WORKSPACE_TMP=" + n.Workspace.Tmp,
	}
}

// Package shell has the steps that run scripts on an agent: sh, bat, powershell and pwsh.
//
// A script is one effect. Its process belongs to the agent's shim: the step starts it once, follows its output by offset and
// finds it again after a broken link or a restart of the controller; a script whose fate is unknown is never started twice.
package shell

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Steps returns the steps of this package.
func Steps() []step.Step {
	return []step.Step{Script{"sh"}, Script{"bat"}, Script{"powershell"}, Script{"pwsh"}}
}

// Script is `sh 'make'` and its kin.
type Script struct {
	Interpreter string // sh, bat, powershell, pwsh: also the step's name
}

// Spec implements step.Step.
func (s Script) Spec() step.Spec {
	return step.Spec{Name: s.Interpreter, Sole: "script", NeedsNode: true, Doc: "run a script with " + s.Interpreter,
		Params: []step.Param{
			{Name: "script", Type: step.Str, Required: true},
			{Name: "returnStdout", Type: step.Boolean, Default: false, Doc: "return what it writes to stdout instead of printing it"},
			{Name: "returnStatus", Type: step.Boolean, Default: false, Doc: "return the exit code instead of failing"},
			{Name: "label", Type: step.Str, Doc: "what to show instead of the script"},
			{Name: "encoding", Type: step.Str, Doc: "of the output; UTF-8 is understood"},
		}}
}

// result is what the journal keeps of a script.
type result struct {
	Code   int    `json:"code"`
	Stdout string `json:"stdout,omitempty"`
}

// Run implements step.Step.
func (s Script) Run(t step.Thread, c *step.Call) (value.Value, error) {
	stdout, status := c.Bool("returnStdout"), c.Bool("returnStatus")
	if stdout && status {
		return nil, &value.Exception{Class: "java.lang.IllegalArgumentException", Message: s.Interpreter + ": returnStdout and returnStatus cannot both be set"}
	}
	if e := c.String("encoding"); e != "" && !slices.Contains([]string{"utf-8", "utf8", "us-ascii", "ascii"}, strings.ToLower(e)) {
		return nil, value.Abort(fmt.Sprintf("%s: encoding %q is not supported: expected UTF-8", s.Interpreter, e))
	}
	scope := t.Scope()
	if s.Interpreter == "bat" && scope.Node.OS != "windows" {
		return nil, value.Abort("Batch scripts can only be run on Windows nodes")
	}
	script := c.String("script")
	if script == "" {
		script = "\n" // does nothing, and is a script
	}
	p := executor.Process{Run: t.Run(), Node: scope.Node, Stage: scope.StageID, Stamps: scope.Timestamps, Request: agent.StartRequest{
		Interpreter: s.Interpreter, Script: []byte(script), Dir: scope.Dir, Env: executor.Env(t.Run(), scope), Capture: stdout,
	}}
	raw, err := t.Do(step.Effect{
		Name: s.Interpreter,
		Args: map[string]any{"script": c.String("script"), "stdout": stdout},
		Run: func(ctx context.Context, a step.Address) (any, error) {
			p.Address = a
			exit, err := p.Do(ctx)
			if err != nil {
				return nil, executor.Refused(err)
			}
			return result{exit.Code, strings.ToValidUTF8(string(exit.Stdout), "\uFFFD")}, nil
		},
		Forget: func(ctx context.Context, a step.Address) { executor.Forget(ctx, p.Node, a) },
	})
	if err != nil {
		return nil, err
	}
	var r result
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("journalled result of %s: %w", s.Interpreter, err)
	}
	switch {
	case status:
		return int64(r.Code), nil
	case r.Code != 0:
		return nil, value.Abort(fmt.Sprintf("script returned exit code %d", r.Code))
	case stdout:
		return r.Stdout, nil
	}
	return nil, nil
}

package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Unstable is `unstable 'text'`: the build and the stage become UNSTABLE, and go on.
type Unstable struct{}

// Spec implements step.Step.
func (Unstable) Spec() step.Spec {
	return step.Spec{Name: "unstable", Sole: "message", Doc: "make the build and the stage UNSTABLE",
		Params: []step.Param{{Name: "message", Type: step.Str, Required: true}}}
}

// Run implements step.Step.
func (Unstable) Run(t step.Thread, c *step.Call) (value.Value, error) {
	t.Print("WARNING: " + c.String("message"))
	t.Run().SetResult(build.Unstable)
	t.Scope().Mark.Worsen(build.Unstable)
	return nil, nil
}

// CatchError is `catchError(buildResult: 'UNSTABLE', stageResult: 'FAILURE', message: 'text') { … }`.
type CatchError struct{}

// Spec implements step.Step.
func (CatchError) Spec() step.Spec {
	return step.Spec{Name: "catchError", Sole: "message", Block: true, Doc: "go on after an error, with a result of choice",
		Params: []step.Param{{Name: "message", Type: step.Str}, resultParam("buildResult"), resultParam("stageResult"),
			{Name: "catchInterruptions", Type: step.Boolean, Default: true}}}
}

func resultParam(name string) step.Param {
	return step.Param{Name: name, Type: step.Str, Enum: []string{"SUCCESS", "UNSTABLE", "FAILURE", "NOT_BUILT", "ABORTED"}}
}

// Run implements step.Step.
func (CatchError) Run(t step.Thread, c *step.Call) (value.Value, error) {
	k := catch{message: c.String("message"), build: build.Failure, interruptions: c.Bool("catchInterruptions")}
	var err error
	if s := c.String("buildResult"); s != "" {
		if k.build, err = build.ParseResult(s); err != nil {
			return nil, illegal("buildResult is invalid: %v", err)
		}
	}
	k.stage = k.build
	if s := c.String("stageResult"); s != "" {
		if k.stage, err = build.ParseResult(s); err != nil {
			return nil, illegal("stageResult is invalid: %v", err)
		}
	}
	return nil, k.run(t, c)
}

// WarnError is `warnError('text') { … }`: catchError with UNSTABLE for both.
type WarnError struct{}

// Spec implements step.Step.
func (WarnError) Spec() step.Spec {
	return step.Spec{Name: "warnError", Sole: "message", Block: true, Doc: "go on after an error, UNSTABLE",
		Params: []step.Param{{Name: "message", Type: step.Str, Required: true}, {Name: "catchInterruptions", Type: step.Boolean, Default: true}}}
}

// Run implements step.Step.
func (WarnError) Run(t step.Thread, c *step.Call) (value.Value, error) {
	k := catch{message: c.String("message"), build: build.Unstable, stage: build.Unstable, interruptions: c.Bool("catchInterruptions")}
	return nil, k.run(t, c)
}

type catch struct {
	message       string
	build, stage  build.Result
	interruptions bool
}

// failedFast reports whether another branch of parallel was why e interrupted. Every other interruption, caught or not, gives
// the build and the stage its own result.
func failedFast(e *value.Exception) bool {
	return slices.ContainsFunc(e.Causes, func(c string) bool { return strings.HasPrefix(c, "Failed in branch ") })
}

func (k catch) run(t step.Thread, c *step.Call) error {
	_, err := block(t, c, "", nil)
	var e *value.Exception
	if err == nil || !errors.As(err, &e) || e.Interrupts() && !k.interruptions {
		return err
	}
	if k.message != "" {
		t.Print("ERROR: " + k.message)
	}
	report(t, e)
	if e.Class == value.FlowInterrupted && !failedFast(e) {
		k.build = step.ResultOf(e)
		k.stage = k.build
	}
	if k.build.Worse(build.Success) {
		if k.build.Worse(t.Run().Result()) {
			t.Print(fmt.Sprintf("Setting overall build result to %s", k.build))
		}
		t.Run().SetResult(k.build)
	}
	if k.stage.Worse(build.Success) {
		t.Scope().Mark.Worsen(k.stage)
	}
	return nil
}

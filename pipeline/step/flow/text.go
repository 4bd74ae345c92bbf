package flow

import (
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Echo is `echo 'text'`.
type Echo struct{}

// Spec implements step.Step.
func (Echo) Spec() step.Spec {
	return step.Spec{Name: "echo", Sole: "message", Doc: "print a line",
		Params: []step.Param{{Name: "message", Type: step.Str, Required: true}}}
}

// Run implements step.Step.
func (Echo) Run(t step.Thread, c *step.Call) (value.Value, error) {
	t.Print(c.String("message"))
	return nil, nil
}

// Error is `error 'text'`.
type Error struct{}

// Spec implements step.Step.
func (Error) Spec() step.Spec {
	return step.Spec{Name: "error", Sole: "message", Doc: "fail the build with a message",
		Params: []step.Param{{Name: "message", Type: step.Str, Default: ""}}}
}

// Run implements step.Step.
func (Error) Run(_ step.Thread, c *step.Call) (value.Value, error) {
	return nil, value.Abort(c.String("message"))
}

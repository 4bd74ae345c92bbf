package flow

import (
	"errors"
	"slices"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Retry is `retry(3) { … }`, and `retry(count: 3, conditions: [agent(), nonresumable()]) { … }`. Without conditions everything
// is tried again but interruptions, of which a timeout inside of the body is none; with them, only what a condition knows.
type Retry struct{}

// Spec implements step.Step.
func (Retry) Spec() step.Spec {
	return step.Spec{Name: "retry", Sole: "count", Block: true, Option: true, Doc: "run the body again when it fails",
		Params: []step.Param{{Name: "count", Type: step.Int, Required: true}, {Name: "conditions", Type: step.ListOf}}}
}

// Run implements step.Step.
func (Retry) Run(t step.Thread, c *step.Call) (value.Value, error) {
	conditions, err := conditions(c.Args["conditions"])
	if err != nil {
		return nil, err
	}
	return Retrying(t, c.Int("count"), conditions, func() (value.Value, error) { return block(t, c, "", nil) })
}

// Retrying runs body up to count times. It prints what retry prints between the attempts; the frame is the caller's.
func Retrying(t step.Thread, count int64, conditions []string, body func() (value.Value, error)) (value.Value, error) {
	attempt := body
	if slices.Contains(conditions, "agent") {
		attempt = func() (value.Value, error) {
			return t.With(func(s *step.Scope) { s.Retryable = true }, body)
		}
	}
	for left := count; ; left-- {
		v, err := attempt()
		var e *value.Exception
		if err == nil || left <= 1 || !errors.As(err, &e) || !again(e, conditions) {
			return v, err
		}
		if e.Class != value.FlowInterrupted && !value.IsA(e.Class, value.AbortException) {
			t.Print("ERROR: Execution failed")
		}
		report(t, e)
		t.Print("Retrying")
	}
}

func again(e *value.Exception, conditions []string) bool {
	if len(conditions) == 0 {
		return !e.Interrupts()
	}
	return slices.ContainsFunc(conditions, func(c string) bool { return slices.Contains(e.Tags, c) })
}

func conditions(v value.Value) ([]string, error) {
	elems, _ := value.Elements(v)
	var out []string
	for _, e := range elems {
		name, _ := symbol(e)
		if name != "agent" && name != "nonresumable" {
			return nil, illegal("retry: unknown condition %q: expected agent() or nonresumable()", name)
		}
		out = append(out, name)
	}
	return out, nil
}

package flow

import (
	"fmt"
	"strings"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Script is Declarative's `script { … }`: its body as it stands.
type Script struct{}

// Spec implements step.Step.
func (Script) Spec() step.Spec {
	return step.Spec{Name: "script", Block: true, Doc: "a piece of scripted pipeline"}
}

// Run implements step.Step.
func (Script) Run(t step.Thread, c *step.Call) (value.Value, error) { return block(t, c, "", nil) }

// WithEnv is `withEnv(['NAME=value', 'PATH+X=/dir']) { … }`.
type WithEnv struct{}

// Spec implements step.Step.
func (WithEnv) Spec() step.Spec {
	return step.Spec{Name: "withEnv", Sole: "overrides", Block: true, Option: true, Doc: "set environment variables",
		Params: []step.Param{{Name: "overrides", Type: step.ListOf, Required: true}}}
}

// Run implements step.Step.
func (WithEnv) Run(t step.Thread, c *step.Call) (value.Value, error) {
	vars := texts(c.Args["overrides"])
	for _, v := range vars {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			return nil, &value.Exception{Class: "java.lang.IllegalArgumentException", Message: fmt.Sprintf("withEnv: %q: expected NAME=value", v)}
		}
	}
	return block(t, c, "", func(s *step.Scope) { s.Env = append(s.Env, vars...) })
}

// Timestamps is `timestamps { … }`.
type Timestamps struct{}

// Spec implements step.Step.
func (Timestamps) Spec() step.Spec {
	return step.Spec{Name: "timestamps", Block: true, Option: true, Doc: "show the time of each line"}
}

// Run implements step.Step.
func (Timestamps) Run(t step.Thread, c *step.Call) (value.Value, error) {
	return block(t, c, "", func(s *step.Scope) { s.Timestamps = true })
}

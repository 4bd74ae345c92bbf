// Package declarative evaluates `pipeline { … }`: agents, stages, conditions, options and post in the order that Jenkins
// keeps, with the lines that Jenkins prints.
//
// It decides what is done when; the steps do it. What a pipeline says about its job holds for the builds that follow. A Form is
// used by one program; its functions run on the program's threads and hold the baton.
package declarative

import (
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Form returns what evaluates the model's call of `pipeline`. The steps are those of the program, scm is its global of that
// name, nil when it has none.
func Form(p *jenkinsfile.Pipeline, steps map[string]step.Step, scm value.Value) interp.Form {
	d := &driver{p: p, steps: steps, scm: scm}
	return func(t *interp.Thread, _ *jenkinsfile.Call) (value.Value, error) {
		if d.ran {
			return nil, value.Abort("Only one pipeline { ... } block can be executed in a single run.")
		}
		d.ran = true
		return nil, d.run(t)
	}
}

// driver is one evaluation.
type driver struct {
	p     *jenkinsfile.Pipeline
	steps map[string]step.Step
	scm   value.Value
	ran   bool
	last  *build.Result // of the last completed build, once it was looked up
}

// run is the skeleton: properties, agent, environment, options, stages, post.
func (d *driver) run(t *interp.Thread) error {
	if err := d.properties(t); err != nil {
		return err
	}
	posted := false
	err := d.inAgent(t, d.p.Agent, d.p.Options, true, func() error {
		return d.withEnvironment(t, d.p.Environment, func() error {
			return d.withOptions(t, d.p.Options, func() error {
				return d.withTools(t, d.p.Tools, func() error {
					posted = false
					err := d.sequence(t, d.p.Stages, skip{})
					posted = !interp.IsFatal(err)
					return d.rootPost(t, err)
				})
			})
		})
	})
	if !posted && err != nil && !interp.IsFatal(err) {
		return d.rootPost(t, err) // it failed before the stages: post still runs, outside of the agent
	}
	return err
}

// sequence enters stages one after another. The first failure does not end it: later stages are entered and skipped.
func (d *driver) sequence(t *interp.Thread, list []*jenkinsfile.Stage, s skip) error {
	var first error
	for _, st := range list {
		why := s
		if !why.set() && first != nil {
			why = skip{because: "earlier failure(s)"}
		}
		err := d.stage(t, st, why, nil)
		if interp.IsFatal(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// result is the build's result so far, SUCCESS while nothing set it.
func result(t *interp.Thread) build.Result { return build.Worst(t.Run().Result(), build.Success) }

// call calls a step and drops its value.
func call(t *interp.Thread, name string, args map[string]value.Value, body func() error) error {
	_, err := t.CallStep(name, args, func() (value.Value, error) { return nil, body() })
	return err
}

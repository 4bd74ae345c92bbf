package declarative

import (
	"reflect"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/value"
)

// properties tells the job what the pipeline says of it. Nothing is printed, and nothing is done when the job knows it already.
func (d *driver) properties(t *interp.Thread) error {
	var p build.Properties
	for _, o := range d.p.Options {
		if o.Name != "buildDiscarder" && o.Name != "disableConcurrentBuilds" {
			continue
		}
		v, err := t.Eval(o.Call, nil)
		if err != nil {
			return err
		}
		if err := flow.Property(&p, v); err != nil {
			return err
		}
	}
	for _, x := range d.p.Parameters {
		v, err := t.Eval(x.Call, nil)
		if err != nil {
			return err
		}
		par, err := flow.Parameter(v)
		if err != nil {
			return err
		}
		p.Parameters = append(p.Parameters, par)
	}
	if !reflect.DeepEqual(p, t.Run().Job().Properties) {
		return flow.Learn(t, p)
	}
	if l, ok := t.Run().(step.Learner); ok {
		l.Declare(p.Parameters)
	}
	return nil
}

// withOptions runs body inside of the options that are block steps: timeout, retry, timestamps and their like, the first one outermost.
func (d *driver) withOptions(t *interp.Thread, list []*jenkinsfile.Directive, body func() error) error {
	if len(list) == 0 {
		return body()
	}
	o, rest := list[0], list[1:]
	inner := func() error { return d.withOptions(t, rest, body) }
	s := d.steps[o.Name]
	if s == nil || !s.Spec().Option {
		return inner()
	}
	args, err := arguments(t, s.Spec(), o.Call)
	if err != nil {
		return err
	}
	return call(t, o.Name, args, inner)
}

// arguments evaluates the arguments of an option that is a step.
func arguments(t *interp.Thread, spec step.Spec, c *jenkinsfile.Call) (map[string]value.Value, error) {
	args := map[string]value.Value{}
	if c == nil {
		return args, nil
	}
	for _, n := range c.Named {
		key, ok := n.Key.(*jenkinsfile.Lit)
		if !ok {
			continue
		}
		v, err := t.Eval(n.Value, nil)
		if err != nil {
			return nil, err
		}
		if name, ok := key.Value.(string); ok {
			args[name] = v
		}
	}
	for _, x := range c.Args {
		v, err := t.Eval(x, nil)
		if err != nil {
			return nil, err
		}
		if m, ok := v.(*value.Map); ok && len(c.Args) == 1 {
			for k, x := range m.All() {
				args[text(k)] = x
			}
			continue
		}
		args[spec.Sole] = v
	}
	return args, nil
}

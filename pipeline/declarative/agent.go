package declarative

import (
	"fmt"

	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// inAgent runs body where an agent section says, with the implicit checkout. options are those that stand beside it.
func (d *driver) inAgent(t *interp.Thread, a *jenkinsfile.Agent, options []*jenkinsfile.Directive, root bool, body func() error) error {
	if a == nil || a.Kind == "none" {
		return body()
	}
	args := map[string]value.Value{}
	for field, param := range map[string]string{"label": "label", "customWorkspace": "workspace"} {
		if text, err := d.field(t, a, field); err != nil {
			return err
		} else if text != "" {
			args[param] = text
		}
	}
	inside := func() error {
		return call(t, "node", args, func() error { return d.checkedOut(t, options, root, body) })
	}
	retries, err := d.field(t, a, "retries")
	if err != nil || retries == "" || retries == "0" || retries == "1" {
		if err != nil {
			return err
		}
		return inside()
	}
	conditions := value.NewList(value.Pairs("$class", "agent"), value.Pairs("$class", "nonresumable"))
	return call(t, "retry", map[string]value.Value{"count": retries, "conditions": conditions}, inside)
}

// field evaluates a field of an agent section as text; "" when it is not there.
func (d *driver) field(t *interp.Thread, a *jenkinsfile.Agent, name string) (string, error) {
	x := a.Field(name)
	if x == nil {
		return "", nil
	}
	v, err := t.Eval(x, nil)
	if err != nil || v == nil {
		return "", err
	}
	return text(v), nil
}

// checkedOut does the implicit `checkout scm` and runs body with what it put into the environment.
func (d *driver) checkedOut(t *interp.Thread, options []*jenkinsfile.Directive, root bool, body func() error) error {
	skip, err := d.skipsCheckout(t, options)
	if err != nil || skip || d.scm == nil {
		if err != nil {
			return err
		}
		return body()
	}
	var vars []string
	checkout := func() error {
		vars, err = d.checkout(t, options)
		return err
	}
	if root {
		err = call(t, "stage", map[string]value.Value{"name": "Declarative: Checkout SCM"}, checkout)
	} else {
		err = checkout()
	}
	if err != nil {
		return err
	}
	return withEnv(t, vars, body)
}

// skipsCheckout reads skipDefaultCheckout of the section's own options, then of the pipeline's.
func (d *driver) skipsCheckout(t *interp.Thread, options []*jenkinsfile.Directive) (bool, error) {
	for _, list := range [][]*jenkinsfile.Directive{options, d.p.Options} {
		o := jenkinsfile.Option(list, "skipDefaultCheckout")
		if o == nil {
			continue
		}
		if o.Call == nil || len(o.Call.Args) == 0 {
			return true, nil
		}
		v, err := t.Eval(o.Call.Args[0], nil)
		return value.Truth(v), err
	}
	return false, nil
}

// checkout checks the run's own repository out and returns the variables it gives.
func (d *driver) checkout(t *interp.Thread, options []*jenkinsfile.Directive) ([]string, error) {
	var got value.Value
	run := func() (err error) {
		got, err = t.CallStep("checkout", map[string]value.Value{"scm": d.scm}, nil)
		return err
	}
	if o := jenkinsfile.Option(append(append([]*jenkinsfile.Directive(nil), d.p.Options...), options...), "checkoutToSubdirectory"); o != nil && len(o.Call.Args) > 0 {
		dir, err := t.Eval(o.Call.Args[0], nil)
		if err != nil {
			return nil, err
		}
		return nil, call(t, "dir", map[string]value.Value{"path": text(dir)}, run)
	}
	if err := run(); err != nil {
		return nil, err
	}
	var vars []string
	if m, ok := got.(*value.Map); ok {
		for k, v := range m.All() {
			vars = append(vars, fmt.Sprintf("%s=%s", text(k), text(v)))
		}
	}
	return vars, nil
}

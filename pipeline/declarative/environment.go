package declarative

import (
	"fmt"

	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// withEnvironment runs body with the variables of an environment section.
func (d *driver) withEnvironment(t *interp.Thread, list []*jenkinsfile.EnvVar, body func() error) error {
	if len(list) == 0 {
		return body()
	}
	r := &resolver{t: t, vars: map[string]*jenkinsfile.EnvVar{}, done: map[string]string{}, busy: map[string]bool{}}
	for _, v := range list {
		r.vars[v.Name] = v
	}
	var vars []string
	for _, v := range list {
		s, err := r.resolve(v.Name)
		if err != nil {
			return err
		}
		vars = append(vars, v.Name+"="+s)
	}
	return withEnv(t, vars, body)
}

// withEnv is the step of that name; without variables nothing is printed.
func withEnv(t *interp.Thread, vars []string, body func() error) error {
	if len(vars) == 0 {
		return body()
	}
	return call(t, "withEnv", map[string]value.Value{"overrides": value.Strings(vars...)}, body)
}

// resolver evaluates the variables of one section, each once, in whatever order they refer to each other. A variable that
// names itself means the one outside.
type resolver struct {
	t    *interp.Thread
	vars map[string]*jenkinsfile.EnvVar
	done map[string]string
	busy map[string]bool
}

func (r *resolver) resolve(name string) (string, error) {
	if s, ok := r.done[name]; ok {
		return s, nil
	}
	r.busy[name] = true
	defer delete(r.busy, name)
	v, err := r.t.Eval(r.vars[name].Value, r.lookup)
	if err != nil {
		return "", err
	}
	r.done[name] = text(v)
	return r.done[name], nil
}

func (r *resolver) lookup(name string) (value.Value, bool, error) {
	if r.vars[name] == nil || r.busy[name] {
		return nil, false, nil
	}
	s, err := r.resolve(name)
	return s, true, err
}

// text writes a value as an environment variable holds it.
func text(v value.Value) string {
	if v == nil {
		return "null"
	}
	if s, ok := value.Text(v); ok {
		return s
	}
	return fmt.Sprint(v)
}

package interp

import (
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

// Env is the value of an environment variable as the script sees it now: scope over env.X = … over Run.Base over what the node's machine has.
func (t *Thread) Env(name string) (string, bool) {
	s := t.scope
	var prepend []string
	for i := len(s.Env) - 1; i >= 0; i-- {
		k, v, _ := strings.Cut(s.Env[i], "=")
		if k == name {
			return t.joinPath(prepend, v, true)
		}
		if head, _, plus := strings.Cut(k, "+"); plus && head == name {
			prepend = append(prepend, v)
		}
	}
	if name == "STAGE_NAME" && s.Stage != "" {
		return s.Stage, true
	}
	base := t.p.run.Base()
	for i := len(base) - 1; i >= 0; i-- {
		if k, v, _ := strings.Cut(base[i], "="); k == name {
			return t.joinPath(prepend, v, true)
		}
	}
	if s.Node != nil {
		if v, ok := s.Node.Variable(name); ok {
			return t.joinPath(prepend, v, true)
		}
	}
	return t.joinPath(prepend, "", false)
}

// joinPath puts what NAME+X=… prepends, the innermost first, before the variable's own value.
func (t *Thread) joinPath(prepend []string, v string, has bool) (string, bool) {
	if len(prepend) == 0 {
		return v, has
	}
	sep := ":"
	if n := t.scope.Node; n != nil && n.OS == "windows" {
		sep = ";"
	}
	if has {
		prepend = append(prepend, v)
	}
	return strings.Join(prepend, sep), true
}

// SetEnv is `env.name = value`.
func (t *Thread) SetEnv(name, v string) {
	if t.p.c.SetEnv != nil {
		t.p.c.SetEnv(name, &v)
	}
}

// environment is the global `env`.
type environment struct{ p *Program }

// TypeName implements value.Object.
func (environment) TypeName() string { return "org.jenkinsci.plugins.workflow.cps.EnvActionImpl" }

// Property implements value.Object: what is not set is null.
func (e environment) Property(name string) (value.Value, bool, error) {
	t := e.p.cur
	for i := len(t.names) - 1; i >= 0; i-- {
		if v, ok, err := t.names[i](name); ok || err != nil {
			if v != nil && err == nil {
				v = value.String(v)
			}
			return v, true, err
		}
	}
	if v, ok := t.Env(name); ok {
		return v, true, nil
	}
	return nil, true, nil
}

// SetProperty implements value.Object: the variable is global to the run; null removes it.
func (e environment) SetProperty(name string, v value.Value) error {
	if v == nil {
		if e.p.c.SetEnv != nil {
			e.p.c.SetEnv(name, nil)
		}
		return nil
	}
	e.p.cur.SetEnv(name, value.String(v))
	return nil
}

// Invoke implements value.Object.
func (e environment) Invoke(name string, args []value.Value) (value.Value, bool, error) {
	switch name {
	case "getProperty", "getAt", "get":
		if len(args) == 1 {
			return e.Property(value.String(args[0]))
		}
	case "setProperty", "putAt", "put":
		if len(args) == 2 {
			return nil, true, e.SetProperty(value.String(args[0]), args[1])
		}
	case "getEnvironment":
		m := value.NewMap()
		t := e.p.cur
		for _, list := range [][]string{t.p.run.Base(), t.scope.Env} {
			for _, kv := range list {
				k, _, _ := strings.Cut(kv, "=")
				k, _, _ = strings.Cut(k, "+")
				if v, ok := t.Env(k); ok {
					m.Put(k, v)
				}
			}
		}
		return m, true, nil
	case "containsKey":
		if len(args) == 1 {
			_, ok := e.p.cur.Env(value.String(args[0]))
			return ok, true, nil
		}
	case "toString":
		return "EnvActionImpl", true, nil
	}
	return nil, false, nil
}

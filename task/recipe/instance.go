package recipe

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/outwork-build/outwork/internal/fault"
)

// Declared describes a template.
type Declared struct {
	Name   string
	Help   string
	Pos    Pos
	Alias  bool
	Params []Param // by name
}

// Lookup describes the template of a name. fault.NotFound names near ones.
func (s *Set) Lookup(name string) (Declared, error) {
	d := s.templates[name]
	if d == nil {
		return Declared{}, fault.New(fault.NotFound, "there is no task %q%s", name, didYouMean(name, s.Names()))
	}
	return Declared{d.name, d.help, d.pos, d.alias, slices.Clone(d.params)}, nil
}

// Task makes the task that ref names. from is where it was asked for.
func (s *Set) Task(ctx context.Context, ref Ref, from Pos) (*Task, error) {
	d := s.templates[ref.Name]
	if d == nil {
		_, err := s.Lookup(ref.Name)
		return nil, prefix(from, err)
	}
	values, err := d.values(ref)
	if err != nil {
		return nil, prefix(from, fmt.Errorf("task %q: %w", ref.Name, err))
	}
	in := &instance{template: d, ctx: ctx, set: s, values: map[string]string{"name": d.name}}
	for _, v := range values {
		in.values[v.Name] = v.Value
	}
	in.task = Task{ID: Ref{d.name, values}.String(), Name: d.name, Help: d.help, Pos: d.pos, Dir: d.dir, Params: values, Alias: d.alias, Cacheable: true}
	for _, step := range []struct {
		attr string
		read func(starlark.Value) error
	}{
		{"resources", in.resources}, {"requires", in.requires}, {"sources", in.sources}, {"env", in.env}, {"labels", in.labels}, {"timeout", in.timeout},
		{"run", in.run}, {"publish", in.publish}, {"exports", in.exports}, {"tests", in.tests}, {"cacheable", in.cacheable},
	} {
		v, err := in.value(step.attr)
		if err == nil && v != starlark.None {
			err = wrap(fmt.Sprintf("task %q: %s", d.name, step.attr), step.read(v))
		}
		if err != nil {
			return nil, prefix(d.place(step.attr), explain(err))
		}
	}
	return &in.task, nil
}

// values are all parameters of a task by name, those not given with their defaults.
func (d *template) values(ref Ref) ([]Value, error) {
	var names []string
	for _, p := range d.params {
		names = append(names, p.Name)
	}
	given := map[string]string{}
	for _, v := range ref.Params {
		if !slices.Contains(names, v.Name) {
			hint := didYouMean(v.Name, names)
			if len(names) == 0 {
				hint = "; it has none"
			}
			return nil, fault.New(fault.Invalid, "it has no parameter %s%s", v.Name, hint)
		}
		given[v.Name] = v.Value
	}
	var out []Value
	for _, p := range d.params {
		v, ok := given[p.Name]
		if !ok {
			if p.Required {
				return nil, fault.New(fault.Invalid, "parameter %s has no default; say %s:%s=…", p.Name, d.name, p.Name)
			}
			v = p.Default
		}
		v, err := p.Check(v)
		if err != nil {
			return nil, err
		}
		out = append(out, Value{p.Name, v})
	}
	return out, nil
}

// instance is a task in the making.
type instance struct {
	*template
	ctx    context.Context
	set    *Set
	values map[string]string // what {name} stands for
	task   Task
}

// value is an attribute, or what its function returns.
func (in *instance) value(attr string) (starlark.Value, error) {
	v := in.attrs[attr]
	fn, ok := v.(starlark.Callable)
	if v == nil {
		return starlark.None, nil
	}
	if !ok {
		return v, nil
	}
	thread := &starlark.Thread{Name: in.name, Print: func(t *starlark.Thread, msg string) { in.set.cfg.Print(caller(t), msg) }}
	thread.SetMaxExecutionSteps(in.set.cfg.Steps)
	stop := context.AfterFunc(in.ctx, func() { thread.Cancel(context.Cause(in.ctx).Error()) })
	defer stop()
	return starlark.Call(thread, fn, starlark.Tuple{in.subject()}, nil)
}

// subject is the argument of an attribute's function.
func (in *instance) subject() starlark.Value {
	params := starlark.StringDict{}
	for _, p := range in.params {
		params[p.Name] = p.value(in.values[p.Name])
	}
	s := starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
		"name":   starlark.String(in.name),
		"params": starlarkstruct.FromStringDict(starlarkstruct.Default, params),
		"cpu":    starlark.MakeInt(max(1, in.task.Resources.CPU)),
	})
	s.Freeze()
	return s
}

// braces is {name}, and the $ before it that makes it the shell's.
var braces = regexp.MustCompile(`\$?\{[A-Za-z_][A-Za-z0-9_]*\}`)

// expand puts parameters in for {name}. Other names are left alone, or refused when strict.
func (in *instance) expand(s string, strict bool) (string, error) {
	var err error
	out := braces.ReplaceAllStringFunc(s, func(m string) string {
		v, ok := in.values[m[1:len(m)-1]]
		switch {
		case m[0] == '$':
			return m
		case ok:
			return v
		case strict && err == nil:
			var names []string
			for n := range in.values {
				names = append(names, n)
			}
			err = fault.New(fault.Invalid, "%q: there is no parameter %s%s", s, m, didYouMean(m[1:len(m)-1], names))
		}
		return m
	})
	return out, err
}

// strings are expanded strings.
func (in *instance) strings(v starlark.Value, strict bool) ([]string, error) {
	list, err := words(v)
	for i := range list {
		if err == nil {
			list[i], err = in.expand(list[i], strict)
		}
	}
	return list, err
}

// dict calls put for each item of a dict with string keys, in its order, the keys expanded.
func (in *instance) dict(v starlark.Value, put func(k string, v starlark.Value) error) error {
	d, ok := v.(*starlark.Dict)
	if !ok {
		return fault.New(fault.Invalid, "expected a dict, found a %s", v.Type())
	}
	for _, item := range d.Items() {
		k, ok := starlark.AsString(item[0])
		if !ok {
			return fault.New(fault.Invalid, "expected strings as keys, found a %s", item[0].Type())
		}
		k, err := in.expand(k, true)
		if err == nil {
			err = put(k, item[1])
		}
		if err != nil {
			return fmt.Errorf("%q: %w", k, err)
		}
	}
	return nil
}

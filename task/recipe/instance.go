package recipe

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

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

func (in *instance) requires(v starlark.Value) error {
	list, err := in.strings(v, true)
	if err != nil {
		return err
	}
	taken := map[string]string{}
	for _, s := range list {
		r, err := parseRequire(s)
		if err != nil {
			return err
		}
		if other, ok := taken[r.As]; ok && !in.alias {
			return fault.New(fault.Invalid, "%q and %q would both stand at deps/%s; give one another name: \"NAME=%s\"", other, s, r.As, s)
		}
		taken[r.As] = s
		r.Pos = in.place("requires")
		in.task.Requires = append(in.task.Requires, r)
	}
	return nil
}

func (in *instance) sources(v starlark.Value) error {
	var plain []string
	add := func(g Glob) error {
		for _, list := range []*[]string{&g.Include, &g.Exclude} {
			*list = slices.Clone(*list)
			for i, p := range *list {
				p, err := in.expand(p, true)
				if err == nil {
					err = checkPattern(p)
				}
				if err != nil {
					return err
				}
				(*list)[i] = p
			}
		}
		in.task.Sources = append(in.task.Sources, g)
		return nil
	}
	var walk func(v starlark.Value) error
	walk = func(v starlark.Value) error {
		switch v := v.(type) {
		case *globValue:
			return add(v.Glob)
		case starlark.String:
			plain = append(plain, string(v))
			return nil
		case starlark.Indexable:
			for i := range v.Len() {
				if err := walk(v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}
		return fault.New(fault.Invalid, "expected glob(…), patterns or a list of them, found a %s", v.Type())
	}
	if err := walk(v); err != nil || len(plain) == 0 {
		return err
	}
	return add(Glob{Include: plain, Pos: in.place("sources")})
}

func (in *instance) env(v starlark.Value) (err error) {
	in.task.Env, err = in.environment(v)
	return err
}

func (in *instance) environment(v starlark.Value) (map[string]string, error) {
	env := map[string]string{}
	return env, in.dict(v, func(k string, v starlark.Value) error {
		if !validParam(k) {
			return fault.New(fault.Invalid, "expected the name of a variable: letters, digits and _")
		}
		s, err := word(v)
		if err == nil {
			env[k], err = in.expand(s, true)
		}
		return err
	})
}

func (in *instance) labels(v starlark.Value) (err error) {
	in.task.Labels, err = in.strings(v, true)
	slices.Sort(in.task.Labels)
	in.task.Labels = slices.Compact(in.task.Labels)
	return err
}

func (in *instance) resources(v starlark.Value) error {
	r := &in.task.Resources
	return in.dict(v, func(k string, v starlark.Value) error {
		if k == "memory" {
			s, err := word(v)
			if err == nil {
				r.Memory, err = ParseBytes(s)
			}
			return err
		}
		n, err := starlark.AsInt32(v)
		if err != nil || n < 0 || n > 1_000_000 {
			return fault.New(fault.Invalid, "expected a whole number, found %s", v)
		}
		if k == "cpu" {
			r.CPU = n
			return nil
		}
		if r.Named == nil {
			r.Named = map[string]int{}
		}
		r.Named[k] = n
		return nil
	})
}

// ParseBytes reads a number of bytes with K, M, G or T after it, which are powers of 1024.
func ParseBytes(s string) (int64, error) {
	num, unit := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(s), "B"), "i"), int64(1)
	if num != "" {
		if i := strings.IndexByte("KMGT", num[len(num)-1]&^0x20); i >= 0 {
			num, unit = num[:len(num)-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(num), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, fault.New(fault.Invalid, "%q: expected a number of bytes such as 512M or 2G", s)
	}
	return n * unit, nil
}

func (in *instance) timeout(v starlark.Value) error {
	s, err := word(v)
	if err != nil {
		return err
	}
	if in.task.Timeout, err = time.ParseDuration(s); err != nil || in.task.Timeout <= 0 {
		return fault.New(fault.Invalid, "%q: expected a time such as 90s, 10m or 2h", s)
	}
	return nil
}

func (in *instance) run(v starlark.Value) (err error) {
	in.task.Run, err = in.strings(v, false)
	return err
}

func (in *instance) publish(v starlark.Value) error {
	rule := func(to string, v starlark.Value) error {
		from, err := in.strings(v, true)
		if err != nil {
			return err
		}
		for _, p := range from {
			if err := checkPattern(p); err != nil {
				return err
			}
		}
		if clean := strings.TrimSuffix(to, "/"); to != "" && !validPlace(clean) {
			return fault.New(fault.Invalid, "expected a path in the artifact")
		}
		in.task.Publish = append(in.task.Publish, Rule{To: to, From: from, Pos: in.place("publish")})
		return nil
	}
	if _, ok := v.(*starlark.Dict); ok {
		return in.dict(v, rule)
	}
	return rule("", v)
}

// validPlace reports whether s is a clean relative path.
func validPlace(s string) bool {
	for seg := range strings.SplitSeq(s, "/") {
		if seg == "" || seg == "." || seg == ".." || strings.ContainsAny(seg, "\x00\\") {
			return false
		}
	}
	return true
}

func (in *instance) exports(v starlark.Value) error {
	e := &in.task.Exports
	lists := map[string]*[]string{"path": &e.Path, "include": &e.Include, "lib": &e.Lib}
	return in.dict(v, func(k string, v starlark.Value) (err error) {
		if k == "env" {
			e.Env, err = in.environment(v)
			return err
		}
		list := lists[k]
		if list == nil {
			return fault.New(fault.Invalid, "expected one of env, path, include, lib")
		}
		if *list, err = in.strings(v, true); err != nil {
			return err
		}
		for i, dir := range *list {
			(*list)[i] = strings.TrimSuffix(dir, "/")
			if dir != "." && !validPlace((*list)[i]) {
				return fault.New(fault.Invalid, "%q: expected a folder of the artifact", dir)
			}
		}
		return nil
	})
}

func (in *instance) tests(v starlark.Value) (err error) {
	if in.task.Tests, err = in.strings(v, true); err != nil {
		return err
	}
	for _, p := range in.task.Tests {
		if err := checkPattern(p); err != nil {
			return err
		}
	}
	return nil
}

func (in *instance) cacheable(v starlark.Value) error {
	b, ok := v.(starlark.Bool)
	if !ok {
		return fault.New(fault.Invalid, "expected True or False, found a %s", v.Type())
	}
	in.task.Cacheable = bool(b)
	return nil
}

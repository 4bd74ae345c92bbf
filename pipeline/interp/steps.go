package interp

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/outwork-build/outwork/internal/near"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// callGlobal is the rest of a call by name: a variable of the binding, a global, a step, a symbol, what every script has.
func (t *Thread) callGlobal(name string, a arguments, e *env) (value.Value, error) {
	if v, ok := t.p.binding().Get(name); ok && callable(v) {
		return t.callValue(v, a.list())
	}
	if class, ok := e.f.script.statics[name]; ok {
		return t.invoke(t.classValue(class, e.f), name, a.list())
	}
	if v, ok := t.p.c.Globals[name]; ok && callable(v) {
		return t.callValue(v, a.list())
	}
	if v, ok, err := t.printing(name, a); ok || err != nil {
		return v, err
	}
	if s := t.p.c.Steps[name]; s != nil {
		return t.runStep(s, a)
	}
	if sole, ok := t.p.c.Symbols[name]; ok {
		return t.symbol(name, sole, a), nil
	}
	if v, ok, err := t.scriptBuiltin(name, a, e); ok || err != nil {
		return v, err
	}
	if e.f.class != nil {
		return nil, t.missingMethod(e.f.self(), name, a.list())
	}
	return nil, t.noSuchStep(name)
}

// noSuchStep is Jenkins' text, with the nearest names first where it helps.
func (t *Thread) noSuchStep(name string) error {
	var names, globals []string
	for n := range t.p.c.Steps {
		names = append(names, n)
	}
	for n := range t.p.c.Globals {
		globals = append(globals, n)
	}
	sort.Strings(names)
	sort.Strings(globals)
	text := fmt.Sprintf("No such DSL method '%s' found among steps [%s] or globals [%s]", name, strings.Join(names, ", "), strings.Join(globals, ", "))
	if near := Near(name, names); near != "" {
		text += fmt.Sprintf("; did you mean '%s'?", near)
	}
	return t.throw("java.lang.NoSuchMethodError", text)
}

// Near is the candidate that a misspelt name most likely means; "" when none is near.
func Near(name string, candidates []string) string {
	best, bestDist := "", max(1, len(name)/3)+1
	for _, c := range candidates {
		if d := near.Distance(strings.ToLower(name), strings.ToLower(c), bestDist); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// symbol makes the data that a symbol stands for.
func (t *Thread) symbol(name, sole string, a arguments) value.Value {
	m := value.Pairs("$class", name)
	if a.named != nil {
		for k, v := range a.named.All() {
			m.Put(k, v)
		}
	}
	for _, v := range a.args {
		if only, ok := v.(*value.Map); ok && a.named == nil && len(a.args) == 1 {
			for k, x := range only.All() {
				m.Put(k, x)
			}
			continue
		}
		if sole != "" {
			m.Put(sole, v)
		}
	}
	return m
}

// runStep checks the arguments of a step and runs it as a call with its own address.
func (t *Thread) runStep(s step.Step, a arguments) (value.Value, error) {
	spec := s.Spec()
	call, err := t.stepArguments(spec, a)
	if err != nil {
		return nil, err
	}
	call.At = t.at
	file, at := t.file, t.at
	v, err := t.numbered(func() (value.Value, error) {
		if !spec.Quiet {
			t.Print("[Pipeline] " + spec.Name)
		}
		if spec.NeedsNode && t.scope.Node == nil {
			return nil, t.throw("org.jenkinsci.plugins.workflow.steps.MissingContextVariableException",
				"Required context class hudson.FilePath is missing\nPerhaps you forgot to surround the step with a step that provides this, such as: node")
		}
		v, err := s.Run(t, call)
		if !spec.Quiet && spec.Block && call.Body != nil {
			t.Print("[Pipeline] // " + spec.Name)
		}
		return v, err
	})
	t.file, t.at = file, at
	if f := t.p.fatal.Load(); f != nil {
		return nil, f
	}
	return v, t.traced(err)
}

// stepArguments brings every form of a call to named arguments of the declared types:
// f a · f(a) · f k: v · f([k: v]) · f(k: v) { } · f(a) { } · f([$class: 'X', …]).
func (t *Thread) stepArguments(spec step.Spec, a arguments) (*step.Call, error) {
	call := &step.Call{Args: map[string]value.Value{}, Body: a.body}
	given := a.args
	if n := len(given); n > 0 && call.Body == nil && (spec.Block || spec.BodyOptional) {
		if c, ok := given[n-1].(value.Callable); ok {
			call.Body, given = c, given[:n-1]
		}
	}
	named := a.named
	if named == nil && len(given) == 1 {
		if m, ok := given[0].(*value.Map); ok && t.isArgumentMap(spec, m) {
			named, given = m, nil
		}
	}
	if len(given) > 1 || len(given) == 1 && named != nil && spec.Sole == "" {
		return nil, t.throwf("java.lang.IllegalArgumentException", "Expected named arguments but got %s", value.Inspect(&value.List{Elems: a.list()}))
	}
	if len(given) == 1 {
		if spec.Sole == "" {
			return nil, t.throwf("java.lang.IllegalArgumentException", "Step %s takes no unnamed argument; its parameters are [%s]", spec.Name, paramNames(spec))
		}
		call.Args[spec.Sole] = given[0]
	}
	if named != nil {
		for k, v := range named.All() {
			name := value.String(k)
			if name == "$class" && paramOf(spec, name) == nil {
				continue
			}
			switch {
			case paramOf(spec, name) != nil:
				call.Args[name] = v
			case spec.Rest != "":
				if call.Args[spec.Rest] == nil {
					call.Args[spec.Rest] = value.NewMap()
				}
				call.Args[spec.Rest].(*value.Map).Put(k, v)
			default:
				return nil, t.unknownParam(spec, name)
			}
		}
	}
	if (spec.Block && !spec.BodyOptional) && call.Body == nil {
		return nil, t.throwf("java.lang.IllegalStateException", "%s step must be called with a body", spec.Name)
	}
	return call, t.convertParams(spec, call)
}

// isArgumentMap tells a map of arguments from a map that is the argument: its keys are parameters, or the sole parameter takes no map.
func (t *Thread) isArgumentMap(spec step.Spec, m *value.Map) bool {
	if spec.Rest != "" {
		return true
	}
	sole := paramOf(spec, spec.Sole)
	if sole == nil || sole.Type != step.MapOf && sole.Type != step.Any {
		return true
	}
	if m.Len() == 0 {
		return false
	}
	for k := range m.All() {
		if paramOf(spec, value.String(k)) == nil {
			return false
		}
	}
	return true
}

func paramOf(spec step.Spec, name string) *step.Param {
	for i := range spec.Params {
		if spec.Params[i].Name == name {
			return &spec.Params[i]
		}
	}
	return nil
}

func paramNames(spec step.Spec) string {
	names := make([]string, len(spec.Params))
	for i, p := range spec.Params {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}

func (t *Thread) unknownParam(spec step.Spec, name string) error {
	text := fmt.Sprintf("Unknown parameter '%s' of step '%s'; its parameters are [%s]", name, spec.Name, paramNames(spec))
	names := make([]string, len(spec.Params))
	for i, p := range spec.Params {
		names[i] = p.Name
	}
	if near := Near(name, names); near != "" {
		text += fmt.Sprintf("; did you mean '%s'?", near)
	}
	return t.throw("java.lang.IllegalArgumentException", text)
}

func (t *Thread) convertParams(spec step.Spec, call *step.Call) error {
	for _, p := range spec.Params {
		v, ok := call.Args[p.Name]
		switch {
		case !ok && p.Required:
			return t.throwf("java.lang.IllegalArgumentException", "Missing required parameter: %q of step '%s'", p.Name, spec.Name)
		case !ok && p.Default != nil:
			call.Args[p.Name] = p.Default
			continue
		case !ok:
			continue
		case v == nil && p.Required && p.Type == step.Str:
			return t.throwf("java.lang.NullPointerException", "null passed for required parameter %q of step '%s'", p.Name, spec.Name)
		case v == nil:
			delete(call.Args, p.Name)
			if p.Default != nil {
				call.Args[p.Name] = p.Default
			}
			continue
		}
		c, err := t.convertParam(spec, p, v)
		if err != nil {
			return err
		}
		call.Args[p.Name] = c
	}
	for name, v := range call.Args { // arguments gathered by Rest have no type of their own
		if paramOf(spec, name) == nil {
			flat, err := t.flatten(v)
			if err != nil {
				return err
			}
			call.Args[name] = flat
		}
	}
	return nil
}

// article names a type in a sentence.
func article(t step.Type) string {
	if t == step.Int {
		return "an " + string(t)
	}
	return "a " + string(t)
}

func (t *Thread) convertParam(spec step.Spec, p step.Param, v value.Value) (value.Value, error) {
	bad := func() error {
		return t.throwf("java.lang.ClassCastException", "Parameter '%s' of step '%s' expects %s but got %s (%s)", p.Name, spec.Name, article(p.Type), shorten(value.String(v)), value.TypeName(v))
	}
	switch p.Type {
	case step.Str:
		switch v.(type) {
		case *value.Map, *Closure:
			return nil, bad()
		}
		s := value.String(v)
		if len(p.Enum) > 0 {
			if i := slices.IndexFunc(p.Enum, func(name string) bool { return strings.EqualFold(name, s) }); i >= 0 {
				return p.Enum[i], nil
			}
			return nil, t.throwf("java.lang.IllegalArgumentException", "Parameter '%s' of step '%s': %q is none of [%s]", p.Name, spec.Name, s, strings.Join(p.Enum, ", "))
		}
		return s, nil
	case step.Int:
		if value.IsNumber(v) {
			return value.ToInt(v), nil
		}
		if s, ok := value.Text(v); ok {
			if d, err := value.ParseDecimal(strings.TrimSpace(s)); err == nil {
				return value.ToInt(d), nil
			}
		}
		return nil, bad()
	case step.Boolean:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		if s, ok := value.Text(v); ok {
			switch strings.ToLower(s) {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
		}
		return nil, bad()
	case step.ListOf:
		switch v.(type) {
		case *value.List, *value.Set, *value.Range:
			es, _ := value.Elements(v)
			return t.flatten(&value.List{Elems: es})
		case *value.Map:
			return nil, bad()
		}
		flat, err := t.flatten(v)
		return value.NewList(flat), err
	case step.MapOf:
		if m, ok := v.(*value.Map); ok {
			return t.flatten(m)
		}
		return nil, bad()
	}
	return t.flatten(v)
}

// flatten is a value as steps know it: GStrings are strings, Longs and Chars plain, in collections too.
func (t *Thread) flatten(v value.Value) (value.Value, error) {
	n := 0
	out := flattenTo(v, 0, &n)
	if n > maxArgument {
		return nil, t.throw("java.lang.IllegalArgumentException", "an argument of a step is too large, or contains itself")
	}
	return out, nil
}

// maxArgument is how many values one argument of a step may hold.
const maxArgument = 1_000_000

func flattenTo(v value.Value, depth int, n *int) value.Value {
	if *n++; depth > 100 {
		*n = maxArgument + 1
	}
	if *n > maxArgument {
		return nil
	}
	switch x := v.(type) {
	case *value.GString:
		return x.String()
	case value.Long:
		return int64(x)
	case value.Char:
		return string(rune(x))
	case *value.List:
		out := &value.List{Elems: make([]value.Value, len(x.Elems))}
		for i, e := range x.Elems {
			out.Elems[i] = flattenTo(e, depth+1, n)
		}
		return out
	case *value.Set, *value.Range:
		es, _ := value.Elements(x)
		return flattenTo(&value.List{Elems: es}, depth, n)
	case *value.Map:
		out := value.NewMap()
		for k, e := range x.All() {
			out.Put(flattenTo(k, depth+1, n), flattenTo(e, depth+1, n))
		}
		return out
	}
	return v
}

package interp

import (
	"strings"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// arguments are those of one call, before a method sees them.
type arguments struct {
	named *value.Map // nil when there are none
	args  []value.Value
	body  value.Callable // of a step called from Go
}

// list is what a method gets: named arguments as a map before the others.
func (a arguments) list() []value.Value {
	if a.named == nil {
		return a.args
	}
	return append([]value.Value{a.named}, a.args...)
}

func (t *Thread) arguments(x *jf.Call, e *env) (a arguments, err error) {
	if len(x.Named) > 0 {
		a.named = value.NewMap()
		if err = t.named(a.named, x.Named, e); err != nil {
			return a, err
		}
	}
	a.args, err = t.exprs(x.Args, e)
	return a, err
}

func (t *Thread) evalCall(x *jf.Call, e *env) (value.Value, error) {
	if x.Recv == nil && !x.Direct {
		return t.evalNamedCall(x, e)
	}
	recv, err := t.receiver(x.Recv, e)
	if err != nil {
		if p, ok := x.Recv.(*jf.Property); ok {
			recv = t.qualified(p, e, err)
		}
		if recv == nil {
			return nil, err
		}
	}
	if x.Direct {
		a, err := t.arguments(x, e)
		if err != nil {
			return nil, err
		}
		t.at = x.Where.Start
		return t.callValue(recv, a.list())
	}
	name, err := t.nameOf(x.Name, e)
	if err != nil {
		return nil, err
	}
	if recv == nil && (x.Safe || x.Spread) {
		return nil, nil
	}
	a, err := t.arguments(x, e)
	if err != nil {
		return nil, err
	}
	t.at = x.Where.Start
	if x.Spread {
		return t.spreadCall(recv, name, a.list())
	}
	if id, ok := x.Recv.(*jf.Ident); ok && (id.Name == "this" || id.Name == "super") {
		if s, isScript := recv.(*script); isScript {
			return t.callName(name, a, newEnv(nil, &frame{script: s, this: s}))
		}
	}
	if id, ok := x.Recv.(*jf.Ident); ok && id.Name == "steps" {
		if s, isScript := recv.(*script); isScript {
			return t.callName(name, a, newEnv(nil, &frame{script: s, this: s}))
		}
	}
	return t.invoke(recv, name, a.list())
}

func (t *Thread) spreadCall(recv value.Value, name string, args []value.Value) (value.Value, error) {
	out := &value.List{}
	err := t.iterate(recv, func(el value.Value) (bool, error) {
		if el == nil {
			out.Elems = append(out.Elems, nil)
			return true, nil
		}
		v, err := t.invoke(el, name, args)
		out.Elems = append(out.Elems, v)
		return err == nil, err
	})
	return out, err
}

func (t *Thread) evalNamedCall(x *jf.Call, e *env) (value.Value, error) {
	name, err := t.nameOf(x.Name, e)
	if err != nil {
		return nil, err
	}
	if form := t.p.c.Forms[name]; form != nil && t.formApplies(name, e) {
		outer := t.here
		t.here = e
		defer func() { t.here = outer }()
		t.at = x.Where.Start
		return form(t, x)
	}
	a, err := t.arguments(x, e)
	if err != nil {
		return nil, err
	}
	t.at = x.Where.Start
	return t.callName(name, a, e)
}

// formApplies reports that nothing of the script's own hides a form.
func (t *Thread) formApplies(name string, e *env) bool {
	in, _ := e.find(name)
	return in == nil && len(e.f.script.methods[name]) == 0
}

// callName is a call by a bare name, in the order of CpsScript.invokeMethod.
func (t *Thread) callName(name string, a arguments, e *env) (value.Value, error) {
	if in, i := e.find(name); in != nil {
		if v := in.vals[i]; callable(v) {
			return t.callValue(v, a.list())
		}
	}
	for c := e.f.closure; c != nil; c = c.env.f.closure {
		if c.given && (c.strategy == delegateFirst || c.strategy == delegateOnly) {
			if v, ok, err := t.tryDelegate(c.delegate, name, a); ok || err != nil {
				return v, err
			}
		}
	}
	if e.f.closure != nil && name == "call" && e.f.this == value.Value(e.f.script) {
		return t.call(e.f.closure, a.list())
	}
	if v, ok, err := t.callMember(name, a, e.f); ok || err != nil {
		return v, err
	}
	for c := e.f.closure; c != nil; c = c.env.f.closure {
		if c.given && c.strategy == ownerFirst {
			if v, ok, err := t.tryDelegate(c.delegate, name, a); ok || err != nil {
				return v, err
			}
		}
	}
	return t.callGlobal(name, a, e)
}

func (t *Thread) tryDelegate(d value.Value, name string, a arguments) (value.Value, bool, error) {
	if s, ok := d.(*script); ok {
		v, err := t.callName(name, a, newEnv(nil, &frame{script: s, this: s}))
		return v, true, err
	}
	if d == nil {
		return nil, false, nil
	}
	return t.tryInvoke(d, name, a.list())
}

// callMember calls a method of the object or script whose code is running, or a closure in one of their fields.
func (t *Thread) callMember(name string, a arguments, f *frame) (value.Value, bool, error) {
	if in, ok := f.this.(*instance); ok {
		if v, ok, err := t.callInstance(in, in.class, name, a.list()); ok || err != nil {
			return v, ok, err
		}
		if en, i := in.fields.own(name); en != nil && callable(en.vals[i]) {
			v, err := t.callValue(en.vals[i], a.list())
			return v, true, err
		}
		if v, ok, err := t.instanceMethod(in, name, a.list()); ok || err != nil {
			return v, ok, err
		}
	}
	if f.class != nil {
		if v, ok, err := t.callStatic(f.class, name, a.list()); ok || err != nil {
			return v, ok, err
		}
		if f.class.outer != nil { // a class of the script does not see the script's methods, but steps
			return nil, false, nil
		}
	}
	if f.class == nil {
		if m := t.pick(f.script.methods[name], a.list()); m != nil {
			v, err := t.runMethod(m, f.script, a.list())
			return v, true, err
		}
		if en, i := f.script.fields.own(name); en != nil && callable(en.vals[i]) {
			v, err := t.callValue(en.vals[i], a.list())
			return v, true, err
		}
		if len(f.script.methods[name]) > 0 {
			return nil, true, t.missingMethod(f.script, name, a.list())
		}
	}
	return nil, false, nil
}

// callable reports what can be called by name with parentheses.
func callable(v value.Value) bool {
	switch x := v.(type) {
	case *Closure:
		return true
	case *instance:
		return len(x.class.find("call")) > 0
	case *script:
		return len(x.methods["call"]) > 0
	case value.Callable, Invoker:
		return true
	}
	return false
}

// callValue is f(args) for a value.
func (t *Thread) callValue(v value.Value, args []value.Value) (value.Value, error) {
	if c, ok := v.(value.Callable); ok {
		return t.call(c, args)
	}
	return t.invoke(v, "call", args)
}

// call calls a closure.
func (t *Thread) call(f value.Callable, args []value.Value) (value.Value, error) {
	c, ok := f.(*Closure)
	if !ok {
		return nil, t.throwf("groovy.lang.MissingMethodException", "%T cannot be called", f)
	}
	if len(c.curried)+len(c.rcurried) > 0 {
		all := append(c.curried[:len(c.curried):len(c.curried)], args...)
		args = append(all, c.rcurried...)
	}
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	if c.native != nil {
		return c.native(t, args)
	}
	fr := &frame{script: c.env.f.script, this: c.env.f.this, class: c.env.f.class, closure: c}
	e := newEnv(c.env, fr)
	if err := t.bindClosure(c, e, args); err != nil {
		return nil, err
	}
	file, here := t.file, t.at
	t.file = fr.script.name
	v, err := t.runBody(c.body.Stmts, e)
	t.file, t.at = file, here
	return v, err
}

func (t *Thread) bindClosure(c *Closure, e *env, args []value.Value) error {
	if c.implicit {
		var it value.Value
		switch len(args) {
		case 0:
		case 1:
			it = args[0]
		default:
			return t.missingMethod(c, "doCall", args)
		}
		e.declare("it", nil, it)
		return nil
	}
	if len(c.params) > 1 && len(args) == 1 { // a single list is taken apart
		if l, ok := args[0].(*value.List); ok {
			args = l.Elems
		}
	}
	ok, err := t.bind(c.params, e, args)
	if err == nil && !ok {
		return t.missingMethod(c, "doCall", args)
	}
	return err
}

// bind gives parameters their arguments; ok false means that they do not fit in number.
func (t *Thread) bind(params []*jf.Param, e *env, args []value.Value) (ok bool, err error) {
	args, ok = spreadVariadic(params, args)
	if !ok {
		return false, nil
	}
	spare := len(args) - required(params) // arguments for parameters with defaults, from the left
	if spare < 0 || len(args) > len(params) {
		return false, nil
	}
	i := 0
	for _, p := range params {
		var v value.Value
		switch {
		case p.Default == nil:
			v = args[i]
			i++
		case spare > 0:
			v = args[i]
			i++
			spare--
		default:
			if v, err = t.eval(p.Default, e); err != nil {
				return true, err
			}
		}
		if v, err = t.coerceArg(v, p.Type); err != nil {
			return true, err
		}
		e.declare(p.Name, p.Type, v)
	}
	return true, nil
}

func required(params []*jf.Param) int {
	n := 0
	for _, p := range params {
		if p.Default == nil {
			n++
		}
	}
	return n
}

// spreadVariadic gathers the last arguments into an array when the last parameter takes any number.
func spreadVariadic(params []*jf.Param, args []value.Value) ([]value.Value, bool) {
	n := len(params)
	if n == 0 {
		return args, len(args) == 0
	}
	last := params[n-1]
	if !last.Variadic && (last.Type == nil || last.Type.Dims == 0) {
		return args, true
	}
	if len(args) == n {
		if _, isList := args[n-1].(*value.List); isList || args[n-1] == nil {
			return args, true
		}
	}
	elem := "Object"
	if last.Type != nil {
		elem = last.Type.Name
	}
	at := min(n-1, len(args)) // fewer arguments leave out parameters with defaults
	rest := &value.List{Elems: append([]value.Value{}, args[at:]...), Array: elem}
	return append(args[:at:at], rest), true
}

// missingMethod is Groovy's text for a call that nothing answers.
func (t *Thread) missingMethod(recv value.Value, name string, args []value.Value) error {
	kind := "method"
	class := value.TypeName(recv)
	if c, ok := recv.(*value.Class); ok {
		kind, class = "static method", c.Name
	}
	if _, ok := recv.(*Closure); ok {
		class = "WorkflowScript$_run_closure1"
	}
	types, vals := make([]string, len(args)), make([]string, len(args))
	for i, a := range args {
		types[i], vals[i] = value.TypeName(a), shorten(value.String(a))
	}
	return t.throwf("groovy.lang.MissingMethodException", "No signature of %s: %s.%s() is applicable for argument types: (%s) values: [%s]",
		kind, class, name, strings.Join(types, ", "), strings.Join(vals, ", "))
}

func shorten(s string) string {
	r := []rune(s)
	if len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}

package interp

import (
	"errors"
	"strings"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// errNoName says that nothing has a name; it never leaves this package.
var errNoName = errors.New("no such name")

func (t *Thread) ident(x *jf.Ident, e *env) (value.Value, error) {
	if in, i := e.find(x.Name); in != nil {
		return in.vals[i], nil
	}
	switch x.Name {
	case "this":
		return e.f.self(), nil
	case "super":
		if in, ok := e.f.this.(*instance); ok && e.f.class != nil {
			return &superOf{in, e.f.class.super}, nil
		}
		return e.f.self(), nil
	case "it":
		if e.f.closure != nil {
			return nil, nil
		}
	case "owner":
		if c := e.f.closure; c != nil {
			return c.owner(), nil
		}
	case "delegate":
		if c := e.f.closure; c != nil {
			if c.given {
				return c.delegate, nil
			}
			return c.owner(), nil
		}
	}
	v, err := t.free(x.Name, e)
	if err == errNoName {
		t.at = x.Where.Start
		class := "groovy.lang.Binding"
		if e.f.class != nil {
			class = e.f.class.name
		}
		return nil, t.throwf("groovy.lang.MissingPropertyException", "No such property: %s for class: %s", x.Name, class)
	}
	return v, err
}

// free answers a name that is no local variable.
func (t *Thread) free(name string, e *env) (value.Value, error) {
	for c := e.f.closure; c != nil; c = c.env.f.closure {
		if !c.given || c.strategy != delegateFirst && c.strategy != delegateOnly {
			continue
		}
		if v, ok, err := t.tryGet(c.delegate, name); ok || err != nil {
			return v, err
		}
	}
	v, err := t.outer(name, e.f)
	if err != errNoName {
		return v, err
	}
	for c := e.f.closure; c != nil; c = c.env.f.closure {
		if !c.given || c.strategy == ownerOnly {
			continue
		}
		if v, ok, err := t.tryGet(c.delegate, name); ok || err != nil {
			return v, err
		}
	}
	return nil, errNoName
}

// outer answers a name from the object, script and run around: fields, binding, classes, globals, lookups, environment, parameters.
func (t *Thread) outer(name string, f *frame) (value.Value, error) {
	if in, ok := f.this.(*instance); ok {
		if e, i := in.fields.own(name); e != nil {
			return e.vals[i], nil
		}
		if v, ok, err := t.tryGet(in, name); ok || err != nil {
			return v, err
		}
	}
	for c := f.class; c != nil; c = c.super {
		if e, i := c.statics.own(name); e != nil {
			return e.vals[i], nil
		}
	}
	if e, i := f.script.fields.own(name); e != nil {
		return e.vals[i], nil
	}
	if v, ok := t.p.binding().Get(name); ok {
		return v, nil
	}
	if name == "env" {
		return environment{t.p}, nil
	}
	if v, ok := t.p.c.Globals[name]; ok {
		return v, nil
	}
	for i := len(t.names) - 1; i >= 0; i-- {
		if v, ok, err := t.names[i](name); ok || err != nil {
			return v, err
		}
	}
	if c := t.lookupClass(name, f.script); c != nil {
		return c, nil
	}
	if name == "binding" {
		return t.p.binding(), nil
	}
	if v, ok := t.Env(name); ok {
		return v, nil
	}
	if params, ok := t.p.c.Globals["params"].(*value.Map); ok {
		if v, ok := params.Get(name); ok {
			return v, nil
		}
	}
	if _, ok, err := t.scriptMethodAsProperty(name, f); ok || err != nil {
		return t.scriptGetter(name, f)
	}
	return nil, errNoName
}

// scriptMethodAsProperty reports a getter of the script: `foo` is getFoo().
func (t *Thread) scriptMethodAsProperty(name string, f *frame) (value.Value, bool, error) {
	return nil, len(f.script.methods["get"+capital(name)]) > 0, nil
}

func (t *Thread) scriptGetter(name string, f *frame) (value.Value, error) {
	v, _, err := t.tryInvoke(f.script, "get"+capital(name), nil)
	return v, err
}

// nameOf is the name of a property or method: plain, or made of an expression.
func (t *Thread) nameOf(x jf.Expr, e *env) (string, error) {
	if l, ok := x.(*jf.Lit); ok {
		if s, ok := l.Value.(string); ok {
			return s, nil
		}
	}
	v, err := t.eval(x, e)
	return value.String(v), err
}

func (t *Thread) property(x *jf.Property, e *env) (value.Value, error) {
	name, err := t.nameOf(x.Name, e)
	if err != nil {
		return nil, err
	}
	recv, err := t.receiver(x.X, e)
	if err != nil {
		if c := t.qualified(x, e, err); c != nil {
			return c, nil
		}
		return nil, err
	}
	t.at = x.Where.Start
	switch {
	case x.Method:
		if recv == nil {
			return nil, t.throwf("java.lang.NullPointerException", "Cannot get method pointer %s of null object", name)
		}
		return t.pointer(recv, name), nil
	case recv == nil && (x.Safe || x.Spread):
		return nil, nil
	case recv == nil:
		return nil, t.throwf("java.lang.NullPointerException", "Cannot get property '%s' on null object", name)
	case x.Spread:
		return t.spreadGet(recv, name)
	case x.Field || isThis(x.X):
		if in, ok := recv.(*instance); ok {
			if en, i := in.fields.own(name); en != nil {
				return en.vals[i], nil
			}
		}
	}
	return t.get(recv, name)
}

func isThis(x jf.Expr) bool {
	id, ok := x.(*jf.Ident)
	return ok && id.Name == "this"
}

// receiver evaluates what stands before a dot.
func (t *Thread) receiver(x jf.Expr, e *env) (value.Value, error) { return t.eval(x, e) }

// qualified is the class that a chain of properties names (java.util.UUID) when its first word is no name of anything.
func (t *Thread) qualified(x *jf.Property, e *env, err error) value.Value {
	if ex, ok := err.(*value.Exception); !ok || ex.Class != "groovy.lang.MissingPropertyException" {
		return nil
	}
	name, ok := dotted(x)
	if !ok {
		return nil
	}
	return t.lookupClass(name, e.f.script)
}

func dotted(x jf.Expr) (string, bool) {
	switch x := x.(type) {
	case *jf.Ident:
		return x.Name, true
	case *jf.Property:
		l, ok := x.Name.(*jf.Lit)
		if !ok || x.Safe || x.Spread || x.Field || x.Method {
			return "", false
		}
		s, isText := l.Value.(string)
		head, ok := dotted(x.X)
		return head + "." + s, ok && isText
	}
	return "", false
}

func (t *Thread) spreadGet(recv value.Value, name string) (value.Value, error) {
	out := &value.List{}
	err := t.iterate(recv, func(el value.Value) (bool, error) {
		if el == nil {
			out.Elems = append(out.Elems, nil)
			return true, nil
		}
		v, err := t.get(el, name)
		out.Elems = append(out.Elems, v)
		return err == nil, err
	})
	return out, err
}

// get reads a property of a value that is not nil.
func (t *Thread) get(recv value.Value, name string) (value.Value, error) {
	v, ok, err := t.tryGet(recv, name)
	if err != nil || ok {
		return v, t.traced(err)
	}
	if _, isList := recv.(*value.List); isList {
		return t.spreadGet(recv, name)
	}
	return nil, t.throwf("groovy.lang.MissingPropertyException", "No such property: %s for class: %s", name, value.TypeName(recv))
}

// tryGet reads a property; ok false means that the value has none of this name.
func (t *Thread) tryGet(recv value.Value, name string) (v value.Value, ok bool, err error) {
	switch x := recv.(type) {
	case *value.Map:
		return t.mapGet(x, name)
	case *instance:
		return t.instanceGet(x, name)
	case *superOf:
		return t.instanceGet(x.in, name)
	case *script:
		if e, i := x.fields.own(name); e != nil {
			return e.vals[i], true, nil
		}
		v, err := t.outer(name, &frame{script: x, this: x})
		if err == errNoName {
			return nil, false, nil
		}
		return v, err == nil, err
	case *value.Class:
		return t.classGet(x, name)
	case *value.MapEntry:
		switch name {
		case "key":
			return x.Key, true, nil
		case "value":
			return x.Value, true, nil
		}
	case *Closure:
		return t.closureGet(x, name)
	case *value.Exception:
		return t.exceptionGet(x, name)
	case *value.List, *value.Range, *value.Set:
		if name == "length" && value.TypeName(x)[0] == '[' {
			es, _ := value.Elements(x)
			return int64(len(es)), true, nil
		}
		if name != "empty" && name != "class" {
			if l, isList := x.(*value.Range); isList && (name == "from" || name == "to") {
				if name == "from" {
					return l.At(0), true, nil
				}
				return l.At(l.Len() - 1), true, nil
			}
			out, err := t.spreadGet(x, name)
			return out, err == nil, err
		}
	case value.Object:
		if v, ok, err := x.Property(name); ok || err != nil {
			return v, ok, err
		}
	}
	if recv == nil {
		return nil, false, nil
	}
	if name == "class" {
		return &value.Class{Name: value.TypeName(recv)}, true, nil
	}
	return t.getter(recv, name)
}

// getter calls getName() or isName().
func (t *Thread) getter(recv value.Value, name string) (value.Value, bool, error) {
	if name == "" || strings.ContainsAny(name, " -./") {
		return nil, false, nil
	}
	v, ok, err := t.tryInvoke(recv, "get"+capital(name), nil)
	if ok || err != nil {
		return v, ok, err
	}
	v, ok, err = t.tryInvoke(recv, "is"+capital(name), nil)
	if _, isBool := v.(bool); ok && !isBool {
		return nil, false, nil
	}
	return v, ok, err
}

func (t *Thread) mapGet(m *value.Map, name string) (value.Value, bool, error) {
	if v, ok := m.Get(name); ok {
		return v, true, nil
	}
	if m.Default != nil {
		v, err := t.mapDefault(m, name)
		return v, true, err
	}
	return nil, true, nil
}

// mapDefault makes the value of a missing key of a map with a default, and keeps it.
func (t *Thread) mapDefault(m *value.Map, key value.Value) (value.Value, error) {
	v, err := t.call(m.Default, []value.Value{key})
	if err != nil {
		return nil, err
	}
	m.Put(key, v)
	return v, t.room(m.Len())
}

func (t *Thread) closureGet(c *Closure, name string) (value.Value, bool, error) {
	switch name {
	case "delegate":
		if c.given {
			return c.delegate, true, nil
		}
		return c.owner(), true, nil
	case "owner":
		return c.owner(), true, nil
	case "thisObject":
		if c.env != nil {
			return c.env.f.self(), true, nil
		}
		return nil, true, nil
	case "resolveStrategy":
		return c.strategy, true, nil
	case "maximumNumberOfParameters":
		return int64(max(c.Arity(), 0)), true, nil
	case "class":
		return &value.Class{Name: "groovy.lang.Closure"}, true, nil
	}
	if c.given {
		return t.tryGet(c.delegate, name)
	}
	return nil, false, nil
}

// pointer is recv.&name.
func (t *Thread) pointer(recv value.Value, name string) *Closure {
	arity := 1
	if s, ok := recv.(*script); ok {
		if ms := s.methods[name]; len(ms) > 0 {
			arity = len(ms[0].decl.Params)
		}
	}
	if in, ok := recv.(*instance); ok {
		if ms := in.class.find(name); len(ms) > 0 {
			arity = len(ms[0].decl.Params)
		}
	}
	return &Closure{arity: arity, native: func(t *Thread, args []value.Value) (value.Value, error) {
		if s, ok := recv.(*script); ok {
			return t.callName(name, arguments{args: args}, newEnv(nil, &frame{script: s, this: s}))
		}
		return t.invoke(recv, name, args)
	}}
}

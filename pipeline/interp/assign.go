package interp

import (
	"fmt"
	"strings"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

func (t *Thread) assign(x *jf.Assign, e *env) (value.Value, error) {
	if x.Multi {
		return t.assignAll(x, e)
	}
	if x.Op == "=" {
		v, err := t.eval(x.Y, e)
		if err != nil {
			return nil, err
		}
		return v, t.store(x.X, v, e)
	}
	old, err := t.eval(x.X, e)
	if err != nil {
		return nil, err
	}
	y, err := t.eval(x.Y, e)
	if err != nil {
		return nil, err
	}
	v, err := t.operate(strings.TrimSuffix(x.Op, "="), old, y)
	if err != nil {
		return nil, err
	}
	return v, t.store(x.X, v, e)
}

func (t *Thread) assignAll(x *jf.Assign, e *env) (value.Value, error) {
	v, err := t.eval(x.Y, e)
	if err != nil {
		return nil, err
	}
	for i, target := range x.X.(*jf.List).Elems {
		el, err := t.nth(v, i)
		if err != nil {
			return nil, err
		}
		if err := t.store(target, el, e); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// store assigns to a variable, a property or an element.
func (t *Thread) store(target jf.Expr, v value.Value, e *env) error {
	switch x := target.(type) {
	case *jf.Paren:
		return t.store(x.X, v, e)
	case *jf.Ident:
		return t.setName(x.Name, v, e)
	case *jf.Property:
		recv, err := t.eval(x.X, e)
		if err != nil {
			return err
		}
		name, err := t.nameOf(x.Name, e)
		if err != nil {
			return err
		}
		if recv == nil {
			if x.Safe {
				return nil
			}
			return t.throwf("java.lang.NullPointerException", "Cannot set property '%s' on null object", name)
		}
		if in, ok := recv.(*instance); ok && (x.Field || isThis(x.X)) {
			if ok, err := t.setOwn(in, name, v); ok || err != nil {
				return err
			}
		}
		if x.Spread {
			return t.iterate(recv, func(el value.Value) (bool, error) { return true, t.setProperty(el, name, v, e.f) })
		}
		return t.setProperty(recv, name, v, e.f)
	case *jf.Index:
		recv, err := t.eval(x.X, e)
		if err != nil {
			return err
		}
		key, err := t.indexKey(x, e)
		if err != nil {
			return err
		}
		return t.putAt(recv, key, v)
	}
	return fmt.Errorf("%s: cannot assign to %T", t.where(), target)
}

// setName assigns to a bare name: a local variable, a field of the script or of the object around, or the script's binding.
func (t *Thread) setName(name string, v value.Value, e *env) error {
	if in, i := e.find(name); in != nil {
		v, err := t.coerce(v, in.typeAt(i))
		if err != nil {
			return err
		}
		in.vals[i] = v
		return nil
	}
	for c := e.f.closure; c != nil; c = c.env.f.closure {
		if !c.given || c.strategy == ownerOnly {
			continue
		}
		if ok, err := t.trySet(c.delegate, name, v, e.f, c.strategy); ok || err != nil {
			return err
		}
	}
	if ok, err := t.setField(name, v, e.f); ok || err != nil {
		return err
	}
	if name == "env" || name == "this" || name == "super" {
		return t.throwf("groovy.lang.ReadOnlyPropertyException", "Cannot set readonly property: %s for class: groovy.lang.Binding", name)
	}
	t.p.binding().Put(name, v)
	return nil
}

// trySet sets a property of a delegate that has it.
func (t *Thread) trySet(o value.Value, name string, v value.Value, f *frame, strategy int64) (bool, error) {
	switch d := o.(type) {
	case *value.Map:
		if _, ok := d.Get(name); ok || strategy == delegateFirst || strategy == delegateOnly {
			d.Put(name, v)
			return true, nil
		}
	case *instance:
		if d.has(name) {
			return true, t.setProperty(o, name, v, f)
		}
	case value.Object:
		if _, ok, _ := d.Property(name); ok {
			return true, d.SetProperty(name, v)
		}
	}
	return false, nil
}

// setField sets a field of the object, class or script whose code is running.
func (t *Thread) setField(name string, v value.Value, f *frame) (bool, error) {
	if in, ok := f.this.(*instance); ok {
		if ok, err := t.setOwn(in, name, v); ok || err != nil {
			return true, err
		}
		if in.has(name) {
			return true, t.setProperty(in, name, v, f)
		}
	}
	for c := f.class; c != nil; c = c.super {
		if e, i := c.statics.own(name); e != nil {
			v, err := t.coerce(v, e.typeAt(i))
			if err == nil {
				e.vals[i] = v
			}
			return true, err
		}
	}
	if f.class == nil {
		if e, i := f.script.fields.own(name); e != nil {
			v, err := t.coerce(v, e.typeAt(i))
			if err == nil {
				e.vals[i] = v
			}
			return true, err
		}
	}
	return false, nil
}

// own finds a variable in this scope alone.
func (e *env) own(name string) (*env, int) {
	if e == nil {
		return nil, 0
	}
	for i, n := range e.names {
		if n == name {
			return e, i
		}
	}
	return nil, 0
}

func (t *Thread) setProperty(recv value.Value, name string, v value.Value, f *frame) error {
	switch x := recv.(type) {
	case nil:
		return t.throwf("java.lang.NullPointerException", "Cannot set property '%s' on null object", name)
	case *value.Map:
		if x.Fixed {
			return t.throw("java.lang.UnsupportedOperationException", "")
		}
		x.Put(name, v)
		return t.room(x.Len())
	case *script:
		if e, i := x.fields.own(name); e != nil {
			e.vals[i] = v
			return nil
		}
		t.p.binding().Put(name, v)
		return nil
	case *instance:
		return t.setInstance(x, name, v)
	case *value.Class:
		if c := t.classNamed(x.Name); c != nil {
			if e, i := c.statics.own(name); e != nil {
				e.vals[i] = v
				return nil
			}
		}
	case *Closure:
		switch name {
		case "delegate":
			x.delegate, x.given = v, true
			return nil
		case "resolveStrategy":
			x.strategy = value.ToInt(v)
			return nil
		}
	case *value.List:
		return t.iterate(x, func(el value.Value) (bool, error) { return true, t.setProperty(el, name, v, f) })
	case *value.MapEntry:
		if name == "value" {
			x.Set(v)
			return nil
		}
	case value.Object:
		return t.traced(x.SetProperty(name, v))
	}
	if ok, err := t.trySetter(recv, name, v); ok || err != nil {
		return err
	}
	return t.throwf("groovy.lang.MissingPropertyException", "No such property: %s for class: %s", name, value.TypeName(recv))
}

// traced adds the place to an exception made by the code of an Object.
func (t *Thread) traced(err error) error {
	if ex, ok := err.(*value.Exception); ok && len(ex.Trace) == 0 {
		ex.Trace = []string{t.where()}
	}
	return err
}

// trySetter calls setName(v).
func (t *Thread) trySetter(recv value.Value, name string, v value.Value) (bool, error) {
	_, ok, err := t.tryInvoke(recv, "set"+capital(name), []value.Value{v})
	return ok, err
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

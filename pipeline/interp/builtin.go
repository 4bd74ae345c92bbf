package interp

import (
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

// printing is println and its like: they are the echo step where there is one, as in Jenkins.
func (t *Thread) printing(name string, a arguments) (value.Value, bool, error) {
	args := a.list()
	var text string
	switch {
	case (name == "println" || name == "print") && len(args) <= 1:
		if len(args) == 1 {
			text = value.String(args[0])
		}
	case name == "printf" && len(args) > 0:
		s, err := t.formatCall(args)
		if err != nil {
			return nil, true, err
		}
		text = strings.TrimSuffix(s, "\n")
	default:
		return nil, false, nil
	}
	if s := t.p.c.Steps["echo"]; s != nil {
		_, err := t.runStep(s, arguments{args: []value.Value{text}})
		return nil, true, err
	}
	t.Print(text)
	return nil, true, nil
}

func (t *Thread) formatCall(args []value.Value) (string, error) {
	rest := args[1:]
	if len(rest) == 1 {
		if l, ok := rest[0].(*value.List); ok {
			rest = l.Elems
		}
	}
	v, err := t.format(value.String(args[0]), rest)
	return value.String(v), err
}

// scriptBuiltin is what every script has besides steps.
func (t *Thread) scriptBuiltin(name string, a arguments, e *env) (value.Value, bool, error) {
	args := a.list()
	n := len(args)
	switch {
	case name == "sprintf" && n > 0:
		s, err := t.formatCall(args)
		return s, true, err
	case name == "getBinding" && n == 0:
		return &bindingObject{t.p}, true, nil
	case name == "getProperty" && n == 1:
		v, err := t.outer(value.String(args[0]), e.f)
		if err == errNoName {
			return nil, true, t.throwf("groovy.lang.MissingPropertyException", "No such property: %s for class: groovy.lang.Binding", value.String(args[0]))
		}
		return v, true, err
	case name == "setProperty" && n == 2:
		return nil, true, t.setName(value.String(args[0]), args[1], e)
	case name == "invokeMethod" && n == 2:
		es, _ := t.elements(args[1])
		v, err := t.callName(value.String(args[0]), arguments{args: es}, e)
		return v, true, err
	case name == "use" && n == 2:
		if c, ok := args[1].(*Closure); ok {
			v, err := t.call(c, nil)
			return v, true, err
		}
	case name == "getClass" && n == 0:
		return &value.Class{Name: value.TypeName(e.f.self())}, true, nil
	case name == "toString" && n == 0, name == "hashCode" && n == 0:
		return t.objectMethod(e.f.self(), name, args)
	case name == "with" && n == 1, name == "each" && n == 1, name == "asType" && n == 1:
		return t.objectMethod(e.f.self(), name, args)
	}
	return nil, false, nil
}

// bindingObject is groovy.lang.Binding.
type bindingObject struct{ p *Program }

// TypeName implements value.Object.
func (*bindingObject) TypeName() string { return "groovy.lang.Binding" }

// Property implements value.Object.
func (b *bindingObject) Property(name string) (value.Value, bool, error) {
	if name == "variables" {
		return b.p.binding(), true, nil
	}
	v, ok := b.p.binding().Get(name)
	return v, ok, nil
}

// SetProperty implements value.Object.
func (b *bindingObject) SetProperty(name string, v value.Value) error {
	b.p.binding().Put(name, v)
	return nil
}

// Invoke implements value.Object.
func (b *bindingObject) Invoke(name string, a []value.Value) (value.Value, bool, error) {
	vars := b.p.binding()
	switch {
	case name == "hasVariable" && len(a) == 1:
		_, ok := vars.Get(value.String(a[0]))
		return ok, true, nil
	case name == "getVariable" && len(a) == 1:
		v, ok := vars.Get(value.String(a[0]))
		if !ok {
			return nil, true, &value.Exception{Class: "groovy.lang.MissingPropertyException",
				Message: "No such property: " + value.String(a[0]) + " for class: groovy.lang.Binding"}
		}
		return v, true, nil
	case name == "setVariable" && len(a) == 2:
		vars.Put(value.String(a[0]), a[1])
		return nil, true, nil
	case name == "removeVariable" && len(a) == 1:
		vars.Remove(value.String(a[0]))
		return nil, true, nil
	case name == "getVariables" && len(a) == 0:
		return vars, true, nil
	}
	return nil, false, nil
}

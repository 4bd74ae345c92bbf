package interp

import (
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

// invoke calls a method of a value.
func (t *Thread) invoke(recv value.Value, name string, args []value.Value) (value.Value, error) {
	if recv == nil {
		return t.invokeNull(name, args)
	}
	if err := t.tick(); err != nil {
		return nil, err
	}
	v, ok, err := t.tryInvoke(recv, name, args)
	if err != nil || ok {
		return v, t.traced(err)
	}
	// A property that holds something callable: map.handler(x), object.closure(x).
	switch x := recv.(type) {
	case *value.Map:
		if f, has := x.Get(name); has && callable(f) {
			return t.callValue(f, args)
		}
	case *script:
		if f, err := t.get(x, name); err == nil && callable(f) {
			return t.callValue(f, args)
		}
		return t.callGlobal(name, arguments{args: args}, newEnv(nil, &frame{script: x, this: x}))
	case *instance:
		if e, i := x.fields.own(name); e != nil && callable(e.vals[i]) {
			return t.callValue(e.vals[i], args)
		}
		if ms := x.class.find("methodMissing"); ms != nil {
			return t.runMethod(ms[0], x, []value.Value{name, &value.List{Elems: args, Array: "Object"}})
		}
	case value.Object:
		if f, has, err := x.Property(name); has && err == nil && callable(f) {
			return t.callValue(f, args)
		}
	}
	return nil, t.missingMethod(recv, name, args)
}

// invokeNull is a call on null: a few methods work, all others throw.
func (t *Thread) invokeNull(name string, args []value.Value) (value.Value, error) {
	switch {
	case name == "toString" && len(args) == 0:
		return "null", nil
	case name == "equals" && len(args) == 1, name == "is" && len(args) == 1:
		return args[0] == nil, nil
	case name == "asBoolean":
		return false, nil
	case name == "asType":
		return nil, nil
	case name == "each" || name == "eachWithIndex":
		return nil, nil
	case name == "collect" || name == "findAll":
		return value.NewList(), nil
	case name == "find":
		return nil, nil
	case name == "any":
		return false, nil
	case name == "every":
		return true, nil
	case name == "iterator":
		return &iterator{}, nil
	case name == "inspect":
		return "null", nil
	case name == "plus" && len(args) == 1:
		if s, ok := value.Text(args[0]); ok {
			return "null" + s, nil
		}
	case name == "with" && len(args) == 1:
		if c, ok := args[0].(*Closure); ok {
			return t.with(nil, c)
		}
	}
	return nil, t.throwf("java.lang.NullPointerException", "Cannot invoke method %s() on null object", name)
}

// tryInvoke calls a method; ok false means that the value has none of this name for these arguments.
func (t *Thread) tryInvoke(recv value.Value, name string, args []value.Value) (v value.Value, ok bool, err error) {
	switch x := recv.(type) {
	case nil:
		v, err := t.invokeNull(name, args)
		return v, true, err
	case string:
		v, ok, err = t.textMethod(x, name, args)
	case *value.GString:
		switch name {
		case "getStrings":
			return &value.List{Elems: value.Strings(x.Strings...).Elems, Array: "String"}, true, nil
		case "getValues":
			return &value.List{Elems: x.Values, Array: "Object"}, true, nil
		case "equals":
			if len(args) == 1 {
				return value.Key(x) == value.Key(args[0]), true, nil
			}
		}
		v, ok, err = t.textMethod(x.String(), name, args)
	case value.Char:
		v, ok, err = t.charMethod(x, name, args)
	case *value.List:
		v, ok, err = t.listMethod(x, name, args)
	case *value.Range:
		v, ok, err = t.rangeMethod(x, name, args)
	case *value.Set:
		v, ok, err = t.setMethod(x, name, args)
	case *value.Map:
		v, ok, err = t.mapMethod(x, name, args)
	case *value.MapEntry:
		v, ok, err = t.entryMethod(x, name, args)
	case *Closure:
		v, ok, err = t.closureMethod(x, name, args)
	case *value.Class:
		v, ok, err = t.classMethod(x, name, args)
	case *value.Regex:
		v, ok, err = t.regexMethod(x, name, args)
	case *value.Matcher:
		v, ok, err = t.matcherMethod(x, name, args)
	case *value.Exception:
		v, ok, err = t.exceptionMethod(x, name, args)
	case *script:
		v, ok, err = t.invokeScript(x, name, args)
	case *superOf:
		return t.superMethod(x, name, args)
	case *instance:
		if v, ok, err = t.callInstance(x, x.class, name, args); ok || err != nil {
			return v, ok, err
		}
		v, ok, err = t.instanceMethod(x, name, args)
	case bool:
		v, ok, err = t.boolMethod(x, name, args)
	case *builder:
		v, ok, err = t.builderMethod(x, name, args)
	default:
		if value.IsNumber(recv) {
			v, ok, err = t.numberMethod(recv, name, args)
			break
		}
		if i, can := recv.(Invoker); can {
			if v, ok, err = i.InvokeIn(t, name, args); ok || err != nil {
				return v, ok, err
			}
		}
		if o, can := recv.(value.Object); can {
			v, ok, err = o.Invoke(name, args)
		}
	}
	if ok || err != nil {
		return v, ok, err
	}
	return t.objectMethod(recv, name, args)
}

// objectMethod is what every object has.
func (t *Thread) objectMethod(recv value.Value, name string, args []value.Value) (value.Value, bool, error) {
	n := len(args)
	closure := func() *Closure {
		if n == 0 {
			return nil
		}
		c, _ := args[n-1].(*Closure)
		return c
	}
	switch {
	case name == "toString" && n == 0:
		s, err := t.toText(recv)
		return s, true, err
	case name == "equals" && n == 1:
		eq, err := t.equal(recv, args[0])
		return eq, true, err
	case name == "is" && n == 1:
		return recv == args[0], true, nil
	case name == "hashCode" && n == 0:
		return hashCode(recv), true, nil
	case name == "getClass" && n == 0:
		return &value.Class{Name: value.TypeName(recv)}, true, nil
	case (name == "inspect" || name == "dump") && n == 0:
		return value.Inspect(recv), true, nil
	case name == "asBoolean" && n == 0:
		ok, err := t.truth(recv)
		return ok, true, err
	case name == "asType" && n == 1:
		if c, ok := args[0].(*value.Class); ok {
			v, err := t.asType(recv, typeRef(c.Name), nil)
			return v, true, err
		}
	case name == "with" && n == 1 && closure() != nil:
		v, err := t.with(recv, closure())
		return v, true, err
	case name == "tap" && n == 1 && closure() != nil:
		_, err := t.with(recv, closure())
		return recv, true, err
	case name == "compareTo" && n == 1:
		c, err := t.compare(recv, args[0])
		return int64(c), true, err
	case name == "isCase" && n == 1:
		ok, err := t.isCase(recv, args[0])
		return ok, true, err
	case name == "invokeMethod" && n == 2:
		es, _ := t.elements(args[1])
		v, err := t.invoke(recv, value.String(args[0]), es)
		return v, true, err
	case name == "getProperty" && n == 1:
		v, err := t.get(recv, value.String(args[0]))
		return v, true, err
	case name == "setProperty" && n == 2:
		return nil, true, t.setProperty(recv, value.String(args[0]), args[1], nil)
	case name == "getAt" && n == 1:
		v, err := t.getAt(recv, args[0])
		return v, true, err
	case name == "putAt" && n == 2:
		return nil, true, t.putAt(recv, args[0], args[1])
	case name == "respondsTo" && n >= 1:
		return t.respondsTo(recv, value.String(args[0])), true, nil
	case name == "hasProperty" && n == 1:
		_, ok, _ := t.tryGet(recv, value.String(args[0]))
		return ok, true, nil
	case name == "iterator" && n == 0:
		es, err := t.elements(recv)
		return &iterator{es: es}, true, err
	}
	if c := closure(); c != nil {
		return t.eachMethod(recv, name, args, c)
	}
	return nil, false, nil
}

// eachMethod is the iteration that Groovy gives to every object: over its elements, or itself.
func (t *Thread) eachMethod(recv value.Value, name string, args []value.Value, c *Closure) (value.Value, bool, error) {
	switch name {
	case "each", "eachWithIndex", "collect", "find", "findAll", "any", "every", "inject", "findIndexOf", "grep", "findResult", "split":
		es, err := t.elements(recv)
		if err != nil {
			return nil, true, err
		}
		v, ok, err := t.sequence(es, name, args)
		if name == "each" || name == "eachWithIndex" {
			v = recv
		}
		return v, ok, err
	}
	return nil, false, nil
}

// respondsTo is empty when neither the object nor its class has a method of the name.
func (t *Thread) respondsTo(recv value.Value, name string) value.Value {
	found := false
	switch x := recv.(type) {
	case *instance:
		found = x.class.find(name) != nil
	case *script:
		found = len(x.methods[name]) > 0 || t.p.c.Steps[name] != nil
	}
	if found {
		return value.NewList(name)
	}
	return value.NewList()
}

// with calls a closure whose names are first looked for in an object.
func (t *Thread) with(o value.Value, c *Closure) (value.Value, error) {
	d := *c
	d.delegate, d.given, d.strategy = o, true, delegateFirst
	return t.call(&d, []value.Value{o})
}

func hashCode(v value.Value) int64 {
	if s, ok := value.Text(v); ok {
		h := int32(0)
		for _, r := range utf16Of(s) {
			h = 31*h + int32(r)
		}
		return int64(h)
	}
	if value.RankOf(v) == value.IntRank {
		return value.ToInt(v)
	}
	h := int32(7)
	for _, r := range value.String(v) {
		h = 31*h + int32(r)
	}
	return int64(h)
}

// superMethod calls a method of the superclass on the same object.
func (t *Thread) superMethod(s *superOf, name string, args []value.Value) (value.Value, bool, error) {
	if v, ok, err := t.callInstance(s.in, s.class, name, args); ok || err != nil {
		return v, ok, err
	}
	return t.instanceMethod(s.in, name, args)
}

// instanceMethod is what objects of a script's classes have by themselves.
func (t *Thread) instanceMethod(in *instance, name string, args []value.Value) (value.Value, bool, error) {
	if v, ok, err := t.callStatic(in.class, name, args); ok || err != nil {
		return v, ok, err
	}
	if in.exception != nil {
		if v, ok, err := t.exceptionMethod(in.exception, name, args); ok || err != nil {
			return v, ok, err
		}
	}
	if in.name != "" && len(args) == 0 {
		switch name {
		case "name":
			return in.name, true, nil
		case "ordinal":
			return int64(in.ordinal), true, nil
		case "next", "previous":
			all := in.class.constants.Values()
			step := 1
			if name == "previous" {
				step = len(all) - 1
			}
			return all[(in.ordinal+step)%len(all)], true, nil
		}
	}
	if len(args) == 0 && (strings.HasPrefix(name, "get") || strings.HasPrefix(name, "is")) {
		prop := strings.TrimPrefix(strings.TrimPrefix(name, "get"), "is")
		if e, i := in.fields.own(uncapital(prop)); e != nil {
			return e.vals[i], true, nil
		}
	}
	if len(args) == 1 && strings.HasPrefix(name, "set") {
		if ok, err := t.setOwn(in, uncapital(strings.TrimPrefix(name, "set")), args[0]); ok || err != nil {
			return nil, true, err
		}
	}
	if name == "toString" && len(args) == 0 {
		return in.Text(), true, nil
	}
	return nil, false, nil
}

func uncapital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

package interp

import (
	"strings"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// class is a class or enum of a script.
type class struct {
	name      string
	decl      *jf.ClassDecl
	script    *script
	super     *class
	builtin   string // the Java class it extends: an exception; "" for none
	outer     *class
	methods   map[string][]*method
	ctors     []*method
	statics   *env
	constants *value.Map // of an enum, by name
	ready     bool       // statics and constants have been evaluated
}

// find returns the methods of a name, of the class or the nearest superclass that has it.
func (c *class) find(name string) []*method {
	for ; c != nil; c = c.super {
		if ms := c.methods[name]; len(ms) > 0 {
			return ms
		}
	}
	return nil
}

// base is the Java class at the root of the hierarchy.
func (c *class) base() string {
	for ; c != nil; c = c.super {
		if c.builtin != "" {
			return c.builtin
		}
	}
	return "java.lang.Object"
}

// instance is an object of a script's class.
type instance struct {
	p         *Program
	class     *class
	fields    *env
	exception *value.Exception // behind an object of an exception class
	ordinal   int              // of an enum constant
	name      string           // of an enum constant, "" otherwise
}

func (in *instance) has(name string) bool {
	if in.class.find("set"+capital(name)) != nil {
		return true
	}
	e, _ := in.fields.own(name)
	return e != nil
}

// TypeName implements value.Object.
func (in *instance) TypeName() string { return in.class.name }

// Property implements value.Object for code that has no thread.
func (in *instance) Property(name string) (value.Value, bool, error) {
	return in.p.cur.instanceGet(in, name)
}

// SetProperty implements value.Object.
func (in *instance) SetProperty(name string, v value.Value) error {
	return in.p.cur.setInstance(in, name, v)
}

// Invoke implements value.Object.
func (in *instance) Invoke(name string, args []value.Value) (value.Value, bool, error) {
	return in.p.cur.tryInvoke(in, name, args)
}

// Text implements value.Stringer: a toString of its own, or what Java prints.
func (in *instance) Text() string {
	t := in.p.cur
	if ms := in.class.find("toString"); ms != nil && t != nil && t.depth < t.p.lim.Depth {
		if m := t.pick(ms, nil); m != nil {
			return t.deepText(func(t *Thread) (value.Value, error) { return t.runMethod(m, in, nil) })
		}
	}
	switch {
	case in.name != "":
		return in.name
	case in.exception != nil:
		return value.String(in.exception)
	}
	return in.class.name + "@1"
}

// CompareTo implements value.Ordered: enum constants by their order, others by their compareTo.
func (in *instance) CompareTo(o value.Value) (int, bool) {
	other, ok := o.(*instance)
	if ok && in.name != "" && other.class == in.class {
		return in.ordinal - other.ordinal, true
	}
	if ms := in.class.find("compareTo"); ms != nil {
		if v, err := in.p.cur.runMethod(ms[0], in, []value.Value{o}); err == nil {
			return int(value.ToInt(v)), true
		}
	}
	return 0, in == o
}

// superOf is `super` in an instance method.
type superOf struct {
	in    *instance
	class *class // whose methods are looked for; nil for the Java class
}

// prepare evaluates the static fields and constants of a class when it is first used.
func (t *Thread) prepare(c *class) error {
	if c.ready {
		return nil
	}
	c.ready = true
	if c.super != nil {
		if err := t.prepare(c.super); err != nil {
			return err
		}
	}
	f := &frame{script: c.script, class: c}
	e := newEnv(nil, f)
	c.statics.f = f
	if c.decl.Kind == "enum" {
		c.constants = value.NewMap()
		for i, k := range c.decl.Constants {
			args, err := t.exprs(k.Args, e)
			if err != nil {
				return err
			}
			in, err := t.build(c, args, nil, func(in *instance) { in.name, in.ordinal = k.Name, i })
			if err != nil {
				return err
			}
			c.constants.Put(k.Name, in)
			c.statics.declare(k.Name, nil, in)
		}
	}
	for _, m := range c.decl.Members {
		switch x := m.(type) {
		case *jf.VarDecl:
			if !has(x.Modifiers, "static") && c.decl.Kind != "interface" {
				continue
			}
			for _, v := range x.Vars {
				val, err := t.initial(v.Init, x.Type, e)
				if err != nil {
					return err
				}
				c.statics.declare(v.Name, x.Type, val)
			}
		case *jf.Block:
			if has(x.Labels, "static") {
				if _, err := t.runBody(x.Stmts, newEnv(e, f)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// build makes an object and runs its constructor. mark is called before any code of the class.
func (t *Thread) build(c *class, args []value.Value, named *value.Map, mark func(*instance)) (value.Value, error) {
	if err := t.prepare(c); err != nil {
		return nil, err
	}
	if has(c.decl.Modifiers, "abstract") || c.decl.Kind == "interface" {
		return nil, t.throwf("java.lang.InstantiationException", "%s", c.name)
	}
	in := &instance{p: t.p, class: c, fields: newEnv(nil, nil)}
	if value.IsThrowable(c.base()) {
		in.exception = &value.Exception{Class: c.name, Payload: in}
	}
	if mark != nil {
		mark(in)
	}
	if err := t.spend(128); err != nil {
		return nil, err
	}
	if err := t.initFields(in, c); err != nil {
		return nil, err
	}
	all := args
	if named != nil {
		all = append([]value.Value{named}, args...)
	}
	if len(c.ctors) == 0 {
		return in, t.defaultConstructor(in, c, args, named)
	}
	m := t.pick(c.ctors, all)
	if m == nil {
		if named != nil && len(args) == 0 && t.pick(c.ctors, nil) != nil {
			if _, err := t.construct(t.pick(c.ctors, nil), in, nil); err != nil {
				return nil, err
			}
			return in, t.setAll(in, named)
		}
		return nil, t.throwf("groovy.lang.GroovyRuntimeException", "Could not find matching constructor for: %s(%s)", c.name, typeNames(all))
	}
	_, err := t.construct(m, in, all)
	return in, err
}

func typeNames(args []value.Value) string {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = value.TypeName(a)
	}
	return strings.Join(names, ", ")
}

// initFields sets fields to their first values, those of superclasses first.
func (t *Thread) initFields(in *instance, c *class) error {
	if c == nil {
		return nil
	}
	if err := t.initFields(in, c.super); err != nil {
		return err
	}
	f := &frame{script: c.script, this: in, class: c}
	e := newEnv(nil, f)
	for _, m := range c.decl.Members {
		switch x := m.(type) {
		case *jf.VarDecl:
			if has(x.Modifiers, "static") {
				continue
			}
			for _, v := range x.Vars {
				val, err := t.initial(v.Init, x.Type, e)
				if err != nil {
					return err
				}
				in.fields.declare(v.Name, x.Type, val)
			}
		case *jf.Block:
			if !has(x.Labels, "static") {
				if _, err := t.runBody(x.Stmts, newEnv(e, f)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// defaultConstructor is that of a class without one: no arguments, properties by name, or those of the superclass.
func (t *Thread) defaultConstructor(in *instance, c *class, args []value.Value, named *value.Map) error {
	switch {
	case named != nil && len(args) == 0:
		return t.setAll(in, named)
	case in.exception != nil && c.super == nil:
		return t.initException(in.exception, args)
	case len(args) == 0 && c.super == nil:
		return nil
	case c.super != nil && len(c.super.ctors) > 0:
		m := t.pick(c.super.ctors, args)
		if m != nil {
			_, err := t.construct(m, in, args)
			return err
		}
	case c.super != nil:
		return t.defaultConstructor(in, c.super, args, named)
	case tupleConstructor(c):
		return t.setTuple(in, c, args)
	case len(args) == 1:
		if m, ok := args[0].(*value.Map); ok {
			return t.setAll(in, m)
		}
	}
	return t.throwf("groovy.lang.GroovyRuntimeException", "Could not find matching constructor for: %s(%s)", c.name, typeNames(args))
}

func tupleConstructor(c *class) bool {
	for _, a := range c.decl.Annotations {
		switch value.Simple(a.Name) {
		case "TupleConstructor", "Canonical", "Immutable":
			return true
		}
	}
	return false
}

func (t *Thread) setTuple(in *instance, c *class, args []value.Value) error {
	for i, a := range args {
		if i >= len(in.fields.names) {
			return t.throwf("groovy.lang.GroovyRuntimeException", "Could not find matching constructor for: %s(%s)", c.name, typeNames(args))
		}
		if err := t.setInstance(in, in.fields.names[i], a); err != nil {
			return err
		}
	}
	return nil
}

func (t *Thread) setAll(in *instance, named *value.Map) error {
	for k, v := range named.All() {
		if err := t.setInstance(in, value.String(k), v); err != nil {
			return err
		}
	}
	return nil
}

// construct runs a constructor: its first statement may call another one by this(…) or super(…).
func (t *Thread) construct(m *method, in *instance, args []value.Value) (value.Value, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	e := newEnv(nil, &frame{script: m.script, this: in, class: m.class})
	if _, err := t.bind(m.decl.Params, e, args); err != nil {
		return nil, err
	}
	stmts := m.decl.Body.Stmts
	if call, kind := chained(stmts); call != nil {
		a, err := t.arguments(call, e)
		if err != nil {
			return nil, err
		}
		if err := t.chain(m.class, kind, in, a); err != nil {
			return nil, err
		}
		stmts = stmts[1:]
	} else if m.class.super != nil && len(m.class.super.ctors) > 0 {
		if err := t.chain(m.class, "super", in, arguments{}); err != nil {
			return nil, err
		}
	}
	return t.runBody(stmts, e)
}

func chained(stmts []jf.Stmt) (*jf.Call, string) {
	if len(stmts) == 0 {
		return nil, ""
	}
	es, ok := stmts[0].(*jf.ExprStmt)
	if !ok {
		return nil, ""
	}
	c, ok := es.X.(*jf.Call)
	if !ok {
		return nil, ""
	}
	if id, ok := c.Recv.(*jf.Ident); ok && c.Direct && (id.Name == "super" || id.Name == "this") {
		return c, id.Name
	}
	if l, ok := c.Name.(*jf.Lit); ok && c.Recv == nil && (l.Value == "super" || l.Value == "this") {
		return c, l.Value.(string)
	}
	return nil, ""
}

func (t *Thread) chain(c *class, kind string, in *instance, a arguments) error {
	if kind == "this" {
		m := t.pick(c.ctors, a.list())
		if m == nil {
			return t.throwf("groovy.lang.GroovyRuntimeException", "Could not find matching constructor for: %s(%s)", c.name, typeNames(a.list()))
		}
		_, err := t.construct(m, in, a.list())
		return err
	}
	if c.super == nil {
		if in.exception != nil {
			return t.initException(in.exception, a.list())
		}
		return nil
	}
	if len(c.super.ctors) == 0 {
		return t.defaultConstructor(in, c.super, a.args, a.named)
	}
	m := t.pick(c.super.ctors, a.list())
	if m == nil {
		return t.throwf("groovy.lang.GroovyRuntimeException", "Could not find matching constructor for: %s(%s)", c.super.name, typeNames(a.list()))
	}
	_, err := t.construct(m, in, a.list())
	return err
}

// callInstance calls a method of an object, from class c upwards; ok false when there is none that fits.
func (t *Thread) callInstance(in *instance, c *class, name string, args []value.Value) (value.Value, bool, error) {
	for ; c != nil; c = c.super {
		if m := t.pick(c.methods[name], args); m != nil {
			v, err := t.runMethod(m, in, args)
			return v, true, err
		}
	}
	return nil, false, nil
}

// callStatic calls a static method of a class.
func (t *Thread) callStatic(c *class, name string, args []value.Value) (value.Value, bool, error) {
	if err := t.prepare(c); err != nil {
		return nil, false, err
	}
	for k := c; k != nil; k = k.super {
		if m := t.pick(k.methods[name], args); m != nil && m.static {
			v, err := t.runMethod(m, nil, args)
			return v, true, err
		}
	}
	if c.constants != nil {
		switch {
		case name == "values" && len(args) == 0:
			return &value.List{Elems: c.constants.Values(), Array: c.name}, true, nil
		case name == "valueOf" && len(args) == 1:
			if v, ok := c.constants.Get(value.String(args[0])); ok {
				return v, true, nil
			}
			return nil, true, t.throwf("java.lang.IllegalArgumentException", "No enum constant %s.%s", c.name, value.String(args[0]))
		}
	}
	return nil, false, nil
}

func (t *Thread) instanceGet(in *instance, name string) (value.Value, bool, error) {
	for _, prefix := range []string{"get", "is"} {
		if ms := in.class.find(prefix + capital(name)); ms != nil {
			if m := t.pick(ms, nil); m != nil {
				v, err := t.runMethod(m, in, nil)
				return v, true, err
			}
		}
	}
	if e, i := in.fields.own(name); e != nil {
		return e.vals[i], true, nil
	}
	for c := in.class; c != nil; c = c.super {
		if e, i := c.statics.own(name); e != nil {
			return e.vals[i], true, nil
		}
	}
	switch {
	case in.exception != nil && name != "class":
		return t.exceptionGet(in.exception, name)
	case name == "class":
		return &value.Class{Name: in.class.name}, true, nil
	case in.name != "" && name == "name":
		return in.name, true, nil
	case name == "metaClass" || name == "properties":
		return nil, false, nil
	}
	if ms := in.class.find("propertyMissing"); ms != nil {
		if m := t.pick(ms, []value.Value{name}); m != nil {
			v, err := t.runMethod(m, in, []value.Value{name})
			return v, true, err
		}
	}
	return nil, false, nil
}

// setInstance sets a property from outside: by its setter when there is one.
func (t *Thread) setInstance(in *instance, name string, v value.Value) error {
	if ms := in.class.find("set" + capital(name)); ms != nil {
		if m := t.pick(ms, []value.Value{v}); m != nil {
			_, err := t.runMethod(m, in, []value.Value{v})
			return err
		}
	}
	for c := in.class; c != nil; c = c.super {
		if s, i := c.statics.own(name); s != nil {
			s.vals[i] = v
			return nil
		}
	}
	ok, err := t.setOwn(in, name, v)
	if err == nil && !ok {
		return t.throwf("groovy.lang.MissingPropertyException", "No such property: %s for class: %s", name, in.class.name)
	}
	return err
}

// setOwn sets a field directly, as the class's own code does.
func (t *Thread) setOwn(in *instance, name string, v value.Value) (bool, error) {
	e, i := in.fields.own(name)
	if e == nil {
		return false, nil
	}
	v, err := t.coerce(v, e.typeAt(i))
	if err == nil {
		e.vals[i] = v
	}
	return true, err
}

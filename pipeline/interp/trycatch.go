package interp

import (
	"errors"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// runner is execAll or valueOf.
type runner func([]jf.Stmt, *env) (value.Value, ctl, error)

func (t *Thread) try(x *jf.Try, e *env, run runner) (value.Value, ctl, error) {
	v, c, err := run(x.Body.Stmts, newEnv(e, e.f))
	if err != nil && !isFatal(err) {
		v, c, err = t.catch(x, e, run, err)
	}
	if x.Finally == nil || isFatal(err) {
		return v, c, err
	}
	ret, label := t.ret, t.label
	_, fc, ferr := t.execAll(x.Finally.Stmts, newEnv(e, e.f))
	if ferr != nil || fc != next {
		return nil, fc, ferr
	}
	t.ret, t.label = ret, label
	return v, c, err
}

func (t *Thread) catch(x *jf.Try, e *env, run runner, err error) (value.Value, ctl, error) {
	ex := caught(err)
	for _, c := range x.Catches {
		match := len(c.Types) == 0 && t.isInstance(exceptionObject(ex), "java.lang.Exception", e.f)
		for _, typ := range c.Types {
			match = match || t.isInstance(exceptionObject(ex), typ.Name, e.f)
		}
		if match {
			inner := newEnv(e, e.f)
			inner.declare(c.Name, nil, exceptionObject(ex))
			return run(c.Body.Stmts, inner)
		}
	}
	return nil, next, err
}

// infraTag marks an exception that stands for the farm's own failure.
const infraTag = "infra"

// caught is what a script sees of an error: the farm's own failures are IOExceptions to it.
func caught(err error) *value.Exception {
	var ex *value.Exception
	if errors.As(err, &ex) {
		return ex
	}
	return &value.Exception{Class: "java.io.IOException", Message: err.Error(), Tags: []string{infraTag}}
}

// exceptionObject is what a variable holds: the instance of a class of the script, or the exception itself.
func exceptionObject(ex *value.Exception) value.Value {
	if ex.Payload != nil {
		return ex.Payload
	}
	return ex
}

// thrown makes the error of `throw v`.
func (t *Thread) thrown(v value.Value) error {
	switch x := v.(type) {
	case *value.Exception:
		if len(x.Trace) == 0 {
			x.Trace = []string{t.where()}
		}
		return x
	case *instance:
		if x.exception != nil {
			x.exception.Trace = []string{t.where()}
			return x.exception
		}
	case nil:
		return t.throw("java.lang.NullPointerException", "")
	}
	return t.throwf("org.codehaus.groovy.runtime.typehandling.GroovyCastException", "Cannot cast object '%s' with class '%s' to class 'java.lang.Throwable'", value.String(v), value.TypeName(v))
}

func (t *Thread) assert(x *jf.Assert, e *env) error {
	ok, err := t.cond(x.Cond, e)
	if err != nil || ok {
		return err
	}
	text := source(e.f.script.file, x.Cond)
	if x.Message == nil {
		return t.throw("org.codehaus.groovy.runtime.powerassert.PowerAssertionError", "assert "+text)
	}
	m, err := t.eval(x.Message, e)
	if err != nil {
		return err
	}
	return t.throw("java.lang.AssertionError", value.String(m)+". Expression: "+text)
}

// source is the text of a node as written.
func source(f *jf.File, n jf.Node) string {
	s := n.Span()
	if s.Start.Offset < 0 || s.End.Offset > len(f.Source) || s.Start.Offset >= s.End.Offset {
		return "false"
	}
	return f.Source[s.Start.Offset:s.End.Offset]
}

func (t *Thread) declare(x *jf.VarDecl, e *env) error {
	for _, a := range x.Annotations {
		if value.Simple(a.Name) == "Field" {
			return t.declareField(x, e)
		}
	}
	if x.Multi {
		v, err := t.eval(x.Init, e)
		if err != nil {
			return err
		}
		for i, n := range x.Vars {
			el, err := t.nth(v, i)
			if err != nil {
				return err
			}
			typ := n.Type
			if typ == nil {
				typ = x.Type
			}
			if el, err = t.coerce(el, typ); err != nil {
				return err
			}
			e.declare(n.Name, typ, el)
		}
		return nil
	}
	for _, n := range x.Vars {
		v, err := t.initial(n.Init, x.Type, e)
		if err != nil {
			return err
		}
		e.declare(n.Name, x.Type, v)
	}
	return nil
}

// initial is the value of a variable: what it is given, or what its type starts with.
func (t *Thread) initial(x jf.Expr, typ *jf.TypeRef, e *env) (value.Value, error) {
	if x == nil {
		if typ == nil || typ.Dims > 0 {
			return nil, nil
		}
		return zeroOf(typ.Name), nil
	}
	v, err := t.eval(x, e)
	if err != nil {
		return nil, err
	}
	return t.coerce(v, typ)
}

// zeroOf is what a variable of a primitive type starts with; a local one may not be read before it is set, so it does not matter there.
func zeroOf(typ string) value.Value {
	switch typ {
	case "int", "short", "byte":
		return int64(0)
	case "long":
		return value.Long(0)
	case "double", "float":
		return 0.0
	case "boolean":
		return false
	case "char":
		return value.Char(0)
	}
	return nil
}

// declareField sets a @Field of the script: visible in its methods.
func (t *Thread) declareField(x *jf.VarDecl, e *env) error {
	for _, n := range x.Vars {
		v, err := t.initial(n.Init, x.Type, e)
		if err != nil {
			return err
		}
		e.f.script.fields.declare(n.Name, x.Type, v)
	}
	return nil
}

// nth is element i of what a multiple assignment takes apart; nil past its end.
func (t *Thread) nth(v value.Value, i int) (value.Value, error) {
	if v == nil {
		return nil, t.throw("java.lang.NullPointerException", "Cannot invoke method getAt() on null object")
	}
	return t.getAt(v, int64(i))
}

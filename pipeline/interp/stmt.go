package interp

import (
	"fmt"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// ctl says how a statement ended.
type ctl uint8

const (
	next  ctl = iota
	brk       // Thread.label says which loop, "" the innermost
	cont      // the same
	leave     // Thread.ret is the value
)

// runBody runs the statements of a method, closure or script: its value is that of a return, or of the last statement.
func (t *Thread) runBody(stmts []jf.Stmt, e *env) (value.Value, error) {
	v, c, err := t.valueOf(stmts, e)
	if err != nil {
		return nil, err
	}
	if c == leave {
		v, t.ret = t.ret, nil
	}
	return v, nil
}

// valueOf runs statements; v is the value of the last one, when it has one.
func (t *Thread) valueOf(stmts []jf.Stmt, e *env) (v value.Value, c ctl, err error) {
	for i, s := range stmts {
		if i == len(stmts)-1 {
			return t.lastValue(s, e)
		}
		if c, err = t.exec(s, e); err != nil || c != next {
			return nil, c, err
		}
	}
	return nil, next, nil
}

func (t *Thread) lastValue(s jf.Stmt, e *env) (v value.Value, c ctl, err error) {
	switch x := s.(type) {
	case *jf.ExprStmt:
		t.at = x.Where.Start
		v, err = t.eval(x.X, e)
		return v, next, err
	case *jf.Block:
		return t.valueOf(x.Stmts, newEnv(e, e.f))
	case *jf.If:
		t.at = x.Where.Start
		ok, err := t.cond(x.Cond, e)
		if err != nil {
			return nil, next, err
		}
		if ok {
			return t.lastValue(x.Then, newEnv(e, e.f))
		}
		if x.Else != nil {
			return t.lastValue(x.Else, newEnv(e, e.f))
		}
		return nil, next, nil
	case *jf.Try:
		return t.try(x, e, t.valueOf)
	case *jf.Switch:
		return t.switchOn(x, e, true)
	case *jf.Synchronized:
		if _, err := t.eval(x.Lock, e); err != nil {
			return nil, next, err
		}
		return t.valueOf(x.Body.Stmts, newEnv(e, e.f))
	}
	c, err = t.exec(s, e)
	return nil, c, err
}

func (t *Thread) execAll(stmts []jf.Stmt, e *env) (value.Value, ctl, error) {
	for _, s := range stmts {
		if c, err := t.exec(s, e); err != nil || c != next {
			return nil, c, err
		}
	}
	return nil, next, nil
}

func (t *Thread) exec(s jf.Stmt, e *env) (ctl, error) {
	if err := t.tick(); err != nil {
		return next, err
	}
	t.at = s.Span().Start
	if t.nested >= maxNested {
		return next, t.throwf("java.lang.StackOverflowError", "statements are nested deeper than %d", maxNested)
	}
	t.nested++
	defer func() { t.nested-- }()
	switch x := s.(type) {
	case *jf.ExprStmt:
		_, err := t.eval(x.X, e)
		return next, err
	case *jf.VarDecl:
		return next, t.declare(x, e)
	case *jf.Block:
		_, c, err := t.execAll(x.Stmts, newEnv(e, e.f))
		if c == brk && t.label != "" && has(x.Labels, t.label) {
			c, t.label = next, ""
		}
		return c, err
	case *jf.If:
		ok, err := t.cond(x.Cond, e)
		if err != nil {
			return next, err
		}
		if ok {
			return t.exec(x.Then, newEnv(e, e.f))
		}
		if x.Else != nil {
			return t.exec(x.Else, newEnv(e, e.f))
		}
		return next, nil
	case *jf.While:
		return t.while(x, e)
	case *jf.For:
		return t.forLoop(x, e)
	case *jf.ForIn:
		return t.forIn(x, e)
	case *jf.Switch:
		_, c, err := t.switchOn(x, e, false)
		return c, err
	case *jf.Try:
		_, c, err := t.try(x, e, t.execAll)
		return c, err
	case *jf.Throw:
		v, err := t.eval(x.X, e)
		if err != nil {
			return next, err
		}
		return next, t.thrown(v)
	case *jf.Return:
		var v value.Value
		var err error
		if x.X != nil {
			v, err = t.eval(x.X, e)
		}
		t.ret = v
		return leave, err
	case *jf.Break:
		t.label = x.Label
		return brk, nil
	case *jf.Continue:
		t.label = x.Label
		return cont, nil
	case *jf.Assert:
		return next, t.assert(x, e)
	case *jf.Synchronized:
		if _, err := t.eval(x.Lock, e); err != nil {
			return next, err
		}
		return t.exec(x.Body, e)
	case *jf.MethodDecl, *jf.ClassDecl:
		return next, nil // hoisted
	}
	return next, fmt.Errorf("interpreter: statement %T", s)
}

func has(labels []string, l string) bool {
	for _, x := range labels {
		if x == l {
			return true
		}
	}
	return false
}

func (t *Thread) cond(x jf.Expr, e *env) (bool, error) {
	v, err := t.eval(x, e)
	if err != nil {
		return false, err
	}
	return t.truth(v)
}

// loop says whether a loop with these labels goes on after its body ended with c: stop means to leave the loop with out.
func (t *Thread) loop(c ctl, labels []string) (stop bool, out ctl) {
	switch c {
	case brk:
		if t.label == "" || has(labels, t.label) {
			t.label = ""
			return true, next
		}
		return true, brk
	case cont:
		if t.label == "" || has(labels, t.label) {
			t.label = ""
			return false, next
		}
		return true, cont
	}
	return c == leave, c
}

func (t *Thread) while(x *jf.While, e *env) (ctl, error) {
	for {
		ok, err := t.cond(x.Cond, e)
		if err != nil || !ok {
			return next, err
		}
		c, err := t.exec(x.Body, newEnv(e, e.f))
		if err != nil {
			return next, err
		}
		if stop, out := t.loop(c, x.Labels); stop {
			return out, nil
		}
		if err := t.tick(); err != nil {
			return next, err
		}
	}
}

func (t *Thread) forLoop(x *jf.For, e *env) (ctl, error) {
	e = newEnv(e, e.f)
	if _, _, err := t.execAll(x.Init, e); err != nil {
		return next, err
	}
	for {
		if x.Cond != nil {
			if ok, err := t.cond(x.Cond, e); err != nil || !ok {
				return next, err
			}
		}
		c, err := t.exec(x.Body, newEnv(e, e.f))
		if err != nil {
			return next, err
		}
		if stop, out := t.loop(c, x.Labels); stop {
			return out, nil
		}
		for _, p := range x.Post {
			if _, err := t.eval(p, e); err != nil {
				return next, err
			}
		}
		if err := t.tick(); err != nil {
			return next, err
		}
	}
}

func (t *Thread) forIn(x *jf.ForIn, e *env) (ctl, error) {
	in, err := t.eval(x.In, e)
	if err != nil {
		return next, err
	}
	out := next
	e = newEnv(e, e.f) // one variable for all rounds, as in Groovy: closures see its last value
	err = t.iterate(in, func(v value.Value) (bool, error) {
		if v, err = t.coerce(v, x.Var.Type); err != nil {
			return false, err
		}
		e.declare(x.Var.Name, x.Var.Type, v)
		c, err := t.exec(x.Body, newEnv(e, e.f))
		if err != nil {
			return false, err
		}
		stop, o := t.loop(c, x.Labels)
		out = o
		return !stop, t.tick()
	})
	if err != nil {
		return next, err
	}
	return out, nil
}

// iterate calls f for each element until it answers false.
func (t *Thread) iterate(v value.Value, f func(value.Value) (bool, error)) error {
	if r, ok := v.(*value.Range); ok {
		for i, n := 0, r.Len(); i < n; i++ {
			if more, err := f(r.At(i)); err != nil || !more {
				return err
			}
		}
		return nil
	}
	if l, ok := v.(*value.List); ok { // may change meanwhile
		n := len(l.Elems)
		for i := 0; i < len(l.Elems); i++ {
			if more, err := f(l.Elems[i]); err != nil || !more {
				return err
			}
			if len(l.Elems) != n && i+1 < len(l.Elems) {
				return t.throw("java.util.ConcurrentModificationException", "")
			}
		}
		return nil
	}
	es, err := t.elements(v)
	if err != nil {
		return err
	}
	for _, x := range es {
		if more, err := f(x); err != nil || !more {
			return err
		}
	}
	return nil
}

// elements are what each goes over: a collection's elements, a map's entries, a text's characters, anything else itself.
func (t *Thread) elements(v value.Value) ([]value.Value, error) {
	if r, ok := v.(*value.Range); ok {
		if err := t.room(r.Len()); err != nil {
			return nil, err
		}
	}
	if es, ok := value.Elements(v); ok {
		return es, nil
	}
	if s, ok := value.Text(v); ok {
		var es []value.Value
		for _, r := range s {
			es = append(es, string(r))
		}
		return es, t.room(len(es))
	}
	switch x := v.(type) {
	case nil:
		return nil, nil
	case *value.Matcher:
		return t.matchList(x)
	case *value.Class:
		if c := t.classNamed(x.Name); c != nil && c.constants != nil {
			return c.constants.Values(), nil
		}
	case *iterator:
		return x.rest(), nil
	}
	return []value.Value{v}, nil
}

func (t *Thread) switchOn(x *jf.Switch, e *env, last bool) (value.Value, ctl, error) {
	tag, err := t.eval(x.Tag, e)
	if err != nil {
		return nil, next, err
	}
	// Groovy runs the default last, wherever it stands.
	cases := make([]*jf.Case, 0, len(x.Cases))
	var fallback *jf.Case
	for _, c := range x.Cases {
		if c.Value == nil {
			fallback = c
			continue
		}
		cases = append(cases, c)
	}
	at := len(cases)
	for i, c := range cases {
		cv, err := t.eval(c.Value, e)
		if err != nil {
			return nil, next, err
		}
		ok, err := t.isCase(cv, tag)
		if err != nil {
			return nil, next, err
		}
		if ok {
			at = i
			break
		}
	}
	if fallback != nil {
		cases = append(cases, fallback)
	}
	e = newEnv(e, e.f)
	var v value.Value
	run := t.execAll
	if last {
		run = t.valueOf
	}
	for _, c := range cases[at:] {
		stmts, ends := c.Body, false
		if n := len(stmts); n > 0 {
			if b, ok := stmts[n-1].(*jf.Break); ok && b.Label == "" {
				stmts, ends = stmts[:n-1], true
			}
		}
		var out ctl
		if v, out, err = run(stmts, e); err != nil {
			return nil, next, err
		}
		if out != next {
			return v, t.afterCase(out, x.Labels), nil
		}
		if ends {
			break
		}
	}
	return v, next, nil
}

// afterCase is loop for a switch: only break ends it, continue goes on to the loop around it.
func (t *Thread) afterCase(c ctl, labels []string) ctl {
	if c == brk && (t.label == "" || has(labels, t.label)) {
		t.label = ""
		return next
	}
	return c
}

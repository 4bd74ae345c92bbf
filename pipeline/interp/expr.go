package interp

import (
	"fmt"
	"math/big"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// eval bounds how deep expressions stand in each other, calls counted in: Go's own stack must not end first.
func (t *Thread) eval(x jf.Expr, e *env) (value.Value, error) {
	if err := t.tick(); err != nil {
		return nil, err
	}
	if t.nested >= maxNested {
		return nil, t.throwf("java.lang.StackOverflowError", "expressions are nested deeper than %d", maxNested)
	}
	t.nested++
	v, err := t.evalIn(x, e)
	t.nested--
	return v, err
}

// maxNested expressions take less than 100 MB of stack.
const maxNested = 50_000

func (t *Thread) evalIn(x jf.Expr, e *env) (value.Value, error) {
	switch x := x.(type) {
	case *jf.Lit:
		return literal(x)
	case *jf.Ident:
		return t.ident(x, e)
	case *jf.GString:
		return t.gstring(x, e)
	case *jf.Call:
		return t.evalCall(x, e)
	case *jf.Property:
		return t.property(x, e)
	case *jf.Index:
		return t.index(x, e)
	case *jf.Binary:
		return t.binary(x, e)
	case *jf.Unary:
		return t.unary(x, e)
	case *jf.Assign:
		return t.assign(x, e)
	case *jf.Ternary:
		return t.ternary(x, e)
	case *jf.List:
		return t.list(x, e)
	case *jf.Map:
		return t.mapLit(x, e)
	case *jf.Closure:
		return &Closure{params: x.Params, implicit: x.NoParams, body: x.Body, env: e}, t.spend(96)
	case *jf.New:
		return t.new(x, e)
	case *jf.Cast:
		v, err := t.eval(x.X, e)
		if err != nil {
			return nil, err
		}
		return t.cast(v, x.Type, e.f)
	case *jf.As:
		v, err := t.eval(x.X, e)
		if err != nil {
			return nil, err
		}
		return t.asType(v, x.Type, e.f)
	case *jf.InstanceOf:
		v, err := t.eval(x.X, e)
		if err != nil {
			return nil, err
		}
		return v != nil && t.isInstance(v, typeText(x.Type), e.f), nil
	case *jf.Paren:
		return t.eval(x.X, e)
	case *jf.ClassLit:
		return t.classValue(typeText(x.Type), e.f), nil
	case *jf.Spread:
		return nil, t.throw("java.lang.IllegalArgumentException", "spread is only allowed in arguments and lists")
	}
	return nil, fmt.Errorf("interpreter: expression %T", x)
}

func typeText(r *jf.TypeRef) string {
	s := r.Name
	for range r.Dims {
		s += "[]"
	}
	return s
}

func literal(x *jf.Lit) (value.Value, error) {
	switch x.Kind {
	case jf.Null:
		return nil, nil
	case jf.Long:
		if i, ok := x.Value.(int64); ok {
			return value.Long(i), nil
		}
	case jf.Decimal:
		return value.ParseDecimal(x.Value.(string))
	case jf.BigInt:
		if i, ok := x.Value.(int64); ok {
			return big.NewInt(i), nil
		}
	}
	return x.Value, nil
}

func (t *Thread) gstring(x *jf.GString, e *env) (value.Value, error) {
	g := &value.GString{Strings: x.Strings, Values: make([]value.Value, len(x.Exprs))}
	for i, p := range x.Exprs {
		v, err := t.eval(p, e)
		if err != nil {
			return nil, err
		}
		if c, ok := v.(*Closure); ok && i < len(x.Lazy) && x.Lazy[i] {
			v = &lazy{t.p, c}
		} else if c, ok := v.(*Closure); ok {
			if v, err = t.call(c, nil); err != nil {
				return nil, err
			}
		}
		g.Values[i] = v
	}
	return g, t.spend(32 * len(g.Values))
}

// lazy is `${-> x}`: evaluated each time the text is made.
type lazy struct {
	p *Program
	c *Closure
}

// Text implements value.Stringer. An exception in it becomes its text: value.String has no way to throw.
func (l *lazy) Text() string {
	return l.p.cur.deepText(func(t *Thread) (value.Value, error) { return t.call(l.c, nil) })
}

// deepText is the text of what f returns, which may ask for a text in turn.
func (t *Thread) deepText(f func(*Thread) (value.Value, error)) string {
	if t.depth >= t.p.lim.Depth {
		return "..."
	}
	t.depth++
	defer func() { t.depth-- }()
	v, err := f(t)
	if err != nil {
		return caught(err).Error()
	}
	return value.String(v)
}

func (t *Thread) list(x *jf.List, e *env) (value.Value, error) {
	es, err := t.exprs(x.Elems, e)
	if err != nil {
		return nil, err
	}
	return &value.List{Elems: es}, t.room(len(es))
}

// exprs evaluates elements or arguments, taking spreads apart.
func (t *Thread) exprs(xs []jf.Expr, e *env) ([]value.Value, error) {
	out := make([]value.Value, 0, len(xs))
	for _, x := range xs {
		if s, ok := x.(*jf.Spread); ok {
			v, err := t.eval(s.X, e)
			if err != nil {
				return nil, err
			}
			if v == nil {
				out = append(out, nil)
				continue
			}
			es, err := t.elements(v)
			if err != nil {
				return nil, err
			}
			out = append(out, es...)
			continue
		}
		v, err := t.eval(x, e)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (t *Thread) mapLit(x *jf.Map, e *env) (value.Value, error) {
	m := value.NewMap()
	if err := t.named(m, x.Entries, e); err != nil {
		return nil, err
	}
	return m, t.room(m.Len())
}

// named puts `key: value` pairs into a map.
func (t *Thread) named(m *value.Map, args []*jf.NamedArg, e *env) error {
	for _, a := range args {
		v, err := t.eval(a.Value, e)
		if err != nil {
			return err
		}
		if a.Spread {
			if o, ok := v.(*value.Map); ok {
				for k, x := range o.All() {
					m.Put(k, x)
				}
			}
			continue
		}
		k, err := t.eval(a.Key, e)
		if err != nil {
			return err
		}
		m.Put(k, v)
	}
	return nil
}

func (t *Thread) ternary(x *jf.Ternary, e *env) (value.Value, error) {
	v, err := t.eval(x.Cond, e)
	if err != nil {
		return nil, err
	}
	ok, err := t.truth(v)
	switch {
	case err != nil:
		return nil, err
	case ok && x.Then == nil:
		return v, nil
	case ok:
		return t.eval(x.Then, e)
	}
	return t.eval(x.Else, e)
}

func (t *Thread) binary(x *jf.Binary, e *env) (value.Value, error) {
	a, err := t.eval(x.X, e)
	if err != nil {
		return nil, err
	}
	if x.Op == "&&" || x.Op == "||" {
		ok, err := t.truth(a)
		if err != nil || ok == (x.Op == "||") {
			return ok, err
		}
		return t.cond(x.Y, e)
	}
	b, err := t.eval(x.Y, e)
	if err != nil {
		return nil, err
	}
	t.at = x.Where.Start
	return t.operate(x.Op, a, b)
}

func (t *Thread) unary(x *jf.Unary, e *env) (value.Value, error) {
	if x.Op == "++" || x.Op == "--" {
		return t.step(x, e)
	}
	if l, ok := x.X.(*jf.Lit); ok && x.Op == "-" && l.Value == int64(1<<31) && l.Raw == "2147483648" {
		return int64(-1 << 31), nil // the one Integer whose digits alone are a Long
	}
	v, err := t.eval(x.X, e)
	if err != nil {
		return nil, err
	}
	switch x.Op {
	case "!":
		ok, err := t.truth(v)
		return !ok, err
	case "-":
		return t.negative(v)
	case "+":
		return v, nil
	case "~":
		if s, ok := value.Text(v); ok {
			return t.regex(s)
		}
		if value.RankOf(v) == value.LongRank {
			return value.Long(^value.ToInt(v)), nil
		}
		if i, ok := v.(*big.Int); ok {
			return new(big.Int).Not(i), nil
		}
		if value.IsNumber(v) {
			return ^value.ToInt(v), nil
		}
		return t.invoke(v, "bitwiseNegate", nil)
	}
	return nil, fmt.Errorf("interpreter: operator %s", x.Op)
}

// step is ++ and --.
func (t *Thread) step(x *jf.Unary, e *env) (value.Value, error) {
	old, err := t.eval(x.X, e)
	if err != nil {
		return nil, err
	}
	now, err := t.stepped(old, x.Op)
	if err != nil {
		return nil, err
	}
	if err := t.store(x.X, now, e); err != nil {
		return nil, err
	}
	if x.Postfix {
		return old, nil
	}
	return now, nil
}

func (t *Thread) stepped(old value.Value, op string) (value.Value, error) {
	if value.IsNumber(old) {
		return t.operate(op[:1], old, int64(1))
	}
	name := map[string]string{"++": "next", "--": "previous"}[op]
	return t.invoke(old, name, nil)
}

func (t *Thread) index(x *jf.Index, e *env) (value.Value, error) {
	recv, err := t.eval(x.X, e)
	if err != nil {
		return nil, err
	}
	key, err := t.indexKey(x, e)
	if err != nil {
		return nil, err
	}
	if recv == nil {
		return nil, t.throw("java.lang.NullPointerException", "Cannot invoke method getAt() on null object")
	}
	return t.getAt(recv, key)
}

// indexKey is the one index, or the list of several.
func (t *Thread) indexKey(x *jf.Index, e *env) (value.Value, error) {
	args, err := t.exprs(x.Args, e)
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		return args[0], nil
	}
	return &value.List{Elems: args}, nil
}

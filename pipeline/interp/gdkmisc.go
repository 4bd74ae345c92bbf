package interp

import (
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

func typeRef(name string) *jf.TypeRef { return &jf.TypeRef{Name: name} }

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func goBytes(l *value.List) []byte {
	b := make([]byte, len(l.Elems))
	for i, e := range l.Elems {
		b[i] = byte(value.ToInt(e))
	}
	return b
}

// builder is java.lang.StringBuilder.
type builder struct{ b strings.Builder }

// TypeName, Property, SetProperty and Invoke implement value.Object; methods are builderMethod's.
func (*builder) TypeName() string                           { return "java.lang.StringBuilder" }
func (*builder) Property(string) (value.Value, bool, error) { return nil, false, nil }
func (*builder) SetProperty(name string, _ value.Value) error {
	return &value.Exception{Class: "groovy.lang.MissingPropertyException", Message: "No such property: " + name + " for class: java.lang.StringBuilder"}
}
func (*builder) Invoke(string, []value.Value) (value.Value, bool, error) { return nil, false, nil }

// Text implements value.Stringer.
func (b *builder) Text() string { return b.b.String() }

func (b *builder) set(s string) {
	b.b.Reset()
	b.b.WriteString(s)
}

func (t *Thread) builderMethod(b *builder, name string, a []value.Value) (value.Value, bool, error) {
	n := len(a)
	switch {
	case (name == "append" || name == "leftShift") && n == 1:
		s := value.String(a[0])
		b.b.WriteString(s)
		if b.b.Len() > t.p.lim.String {
			return nil, true, t.roomText(b.b.Len())
		}
		return b, true, t.spend(len(s))
	case name == "insert" && n == 2:
		s, i := b.b.String(), 0
		i = byteIndex(s, int(value.ToInt(a[0])))
		b.set(s[:i] + value.String(a[1]) + s[i:])
		return b, true, t.roomText(b.b.Len())
	case name == "reverse" && n == 0:
		v, _, err := t.textMethod0(b.b.String(), "reverse")
		b.set(v.(string))
		return b, true, err
	case name == "setLength" && n == 1:
		s := b.b.String()
		b.set(cut(s, 0, min(max(int(value.ToInt(a[0])), 0), length(s))))
		return nil, true, nil
	case (name == "delete" || name == "deleteCharAt") && n >= 1:
		s := b.b.String()
		i := byteIndex(s, int(value.ToInt(a[0])))
		j := byteIndex(s, int(value.ToInt(a[0]))+1)
		if n == 2 {
			j = byteIndex(s, int(value.ToInt(a[1])))
		}
		b.set(s[:min(i, j)] + s[max(i, j):])
		return b, true, nil
	case name == "replace" && n == 3:
		s := b.b.String()
		i, j := byteIndex(s, int(value.ToInt(a[0]))), byteIndex(s, int(value.ToInt(a[1])))
		b.set(s[:min(i, j)] + value.String(a[2]) + s[max(i, j):])
		return b, true, t.roomText(b.b.Len())
	}
	return t.textMethod(b.b.String(), name, a)
}

// iterator is java.util.Iterator over elements.
type iterator struct {
	es []value.Value
	at int
}

func (i *iterator) rest() []value.Value { return i.es[i.at:] }

// TypeName, Property, SetProperty and Invoke implement value.Object.
func (*iterator) TypeName() string                           { return "java.util.Iterator" }
func (*iterator) Property(string) (value.Value, bool, error) { return nil, false, nil }
func (*iterator) SetProperty(name string, _ value.Value) error {
	return &value.Exception{Class: "groovy.lang.MissingPropertyException", Message: "No such property: " + name + " for class: java.util.Iterator"}
}

// Invoke implements value.Object.
func (i *iterator) Invoke(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "hasNext" && len(a) == 0:
		return i.at < len(i.es), true, nil
	case name == "next" && len(a) == 0:
		if i.at >= len(i.es) {
			return nil, true, &value.Exception{Class: "java.util.NoSuchElementException"}
		}
		i.at++
		return i.es[i.at-1], true, nil
	}
	return nil, false, nil
}

func (t *Thread) boolMethod(b bool, name string, a []value.Value) (value.Value, bool, error) {
	if len(a) == 1 {
		o := value.Truth(a[0])
		switch name {
		case "and":
			return b && o, true, nil
		case "or":
			return b || o, true, nil
		case "xor":
			return b != o, true, nil
		case "implies":
			return !b || o, true, nil
		}
	}
	if len(a) == 0 && (name == "booleanValue" || name == "toBoolean") {
		return b, true, nil
	}
	return nil, false, nil
}

func (t *Thread) numberMethod(n value.Value, name string, a []value.Value) (value.Value, bool, error) {
	switch len(a) {
	case 0:
		return t.numberMethod0(n, name)
	case 1:
		if c, ok := a[0].(*Closure); ok {
			if name == "times" {
				return nil, true, t.count(0, value.ToInt(n)-1, 1, c)
			}
			return nil, false, nil
		}
		for op, method := range methodOf {
			if method == name {
				v, err := t.operate(op, n, a[0])
				return v, true, err
			}
		}
		switch name {
		case "intdiv":
			v, err := t.intdiv(n, a[0])
			return v, true, err
		case "compareTo", "compareToIgnoreCase":
			c, err := t.compare(n, a[0])
			return int64(c), true, err
		case "equals":
			return value.Key(n) == value.Key(a[0]), true, nil
		case "round":
			f := math.Pow(10, float64(value.ToInt(a[0])))
			return math.Floor(value.ToFloat(n)*f+0.5) / f, true, nil
		case "setScale":
			return value.ToDecimal(n).Round(int(min(value.ToInt(a[0]), 10_000))), true, nil
		case "max", "min":
			if (value.CompareNumbers(n, a[0]) > 0) == (name == "max") {
				return n, true, nil
			}
			return a[0], true, nil
		case "remainder":
			v, err := t.operate("%", n, a[0])
			return v, true, err
		case "pow":
			v, err := t.operate("**", n, a[0])
			return v, true, err
		case "divide":
			v, err := t.operate("/", n, a[0])
			return v, true, err
		case "add", "subtract":
			v, err := t.operate(map[string]string{"add": "+", "subtract": "-"}[name], n, a[0])
			return v, true, err
		}
	case 2:
		c, ok := a[1].(*Closure)
		switch {
		case ok && name == "upto":
			return nil, true, t.count(value.ToInt(n), value.ToInt(a[0]), 1, c)
		case ok && name == "downto":
			return nil, true, t.count(value.ToInt(n), value.ToInt(a[0]), -1, c)
		case name == "setScale":
			return value.ToDecimal(n).Round(int(min(value.ToInt(a[0]), 10_000))), true, nil
		}
	case 3:
		if c, ok := a[2].(*Closure); ok && name == "step" && value.ToInt(a[1]) != 0 {
			by := value.ToInt(a[1])
			end := value.ToInt(a[0])
			if by > 0 {
				end--
			} else {
				end++
			}
			return nil, true, t.count(value.ToInt(n), end, by, c)
		}
	}
	return nil, false, nil
}

// count calls a closure with each number from i to end.
func (t *Thread) count(i, end, by int64, c *Closure) error {
	for ; by > 0 && i <= end || by < 0 && i >= end; i += by {
		if _, err := t.call(c, []value.Value{i}); err != nil {
			return err
		}
		if err := t.tick(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Thread) intdiv(a, b value.Value) (value.Value, error) {
	rank := max(value.RankOf(a), value.RankOf(b))
	if rank > value.BigRank {
		return nil, t.throwf("java.lang.UnsupportedOperationException", "Cannot use intdiv() on this number type: %s", value.TypeName(a))
	}
	y := value.ToBig(b)
	if y.Sign() == 0 {
		return nil, t.throw("java.lang.ArithmeticException", "/ by zero")
	}
	q := new(big.Int).Quo(value.ToBig(a), y)
	if rank == value.BigRank {
		return q, nil
	}
	return whole(q.Int64(), rank), nil
}

func (t *Thread) numberMethod0(n value.Value, name string) (value.Value, bool, error) {
	if class, ok := numberClass[name]; ok && strings.HasPrefix(name, "to") {
		return narrow(n, class), true, nil
	}
	switch name {
	case "intValue":
		return narrow(n, "java.lang.Integer"), true, nil
	case "longValue":
		return narrow(n, "java.lang.Long"), true, nil
	case "doubleValue", "floatValue":
		return value.ToFloat(n), true, nil
	case "abs":
		if value.CompareNumbers(n, int64(0)) < 0 {
			v, err := t.negative(n)
			return v, true, err
		}
		return n, true, nil
	case "negative", "negate", "unaryMinus":
		v, err := t.negative(n)
		return v, true, err
	case "next":
		v, err := t.operate("+", n, int64(1))
		return v, true, err
	case "previous":
		v, err := t.operate("-", n, int64(1))
		return v, true, err
	case "round":
		if d, ok := n.(*value.Decimal); ok {
			return d.Round(0), true, nil
		}
		return value.Long(int64(math.Floor(value.ToFloat(n) + 0.5))), true, nil
	case "ceil", "trunc", "floor":
		f := map[string]func(float64) float64{"ceil": math.Ceil, "trunc": math.Trunc, "floor": math.Floor}[name]
		return f(value.ToFloat(n)), true, nil
	case "toString":
		return value.String(n), true, nil
	case "toPlainString":
		return value.ToDecimal(n).Plain(), true, nil
	case "isNaN":
		return math.IsNaN(value.ToFloat(n)), true, nil
	case "isInfinite":
		return math.IsInf(value.ToFloat(n), 0), true, nil
	case "signum":
		return int64(value.CompareNumbers(n, int64(0))), true, nil
	case "stripTrailingZeros":
		d := value.ToDecimal(n)
		return d.Div(value.DecimalOf(big.NewInt(1))), true, nil
	case "scale":
		return int64(value.ToDecimal(n).Scale), true, nil
	case "toHexString":
		return strconv.FormatInt(value.ToInt(n), 16), true, nil
	}
	return nil, false, nil
}

func (t *Thread) closureMethod(c *Closure, name string, a []value.Value) (value.Value, bool, error) {
	switch name {
	case "call", "doCall", "run":
		v, err := t.call(c, a)
		return v, true, err
	case "curry", "ncurry":
		d := *c
		if name == "ncurry" && len(a) > 0 {
			if value.ToInt(a[0]) != 0 {
				return nil, false, nil
			}
			a = a[1:]
		}
		d.curried = append(c.curried[:len(c.curried):len(c.curried)], a...)
		return &d, true, nil
	case "rcurry":
		d := *c
		d.rcurried = append(append([]value.Value{}, a...), c.rcurried...)
		return &d, true, nil
	case "setDelegate", "setResolveStrategy":
		if len(a) == 1 {
			prop := uncapital(strings.TrimPrefix(name, "set"))
			return nil, true, t.setProperty(c, prop, a[0], nil)
		}
	case "getMaximumNumberOfParameters":
		return int64(max(c.Arity(), 0)), true, nil
	case "clone", "dehydrate", "trampoline":
		d := *c
		return &d, true, nil
	case "memoize":
		return t.memoize(c), true, nil
	case "rightShift", "leftShift":
		if len(a) == 1 {
			g, ok := a[0].(*Closure)
			if !ok {
				return nil, false, nil
			}
			first, second := c, g
			if name == "leftShift" {
				first, second = g, c
			}
			return &Closure{arity: first.Arity(), native: func(t *Thread, args []value.Value) (value.Value, error) {
				v, err := t.call(first, args)
				if err != nil {
					return nil, err
				}
				return t.call(second, []value.Value{v})
			}}, true, nil
		}
	case "rehydrate":
		if len(a) == 3 {
			d := *c
			d.delegate, d.given = a[0], true
			return &d, true, nil
		}
	case "asType":
		return c, true, nil
	case "getDelegate", "getOwner", "getThisObject":
		v, ok, err := t.closureGet(c, uncapital(strings.TrimPrefix(name, "get")))
		return v, ok, err
	}
	if c.stands {
		v, err := t.call(c, a)
		return v, true, err
	}
	if c.given {
		return t.tryInvoke(c.delegate, name, a)
	}
	return nil, false, nil
}

func (t *Thread) memoize(c *Closure) *Closure {
	seen := value.NewMap()
	return &Closure{arity: c.Arity(), native: func(t *Thread, args []value.Value) (value.Value, error) {
		key := &value.List{Elems: args}
		if v, ok := seen.Get(key); ok {
			return v, nil
		}
		v, err := t.call(c, args)
		if err == nil {
			seen.Put(key, v)
		}
		return v, err
	}}
}

// initException is the constructor of a Java exception: (), (message), (message, cause), (cause).
func (t *Thread) initException(ex *value.Exception, a []value.Value) error {
	if len(ex.Trace) == 0 {
		ex.Trace = []string{t.where()}
	}
	for _, x := range a {
		switch y := x.(type) {
		case *value.Exception:
			ex.Cause = y
			if len(a) == 1 {
				ex.Message = value.String(y)
			}
		case *instance:
			if y.exception != nil {
				ex.Cause = y.exception
			}
		case nil, bool:
		default:
			ex.Message = value.String(y)
		}
	}
	return nil
}

func (t *Thread) exceptionGet(ex *value.Exception, name string) (value.Value, bool, error) {
	if v, ok, err := t.exceptionMethod(ex, "get"+capital(name), nil); ok || err != nil {
		return v, ok, err
	}
	return nil, false, nil
}

func (t *Thread) exceptionMethod(ex *value.Exception, name string, a []value.Value) (value.Value, bool, error) {
	switch name {
	case "getMessage", "getLocalizedMessage":
		if ex.Message == "" && ex.Class != value.AbortException {
			return nil, true, nil
		}
		return ex.Message, true, nil
	case "getCause":
		if ex.Cause == nil {
			return nil, true, nil
		}
		return exceptionObject(ex.Cause), true, nil
	case "getClass":
		return &value.Class{Name: ex.Class}, true, nil
	case "toString":
		return value.String(ex), true, nil
	case "getResult":
		return ex.Result, true, nil
	case "getCauses":
		l := &value.List{}
		for _, c := range ex.Causes {
			l.Elems = append(l.Elems, cause(c))
		}
		return l, true, nil
	case "isActualInterruption":
		return ex.Interrupts(), true, nil
	case "getSuppressed":
		l := &value.List{Array: "Throwable"}
		for _, s := range ex.Suppressed {
			l.Elems = append(l.Elems, exceptionObject(s))
		}
		return l, true, nil
	case "addSuppressed":
		if len(a) == 1 {
			if o, ok := a[0].(*value.Exception); ok {
				ex.Suppressed = append(ex.Suppressed, o)
			}
			return nil, true, nil
		}
	case "initCause":
		if len(a) == 1 {
			return ex, true, t.initException(ex, []value.Value{a[0], ex.Message})
		}
	case "getStackTrace":
		return array(ex.Trace), true, nil
	case "printStackTrace":
		t.Print(StackTrace(ex))
		return nil, true, nil
	case "fillInStackTrace":
		return ex, true, nil
	case "getProperty":
		if rest, ok := strings.CutPrefix(ex.Message, "No such property: "); ok && len(a) == 0 {
			name, _, _ := strings.Cut(rest, " ")
			return name, true, nil
		}
	case "getMethod":
		if i := strings.LastIndex(ex.Message, "."); strings.HasSuffix(ex.Class, "MissingMethodException") && i > 0 {
			m, _, _ := strings.Cut(ex.Message[i+1:], "(")
			return m, true, nil
		}
	}
	return nil, false, nil
}

// StackTrace is what the console shows of an exception that nobody caught: its class, message and place, and its causes.
func StackTrace(ex *value.Exception) string {
	var b strings.Builder
	for depth := 0; ex != nil && depth < 20; depth++ {
		if depth > 0 {
			b.WriteString("\nCaused by: ")
		}
		b.WriteString(value.String(ex))
		for _, at := range ex.Trace {
			b.WriteString("\n\tat " + at)
		}
		ex = ex.Cause
	}
	return b.String()
}

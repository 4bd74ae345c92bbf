package interp

import (
	"fmt"
	"math"
	"math/big"

	"github.com/outwork-build/outwork/pipeline/value"
)

// operate applies an infix operator to two values.
func (t *Thread) operate(op string, a, b value.Value) (value.Value, error) {
	switch op {
	case "==", "!=":
		eq, err := t.equal(a, b)
		return eq == (op == "=="), err
	case "===", "!==":
		return (value.Key(a) == value.Key(b)) == (op == "==="), nil
	case "<", "<=", ">", ">=":
		c, err := t.compare(a, b)
		if err != nil {
			return nil, err
		}
		switch op {
		case "<":
			return c < 0, nil
		case "<=":
			return c <= 0, nil
		case ">":
			return c > 0, nil
		}
		return c >= 0, nil
	case "<=>":
		c, err := t.compare(a, b)
		return int64(c), err
	case "=~":
		r, err := t.regexOf(b)
		if err != nil {
			return nil, err
		}
		return value.NewMatcher(r, value.String(a)), nil
	case "==~":
		r, err := t.regexOf(b)
		if err != nil {
			return nil, err
		}
		m, err := r.Full(value.String(a))
		return m != nil, t.traced(err)
	case "in", "!in":
		ok, err := t.isCase(b, a)
		return ok == (op == "in"), err
	case "..", "..<":
		return t.rangeOf(a, b, op == "..<")
	case "&", "|", "^", ">>", ">>>":
		return t.bits(op, a, b)
	case "<<":
		return t.shift(a, b)
	}
	if value.RankOf(a) != value.NoNumber && value.RankOf(b) != value.NoNumber {
		return t.arithmetic(op, a, b)
	}
	switch op {
	case "+":
		return t.plus(a, b)
	case "-":
		return t.minus(a, b)
	case "*":
		return t.times(a, b)
	}
	return t.byMethod(op, a, b)
}

var methodOf = map[string]string{"+": "plus", "-": "minus", "*": "multiply", "/": "div", "%": "mod", "**": "power",
	"<<": "leftShift", ">>": "rightShift", ">>>": "rightShiftUnsigned", "&": "and", "|": "or", "^": "xor"}

func (t *Thread) byMethod(op string, a, b value.Value) (value.Value, error) {
	name := methodOf[op]
	if a == nil {
		if op == "+" {
			return nil, t.throw("java.lang.NullPointerException", "Cannot execute null+"+value.String(b))
		}
		return nil, t.throwf("java.lang.NullPointerException", "Cannot invoke method %s() on null object", name)
	}
	return t.invoke(a, name, []value.Value{b})
}

// equal is ==, which asks an equals or compareTo of the script's own classes.
func (t *Thread) equal(a, b value.Value) (bool, error) {
	if in, ok := a.(*instance); ok && b != nil {
		if ms := in.class.find("equals"); ms != nil {
			v, err := t.runMethod(ms[0], in, []value.Value{b})
			return value.Truth(v), err
		}
	}
	return value.Equal(a, b), nil
}

func (t *Thread) compare(a, b value.Value) (int, error) {
	if c, ok := value.Compare(a, b); ok {
		return c, nil
	}
	return 0, t.throwf("groovy.lang.GroovyRuntimeException", "Cannot compare %s with value '%s' and %s with value '%s'",
		value.TypeName(a), value.String(a), value.TypeName(b), value.String(b))
}

// arithmetic is an operator between numbers, by the higher of their ranks.
func (t *Thread) arithmetic(op string, a, b value.Value) (value.Value, error) {
	rank := max(value.RankOf(a), value.RankOf(b))
	if op == "**" {
		return t.power(a, b)
	}
	switch {
	case rank == value.FloatRank:
		return floats(op, value.ToFloat(a), value.ToFloat(b)), nil
	case rank == value.DecimalRank || op == "/":
		return t.decimals(op, a, b)
	case rank == value.BigRank:
		return t.bigs(op, value.ToBig(a), value.ToBig(b))
	}
	x, y := value.ToInt(a), value.ToInt(b)
	var r int64
	switch op {
	case "+":
		r = x + y
	case "-":
		r = x - y
	case "*":
		r = x * y
	case "%":
		if y == 0 {
			return nil, t.throw("java.lang.ArithmeticException", "/ by zero")
		}
		if y == -1 {
			return whole(0, rank), nil
		}
		r = x % y
	}
	return whole(r, rank), nil
}

// whole is an integer result, cut to the width of its type.
func whole(r int64, rank value.Rank) value.Value {
	if rank == value.IntRank {
		return int64(int32(r))
	}
	return value.Long(r)
}

func floats(op string, x, y float64) value.Value {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/":
		return x / y
	}
	return math.Mod(x, y)
}

func (t *Thread) decimals(op string, a, b value.Value) (value.Value, error) {
	x, y := value.ToDecimal(a), value.ToDecimal(b)
	if x.Unscaled.BitLen()+y.Unscaled.BitLen() > 1<<18 {
		return nil, t.throw("java.lang.ArithmeticException", "number too large")
	}
	switch op {
	case "+":
		return x.Add(y), nil
	case "-":
		return x.Sub(y), nil
	case "*":
		if s := x.Scale + y.Scale; s > 10_000 || s < -10_000 {
			return nil, t.throw("java.lang.ArithmeticException", "Overflow")
		}
		return x.Mul(y), nil
	case "/":
		if y.Unscaled.Sign() == 0 {
			return nil, t.throw("java.lang.ArithmeticException", "Division by zero")
		}
		return x.Div(y), nil
	}
	return nil, t.throw("java.lang.UnsupportedOperationException", fmt.Sprintf("Cannot use mod() on this number type: %s with value: %s", value.TypeName(a), value.String(a)))
}

func (t *Thread) bigs(op string, x, y *big.Int) (value.Value, error) {
	if x.BitLen()+y.BitLen() > 1<<18 {
		return nil, t.throw("java.lang.ArithmeticException", "number too large")
	}
	r := new(big.Int)
	switch op {
	case "+":
		return r.Add(x, y), nil
	case "-":
		return r.Sub(x, y), nil
	case "*":
		return r.Mul(x, y), nil
	}
	if y.Sign() <= 0 {
		return nil, t.throw("java.lang.ArithmeticException", "BigInteger: modulus not positive")
	}
	return r.Mod(x, y), nil
}

func (t *Thread) power(a, b value.Value) (value.Value, error) {
	exp := value.ToInt(b)
	ra, rb := value.RankOf(a), value.RankOf(b)
	if rb > value.LongRank || exp < 0 || exp > math.MaxInt32 || ra == value.FloatRank {
		f := math.Pow(value.ToFloat(a), value.ToFloat(b))
		if ra == value.FloatRank || f != math.Trunc(f) || math.IsInf(f, 0) || math.Abs(f) > math.MaxInt32 {
			return f, nil
		}
		return int64(f), nil
	}
	if ra == value.DecimalRank {
		d := a.(*value.Decimal)
		if int64(d.Unscaled.BitLen())*exp > 1<<18 || int64(d.Scale)*exp > 10_000 {
			return nil, t.throw("java.lang.ArithmeticException", "number too large")
		}
		return &value.Decimal{Unscaled: new(big.Int).Exp(d.Unscaled, big.NewInt(exp), nil), Scale: d.Scale * int(exp)}, nil
	}
	x := value.ToBig(a)
	if int64(x.BitLen())*exp > 1<<18 && x.BitLen() > 1 {
		return nil, t.throw("java.lang.ArithmeticException", "number too large")
	}
	r := new(big.Int).Exp(x, big.NewInt(exp), nil)
	switch {
	case ra == value.IntRank && r.IsInt64() && r.Int64() == int64(int32(r.Int64())):
		return r.Int64(), nil
	case ra == value.LongRank && r.IsInt64():
		return value.Long(r.Int64()), nil
	}
	return r, nil
}

func (t *Thread) negative(v value.Value) (value.Value, error) {
	switch x := v.(type) {
	case float64:
		return -x, nil
	case *value.Decimal:
		return x.Neg(), nil
	case *big.Int:
		return new(big.Int).Neg(x), nil
	}
	if r := value.RankOf(v); r != value.NoNumber {
		return whole(-value.ToInt(v), r), nil
	}
	return t.invokeOrNull(v, "negative", nil)
}

func (t *Thread) invokeOrNull(v value.Value, name string, args []value.Value) (value.Value, error) {
	if v == nil {
		return nil, t.throwf("java.lang.NullPointerException", "Cannot invoke method %s() on null object", name)
	}
	return t.invoke(v, name, args)
}

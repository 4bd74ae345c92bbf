package value

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Decimal is java.math.BigDecimal: Unscaled × 10^-Scale. It is never changed once made.
type Decimal struct {
	Unscaled *big.Int
	Scale    int
}

// maxScale keeps a hostile literal (1e999999999) from filling memory when scales are aligned.
const maxScale = 10_000

// ParseDecimal reads what BigDecimal's constructor reads: "-1.50", "1e-3".
func ParseDecimal(s string) (*Decimal, error) {
	bad := func() (*Decimal, error) { return nil, fmt.Errorf("decimal %q: expected digits", s) }
	mant, exp := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil {
			return bad()
		}
		mant, exp = s[:i], e
	}
	scale := 0
	if i := strings.IndexByte(mant, '.'); i >= 0 {
		scale = len(mant) - i - 1
		mant = mant[:i] + mant[i+1:]
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(mant, "+"), "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return bad()
	}
	if scale -= exp; scale > maxScale || scale < -maxScale || len(digits) > maxScale {
		return nil, fmt.Errorf("decimal %q: too many digits", s)
	}
	u, ok := new(big.Int).SetString(mant, 10)
	if !ok {
		return bad()
	}
	return &Decimal{u, scale}, nil
}

// DecimalOf makes a Decimal of a whole number.
func DecimalOf(i *big.Int) *Decimal { return &Decimal{i, 0} }

// DecimalOfFloat is the BigDecimal that Groovy makes of a double: by its shortest text.
func DecimalOfFloat(f float64) (*Decimal, error) {
	return ParseDecimal(strconv.FormatFloat(f, 'g', -1, 64))
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// atScale is the unscaled value at a scale not below d's own.
func (d *Decimal) atScale(scale int) *big.Int {
	if scale == d.Scale {
		return d.Unscaled
	}
	return new(big.Int).Mul(d.Unscaled, pow10(scale-d.Scale))
}

// Add, Sub and Mul keep the scales that Java keeps.
func (d *Decimal) Add(o *Decimal) *Decimal {
	s := max(d.Scale, o.Scale)
	return &Decimal{new(big.Int).Add(d.atScale(s), o.atScale(s)), s}
}

// Sub is d - o.
func (d *Decimal) Sub(o *Decimal) *Decimal {
	s := max(d.Scale, o.Scale)
	return &Decimal{new(big.Int).Sub(d.atScale(s), o.atScale(s)), s}
}

// Mul is d × o.
func (d *Decimal) Mul(o *Decimal) *Decimal {
	return &Decimal{new(big.Int).Mul(d.Unscaled, o.Unscaled), d.Scale + o.Scale}
}

// Neg is -d.
func (d *Decimal) Neg() *Decimal { return &Decimal{new(big.Int).Neg(d.Unscaled), d.Scale} }

// Precision is the number of digits of the unscaled value; 1 for zero.
func (d *Decimal) Precision() int {
	return len(new(big.Int).Abs(d.Unscaled).String())
}

// Div divides as Groovy does: exactly where the quotient ends, otherwise to ten digits more than the operands have. o must not be zero.
func (d *Decimal) Div(o *Decimal) *Decimal {
	preferred := d.Scale - o.Scale
	if d.Unscaled.Sign() == 0 {
		return &Decimal{new(big.Int), max(min(preferred, maxScale), 0)}
	}
	if q, ok := d.divExact(o, preferred); ok {
		return q
	}
	precision := max(d.Precision(), o.Precision()) + 10
	q := d.divRounded(o, precision)
	if scale := max(d.Scale, o.Scale, 10); q.Scale > scale {
		q = q.Round(scale)
	}
	return q
}

// divExact finds the quotient when its expansion ends, which it does when the reduced denominator has no factor but 2 and 5.
func (d *Decimal) divExact(o *Decimal, preferred int) (*Decimal, bool) {
	r := new(big.Rat).SetFrac(d.Unscaled, o.Unscaled)
	den := new(big.Int).Set(r.Denom())
	twos, fives := factor(den, 2), factor(den, 5)
	if den.Cmp(big.NewInt(1)) != 0 {
		return nil, false
	}
	digits := max(twos, fives)
	u := new(big.Int).Mul(r.Num(), pow10(digits))
	u.Quo(u, r.Denom())
	q := &Decimal{u, preferred + digits}
	return q.stripTo(preferred), true
}

func factor(n *big.Int, by int64) int {
	count, f := 0, big.NewInt(by)
	for {
		q, m := new(big.Int).QuoRem(n, f, new(big.Int))
		if m.Sign() != 0 {
			return count
		}
		n.Set(q)
		count++
	}
}

// stripTo removes trailing zeros down to a scale, or appends them up to it.
func (d *Decimal) stripTo(scale int) *Decimal {
	if d.Scale < scale {
		return &Decimal{d.atScale(scale), scale}
	}
	u, s, ten := new(big.Int).Set(d.Unscaled), d.Scale, big.NewInt(10)
	for s > scale {
		q, m := new(big.Int).QuoRem(u, ten, new(big.Int))
		if m.Sign() != 0 {
			break
		}
		u, s = q, s-1
	}
	return &Decimal{u, s}
}

func (d *Decimal) divRounded(o *Decimal, precision int) *Decimal {
	shift := max(precision+o.Precision()-d.Precision()+1, 0)
	q := &Decimal{new(big.Int).Quo(new(big.Int).Mul(d.Unscaled, pow10(shift+3)), o.Unscaled), d.Scale - o.Scale + shift + 3}
	if extra := q.Precision() - precision; extra > 0 {
		q = q.Round(q.Scale - extra)
	}
	return q
}

// Round returns d at a scale, half up.
func (d *Decimal) Round(scale int) *Decimal {
	if scale >= d.Scale {
		return &Decimal{d.atScale(scale), scale}
	}
	unit := pow10(d.Scale - scale)
	q, m := new(big.Int).QuoRem(d.Unscaled, unit, new(big.Int))
	if m.Abs(m).Lsh(m, 1).Cmp(unit) >= 0 {
		q.Add(q, big.NewInt(int64(d.Unscaled.Sign())))
	}
	return &Decimal{q, scale}
}

// Int is the whole part.
func (d *Decimal) Int() *big.Int {
	if d.Scale <= 0 {
		return d.atScale(0)
	}
	return new(big.Int).Quo(d.Unscaled, pow10(d.Scale))
}

// Float is the nearest double.
func (d *Decimal) Float() float64 {
	f, _ := strconv.ParseFloat(d.Unscaled.String()+"e"+strconv.Itoa(-d.Scale), 64)
	return f
}

// Cmp compares by value: 2.0 and 2.00 are equal.
func (d *Decimal) Cmp(o *Decimal) int {
	s := max(d.Scale, o.Scale)
	return d.atScale(s).Cmp(o.atScale(s))
}

// Plain is BigDecimal.toPlainString.
func (d *Decimal) Plain() string {
	if d.Scale <= 0 {
		return d.atScale(0).String()
	}
	digits := new(big.Int).Abs(d.Unscaled).String()
	if len(digits) <= d.Scale {
		digits = strings.Repeat("0", d.Scale-len(digits)+1) + digits
	}
	text := digits[:len(digits)-d.Scale] + "." + digits[len(digits)-d.Scale:]
	if d.Unscaled.Sign() < 0 {
		text = "-" + text
	}
	return text
}

// String is BigDecimal.toString: scientific when the scale is negative or the number very small.
func (d *Decimal) String() string {
	digits := new(big.Int).Abs(d.Unscaled).String()
	exp := len(digits) - 1 - d.Scale
	if d.Scale >= 0 && exp >= -6 {
		return d.Plain()
	}
	text := digits[:1]
	if len(digits) > 1 {
		text += "." + digits[1:]
	}
	if exp != 0 {
		text += fmt.Sprintf("E%+d", exp)
	}
	if d.Unscaled.Sign() < 0 {
		text = "-" + text
	}
	return text
}

package value

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// IsNumber reports whether v is one of the number types.
func IsNumber(v Value) bool {
	switch v.(type) {
	case int64, Long, float64, *big.Int, *Decimal:
		return true
	}
	return false
}

// Rank orders the number types by what Groovy promotes to.
type Rank uint8

const (
	NoNumber Rank = iota
	IntRank
	LongRank
	BigRank
	DecimalRank
	FloatRank
)

// RankOf is a value's rank; a Char is an int.
func RankOf(v Value) Rank {
	switch x := v.(type) {
	case int64:
		if x >= math.MinInt32 && x <= math.MaxInt32 {
			return IntRank
		}
		return LongRank
	case Long:
		return LongRank
	case Char:
		return IntRank
	case *big.Int:
		return BigRank
	case *Decimal:
		return DecimalRank
	case float64:
		return FloatRank
	}
	return NoNumber
}

// ToInt is the number as a 64-bit integer, cut as Java's longValue does.
func ToInt(v Value) int64 {
	switch x := v.(type) {
	case int64:
		return x
	case Long:
		return int64(x)
	case Char:
		return int64(x)
	case *big.Int:
		return int64(new(big.Int).And(x, new(big.Int).SetUint64(math.MaxUint64)).Uint64())
	case *Decimal:
		return ToInt(x.Int())
	case float64:
		switch {
		case math.IsNaN(x):
			return 0
		case x >= math.MaxInt64:
			return math.MaxInt64
		case x <= math.MinInt64:
			return math.MinInt64
		}
		return int64(x)
	}
	return 0
}

// ToFloat is the number as a double.
func ToFloat(v Value) float64 {
	switch x := v.(type) {
	case float64:
		return x
	case *big.Int:
		f, _ := new(big.Float).SetInt(x).Float64()
		return f
	case *Decimal:
		return x.Float()
	}
	return float64(ToInt(v))
}

// ToBig is the whole number as a big integer.
func ToBig(v Value) *big.Int {
	switch x := v.(type) {
	case *big.Int:
		return x
	case *Decimal:
		return x.Int()
	case float64:
		i, _ := big.NewFloat(x).Int(nil)
		return i
	}
	return big.NewInt(ToInt(v))
}

// ToDecimal is the number as a Decimal; nil for NaN and infinities.
func ToDecimal(v Value) *Decimal {
	switch x := v.(type) {
	case *Decimal:
		return x
	case float64:
		d, err := DecimalOfFloat(x)
		if err != nil {
			return nil
		}
		return d
	}
	return DecimalOf(ToBig(v))
}

// CompareNumbers orders two numbers by value; NaN is greater than all, as Double.compareTo has it.
func CompareNumbers(a, b Value) int {
	switch max(RankOf(a), RankOf(b)) {
	case FloatRank:
		x, y := ToFloat(a), ToFloat(b)
		switch {
		case math.IsNaN(x) && math.IsNaN(y) || x == y:
			return 0
		case math.IsNaN(x) || x > y:
			return 1
		}
		return -1
	case DecimalRank:
		return ToDecimal(a).Cmp(ToDecimal(b))
	case BigRank:
		return ToBig(a).Cmp(ToBig(b))
	}
	x, y := ToInt(a), ToInt(b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// FormatFloat is Double.toString.
func FormatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		if math.Signbit(f) {
			return "-0.0"
		}
		return "0.0"
	}
	if a := math.Abs(f); a >= 1e-3 && a < 1e7 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mant, exp, _ := strings.Cut(s, "e")
	if !strings.Contains(mant, ".") {
		mant += ".0"
	}
	n, _ := strconv.Atoi(exp)
	return mant + "E" + strconv.Itoa(n)
}

package interp

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

var verb = regexp.MustCompile(`%(\d+\$)?([-#+ 0,(]*)(\d+)?(\.\d+)?([a-zA-Z%])`)

// format is String.format.
func (t *Thread) format(layout string, args []value.Value) (value.Value, error) {
	var b strings.Builder
	at, used := 0, 0
	for _, m := range verb.FindAllStringSubmatchIndex(layout, -1) {
		if err := t.noPercent(layout[at:m[0]]); err != nil {
			return nil, err
		}
		b.WriteString(layout[at:m[0]])
		at = m[1]
		sub := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return layout[m[2*i]:m[2*i+1]]
		}
		f := formatSpec{flags: sub(2), precision: -1, verb: sub(5)[0]}
		f.width, _ = strconv.Atoi(sub(3))
		if p := sub(4); p != "" {
			f.precision, _ = strconv.Atoi(p[1:])
		}
		if f.width > 10_000 || f.precision > 10_000 {
			return nil, t.throw("java.util.IllegalFormatException", "width or precision too large: "+layout[m[0]:m[1]])
		}
		if f.verb == '%' || f.verb == 'n' {
			b.WriteString(map[byte]string{'%': "%", 'n': "\n"}[f.verb])
			continue
		}
		i := used
		if n := sub(1); n != "" {
			k, _ := strconv.Atoi(strings.TrimSuffix(n, "$"))
			i = k - 1
		} else {
			used++
		}
		if i < 0 || i >= len(args) {
			return nil, t.throwf("java.util.MissingFormatArgumentException", "Format specifier '%s'", layout[m[0]:m[1]])
		}
		s, ok := f.apply(args[i])
		if !ok {
			return nil, t.throwf("java.util.IllegalFormatConversionException", "%c != %s", f.verb, value.TypeName(args[i]))
		}
		b.WriteString(s)
	}
	if err := t.noPercent(layout[at:]); err != nil {
		return nil, err
	}
	b.WriteString(layout[at:])
	return t.newText(b.String())
}

func (t *Thread) noPercent(s string) error {
	if i := strings.IndexByte(s, '%'); i >= 0 {
		return t.throwf("java.util.UnknownFormatConversionException", "Conversion = '%s'", "%")
	}
	return nil
}

type formatSpec struct {
	flags            string
	width, precision int
	verb             byte
}

func (f formatSpec) has(flag string) bool { return strings.Contains(f.flags, flag) }

func (f formatSpec) apply(v value.Value) (string, bool) {
	s, ok := f.text(v)
	if !ok {
		return "", false
	}
	if f.verb >= 'A' && f.verb <= 'Z' {
		s = strings.ToUpper(s)
	}
	missing := f.width - length(s)
	switch {
	case missing <= 0:
	case f.has("-"):
		s += strings.Repeat(" ", missing)
	case f.has("0") && value.IsNumber(v):
		sign := ""
		if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
			sign, s = s[:1], s[1:]
		}
		s = sign + strings.Repeat("0", missing) + s
	default:
		s = strings.Repeat(" ", missing) + s
	}
	return s, true
}

func (f formatSpec) text(v value.Value) (string, bool) {
	if v == nil && f.verb != 'b' {
		return "null", true
	}
	switch f.verb | 0x20 {
	case 's':
		s := value.String(v)
		if f.precision >= 0 && f.precision < length(s) {
			s = cut(s, 0, f.precision)
		}
		return s, true
	case 'b':
		if b, ok := v.(bool); ok {
			return strconv.FormatBool(b), true
		}
		return strconv.FormatBool(v != nil), true
	case 'c':
		if c, ok := v.(value.Char); ok {
			return string(rune(c)), true
		}
		return string(rune(value.ToInt(v))), value.RankOf(v) == value.IntRank
	case 'd':
		if r := value.RankOf(v); r == value.NoNumber || r > value.BigRank {
			return "", false
		}
		return f.signed(value.ToBig(v).String(), ""), true
	case 'x', 'o':
		if r := value.RankOf(v); r == value.NoNumber || r > value.BigRank {
			return "", false
		}
		base := map[byte]int{'x': 16, 'o': 8}[f.verb|0x20]
		n := value.ToBig(v)
		if n.Sign() < 0 && value.RankOf(v) == value.IntRank {
			n = new(big.Int).Add(n, big.NewInt(1<<32))
		}
		return n.Text(base), true
	case 'f', 'e', 'g':
		if value.RankOf(v) < value.DecimalRank {
			return "", false
		}
		return f.float(v), true
	case 'h':
		return strconv.FormatUint(uint64(uint32(hashCode(v))), 16), true
	}
	return "", false
}

func (f formatSpec) float(v value.Value) string {
	p := f.precision
	if p < 0 {
		p = 6
	}
	if f.verb|0x20 == 'e' {
		return f.signed(fmt.Sprintf("%.*e", p, value.ToFloat(v)), "")
	}
	d := value.ToDecimal(v)
	if d == nil {
		return value.FormatFloat(value.ToFloat(v))
	}
	whole, frac, _ := strings.Cut(d.Round(p).Plain(), ".")
	return f.signed(whole, frac)
}

// signed groups the digits and adds the sign that the flags ask for.
func (f formatSpec) signed(whole, frac string) string {
	neg := strings.HasPrefix(whole, "-")
	whole = strings.TrimPrefix(whole, "-")
	if f.has(",") {
		for i := len(whole) - 3; i > 0; i -= 3 {
			whole = whole[:i] + "," + whole[i:]
		}
	}
	if frac != "" {
		whole += "." + frac
	}
	switch {
	case neg:
		return "-" + whole
	case f.has("+"):
		return "+" + whole
	case f.has(" "):
		return " " + whole
	}
	return whole
}

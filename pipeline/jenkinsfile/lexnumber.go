package jenkinsfile

import (
	"math/big"
	"strconv"
	"strings"
)

// number reads a number. A point belongs to it only when a digit follows.
func (l *lexer) number(start mark) {
	k, ok := l.scanNumber()
	if !ok {
		l.fail(start, "a number is not complete: %s", shorten(l.src[start.off:l.off]))
		return
	}
	l.emit(k, start, "")
}

// scanNumber steps over a number and says whether it is one.
func (l *lexer) scanNumber() (k kind, ok bool) {
	decimal := true // may go on with a fraction, an exponent or a suffix of a decimal
	l.off++
	if l.src[l.off-1] == '0' {
		decimal, ok = l.afterZero()
	} else {
		ok = l.digits(isDigit)
	}
	if !ok {
		return tInt, false
	}
	c := l.peek(0)
	switch {
	case oneOf(c, "lLiIgG"):
		l.off++
		return tInt, true
	case decimal && c == '.' && isDigit(l.peek(1)):
		l.off++
		if !l.digits(isDigit) {
			return tDecimal, false
		}
		if oneOf(l.peek(0), "eE") && !l.exponent() {
			return tDecimal, false
		}
	case decimal && oneOf(c, "eE"):
		if !l.exponent() {
			return tDecimal, false
		}
	case decimal && oneOf(c, "fFdD"):
	default:
		return tInt, true
	}
	if oneOf(l.peek(0), "fFdDgG") {
		l.off++
	}
	return tDecimal, true
}

func oneOf(c byte, set string) bool { return c != 0 && strings.IndexByte(set, c) >= 0 }

// afterZero reads what may follow a leading zero and reports whether the number is a decimal so far.
func (l *lexer) afterZero() (decimal, ok bool) {
	switch c := l.peek(0); {
	case c == 'x' || c == 'X':
		l.off++
		return false, hexDigit(l.peek(0)) >= 0 && l.digits(func(c byte) bool { return hexDigit(c) >= 0 })
	case c == 'b' || c == 'B':
		l.off++
		binary := func(c byte) bool { return c == '0' || c == '1' }
		return false, binary(l.peek(0)) && l.digits(binary)
	case isDigit(c) && l.leadingZeroDecimal():
		return true, l.digits(isDigit)
	case c >= '0' && c <= '7':
		return false, l.digits(func(c byte) bool { return c >= '0' && c <= '7' })
	}
	return true, true
}

// leadingZeroDecimal looks ahead for digits followed by a fraction, an exponent or a suffix: 09.5, 07f.
func (l *lexer) leadingZeroDecimal() bool {
	n := 0
	for isDigit(l.peek(n)) || l.peek(n) == '_' {
		n++
	}
	switch c := l.peek(n); c {
	case '.':
		return isDigit(l.peek(n + 1))
	case 'f', 'F', 'd', 'D':
		return true
	case 'e', 'E':
		d := l.peek(n + 1)
		return isDigit(d) || d == '+' || d == '-' || d == '_'
	}
	return false
}

// digits reads digits and the underscores between them; an underscore may not be the last.
func (l *lexer) digits(is func(byte) bool) bool {
	for is(l.peek(0)) || l.peek(0) == '_' {
		l.off++
	}
	return l.src[l.off-1] != '_'
}

// exponent reads e+12.
func (l *lexer) exponent() bool {
	l.off++
	if oneOf(l.peek(0), "+-") {
		l.off++
	}
	if !isDigit(l.peek(0)) && l.peek(0) != '_' {
		return false
	}
	return l.digits(isDigit)
}

// numberLit makes the literal of a number's text.
func numberLit(k kind, raw string) *Lit {
	text := strings.ReplaceAll(raw, "_", "")
	if k == tDecimal {
		return decimalLit(text, raw)
	}
	suffix := byte(0)
	if strings.IndexByte("lLiIgG", text[len(text)-1]) >= 0 {
		suffix = text[len(text)-1] | 0x20
		text = text[:len(text)-1]
	}
	n, ok := new(big.Int).SetString(groovyInt(text), 0)
	if !ok {
		n = new(big.Int)
	}
	switch {
	case suffix == 'g' || suffix == 0 && !n.IsInt64():
		return &Lit{Kind: BigInt, Value: n, Raw: raw}
	case suffix == 'i':
		return &Lit{Kind: Int, Value: int64(int32(n.Int64())), Raw: raw}
	case suffix == 'l' || n.Int64() != int64(int32(n.Int64())):
		return &Lit{Kind: Long, Value: n.Int64(), Raw: raw}
	}
	return &Lit{Kind: Int, Value: n.Int64(), Raw: raw}
}

// groovyInt writes an integer's text so that math/big reads it: 017 is octal in both.
func groovyInt(text string) string {
	if len(text) > 1 && text[0] == '0' && isDigit(text[1]) {
		return "0o" + text[1:]
	}
	return text
}

func decimalLit(text, raw string) *Lit {
	switch last := text[len(text)-1] | 0x20; last {
	case 'f':
		f, _ := strconv.ParseFloat(text[:len(text)-1], 32)
		return &Lit{Kind: Float, Value: f, Raw: raw}
	case 'd':
		f, _ := strconv.ParseFloat(text[:len(text)-1], 64)
		return &Lit{Kind: Double, Value: f, Raw: raw}
	case 'g':
		text = text[:len(text)-1]
	}
	return &Lit{Kind: Decimal, Value: text, Raw: raw}
}

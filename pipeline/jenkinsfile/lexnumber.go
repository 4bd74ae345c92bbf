package jenkinsfile

import (
	"math/big"
	"strconv"
	"strings"
)

// number reads a number. A point belongs to it only when a digit follows.
func (l *lexer) number(start mark) {
	k := tInt
	decimal := true // may go on with a fraction, an exponent or a suffix of a decimal
	if l.src[l.off] == '0' {
		l.off++
		decimal = l.afterZero(start)
	} else {
		l.off++
		l.digits(isDigit)
	}
	switch c := l.peek(0); {
	case strings.IndexByte("lLiIgG", c) >= 0 && c != 0:
		l.off++
	case decimal && c == '.' && isDigit(l.peek(1)):
		k = tDecimal
		l.off++
		l.digits(isDigit)
		l.exponent()
		l.decimalSuffix("fFdDgG")
	case decimal && (c == 'e' || c == 'E') && l.atExponent():
		k = tDecimal
		l.exponent()
		l.decimalSuffix("fFdDgG")
	case decimal && strings.IndexByte("fFdD", c) >= 0 && c != 0:
		k = tDecimal
		l.off++
	}
	if text := l.src[start.off:l.off]; strings.Contains(text, "__") || text[len(text)-1] == '_' {
		if text[len(text)-1] == '_' {
			l.fail(start, "a number cannot end with an underscore")
			return
		}
	}
	l.emit(k, start, "")
}

// afterZero reads what may follow a leading zero and reports whether the number is a decimal so far.
func (l *lexer) afterZero(start mark) bool {
	switch c := l.peek(0); {
	case c == 'x' || c == 'X':
		l.off++
		if hexDigit(l.peek(0)) < 0 {
			l.fail(start, "unexpected char after 0x: expecting a hexadecimal digit")
			return false
		}
		l.digits(func(c byte) bool { return hexDigit(c) >= 0 })
		return false
	case (c == 'b' || c == 'B') && (l.peek(1) == '0' || l.peek(1) == '1'):
		l.off++
		l.digits(func(c byte) bool { return c == '0' || c == '1' })
		return false
	case isDigit(c) && l.leadingZeroDecimal():
		l.digits(isDigit)
		return true
	case c >= '0' && c <= '7':
		l.digits(func(c byte) bool { return c >= '0' && c <= '7' })
		return false
	}
	return true
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

// digits reads digits and the underscores between them.
func (l *lexer) digits(is func(byte) bool) {
	for is(l.peek(0)) || l.peek(0) == '_' {
		l.off++
	}
}

func (l *lexer) atExponent() bool {
	c := l.peek(1)
	if c == '+' || c == '-' {
		c = l.peek(2)
	}
	return isDigit(c) || c == '_'
}

func (l *lexer) exponent() {
	if c := l.peek(0); c != 'e' && c != 'E' || !l.atExponent() {
		return
	}
	l.off++
	if c := l.peek(0); c == '+' || c == '-' {
		l.off++
	}
	l.digits(isDigit)
}

func (l *lexer) decimalSuffix(set string) {
	if c := l.peek(0); c != 0 && strings.IndexByte(set, c) >= 0 {
		l.off++
	}
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

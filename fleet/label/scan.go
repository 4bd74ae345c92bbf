package label

import (
	"strings"
)

// kind is what a token is.
type kind uint8

const (
	end kind = iota
	word
	open
	shut
	not
	and
	or
	implies
	iff
)

type token struct {
	kind kind
	at   int    // byte offset in the input
	text string // as typed
	name string // of a word: the label
}

// fixed are the tokens with one spelling, longest first.
var fixed = [...]struct {
	text string
	kind kind
}{{"<->", iff}, {"->", implies}, {"&&", and}, {"||", or}, {"(", open}, {")", shut}, {"!", not}}

// scan reads the token at or after the byte at i.
func scan(s string, i int) (token, error) {
	for i < len(s) && strings.IndexByte(" \t\r\n", s[i]) >= 0 {
		i++
	}
	if i == len(s) {
		return token{kind: end, at: i}, nil
	}
	for _, f := range fixed {
		if strings.HasPrefix(s[i:], f.text) {
			return token{kind: f.kind, at: i, text: f.text}, nil
		}
	}
	if s[i] == '"' {
		return scanString(s, i)
	}
	if n := atomLen(s[i:]); n > 0 {
		return token{kind: word, at: i, text: s[i : i+n], name: s[i : i+n]}, nil
	}
	return token{}, wrong(s, i, "%s", stray(s[i]))
}

// stray says what is wrong with a character that begins no token.
func stray(c byte) string {
	switch c {
	case '&':
		return "expected &&, found a single &"
	case '|':
		return "expected ||, found a single |"
	case '<':
		return "expected <->, found <"
	case '>':
		return "expected -> or <->, found >"
	case '\'':
		return "a label with ' in it must stand in double quotes"
	}
	return "a label with a control character in it must stand in double quotes"
}

// atomLen is the length of the ATOM that s begins with.
func atomLen(s string) int {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c == 0x7f || strings.IndexByte(`&|!<>()"'`, c) >= 0 || c == '-' && i+1 < len(s) && s[i+1] == '>' {
			return i
		}
	}
	return len(s)
}

func isAtom(s string) bool { return s != "" && atomLen(s) == len(s) }

const escapes = "btn\x00fr" // the letters of \b \t \n \f \r, each where its character stands, counted from '\b'

// scanString reads the quoted label that begins at i.
func scanString(s string, i int) (token, error) {
	var name strings.Builder
	for j := i + 1; j < len(s); j++ {
		switch c := s[j]; c {
		case '"':
			if name.Len() == 0 {
				return token{}, wrong(s, i, "a label cannot be empty")
			}
			return token{kind: word, at: i, text: s[i : j+1], name: name.String()}, nil
		case '\r', '\n':
			return token{}, wrong(s, i, "expected a closing quote on the same line as the opening one")
		case '\\':
			j++
			if j == len(s) {
				return token{}, wrong(s, i, "expected a closing quote for the one")
			}
			c, ok := unescape(s[j])
			if !ok {
				return token{}, wrong(s, j-1, `expected one of \b \t \n \f \r \" \' \\`)
			}
			name.WriteByte(c)
		default:
			name.WriteByte(c)
		}
	}
	return token{}, wrong(s, i, "expected a closing quote for the one")
}

func unescape(c byte) (byte, bool) {
	if c == '"' || c == '\'' || c == '\\' {
		return c, true
	}
	if i := strings.IndexByte(escapes, c); i >= 0 && c != 0 {
		return byte('\b' + i), true
	}
	return 0, false
}

// quoted returns s itself when plain says that it needs no quotes.
func quoted(s string, plain func(string) bool) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
		case c == '\r' || c == '\n':
			b.WriteByte('\\')
			c = escapes[c-'\b']
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}

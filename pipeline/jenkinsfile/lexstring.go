package jenkinsfile

import (
	"strings"
	"unicode/utf8"
)

const (
	badDollar = "illegal string body character after dollar sign;\n   solution: either escape a literal dollar sign \"\\$5\" or bracket the value expression \"${5}\""
	openShort = "this string has no end on its line; expecting %s (for multi-line literals, use triple quotes '''x''' or \"\"\"x\"\"\")"
	openLong  = "this string has no end; expecting %s"
)

// atPart reports whether the dollar sign at off begins a part: ${…} or $name.
func (l *lexer) atPart() bool {
	rest := l.src[l.off+1:]
	if strings.HasPrefix(rest, "*") {
		rest = rest[1:]
	}
	if rest == "" {
		return false
	}
	if rest[0] == '{' {
		return true
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return startsName(r)
}

// singleQuoted reads a string in one or three single quotes.
func (l *lexer) singleQuoted(start mark) {
	long := strings.HasPrefix(l.src[l.off:], "'''")
	l.off++
	if long {
		l.off += 2
	}
	from := l.off
	l.buf = l.buf[:0]
	plain := true // the value is the source itself
	for {
		if l.off >= len(l.src) {
			l.openString(start, long, "'", "'''")
			return
		}
		c := l.src[l.off]
		switch {
		case c == '\'' && (!long || l.atLongEnd('\'')):
			l.emitString(tString, start, from, plain)
			l.close(long)
			l.tokens[len(l.tokens)-1].end = l.mark()
			return
		case c == '\\':
			plain = l.startCopy(plain, from)
			if !l.escape() {
				return
			}
		case c == '\n' || c == '\r':
			if !long {
				l.openString(start, long, "'", "'''")
				return
			}
			if c == '\r' {
				plain = l.startCopy(plain, from)
			}
			l.newline()
			if !plain {
				l.buf = append(l.buf, '\n')
			}
		default:
			l.copyRune(plain)
		}
	}
}

// atLongEnd reports whether the quote at off is the first of the three that end a string: one or two quotes that are not
// followed by that many more belong to the text.
func (l *lexer) atLongEnd(q byte) bool { return l.peek(1) == q && l.peek(2) == q }

// close steps over the quotes at the end.
func (l *lexer) close(long bool) {
	l.off++
	if long {
		l.off += 2
	}
}

// startCopy turns from taking the value out of the source to building it.
func (l *lexer) startCopy(plain bool, from int) bool {
	if plain {
		l.buf = append(l.buf[:0], l.src[from:l.off]...)
	}
	return false
}

func (l *lexer) copyRune(plain bool) {
	at := l.off
	l.rune()
	if !plain {
		l.buf = append(l.buf, l.src[at:l.off]...)
	}
}

// emitString emits a piece of a string that ends at off.
func (l *lexer) emitString(k kind, start mark, from int, plain bool) {
	if plain {
		l.emit(k, start, l.src[from:l.off])
		return
	}
	l.emit(k, start, string(l.buf))
}

// openString reports a string without end.
func (l *lexer) openString(start mark, long bool, short, triple string) {
	if !long {
		l.fail(start, openShort, short)
		return
	}
	l.swallowed = true
	l.fail(start, openLong, triple)
}

// doubleQuoted reads the start of "…" and """…""".
func (l *lexer) doubleQuoted(start mark) {
	if strings.HasPrefix(l.src[l.off:], `"""`) {
		l.off += 3
		l.text(start, quoteTriple, true)
		return
	}
	l.off++
	l.short++
	l.text(start, quoteDouble, true)
}

// continueString reads on after a part.
func (l *lexer) continueString() {
	q := l.quote
	l.quote, l.resume = quoteNone, resumeNot
	switch q {
	case quoteSlash:
		l.slashyText(l.mark(), false)
	case quoteDollar:
		l.dollarText(l.mark(), false)
	default:
		l.text(l.mark(), q, false)
	}
}

// pieceKind is the kind of a piece of a string: first says that it is the first, part that a part follows.
func pieceKind(first, part bool) kind {
	switch {
	case first && part:
		return tStrStart
	case first:
		return tString
	case part:
		return tStrMiddle
	}
	return tStrEnd
}

// endPiece emits a piece before the dollar sign at off and turns to the part.
func (l *lexer) endPiece(start mark, from int, plain, first bool, q quote) {
	l.emitString(pieceKind(first, true), start, from, plain)
	l.off++
	l.tokens[len(l.tokens)-1].end = l.mark()
	l.quote, l.resume = q, resumeValue
}

// text reads a piece of a double-quoted string.
func (l *lexer) text(start mark, q quote, first bool) {
	long := q == quoteTriple
	from := l.off
	l.buf = l.buf[:0]
	plain := true
	for {
		if l.off >= len(l.src) {
			l.openString(start, true, "", map[bool]string{true: `"""`, false: `"`}[long])
			return
		}
		c := l.src[l.off]
		switch {
		case c == '"' && (!long || l.atLongEnd('"')):
			l.emitString(pieceKind(first, false), start, from, plain)
			l.close(long)
			l.tokens[len(l.tokens)-1].end = l.mark()
			if !long {
				l.short = max(l.short-1, 0)
			}
			return
		case c == '$':
			if !l.atPart() {
				at := l.mark()
				l.off++
				l.fail(at, badDollar)
				l.skipString(q)
				return
			}
			l.endPiece(start, from, plain, first, q)
			return
		case c == '\\':
			plain = l.startCopy(plain, from)
			if !l.escape() {
				l.skipString(q)
				return
			}
		case c == '\n' || c == '\r':
			if !long {
				l.short = max(l.short-1, 0)
				l.openString(start, false, `"`, "")
				return
			}
			if c == '\r' {
				plain = l.startCopy(plain, from)
			}
			l.newline()
			if !plain {
				l.buf = append(l.buf, '\n')
			}
		default:
			l.copyRune(plain)
		}
	}
}

// skipString steps over the rest of a string in which an error was found, so that its text is not taken for code.
func (l *lexer) skipString(q quote) {
	for l.off < len(l.src) {
		switch c := l.src[l.off]; {
		case c == '\\' && l.off+1 < len(l.src) && l.src[l.off+1] != '\n' && l.src[l.off+1] != '\r':
			l.off++
			l.rune()
		case c == '"' && q == quoteDouble:
			l.off++
			l.short = max(l.short-1, 0)
			return
		case c == '"' && l.atLongEnd('"'):
			l.off += 3
			return
		case c == '\n' || c == '\r':
			if q == quoteDouble {
				l.short = max(l.short-1, 0)
				return
			}
			l.newline()
		default:
			l.rune()
		}
	}
}

// escape reads a backslash sequence into buf; on an unknown one it emits an error and returns false.
func (l *lexer) escape() bool {
	start := l.mark()
	l.off++
	if l.off >= len(l.src) {
		l.fail(start, "this string has no end; a backslash stands at the end of the file")
		return false
	}
	c := l.src[l.off]
	if i := strings.IndexByte(`nrtbf"'\$`, c); i >= 0 {
		l.off++
		l.buf = append(l.buf, "\n\r\t\b\f\"'\\$"[i])
		return true
	}
	switch {
	case c == 'u':
		return l.unicodeEscape(start)
	case c >= '0' && c <= '7':
		l.octalEscape(c)
		return true
	case c == '\n' || c == '\r':
		l.newline()
		return true
	}
	r := l.rune()
	l.fail(start, "unexpected char: '\\' (\\%c is no escape sequence; write \\\\%c for a backslash)", r, r)
	return false
}

func (l *lexer) unicodeEscape(start mark) bool {
	for l.peek(0) == 'u' {
		l.off++
	}
	var r rune
	for range 4 {
		d := hexDigit(l.peek(0))
		if d < 0 {
			l.fail(start, "Did not find four digit hex character code after \\u")
			return false
		}
		r = r<<4 | rune(d)
		l.off++
	}
	l.buf = utf8.AppendRune(l.buf, r)
	return true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func (l *lexer) octalEscape(first byte) {
	digits := 2
	if first <= '3' {
		digits = 3
	}
	var r rune
	for i := 0; i < digits && l.peek(0) >= '0' && l.peek(0) <= '7'; i++ {
		r = r<<3 | rune(l.peek(0)-'0')
		l.off++
	}
	l.buf = utf8.AppendRune(l.buf, r)
}

// slashy reads the start of /…/. It cannot be empty: // is a comment.
func (l *lexer) slashy(start mark) {
	l.off++
	l.short++
	l.slashyText(start, true)
}

// slashyText reads a piece of a slashy string.
func (l *lexer) slashyText(start mark, first bool) {
	from := l.off
	l.buf = l.buf[:0]
	for {
		if l.off >= len(l.src) {
			l.short = 0
			l.openString(start, true, "", "/")
			return
		}
		c := l.src[l.off]
		switch {
		case c == '/':
			l.emitString(pieceKind(first, false), start, from, false)
			l.off++
			l.tokens[len(l.tokens)-1].end = l.mark()
			l.short = max(l.short-1, 0)
			return
		case c == '$':
			if l.atPart() {
				l.endPiece(start, from, false, first, quoteSlash)
				return
			}
			l.copyRune(false)
		case c == '\\' && l.peek(1) == '/':
			l.off += 2
			l.buf = append(l.buf, '/')
		case c == '\\' && (l.peek(1) == '\n' || l.peek(1) == '\r'):
			l.off++
			l.newline()
		case c == '\\' && l.peek(1) == 'u' && hexDigit(l.peek(2)) >= 0:
			at := l.mark()
			l.off++
			if !l.unicodeEscape(at) {
				l.short = max(l.short-1, 0)
				return
			}
		case c == '\n' || c == '\r':
			l.newline()
			l.buf = append(l.buf, '\n')
		default:
			l.copyRune(false)
		}
	}
}

// dollarSlashy reads the start of $/…/$.
func (l *lexer) dollarSlashy(start mark) {
	l.off += 2
	l.dollarText(start, true)
}

// dollarText reads a piece of a dollar slashy string.
func (l *lexer) dollarText(start mark, first bool) {
	from := l.off
	l.buf = l.buf[:0]
	for {
		if l.off >= len(l.src) {
			l.openString(start, true, "", "/$")
			return
		}
		c, c1 := l.src[l.off], l.peek(1)
		switch {
		case c == '/' && c1 == '$' && first && l.off == from:
			l.off += 2
			l.fail(start, "a $/string/$ cannot be empty")
			return
		case c == '/' && c1 == '$':
			l.emitString(pieceKind(first, false), start, from, false)
			l.off += 2
			l.tokens[len(l.tokens)-1].end = l.mark()
			return
		case c == '$' && (c1 == '$' || c1 == '/'):
			l.buf = append(l.buf, c1)
			l.off += 2
		case c == '$' && l.atPart():
			l.endPiece(start, from, false, first, quoteDollar)
			return
		case c == '\\' && (c1 == '\n' || c1 == '\r'):
			l.off++
			l.newline()
		case c == '\n' || c == '\r':
			l.newline()
			l.buf = append(l.buf, '\n')
		default:
			l.copyRune(false)
		}
	}
}

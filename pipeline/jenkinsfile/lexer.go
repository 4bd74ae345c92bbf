package jenkinsfile

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// quote says how a string that may have parts is written.
type quote uint8

const (
	quoteNone   quote = iota
	quoteDouble       // "…"
	quoteTriple       // """…"""
	quoteSlash        // /…/
	quoteDollar       // $/…/$
)

// resume says what the lexer does next inside a string with parts.
type resume uint8

const (
	resumeNot   resume = iota
	resumeValue        // a part is being read
	resumeText         // the string's own text goes on
)

// frame is what a brace interrupts.
type frame struct {
	parens int
	quote  quote
	resume resume
}

// lexer cuts a script into tokens, all at once: what a character means depends on the tokens before it and never on the
// parser. Newlines inside ( and [ mean nothing; inside { they do, so braces keep a stack of what they interrupt.
type lexer struct {
	src  string
	off  int
	line int
	// bol is the offset of the line's start; wide counts the bytes on it that are not the first of their rune.
	bol, wide int

	parens int
	quote  quote
	resume resume
	stack  []frame
	// short counts the strings on one line that are open: a newline inside their parts is an error.
	short int

	last   kind // last token that was not left out
	tokens []token
	buf    []byte
	// swallowed says that a string or comment without an end has eaten the rest of the file.
	swallowed bool
}

// lex returns the tokens of a script; the last is tEOF. Errors are tokens too.
func lex(src string) *lexer {
	l := &lexer{src: src, line: 1, tokens: make([]token, 0, len(src)/5+16)}
	if len(src) >= 2 && src[0] == '#' && src[1] == '!' {
		l.lineComment()
	}
	for l.next() {
	}
	return l
}

func (l *lexer) mark() mark {
	return mark{off: int32(l.off), line: int32(l.line), col: int32(l.off - l.bol - l.wide + 1)}
}

// peek returns the byte n places ahead, or 0.
func (l *lexer) peek(n int) byte {
	if l.off+n < len(l.src) {
		return l.src[l.off+n]
	}
	return 0
}

func (l *lexer) emit(k kind, start mark, text string) {
	l.tokens = append(l.tokens, token{kind: k, start: start, end: l.mark(), text: text})
	l.last = k
}

func (l *lexer) fail(start mark, format string, args ...any) {
	l.tokens = append(l.tokens, token{kind: tError, start: start, end: l.mark(), text: fmt.Sprintf(format, args...)})
	l.last = tError
}

// newline steps over one line ending at off.
func (l *lexer) newline() {
	if l.src[l.off] == '\r' && l.peek(1) == '\n' {
		l.off++
	}
	l.off++
	l.line++
	l.bol, l.wide = l.off, 0
}

// rune steps over one rune that is no line ending and returns it.
func (l *lexer) rune() rune {
	c := l.src[l.off]
	if c < utf8.RuneSelf {
		l.off++
		return rune(c)
	}
	r, n := utf8.DecodeRuneInString(l.src[l.off:])
	l.off += n
	l.wide += n - 1
	return r
}

// next reads one token, or steps over blanks; it returns false at the end.
func (l *lexer) next() bool {
	if l.resume == resumeText {
		l.continueString()
		return true
	}
	if l.off >= len(l.src) {
		l.emit(tEOF, l.mark(), "")
		return false
	}
	start := l.mark()
	c := l.src[l.off]
	switch {
	case c == ' ' || c == '\t' || c == '\f':
		l.off++
	case c == '\\' && (l.peek(1) == '\n' || l.peek(1) == '\r'):
		l.off++
		l.newline()
	case c == '\n' || c == '\r':
		l.newlines(start)
	case c == '/' && l.peek(1) == '/':
		l.lineComment()
	case c == '/' && l.peek(1) == '*':
		l.blockComment(start)
	case c >= '0' && c <= '9':
		l.number(start)
	case c == '\'':
		l.singleQuoted(start)
	case c == '"':
		l.doubleQuoted(start)
	case c == '/' && !l.last.endsExpression():
		l.slashy(start)
	case c == '$' && l.peek(1) == '/' && !l.last.endsExpression():
		l.dollarSlashy(start)
	case isLetter(c) || c == '$' && l.resume == resumeNot:
		l.word(start)
	case c >= utf8.RuneSelf:
		l.wideRune(start)
	default:
		l.operator(start, c)
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// isWideLetter reports whether a rune outside of ASCII may be part of a name.
func isWideLetter(r rune) bool {
	return r >= 0xC0 && r != 0xD7 && r != 0xF7 && r != 0xFFFF
}

// startsName reports whether a name can follow a dollar sign or a dot inside a string.
func startsName(r rune) bool {
	if r < utf8.RuneSelf {
		return isLetter(byte(r))
	}
	return r < 0x10000 && isWideLetter(r) && unicode.In(r, unicode.L, unicode.Nl, unicode.Sc, unicode.Pc)
}

// newlines reads a newline and all newlines, blanks and comments after it as one token.
func (l *lexer) newlines(start mark) {
	if l.short > 0 {
		l.brokenLine(start)
		return
	}
	l.newline()
	end := l.mark()
	if l.peek(0) == '/' && l.peek(1) != '/' && l.peek(1) != '*' {
		at := l.mark()
		l.off++
		l.fail(at, "unexpected char: '/' (a line cannot begin with it; put a blank before it)")
		return
	}
	for l.off < len(l.src) {
		switch c := l.src[l.off]; {
		case c == '\n' || c == '\r':
			l.newline()
			end = l.mark()
		case c == ' ' || c == '\t' || c == '\f':
			l.off++
		case c == '\\' && (l.peek(1) == '\n' || l.peek(1) == '\r'):
			l.off++
			l.newline()
		case c == '/' && l.peek(1) == '/':
			l.lineComment()
		case c == '/' && l.peek(1) == '*':
			if !l.blockComment(l.mark()) {
				return
			}
		default:
			l.endNewlines(start, end)
			return
		}
	}
	l.endNewlines(start, end)
}

func (l *lexer) endNewlines(start, end mark) {
	if l.parens != 0 || len(l.tokens) > 0 && l.tokens[len(l.tokens)-1].kind == tNewline {
		return
	}
	l.tokens = append(l.tokens, token{kind: tNewline, start: start, end: end})
	l.last = tNewline
}

// brokenLine reports a newline inside a part of a string on one line and gives the string up.
func (l *lexer) brokenLine(start mark) {
	l.fail(start, "end of line reached within a simple string 'x' or \"x\" or /x/;\n   solution: for multi-line literals, use triple quotes '''x''' or \"\"\"x\"\"\" or /x/ or $/x/$")
	l.short = 0
	l.newline()
}

func (l *lexer) lineComment() {
	for l.off < len(l.src) && l.src[l.off] != '\n' && l.src[l.off] != '\r' {
		l.rune()
	}
}

// blockComment steps over a comment; false when it has no end.
func (l *lexer) blockComment(start mark) bool {
	l.off += 2
	for l.off < len(l.src) {
		switch c := l.src[l.off]; {
		case c == '*' && l.peek(1) == '/':
			l.off += 2
			return true
		case c == '\n' || c == '\r':
			if l.short > 0 {
				l.brokenLine(l.mark())
				continue
			}
			l.newline()
		default:
			l.rune()
		}
	}
	l.swallowed = true
	l.fail(start, "this comment has no end; expecting \"*/\"")
	return false
}

// wideRune reads a name that begins with a rune outside of ASCII, or refuses it.
func (l *lexer) wideRune(start mark) {
	r, _ := utf8.DecodeRuneInString(l.src[l.off:])
	if isWideLetter(r) {
		l.word(start)
		return
	}
	if r == 0xFEFF && l.off == 0 {
		l.rune()
		return
	}
	l.rune()
	l.fail(start, "unexpected char: 0x%X", r)
}

// word reads a name or keyword.
func (l *lexer) word(start mark) {
	dollar := l.resume == resumeNot
	for l.off < len(l.src) {
		c := l.src[l.off]
		if isLetter(c) || isDigit(c) || c == '$' && dollar {
			l.off++
			continue
		}
		if c < utf8.RuneSelf {
			break
		}
		if r, _ := utf8.DecodeRuneInString(l.src[l.off:]); !isWideLetter(r) {
			break
		}
		l.rune()
	}
	word := l.src[start.off:l.off]
	if l.resume != resumeNot {
		l.afterShortName()
	}
	l.emit(l.wordKind(word), start, "")
}

// afterShortName decides, after $name inside a string, whether .name follows or the string's text.
func (l *lexer) afterShortName() {
	if l.peek(0) == '.' {
		if r, _ := utf8.DecodeRuneInString(l.src[l.off+1:]); startsName(r) {
			l.resume = resumeValue
			return
		}
	}
	l.resume = resumeText
}

// wordKind tells keywords from names; a few keywords are names next to a dot.
func (l *lexer) wordKind(word string) kind {
	k := keyword(word)
	dot := l.peek(0) == '.'
	switch k {
	case kAs, kDef, kIn:
		if dot || l.last == tDot || l.last == kPackage {
			return tIdent
		}
	case kPackage:
		if dot || l.last == tDot || l.last == kImport || l.peek(0) == ')' && l.last == tLParen {
			return tIdent
		}
	case kStatic:
		if dot {
			return tIdent
		}
	}
	return k
}

package jenkinsfile

// operator reads punctuation and operators.
func (l *lexer) operator(start mark, c byte) {
	k, n := l.matchOperator(c)
	if n == 0 {
		l.rune()
		if c < ' ' || c == 0x7f {
			l.fail(start, "unexpected char: 0x%X", c)
		} else {
			l.fail(start, "unexpected char: '%c'", c)
		}
		return
	}
	l.off += n
	switch k {
	case tLParen, tLBrack:
		l.parens++
	case tRParen, tRBrack:
		l.parens--
	case tLBrace:
		l.stack = append(l.stack, frame{l.parens, l.quote, l.resume})
		l.parens, l.quote, l.resume = 0, quoteNone, resumeNot
	case tRBrace:
		l.closeBrace()
	}
	text := ""
	if k == tOpAssign {
		text = l.src[start.off:l.off]
	}
	l.emit(k, start, text)
}

func (l *lexer) closeBrace() {
	if len(l.stack) == 0 {
		return
	}
	f := l.stack[len(l.stack)-1]
	l.stack = l.stack[:len(l.stack)-1]
	l.parens, l.quote, l.resume = f.parens, f.quote, f.resume
	if l.resume != resumeNot {
		l.resume = resumeText
	}
}

// matchOperator returns the longest operator at off that begins with c, and its length.
func (l *lexer) matchOperator(c byte) (kind, int) {
	c1, c2, c3 := l.peek(1), l.peek(2), l.peek(3)
	switch c {
	case '(':
		return tLParen, 1
	case ')':
		return tRParen, 1
	case '[':
		return tLBrack, 1
	case ']':
		return tRBrack, 1
	case '{':
		return tLBrace, 1
	case '}':
		return tRBrace, 1
	case ',':
		return tComma, 1
	case ';':
		return tSemi, 1
	case ':':
		return tColon, 1
	case '@':
		return tAt, 1
	case '~':
		return tTilde, 1
	case '?':
		switch {
		case c1 == '.':
			return tSafeDot, 2
		case c1 == ':':
			return tElvis, 2
		}
		return tQuestion, 1
	case '.':
		switch {
		case c1 == '.' && c2 == '.':
			return tEllipsis, 3
		case c1 == '.' && c2 == '<':
			return tRangeEx, 3
		case c1 == '.':
			return tRange, 2
		case c1 == '&':
			return tMethodDot, 2
		}
		return tDot, 1
	case '=':
		switch {
		case c1 == '=' && c2 == '=':
			return tSame, 3
		case c1 == '=' && c2 == '~':
			return tMatch, 3
		case c1 == '=':
			return tEq, 2
		case c1 == '~':
			return tFind, 2
		}
		return tAssign, 1
	case '!':
		switch {
		case c1 == '=' && c2 == '=':
			return tNotSame, 3
		case c1 == '=':
			return tNe, 2
		}
		return tNot, 1
	case '+':
		switch {
		case c1 == '+':
			return tInc, 2
		case c1 == '=':
			return tOpAssign, 2
		}
		return tPlus, 1
	case '-':
		switch {
		case c1 == '>':
			return tArrow, 2
		case c1 == '-':
			return tDec, 2
		case c1 == '=':
			return tOpAssign, 2
		}
		return tMinus, 1
	case '*':
		switch {
		case c1 == '*' && c2 == '=':
			return tOpAssign, 3
		case c1 == '*':
			return tPower, 2
		case c1 == '=':
			return tOpAssign, 2
		case c1 == '.':
			return tSpreadDot, 2
		}
		return tStar, 1
	case '/':
		if c1 == '=' {
			return tOpAssign, 2
		}
		return tSlash, 1
	case '%':
		if c1 == '=' {
			return tOpAssign, 2
		}
		return tPercent, 1
	case '^':
		if c1 == '=' {
			return tOpAssign, 2
		}
		return tCaret, 1
	case '&':
		switch {
		case c1 == '&':
			return tAndAnd, 2
		case c1 == '=':
			return tOpAssign, 2
		}
		return tAmp, 1
	case '|':
		switch {
		case c1 == '|':
			return tOrOr, 2
		case c1 == '=':
			return tOpAssign, 2
		}
		return tPipe, 1
	case '<':
		switch {
		case c1 == '=' && c2 == '>':
			return tCompare, 3
		case c1 == '<' && c2 == '=':
			return tOpAssign, 3
		case c1 == '<':
			return tShl, 2
		case c1 == '=':
			return tLe, 2
		}
		return tLt, 1
	case '>':
		switch {
		case c1 == '>' && c2 == '>' && c3 == '=':
			return tOpAssign, 4
		case c1 == '>' && c2 == '>':
			return tUshr, 3
		case c1 == '>' && c2 == '=':
			return tOpAssign, 3
		case c1 == '>':
			return tShr, 2
		case c1 == '=':
			return tGe, 2
		}
		return tGt, 1
	}
	return tError, 0
}

package jenkinsfile

import "fmt"

// Recovery: an error in one statement does not hide those in the next.

// scope is where in the script the parser stands.
type scope struct {
	depth, nested int
	class, kindOf string
}

func (p *parser) scope() scope { return scope{p.depth, p.nested, p.class, p.kindOf} }

func (p *parser) restore(c scope) {
	p.depth, p.nested, p.class, p.kindOf = c.depth, c.nested, c.class, c.kindOf
}

// guarded reads one statement. An error in it is noted, and false returned, unless something is being tried.
func (p *parser) guarded(prev kind) (s Stmt, ok bool) {
	if p.trying > 0 {
		return p.statement(prev), true
	}
	ctx := p.scope()
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		e, mine := r.(*Error)
		if !mine || p.fatal {
			panic(r)
		}
		p.restore(ctx)
		p.note(e)
		ok = false
	}()
	return p.statement(prev), true
}

// note keeps an error. At the end of the file only the first counts: the others say the same.
func (p *parser) note(e *Error) {
	if p.is(tEOF) {
		if p.quietEOF && len(p.errs) > 0 {
			return
		}
		p.quietEOF = true
	}
	p.errs = append(p.errs, e)
	if len(p.errs) >= maxErrors {
		p.fatal = true
		panic(p.errorAt(e.Pos, "too many errors; the rest of the script was not looked at"))
	}
}

// resync steps to the end of a statement that could not be read, which began at the token start: a separator outside of its
// brackets, or the closing brace of the block it stands in.
func (p *parser) resync(start int) {
	var open []kind
	for i := start; ; i++ {
		k := p.toks[i].kind
		if i >= p.i {
			p.i = i
			if k == tEOF || len(open) == 0 && (k == tSemi || k == tNewline || k == tRBrace) || k == tRBrace && !within(open) {
				return
			}
		}
		switch k {
		case tEOF:
			return
		case tLParen, tLBrack, tLBrace:
			open = append(open, k)
		case tRParen, tRBrack:
			if n := len(open) - 1; n >= 0 && open[n] != tLBrace {
				open = open[:n]
			}
		case tRBrace:
			for n := len(open) - 1; n >= 0; n-- {
				k := open[n]
				open = open[:n]
				if k == tLBrace {
					break
				}
			}
		}
	}
}

// within reports whether a brace is open.
func within(open []kind) bool {
	for _, k := range open {
		if k == tLBrace {
			return true
		}
	}
	return false
}

// statements reads statements up to the end token, which it leaves. open is the token that opened the block, or -1.
func (p *parser) statements(end kind, open int) []Stmt {
	var list []Stmt
	prev := tEOF
	for {
		prev = p.separators(prev)
		if p.is(end) {
			return list
		}
		if p.is(tEOF) {
			p.unclosed(open)
		}
		start := p.i
		s, ok := p.guarded(prev)
		switch {
		case !ok:
			p.resync(start)
		default:
			list = append(list, s)
			p.hintLibrary(s)
			p.endStatement(end, open)
		}
		if end == tEOF && p.is(tRBrace) {
			if ok {
				p.noteUnopened()
			}
			p.take()
		}
		prev = tEOF
	}
}

// separators steps over ; and newlines and says which came last before the statement.
func (p *parser) separators(prev kind) kind {
	for p.is(tSemi) || p.is(tNewline) {
		if k := p.kind(); k == tSemi || prev != tSemi {
			prev = k
		}
		p.take()
	}
	return prev
}

// endStatement requires that a statement is followed by a separator or the end of its block.
func (p *parser) endStatement(end kind, open int) {
	switch k := p.kind(); k {
	case tSemi, tNewline, end, tEOF:
		return
	case tRBrace:
		if end == tEOF {
			return
		}
	}
	what := "EOF"
	if open >= 0 {
		what = "'}'"
	}
	var e *Error
	if t := p.tok(); t.kind == tError {
		e = p.errorAt(t.start.pos(), "%s", t.text)
	} else {
		e = p.errorAt(t.start.pos(), "expecting %s, found %s", what, p.quoted(p.i))
	}
	if p.trying > 0 {
		panic(e)
	}
	p.note(e)
	p.resync(p.i)
}

// hintLibrary explains the error of an annotation that has nothing to stand before: @Library('x') and then pipeline {.
func (p *parser) hintLibrary(s Stmt) {
	d, ok := s.(*VarDecl)
	if !ok || len(d.Annotations) == 0 || !p.is(tLBrace) || p.trying > 0 {
		return
	}
	a := d.Annotations[len(d.Annotations)-1]
	p.note(p.errorAt(d.Vars[0].Where.Start, "unexpected token: %s (the annotation above belongs to what follows it; end its line with an underscore: @%s(...) _)", d.Vars[0].Name, a.Name))
	p.resync(p.i)
}

func (p *parser) noteUnopened() {
	e := p.errorAt(p.tok().start.pos(), "unexpected token: } (no '{' is open here)")
	if p.trying > 0 {
		panic(e)
	}
	p.note(e)
}

// unclosed fails because the file ends inside a block.
func (p *parser) unclosed(open int) {
	if open < 0 {
		p.unexpected()
	}
	culprit := p.culprit(open)
	end := p.toks[len(p.toks)-1].start
	panic(p.errorAt(p.toks[culprit].start.pos(), "this '{' is never closed: expecting '}', found end of file (line %d)", end.line))
}

// culprit guesses which brace lacks its partner: the first one whose partner begins a line further to the left than the
// line that opened it, for that partner was meant for another; else the innermost open one.
func (p *parser) culprit(open int) int {
	type brace struct{ tok, indent int }
	var stack []brace
	line, indent := int32(0), 0
	for i := range p.toks {
		t := &p.toks[i]
		first := t.start.line > line && t.kind != tNewline
		if first {
			line, indent = t.start.line, int(t.start.col)-1
		}
		switch t.kind {
		case tLBrace:
			stack = append(stack, brace{i, indent})
		case tRBrace:
			if len(stack) == 0 {
				return open
			}
			b := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if first && indent < b.indent && line != p.toks[b.tok].start.line {
				return b.tok
			}
		}
	}
	return open
}

// closeBlock takes the brace that ends the block which the token open began.
func (p *parser) closeBlock(open int) {
	if p.is(tEOF) {
		p.unclosed(open)
	}
	if !p.is(tRBrace) {
		p.expected("'}'")
	}
	p.take()
}

// closeParen takes the bracket that ends what the token open began.
func (p *parser) closeParen(k kind, open int) {
	if p.is(k) {
		p.take()
		return
	}
	mark := map[kind]string{tRParen: ")", tRBrack: "]"}[k]
	if t := p.tok(); t.kind == tError {
		p.fail(p.i, "%s", t.text)
	}
	o := p.toks[open].start
	where := ""
	if o.line != p.tok().start.line {
		where = fmt.Sprintf(" (to close the '%s' of line %d, column %d)", p.text(open), o.line, o.col)
	}
	p.fail(p.i, "expecting '%s'%s, found %s", mark, where, p.quoted(p.i))
}

package jenkinsfile

// emptyOrBody reads the statement of a loop, which may be a lone semicolon.
func (p *parser) emptyOrBody() Stmt {
	p.newlines()
	if p.is(tSemi) {
		i := p.take()
		return &Block{At: p.at(i)}
	}
	return p.body()
}

func (p *parser) whileStatement() Stmt {
	start := p.take()
	open := p.expect(tLParen, "'('")
	cond := p.strict()
	p.closeParen(tRParen, open)
	body := p.emptyOrBody()
	return &While{At: p.at(start), Cond: cond, Body: body}
}

func (p *parser) forStatement() Stmt {
	start := p.take()
	open := p.expect(tLParen, "'('")
	if p.classicFor(open) {
		return p.classicForStatement(start, open)
	}
	v := p.forVariable()
	s := &ForIn{Var: v}
	switch {
	case p.accept(kIn):
		s.In = p.binary(levelShift, 0)
	case p.is(tColon):
		if v.Type == nil && len(v.Modifiers) == 0 {
			p.fail(p.i, "Java-style for-each statement requires a type declaration.;\n   solution: Use the 'in' keyword, as for (x in y) {...}")
		}
		p.take()
		s.In = p.expression(0)
	default:
		p.expected("'in'")
	}
	p.closeParen(tRParen, open)
	s.Body = p.emptyOrBody()
	s.At = p.at(start)
	if m := v.Modifiers; len(m) > 0 && m[0] == "def" {
		v.Modifiers = m[1:]
	}
	return s
}

// classicFor reports whether a semicolon stands directly inside the parentheses.
func (p *parser) classicFor(open int) bool {
	depth := 0
	for i := open; i < len(p.toks); i++ {
		switch p.toks[i].kind {
		case tLParen, tLBrack, tLBrace, tStrStart:
			depth++
		case tRParen, tRBrack, tRBrace, tStrEnd:
			depth--
			if depth == 0 {
				return false
			}
		case tSemi:
			if depth == 1 {
				return true
			}
		}
	}
	return false
}

// forVariable reads the variable of for (x in …). A def is left as the first modifier, so that the caller sees it.
func (p *parser) forVariable() *Param {
	start := p.i
	v := &Param{}
	if p.atDeclaration() {
		m := p.modifiers()
		v.Annotations, v.Modifiers = m.annotations, m.words
		if m.def {
			v.Modifiers = prepend("def", v.Modifiers)
		}
		if p.atType() {
			v.Type = p.typeSpec()
		}
	}
	v.Name = p.text(p.expect(tIdent, "an identifier"))
	v.At = p.at(start)
	return v
}

func (p *parser) classicForStatement(start, open int) Stmt {
	s := &For{}
	parts := 1
	if !p.is(tSemi) {
		s.Init = []Stmt{p.strictStatement()}
	}
	for p.accept(tSemi) {
		parts++
		if p.is(tSemi) || p.is(tRParen) {
			continue
		}
		x := p.strictStatement()
		e, ok := x.(*ExprStmt)
		switch {
		case !ok:
			p.fail(open, "a declaration is allowed only in the first part of for (…; …; …)")
		case parts == 2:
			s.Cond = e.X
		default:
			s.Post = append(s.Post, e.X)
		}
	}
	if parts != 3 {
		p.fail(open, "3 expressions are required for the classic for loop, you gave %d", parts)
	}
	p.closeParen(tRParen, open)
	s.Body = p.emptyOrBody()
	s.At = p.at(start)
	return s
}

// strictStatement reads an expression or a declaration of one variable between parentheses.
func (p *parser) strictStatement() Stmt {
	start := p.i
	if !p.atDeclaration() {
		x := p.strict()
		return &ExprStmt{At: p.at(start), X: x}
	}
	m := p.modifiers()
	d := &VarDecl{Annotations: m.annotations, Modifiers: m.words}
	if p.atType() {
		d.Type = p.typeSpec()
	}
	d.Vars = []*Var{p.variable()}
	d.At = p.at(start)
	return d
}

func (p *parser) switchStatement() Stmt {
	start := p.take()
	paren := p.expect(tLParen, "'('")
	s := &Switch{Tag: p.strict()}
	p.closeParen(tRParen, paren)
	p.newlines()
	open := p.expect(tLBrace, "'{'")
	p.newlines()
	p.nested++
	for p.is(kCase) || p.is(kDefault) {
		s.Cases = append(s.Cases, p.switchCase(open))
	}
	defaults := 0
	for _, c := range s.Cases {
		if c.Value == nil {
			defaults++
		}
	}
	if defaults > 1 {
		p.fail(start, "The default case is already defined.")
	}
	p.nested--
	p.closeBlock(open)
	s.At = p.at(start)
	return s
}

// switchCase reads one arm. An arm directly followed by another has no statements; the last must have one.
func (p *parser) switchCase(open int) *Case {
	start := p.take()
	c := &Case{}
	if p.toks[start].kind == kCase {
		c.Value = p.expression(0)
	}
	if !p.is(tColon) {
		p.expected("':'")
	}
	p.take()
	p.newlines()
	if !p.is(kCase) && !p.is(kDefault) {
		if p.is(tRBrace) || p.is(tSemi) {
			p.unexpected()
		}
		c.Body = p.caseBody(open)
	}
	c.At = p.at(start)
	return c
}

// caseBody reads statements up to the next arm or the end of the switch.
func (p *parser) caseBody(open int) []Stmt {
	var list []Stmt
	prev := tColon
	for {
		prev = p.separators(prev)
		switch p.kind() {
		case kCase, kDefault, tRBrace:
			return list
		case tEOF:
			p.unclosed(open)
		}
		start := p.i
		s, ok := p.guarded(prev)
		prev = tEOF
		if !ok {
			p.resync(start)
			continue
		}
		list = append(list, s)
		if !p.is(kCase) && !p.is(kDefault) {
			p.endStatement(tRBrace, open)
		}
	}
}

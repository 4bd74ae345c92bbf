package jenkinsfile

// statement reads one statement. prev is the separator before it: an expression that follows a newline must not look like
// the rest of the one above.
func (p *parser) statement(prev kind) Stmt {
	p.enter()
	defer p.leave()
	if s := p.declarationLike(); s != nil {
		return s
	}
	k := p.kind()
	switch {
	case k == tIdent && p.ahead(1) == tColon:
		return p.labelled()
	case k.startsExpression():
		return p.expressionStatement(prev)
	}
	switch k {
	case kIf:
		return p.ifStatement()
	case kWhile:
		return p.whileStatement()
	case kFor:
		return p.forStatement()
	case kSwitch:
		return p.switchStatement()
	case kTry:
		return p.tryStatement()
	case kImport:
		return p.importLine(p.i, nil)
	case kReturn, kBreak, kContinue, kThrow, kAssert:
		return p.branch()
	case kSynchronized:
		if p.ahead(1) == tLParen {
			return p.synchronizedStatement()
		}
	}
	return p.modified()
}

// declarationLike reads what begins like a declaration of a variable or method, or returns nil.
func (p *parser) declarationLike() Stmt {
	k := p.kind()
	if k != tIdent && k != kDef && k != tAt && !k.isModifier() && !k.isBuiltin() {
		return nil
	}
	if k != tIdent && !k.isBuiltin() {
		i, n := p.scanModifiers(p.i)
		if n > 0 && p.kindAt(i) == tLt {
			return p.genericMethod()
		}
		if n > 0 && p.kindAt(i) == tLParen && p.toks[p.lastOf(i)].kind == kDef {
			return p.multiDeclaration()
		}
	}
	if p.atDeclaration() {
		return p.declaration()
	}
	return nil
}

// lastOf returns the token before i that is no newline.
func (p *parser) lastOf(i int) int {
	if p.kindAt(i-1) == tNewline {
		return i - 2
	}
	return i - 1
}

// modified reads a class with its modifiers or an annotated import.
func (p *parser) modified() Stmt {
	start := p.i
	m := p.modifiers()
	switch p.kind() {
	case kClass, kInterface, kEnum, kTrait:
		return p.classDecl(start, m)
	case tAt:
		if p.ahead(1) == kInterface {
			return p.classDecl(start, m)
		}
	case kImport:
		if len(m.words) == 0 && !m.def {
			return p.importLine(start, m.annotations)
		}
	}
	p.unexpected()
	return nil
}

// labelled reads label: statement.
func (p *parser) labelled() Stmt {
	label := p.text(p.take())
	p.take()
	p.newlines()
	if p.is(tLBrace) {
		if !p.atClosureParams(p.i + 1) {
			b := p.block()
			b.Labels = []string{label}
			return b
		}
		c := p.closure()
		return &ExprStmt{At: At{c.Span()}, X: c, Labels: []string{label}}
	}
	p.nested++
	s := p.statement(tColon)
	p.nested--
	switch s := s.(type) {
	case *ExprStmt:
		s.Labels = prepend(label, s.Labels)
	case *Block:
		s.Labels = prepend(label, s.Labels)
	case *While:
		s.Labels = prepend(label, s.Labels)
	case *For:
		s.Labels = prepend(label, s.Labels)
	case *ForIn:
		s.Labels = prepend(label, s.Labels)
	case *Switch:
		s.Labels = prepend(label, s.Labels)
	}
	return s
}

func prepend(s string, list []string) []string { return append([]string{s}, list...) }

// expressionStatement reads an expression or command.
func (p *parser) expressionStatement(prev kind) Stmt {
	start := p.i
	if p.is(tLBrace) && !p.atClosureParams(p.i+1) {
		p.openBlockError(prev)
	}
	x := p.commandExpression()
	return &ExprStmt{At: p.at(start), X: x}
}

func (p *parser) openBlockError(prev kind) {
	if prev == tNewline {
		p.fail(p.i, "Ambiguous expression could be a parameterless closure expression, an isolated open code block, or it may continue a previous statement;\n   solution: Add an explicit parameter list, e.g. {it -> ...}, or force it to be treated as an open block by giving it a label, e.g. L:{...}, and also either remove the previous newline, or add an explicit semicolon ';'")
	}
	p.fail(p.i, "Ambiguous expression could be either a parameterless closure expression or an isolated open code block;\n   solution: Add an explicit closure parameter list, e.g. {it -> ...}, or force it to be treated as an open block by giving it a label, e.g. L:{...}")
}

// block reads { … } that is no closure.
func (p *parser) block() *Block {
	open := p.expect(tLBrace, "'{'")
	p.nested++
	stmts := p.statements(tRBrace, open)
	p.nested--
	p.closeBlock(open)
	return &Block{At: p.at(open), Stmts: stmts}
}

// body reads the statement of an if or a loop. A brace and an arrow are a closure, which is never called.
func (p *parser) body() Stmt {
	p.newlines()
	if p.is(tLBrace) && p.ahead(1) != tArrow {
		return p.block()
	}
	p.nested++
	s := p.statement(tEOF)
	p.nested--
	return s
}

func (p *parser) ifStatement() Stmt {
	start := p.take()
	open := p.expect(tLParen, "'('")
	cond := p.conditional(0)
	p.closeParen(tRParen, open)
	s := &If{Cond: cond, Then: p.body()}
	if i := p.scanElse(); i >= 0 {
		for p.i <= i {
			p.take()
		}
		s.Else = p.body()
	}
	s.At = p.at(start)
	return s
}

// scanElse returns the index of an else that belongs to the statement just read, or -1.
func (p *parser) scanElse() int {
	i := p.i
	for p.kindAt(i) == tSemi || p.kindAt(i) == tNewline {
		i++
	}
	if p.kindAt(i) == kElse {
		return i
	}
	return -1
}

func (p *parser) synchronizedStatement() Stmt {
	start := p.take()
	open := p.take()
	lock := p.strict()
	p.closeParen(tRParen, open)
	p.newlines()
	body := p.block()
	return &Synchronized{At: p.at(start), Lock: lock, Body: body}
}

func (p *parser) tryStatement() Stmt {
	start := p.take()
	p.newlines()
	s := &Try{Body: p.block()}
	for p.kindAt(p.afterNewlines(p.i)) == kCatch {
		p.newlines()
		s.Catches = append(s.Catches, p.catchClause())
	}
	if p.kindAt(p.afterNewlines(p.i)) == kFinally {
		p.newlines()
		p.take()
		p.newlines()
		s.Finally = p.block()
	}
	if len(s.Catches) == 0 && s.Finally == nil {
		p.fail(start, "A try statement must have at least one catch or finally block.")
	}
	s.At = p.at(start)
	return s
}

func (p *parser) catchClause() *Catch {
	start := p.take()
	open := p.expect(tLParen, "'('")
	c := &Catch{}
	p.accept(kFinal)
	p.accept(kDef)
	if p.is(tIdent) && p.ahead(1) != tRParen {
		c.Types = append(c.Types, p.classType())
		for p.accept(tPipe) {
			c.Types = append(c.Types, p.classType())
		}
	}
	c.Name = p.text(p.expect(tIdent, "an identifier"))
	p.closeParen(tRParen, open)
	p.newlines()
	c.Body = p.block()
	c.At = p.at(start)
	return c
}

// branch reads return, break, continue, throw and assert.
func (p *parser) branch() Stmt {
	start := p.take()
	switch p.toks[start].kind {
	case kReturn:
		s := &Return{}
		if p.kind().startsExpression() {
			s.X = p.expression(0)
		}
		s.At = p.at(start)
		return s
	case kBreak:
		label := p.optionalLabel()
		return &Break{At: p.at(start), Label: label}
	case kContinue:
		label := p.optionalLabel()
		return &Continue{At: p.at(start), Label: label}
	case kThrow:
		x := p.expression(0)
		return &Throw{At: p.at(start), X: x}
	}
	s := &Assert{Cond: p.conditional(0)}
	if p.accept(tComma) || p.accept(tColon) {
		p.newlines()
		s.Message = p.expression(0)
	}
	s.At = p.at(start)
	return s
}

func (p *parser) optionalLabel() string {
	if p.is(tIdent) {
		return p.text(p.take())
	}
	return ""
}

// packageLine reads the package of the script, if it begins with one.
func (p *parser) packageLine(f *File) {
	i, _ := p.scanModifiers(p.i)
	if p.kindAt(i) != kPackage {
		return
	}
	p.modifiers()
	p.take()
	f.Package = p.qualified()
	p.endStatement(tEOF, -1)
}

func (p *parser) importLine(start int, annotations []*Annotation) Stmt {
	if p.nested > 0 {
		p.fail(start, "an import must stand at the top of the script")
	}
	p.take()
	i := &Import{Annotations: annotations, Static: p.accept(kStatic)}
	i.Name = p.qualified()
	switch {
	case p.is(tDot):
		p.take()
		p.newlines()
		p.expect(tStar, "an identifier")
		i.Star = true
	case p.accept(kAs):
		p.newlines()
		i.Alias = p.text(p.expect(tIdent, "an identifier"))
	}
	i.At = p.at(start)
	return importStmt{i}
}

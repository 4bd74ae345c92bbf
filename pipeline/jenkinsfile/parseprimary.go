package jenkinsfile

// primary reads the beginning of a path.
func (p *parser) primary() Expr {
	i := p.i
	switch k := p.kind(); k {
	case tIdent, kThis, kSuper:
		p.take()
		return &Ident{At: p.at(i), Name: p.text(i)}
	case tString:
		return p.stringLit()
	case tStrStart:
		return p.gstring()
	case tInt, tDecimal:
		p.take()
		n := numberLit(k, p.text(i))
		n.At = p.at(i)
		return n
	case kTrue, kFalse:
		p.take()
		return &Lit{At: p.at(i), Kind: Bool, Value: k == kTrue, Raw: p.text(i)}
	case kNull:
		p.take()
		return &Lit{At: p.at(i), Kind: Null, Raw: "null"}
	case tLParen:
		return p.paren()
	case tLBrack:
		return p.listOrMap()
	case tLBrace:
		return p.closure()
	case kNew:
		return p.newExpr()
	default:
		if !k.isBuiltin() {
			p.unexpected()
		}
		p.take()
		return &ClassLit{At: p.at(i), Type: &TypeRef{At: p.at(i), Name: p.text(i)}}
	}
}

// paren reads ( expression ).
func (p *parser) paren() Expr {
	p.enter()
	defer p.leave()
	open := p.take()
	if p.atDeclaration() {
		p.fail(p.i, "unexpected token: %s (a declaration cannot stand in parentheses)", p.describe(p.i))
	}
	x := p.strict()
	if p.is(tSemi) {
		p.fail(p.i, "Expression list of the form (a; b; c) is not supported in this context.")
	}
	p.closeParen(tRParen, open)
	return &Paren{At: p.at(open), X: x}
}

// listOrMap reads [a, b], [k: v] and [:].
func (p *parser) listOrMap() Expr {
	p.enter()
	defer p.leave()
	open := p.take()
	if p.is(tColon) && p.ahead(1) == tRBrack {
		p.take()
		p.take()
		return &Map{At: p.at(open)}
	}
	a := p.arguments(tRBrack)
	p.closeParen(tRBrack, open)
	if len(a.named) == 0 {
		return &List{At: p.at(open), Elems: a.plain}
	}
	if len(a.plain) > 0 {
		panic(p.errorAt(a.plain[0].Span().Start, "a map has only entries of the form key: value; this one has none (a list has only values)"))
	}
	return &Map{At: p.at(open), Entries: a.named}
}

// closure reads { … } and { parameters -> … }.
func (p *parser) closure() *Closure {
	p.enter()
	defer p.leave()
	c := &Closure{NoParams: true}
	arrow := p.atClosureParams(p.i + 1)
	open := p.expect(tLBrace, "'{'")
	p.newlines()
	if arrow {
		c.NoParams = false
		if !p.is(tArrow) {
			c.Params = p.paramList()
			p.newlines()
		}
		p.expect(tArrow, "'->'")
		p.newlines()
	}
	first := p.i
	class := p.class
	p.class = ""
	p.nested++
	stmts := p.statements(tRBrace, open)
	p.nested--
	p.class = class
	c.Body = &Block{At: p.bodyAt(first), Stmts: stmts}
	p.closeBlock(open)
	c.At = p.at(open)
	return c
}

// bodyAt is the place between the braces, from the token first to the one before the brace at hand.
func (p *parser) bodyAt(first int) At {
	start := p.toks[first].start.pos()
	if p.i == first {
		return At{Span{start, start}}
	}
	return At{Span{start, p.toks[p.i-1].end.pos()}}
}

// gstring reads a string with parts.
func (p *parser) gstring() Expr {
	p.enter()
	defer p.leave()
	start := p.take()
	g := &GString{Strings: []string{p.toks[start].text}}
	for {
		x, lazy := p.part()
		g.Exprs = append(g.Exprs, x)
		g.Lazy = append(g.Lazy, lazy)
		if !p.is(tStrMiddle) && !p.is(tStrEnd) {
			p.unexpected()
		}
		i := p.take()
		g.Strings = append(g.Strings, p.toks[i].text)
		if p.toks[i].kind == tStrEnd {
			break
		}
	}
	g.At = p.at(start)
	return g
}

// part reads ${…} or $a.b; lazy says that it is a closure of its own, ${-> x}.
func (p *parser) part() (x Expr, lazy bool) {
	switch p.kind() {
	case tLBrace:
		return p.bracedPart()
	case kThis, kSuper:
		return p.primary(), false
	case tIdent:
		x = p.primary()
		for p.is(tDot) {
			p.take()
			if !p.is(tIdent) {
				p.expected("an identifier")
			}
			name := p.nameLit()
			x = &Property{At: p.from(x), X: x, Name: name}
		}
		return x, false
	}
	p.unexpected()
	return nil, false
}

// bracedPart reads ${…}. Several statements are a closure that is called at once.
func (p *parser) bracedPart() (Expr, bool) {
	c := p.closure()
	if !c.NoParams {
		return c, true
	}
	if len(c.Body.Stmts) == 0 {
		return &Lit{At: c.At, Kind: Null, Raw: "null"}, false
	}
	if s, ok := c.Body.Stmts[0].(*ExprStmt); ok && len(c.Body.Stmts) == 1 {
		return s.X, false
	}
	return &Call{At: c.At, Recv: c, Direct: true}, false
}

// newExpr reads new Type(…), new Type(…) { … } and new Type[n].
func (p *parser) newExpr() Expr {
	p.enter()
	defer p.leave()
	start := p.take()
	p.newlines()
	if p.is(tLt) {
		lt := 0
		end, ok := p.scanTypeArgs(p.i, &lt)
		if !ok {
			p.typeError(end)
		}
		for p.i < end {
			p.take()
		}
	}
	n := &New{Type: p.plainType()}
	switch {
	case p.is(tLBrack):
		p.arraySizes(n)
	case p.kindAt(p.afterNewlines(p.i)) == tLParen:
		p.newlines()
		open := p.take()
		a := p.arguments(tRParen)
		p.closeParen(tRParen, open)
		p.checkDuplicates(a.named)
		n.Named, n.Args = a.named, a.plain
		if p.is(tLBrace) {
			n.Body = p.classBody()
		}
	default:
		p.expected("'(' or '['")
	}
	n.At = p.at(start)
	return n
}

// arraySizes reads [n][m][]…: the sizes become Dims, the empty pairs part of the type.
func (p *parser) arraySizes(n *New) {
	for p.is(tLBrack) {
		open := p.take()
		if p.is(tRBrack) {
			n.Type.Dims++
		} else {
			n.Dims = append(n.Dims, p.expression(0))
		}
		p.closeParen(tRBrack, open)
	}
	if len(n.Dims) == 0 {
		p.fail(p.last, "No expression for the array constructor call")
	}
}

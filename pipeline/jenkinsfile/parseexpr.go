package jenkinsfile

// Left contexts: an expression that begins a statement, or stands right of an equals sign, may reach over a newline for a
// block: foo\n{ … }.
const lcStmt = 1

// Binary levels, loosest first.
const (
	levelOr = iota + 1
	levelAnd
	levelBitOr
	levelBitXor
	levelBitAnd
	levelRegex
	levelEqual
	levelRelation
	levelShift
	levelAdd
)

// binaryOp returns the level and spelling of an infix operator; level 0 for anything else.
func binaryOp(k kind) (level int, op string) {
	switch k {
	case tOrOr:
		return levelOr, "||"
	case tAndAnd:
		return levelAnd, "&&"
	case tPipe:
		return levelBitOr, "|"
	case tCaret:
		return levelBitXor, "^"
	case tAmp:
		return levelBitAnd, "&"
	case tFind:
		return levelRegex, "=~"
	case tMatch:
		return levelRegex, "==~"
	case tEq:
		return levelEqual, "=="
	case tNe:
		return levelEqual, "!="
	case tSame:
		return levelEqual, "==="
	case tNotSame:
		return levelEqual, "!=="
	case tCompare:
		return levelEqual, "<=>"
	case tLt:
		return levelRelation, "<"
	case tLe:
		return levelRelation, "<="
	case tGt:
		return levelRelation, ">"
	case tGe:
		return levelRelation, ">="
	case kIn:
		return levelRelation, "in"
	case kInstanceof:
		return levelRelation, "instanceof"
	case kAs:
		return levelRelation, "as"
	case tShl:
		return levelShift, "<<"
	case tShr:
		return levelShift, ">>"
	case tUshr:
		return levelShift, ">>>"
	case tRange:
		return levelShift, ".."
	case tRangeEx:
		return levelShift, "..<"
	case tPlus:
		return levelAdd, "+"
	case tMinus:
		return levelAdd, "-"
	}
	return 0, ""
}

// commandExpression reads an expression where a command may stand: a b c: d.
func (p *parser) commandExpression() Expr {
	head := p.expression(lcStmt)
	if p.is(kElse) || head != p.lastPath {
		return head
	}
	return p.command(head)
}

// expression reads an expression.
func (p *parser) expression(lc int) Expr {
	p.enter()
	defer p.leave()
	if p.is(tLParen) && p.atMultiAssign() {
		return p.multiAssign(lc)
	}
	return p.assignment(lc)
}

// atMultiAssign reports whether (a, b) = is at hand.
func (p *parser) atMultiAssign() bool {
	i := p.i + 1
	for p.kindAt(i) == tIdent {
		switch p.kindAt(i + 1) {
		case tComma:
			i += 2
		case tRParen:
			return p.kindAt(i+2) == tAssign
		default:
			return false
		}
	}
	return false
}

func (p *parser) multiAssign(lc int) Expr {
	open := p.take()
	list := &List{}
	for {
		i := p.take()
		list.Elems = append(list.Elems, &Ident{At: p.at(i), Name: p.text(i)})
		if p.is(tRParen) {
			break
		}
		p.take()
	}
	p.take()
	list.At = p.at(open)
	p.take()
	p.newlines()
	y := p.assignment(lc)
	return &Assign{At: p.from(list), Op: "=", X: list, Y: y, Multi: true}
}

// assignment reads a conditional and what is assigned to it.
func (p *parser) assignment(lc int) Expr {
	x := p.conditional(lc)
	if !p.is(tAssign) && !p.is(tOpAssign) {
		return x
	}
	i := p.take()
	p.newlines()
	p.enter()
	y := p.commandExpression()
	p.leave()
	p.checkTarget(x, i)
	return &Assign{At: p.from(x), Op: p.text(i), X: x, Y: y}
}

// checkTarget refuses to assign to what is no place.
func (p *parser) checkTarget(x Expr, op int) {
	what := ""
	switch x := x.(type) {
	case *Property:
		if !x.Method {
			return
		}
	case *Ident, *Index:
		return
	case *Paren:
		p.checkTarget(x.X, op)
		return
	case *Lit:
		what = "a constant expression"
	case *GString:
		what = "a GString expression"
	case *Call:
		what = "a method call expression"
	case *Binary:
		what = "a binary expression"
	}
	target := p.src[x.Span().Start.Offset:x.Span().End.Offset]
	if what == "" {
		p.fail(op, "\"%s\" is a bad expression as the left hand side of an assignment operator", shorten(target))
	}
	p.fail(op, "\"%s\" is %s, but it should be a variable expression", shorten(target), what)
}

// conditional reads c ? a : b and c ?: b. The question mark may begin a line.
func (p *parser) conditional(lc int) Expr {
	x := p.binary(levelOr, lc)
	switch p.kindAt(p.afterNewlines(p.i)) {
	case tElvis:
		p.newlines()
		p.take()
		p.newlines()
		p.enter()
		y := p.conditional(0)
		p.leave()
		return &Ternary{At: p.from(x), Cond: x, Else: y}
	case tQuestion:
		p.newlines()
		p.take()
		p.newlines()
		p.enter()
		defer p.leave()
		then := p.assignment(0)
		p.newlines()
		p.expect(tColon, "':'")
		p.newlines()
		y := p.conditional(0)
		return &Ternary{At: p.from(x), Cond: x, Then: then, Else: y}
	}
	return x
}

// binary reads infix operators of a level or tighter. All lean to the left; comparisons do not chain.
func (p *parser) binary(level, lc int) Expr {
	x := p.multiplicative(lc)
	limit := levelAdd
	for n := 0; ; n++ {
		k := p.kind()
		l, op := binaryOp(k)
		if l < level || l > limit || l == 0 {
			return x
		}
		if k.isKeyword() && p.ahead(1) == tColon {
			return x
		}
		p.link(n)
		p.take()
		p.newlines()
		limit = l
		if l == levelRelation {
			limit = l - 1
		}
		switch k {
		case kAs:
			t := p.typeSpec()
			x = &As{At: p.from(x), X: x, Type: t}
		case kInstanceof:
			t := p.typeSpec()
			x = &InstanceOf{At: p.from(x), X: x, Type: t}
		default:
			p.enter()
			y := p.binary(l+1, 0)
			p.leave()
			x = &Binary{At: p.from(x), Op: op, X: x, Y: y}
		}
	}
}

// multiplicative reads * / % and the sign of their first operand, which binds looser than **.
func (p *parser) multiplicative(lc int) Expr {
	var x Expr
	if signs(p.kind()) {
		i := p.take()
		p.newlines()
		operand := p.power(p.unaryNoSign(0))
		x = &Unary{At: p.at(i), Op: p.text(i), X: operand}
	} else {
		x = p.power(p.unaryNoSign(lc))
	}
	for n := 0; p.is(tStar) || p.is(tSlash) || p.is(tPercent); n++ {
		p.link(n)
		i := p.take()
		p.newlines()
		y := p.power(p.unary(0))
		x = &Binary{At: p.from(x), Op: p.text(i), X: x, Y: y}
	}
	return x
}

func signs(k kind) bool { return k == tInc || k == tDec || k == tPlus || k == tMinus }

// power reads the operands of ** after the first.
func (p *parser) power(x Expr) Expr {
	for n := 0; p.is(tPower); n++ {
		p.link(n)
		p.take()
		p.newlines()
		y := p.unary(0)
		x = &Binary{At: p.from(x), Op: "**", X: x, Y: y}
	}
	return x
}

// unary reads any number of signs.
func (p *parser) unary(lc int) Expr {
	if !signs(p.kind()) {
		return p.unaryNoSign(lc)
	}
	p.enter()
	defer p.leave()
	i := p.take()
	p.newlines()
	x := p.unary(0)
	return &Unary{At: p.at(i), Op: p.text(i), X: x}
}

// unaryNoSign reads ~ and !, casts, and paths with ++ or --.
func (p *parser) unaryNoSign(lc int) Expr {
	switch p.kind() {
	case tTilde, tNot:
		p.enter()
		defer p.leave()
		i := p.take()
		p.newlines()
		x := p.unary(0)
		return &Unary{At: p.at(i), Op: p.text(i), X: x}
	case tLParen:
		if x := p.castUnary(); x != nil {
			return x
		}
	}
	x := p.path(lc)
	if p.is(tInc) || p.is(tDec) {
		i := p.take()
		return &Unary{At: p.from(x), Op: p.text(i), X: x, Postfix: true}
	}
	return x
}

// castUnary reads (Type) operand, or returns nil. After a primitive type the operand may have a sign.
func (p *parser) castUnary() Expr {
	end, ok := p.scanType(p.i + 1)
	if !ok || p.kindAt(end) != tRParen {
		return nil
	}
	builtin := p.ahead(1).isBuiltin()
	next := p.kindAt(end + 1)
	if !next.startsExpression() || signs(next) && !builtin {
		return nil
	}
	start := p.i
	var x Expr
	p.try(tryCast, func() {
		p.enter()
		defer p.leave()
		p.take()
		t := p.typeSpec()
		p.take()
		var operand Expr
		if builtin {
			operand = p.unary(0)
		} else {
			operand = p.unaryNoSign(0)
		}
		x = &Cast{At: p.at(start), Type: t, X: operand}
	})
	return x
}

// strict reads an expression between parentheses.
func (p *parser) strict() Expr {
	switch k := p.kind(); k {
	case kReturn, kBreak, kContinue, kThrow, kAssert:
		p.fail(p.i, "'%s' is a statement and cannot stand inside an expression", p.text(p.i))
	case tAt:
		p.fail(p.i, "an annotation cannot stand inside an expression")
	}
	return p.expression(0)
}

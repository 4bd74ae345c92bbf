package jenkinsfile

// path reads a primary expression and all that hangs on it: .name (…) […] {…}.
func (p *parser) path(lc int) Expr {
	x := p.chain(p.primary(), lc)
	p.lastPath = x
	return x
}

// chain reads the links after a primary expression.
func (p *parser) chain(x Expr, lc int) Expr {
	for n := 0; ; n++ {
		next := p.link1(x, lc)
		if next == nil {
			return x
		}
		p.link(n)
		x = next
	}
}

// link1 reads one link, or returns nil. Only a dot may begin a line, and a block after what begins a statement.
func (p *parser) link1(x Expr, lc int) Expr {
	switch p.kind() {
	case tDot, tSpreadDot, tSafeDot, tMethodDot:
		return p.property(x)
	case tLParen:
		return p.callArgs(x)
	case tLBrack:
		if p.ahead(1) != tColon { // foo [:] is a command
			return p.index(x)
		}
	case tLBrace:
		return p.appendBlock(x)
	case tNewline:
		switch p.ahead(1) {
		case tDot, tSpreadDot, tSafeDot, tMethodDot:
			p.newlines()
			return p.property(x)
		case tLBrace:
			if lc == lcStmt {
				p.newlines()
				return p.appendBlock(x)
			}
		}
	}
	return nil
}

// atChain reports whether a link is at hand.
func (p *parser) atChain() bool {
	switch p.kind() {
	case tDot, tSpreadDot, tSafeDot, tMethodDot, tLParen, tLBrace:
		return true
	case tLBrack:
		return p.ahead(1) != tColon
	case tNewline:
		switch p.ahead(1) {
		case tDot, tSpreadDot, tSafeDot, tMethodDot:
			return true
		}
	}
	return false
}

// property reads .name in its forms.
func (p *parser) property(x Expr) Expr {
	k := p.toks[p.take()].kind
	p.newlines()
	n := &Property{X: x, Safe: k == tSafeDot, Spread: k == tSpreadDot, Method: k == tMethodDot}
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
	n.Field = p.accept(tAt)
	switch k := p.kind(); {
	case k == tIdent || k.isNameKeyword():
		n.Name = p.nameLit()
	case k == tString:
		n.Name = p.stringLit()
	case k == tStrStart:
		n.Name = p.gstring()
	case k == tLParen:
		n.Name = p.paren()
		if id, ok := n.Name.(*Paren).X.(*Ident); ok { // a.(b) is a.b, not the value of b
			n.Name = &Lit{At: id.At, Kind: String, Value: id.Name, Raw: id.Name}
		}
	default:
		p.unexpected()
	}
	n.At = p.from(x)
	return n
}

// nameLit makes a string of the word at hand.
func (p *parser) nameLit() *Lit {
	i := p.take()
	return &Lit{At: p.at(i), Kind: String, Value: p.text(i), Raw: p.text(i)}
}

func (p *parser) stringLit() *Lit {
	i := p.take()
	return &Lit{At: p.at(i), Kind: String, Value: p.toks[i].text, Raw: p.text(i)}
}

// index reads [arguments]; without arguments it is an array type: String[].
func (p *parser) index(x Expr) Expr {
	open := p.take()
	a := p.arguments(tRBrack)
	p.closeParen(tRBrack, open)
	args := a.plain
	if len(a.named) > 0 {
		args = append([]Expr{&Map{At: At{Span{a.named[0].Span().Start, a.named[len(a.named)-1].Span().End}}, Entries: a.named}}, args...)
	}
	if len(args) == 0 {
		if t := typeOf(x); t != nil {
			t.Dims++
			t.At = p.from(x)
			return &ClassLit{At: t.At, Type: t}
		}
	}
	return &Index{At: p.from(x), X: x, Args: args}
}

// typeOf returns the type that an expression names: a, a.b.C, int, int[]; nil when it is no name.
func typeOf(x Expr) *TypeRef {
	switch x := x.(type) {
	case *Ident:
		return &TypeRef{At: x.At, Name: x.Name}
	case *ClassLit:
		t := *x.Type
		return &t
	case *Property:
		t := typeOf(x.X)
		name, ok := x.Name.(*Lit)
		if t == nil || !ok || t.Dims > 0 || x.Safe || x.Spread || x.Field || x.Method {
			return nil
		}
		t.Name += "." + name.Value.(string)
		t.At = x.At
		return t
	}
	return nil
}

// callTo makes a call of what x names.
func callTo(x Expr) *Call {
	switch x := x.(type) {
	case *Ident:
		return &Call{Name: &Lit{At: x.At, Kind: String, Value: x.Name, Raw: x.Name}}
	case *Lit:
		if x.Kind == String {
			return &Call{Name: x}
		}
	case *GString:
		return &Call{Name: x}
	case *Property:
		if !x.Field && !x.Method {
			return &Call{Recv: x.X, Name: x.Name, Safe: x.Safe, Spread: x.Spread}
		}
	}
	return &Call{Recv: x, Direct: true}
}

// callArgs reads (arguments).
func (p *parser) callArgs(x Expr) Expr {
	p.checkCallee(x)
	c := callTo(x)
	open := p.take()
	a := p.arguments(tRParen)
	p.closeParen(tRParen, open)
	p.checkDuplicates(a.named)
	c.Named, c.Args = a.named, a.plain
	c.At = p.from(x)
	return c
}

// checkCallee refuses to call a primitive type, and allows this(…) and super(…) only where a constructor begins.
func (p *parser) checkCallee(x Expr) {
	if t, ok := x.(*ClassLit); ok && t.Type.Dims == 0 && t.Type.Name != "void" {
		p.fail(p.i, "Primitive type literal: %s cannot be used as a method name", t.Type.Name)
	}
	id, ok := x.(*Ident)
	if ok && (id.Name == "this" || id.Name == "super") && p.i-1 != p.ctorCall {
		p.fail(p.i, "Constructor call must be the first statement in a constructor.")
	}
}

// appendBlock reads { … } after a call, whose last argument it becomes, or after anything else, which it calls.
func (p *parser) appendBlock(x Expr) Expr {
	c, ok := x.(*Call)
	if !ok || c.Command {
		p.checkCallee(x)
		c = callTo(x)
	} else {
		c = new(*c)
	}
	b := p.closure()
	c.Args = append(c.Args[:len(c.Args):len(c.Args)], b)
	c.Trailing++
	c.At = p.from(x)
	return c
}

// args are the arguments of a call, an index or a list.
type args struct {
	plain []Expr
	named []*NamedArg
}

// arguments reads arguments up to the closing bracket, which it leaves. One comma may be superfluous.
func (p *parser) arguments(end kind) args {
	var a args
	if p.is(end) {
		return a
	}
	p.argument(&a)
	spare := false
	for p.is(tComma) {
		i := p.take()
		switch k := p.kind(); {
		case k == tComma || k == end:
			if spare {
				p.fail(i, "unexpected token: ,")
			}
			spare = true
		default:
			p.argument(&a)
		}
	}
	if p.is(tSemi) {
		p.fail(p.i, "Expression list of the form (a; b; c) is not supported in this context.")
	}
	return a
}

// argument reads value, key: value, *list or *: map.
func (p *parser) argument(a *args) {
	start := p.i
	switch {
	case p.atLabel():
		key := p.label()
		p.take()
		v := p.argumentValue()
		a.named = append(a.named, &NamedArg{At: p.at(start), Key: key, Value: v})
	case p.is(tStar) && p.ahead(1) == tColon:
		p.take()
		p.take()
		v := p.argumentValue()
		a.named = append(a.named, &NamedArg{At: p.at(start), Value: v, Spread: true})
	case p.is(tStar):
		p.take()
		v := p.argumentValue()
		a.plain = append(a.plain, &Spread{At: p.at(start), X: v})
	default:
		a.plain = append(a.plain, p.argumentValue())
	}
}

func (p *parser) argumentValue() Expr {
	if p.atDeclaration() {
		p.fail(p.i, "a declaration cannot stand inside an expression")
	}
	x := p.strict()
	if p.is(tColon) {
		p.fail(p.i, "illegal colon after argument expression;\n   solution: a complex label expression before a colon must be parenthesized")
	}
	return x
}

// atLabel reports whether a key with its colon is at hand.
func (p *parser) atLabel() bool {
	switch k := p.kind(); {
	case k == tIdent || k == tInt || k == tDecimal || k == tString || k.isNameKeyword():
		return p.ahead(1) == tColon
	case k == tLParen || k == tStrStart || k == tLBrack || k == tLBrace:
		end, ok := p.scanBalanced(p.i)
		return ok && p.kindAt(end) == tColon
	}
	return false
}

// label reads a key: a word stands for itself, an expression in parentheses for its value.
func (p *parser) label() Expr {
	switch k := p.kind(); {
	case k == tIdent || k.isNameKeyword():
		return p.nameLit()
	case k == tLParen:
		return p.paren().(*Paren).X
	}
	return p.primary()
}

// checkDuplicates refuses two named arguments of one name.
func (p *parser) checkDuplicates(named []*NamedArg) {
	if len(named) < 2 {
		return
	}
	seen := make(map[string]bool, len(named))
	for _, n := range named {
		key, ok := n.Key.(*Lit)
		if !ok || key.Kind != String {
			continue
		}
		name := key.Value.(string)
		if seen[name] {
			panic(p.errorAt(n.Span().Start, "Duplicate named parameter '%s' found.", name))
		}
		seen[name] = true
	}
}

// command reads the arguments of a command after its name, and the chain of names and arguments after them:
// a b c d is a(b).c(d).
func (p *parser) command(x Expr) Expr {
	if _, ok := x.(*Call); !ok && p.atCommandArg() {
		x = p.commandArgs(x)
	}
	for n := 0; p.kind().startsPrimary(); n++ {
		p.link(n)
		x = p.commandLink(x)
		switch {
		case p.atChain():
			x = p.chain(x, lcStmt)
		case p.atCommandArg():
			x = p.commandArgs(x)
		}
	}
	return x
}

// commandLink reads the next name of a chain of commands.
func (p *parser) commandLink(x Expr) Expr {
	name := p.primary()
	switch n := name.(type) {
	case *Ident:
		name = &Lit{At: n.At, Kind: String, Value: n.Name, Raw: n.Name}
	case *ClassLit:
		name = &Lit{At: n.At, Kind: String, Value: n.Type.Name, Raw: n.Type.Name}
	}
	return &Property{At: p.from(x), X: x, Name: name}
}

// atCommandArg reports whether an argument without parentheses is at hand.
func (p *parser) atCommandArg() bool {
	k := p.kind()
	return k.startsExpression() || k.isNameKeyword() && p.ahead(1) == tColon
}

// commandArgs reads the arguments of one command.
func (p *parser) commandArgs(x Expr) Expr {
	p.checkCallee(x)
	c := callTo(x)
	c.Command = true
	for {
		p.commandArg(c)
		if !p.accept(tComma) {
			break
		}
		p.newlines()
	}
	p.checkDuplicates(c.Named)
	c.At = p.from(x)
	return c
}

func (p *parser) commandArg(c *Call) {
	start := p.i
	if !p.atLabel() {
		c.Args = append(c.Args, p.expression(0))
		return
	}
	key := p.label()
	p.take()
	p.newlines()
	v := p.expression(0)
	c.Named = append(c.Named, &NamedArg{At: p.at(start), Key: key, Value: v})
}

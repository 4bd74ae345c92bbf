package jenkinsfile

// classDecl reads a class, interface, enum, trait or annotation type whose modifiers were read.
func (p *parser) classDecl(start int, m *mods) Stmt {
	if p.nested > 0 && p.class == "" {
		p.fail(start, "Class definition not expected here. Please define the class at an appropriate place or perhaps try using a block/Closure instead.")
	}
	d := &ClassDecl{Annotations: m.annotations, Modifiers: m.words}
	if p.accept(tAt) {
		d.Kind = "@"
	}
	d.Kind += p.text(p.take())
	d.Name = p.text(p.expect(tIdent, "an identifier"))
	if d.Kind != "@interface" {
		p.newlines()
	}
	if p.is(tLt) && d.Kind != "enum" && d.Kind != "@interface" {
		p.typeParams()
		p.newlines()
	}
	p.superTypes(d)
	outer, kind, nested := p.class, p.kindOf, p.nested
	p.class, p.kindOf, p.nested = d.Name, d.Kind, 0
	if d.Kind == "enum" {
		p.newlines()
		p.enumBody(d)
	} else {
		open := p.expect(tLBrace, "'{'")
		d.Members = p.members(open, d.Kind)
		p.closeBlock(open)
	}
	p.class, p.kindOf, p.nested = outer, kind, nested
	d.At = p.at(start)
	return d
}

// superTypes reads extends and implements.
func (p *parser) superTypes(d *ClassDecl) {
	if p.is(kExtends) && (d.Kind == "class" || d.Kind == "trait") {
		p.take()
		p.newlines()
		d.Extends = p.classType()
		p.newlines()
	}
	list := kImplements
	switch d.Kind {
	case "interface":
		list = kExtends
	case "@interface":
		return
	}
	if !p.accept(list) {
		return
	}
	for {
		p.newlines()
		d.Implements = append(d.Implements, p.classType())
		if !p.accept(tComma) {
			break
		}
	}
	p.newlines()
}

// members reads the fields, methods and types of a class up to the closing brace.
func (p *parser) members(open int, kind string) []Stmt {
	var list []Stmt
	for {
		p.separators(tEOF)
		if p.is(tRBrace) {
			return list
		}
		if p.is(tEOF) {
			p.unclosed(open)
		}
		list = append(list, p.member(kind))
		if !p.is(tSemi) && !p.is(tNewline) && !p.is(tRBrace) && !p.is(tEOF) {
			p.expected("'}'")
		}
	}
}

func (p *parser) member(kind string) Stmt {
	p.enter()
	defer p.leave()
	start := p.i
	body := kind == "class" || kind == "trait" || kind == "enum"
	if body && p.atConstructor() {
		return p.constructor()
	}
	if s := p.memberDeclaration(kind); s != nil {
		return s
	}
	if body && p.is(tLBrace) {
		return p.initializer(start, nil)
	}
	if body && p.is(kStatic) && p.kindAt(p.afterNewlines(p.i+1)) == tLBrace {
		p.take()
		p.newlines()
		return p.initializer(start, []string{"static"})
	}
	m := p.modifiers()
	switch p.kind() {
	case kClass, kInterface, kEnum, kTrait, tAt:
		return p.classDecl(start, m)
	}
	p.unexpected()
	return nil
}

// memberDeclaration reads a field or method, or returns nil.
func (p *parser) memberDeclaration(kind string) Stmt {
	if kind == "@interface" {
		return p.annotationMember()
	}
	i, n := p.scanModifiers(p.i)
	switch {
	case n > 0 && p.kindAt(i) == tLt:
		return p.genericMethod()
	case p.atDeclaration():
		return p.declaration()
	}
	return nil
}

// annotationMember reads Type name() default value, or returns nil for a nested type.
func (p *parser) annotationMember() Stmt {
	start := p.i
	i, _ := p.scanModifiers(p.i)
	switch p.kindAt(i) {
	case kClass, kInterface, kEnum, kTrait, tAt:
		return nil
	}
	m := p.modifiers()
	t := p.typeSpec()
	if !p.is(tIdent) || p.ahead(1) != tLParen {
		return p.definitions(start, m, t)
	}
	d := &MethodDecl{Annotations: m.annotations, Modifiers: m.words, Return: t, Name: p.text(p.take())}
	open := p.take()
	p.closeParen(tRParen, open)
	if p.accept(kDefault) {
		p.newlines()
		v := p.annotationValue()
		d.Body = &Block{At: At{v.Span()}, Stmts: []Stmt{&ExprStmt{At: At{v.Span()}, X: v}}}
	}
	d.At = p.at(start)
	return d
}

func (p *parser) initializer(start int, labels []string) Stmt {
	b := p.methodBody()
	b.Labels = labels
	b.At = p.at(start)
	return b
}

// atConstructor reports whether modifiers and the class's own name with a parenthesis are at hand.
func (p *parser) atConstructor() bool {
	i, _ := p.scanModifiers(p.i)
	return p.kindAt(i) == tIdent && p.text(i) == p.class && p.kindAt(p.afterNewlines(i+1)) == tLParen
}

func (p *parser) constructor() Stmt {
	start := p.i
	m := p.modifiers()
	d := &MethodDecl{Annotations: m.annotations, Modifiers: m.words, Constructor: true}
	d.Name = p.text(p.take())
	d.Params = p.params()
	d.Throws = p.throws()
	p.newlines()
	if first := p.afterNewlines(p.i + 1); p.kindAt(first) == kThis || p.kindAt(first) == kSuper {
		p.ctorCall = first
	}
	d.Body = p.methodBody()
	d.At = p.at(start)
	return d
}

// enumBody reads the constants of an enum and then its members.
func (p *parser) enumBody(d *ClassDecl) {
	open := p.expect(tLBrace, "'{'")
	p.newlines()
	if p.atEnumConstants() {
		p.enumConstants(d)
		if !p.is(tSemi) && !p.is(tNewline) && !p.is(tRBrace) {
			p.expected("'}'")
		}
	}
	d.Members = p.members(open, "enum")
	p.closeBlock(open)
}

// atEnumConstants reports whether a constant, rather than a member, comes first.
func (p *parser) atEnumConstants() bool {
	i := p.i
	for p.kindAt(i) == tAt {
		j, ok := p.scanAnnotation(i)
		if !ok {
			return false
		}
		i = p.afterNewlines(j)
	}
	if p.kindAt(i) != tIdent {
		return false
	}
	switch p.kindAt(i + 1) {
	case tLBrace, tLParen:
		return true
	case tNewline, tSemi, tComma, tRBrace:
		j := p.afterNewlines(i + 1)
		switch p.kindAt(j) {
		case tSemi, tComma, tRBrace:
			return true
		}
		at := p.i
		p.i = j
		ok := p.atDeclaration()
		p.i = at
		return ok
	}
	return false
}

func (p *parser) enumConstants(d *ClassDecl) {
	for {
		d.Constants = append(d.Constants, p.enumConstant())
		if p.kindAt(p.afterNewlines(p.i)) != tComma {
			return
		}
		p.newlines()
		p.take()
		if next := p.kindAt(p.afterNewlines(p.i)); next != tIdent && next != tAt {
			return
		}
		p.newlines()
	}
}

func (p *parser) enumConstant() *EnumConst {
	start := p.i
	for p.is(tAt) {
		p.annotation()
		p.newlines()
	}
	c := &EnumConst{Name: p.text(p.expect(tIdent, "an identifier"))}
	if p.is(tLParen) {
		open := p.take()
		a := p.arguments(tRParen)
		p.closeParen(tRParen, open)
		if len(a.named) > 0 {
			c.Args = append(c.Args, &Map{At: At{a.named[0].Span()}, Entries: a.named})
		}
		c.Args = append(c.Args, a.plain...)
	}
	if p.is(tLBrace) {
		c.Body = p.classBody()
	}
	c.At = p.at(start)
	return c
}

// classBody reads the body of an anonymous class.
func (p *parser) classBody() []Stmt {
	class, kind, nested := p.class, p.kindOf, p.nested
	p.class, p.kindOf, p.nested = "?", "class", 0
	open := p.take()
	body := p.members(open, "class")
	p.closeBlock(open)
	p.class, p.kindOf, p.nested = class, kind, nested
	if body == nil {
		body = []Stmt{}
	}
	return body
}

package jenkinsfile

// mods are the words and annotations before a declaration.
type mods struct {
	annotations []*Annotation
	words       []string
	def         bool
}

func (m *mods) has(word string) bool {
	for _, w := range m.words {
		if w == word {
			return true
		}
	}
	return false
}

// modifiers reads any number of modifiers, annotations and at most one def.
func (p *parser) modifiers() *mods {
	m := &mods{}
	for {
		switch k := p.kind(); {
		case k == kDef && !m.def:
			p.take()
			m.def = true
		case k == kSynchronized && p.ahead(1) == tLParen:
			return m
		case k.isModifier():
			p.addModifier(m)
		case k == tAt && p.ahead(1) != kInterface:
			m.annotations = append(m.annotations, p.annotation())
		default:
			return m
		}
		p.newlines()
	}
}

func (p *parser) addModifier(m *mods) {
	i := p.take()
	word := p.text(i)
	if word == "threadsafe" {
		p.fail(i, "Unknown type: \"threadsafe\"")
	}
	if m.has(word) {
		p.fail(i, "Cannot repeat modifier: %s", word)
	}
	switch word {
	case "public", "private", "protected":
		if m.has("public") || m.has("private") || m.has("protected") {
			p.fail(i, "Cannot specify modifier: %s when access scope has already been defined", word)
		}
	}
	m.words = append(m.words, word)
}

// annotation reads @Name(…).
func (p *parser) annotation() *Annotation {
	start := p.take()
	a := &Annotation{Name: p.qualified()}
	if open := p.afterNewlines(p.i); p.kindAt(open) == tLParen {
		p.newlines()
		p.take()
		if !p.is(tRParen) {
			a.Args = p.annotationArgs()
		}
		p.closeParen(tRParen, open)
	}
	a.At = p.at(start)
	return a
}

func (p *parser) annotationArgs() []*NamedArg {
	if p.ahead(1) != tAssign || !p.is(tIdent) && !p.kind().isNameKeyword() {
		start := p.i
		v := p.annotationValue()
		key := &Lit{At: At{v.Span()}, Kind: String, Value: "value", Raw: "value"}
		return []*NamedArg{{At: p.at(start), Key: key, Value: v}}
	}
	var args []*NamedArg
	for {
		start := p.i
		if p.ahead(1) != tAssign || !p.is(tIdent) && !p.kind().isNameKeyword() {
			p.unexpected()
		}
		key := p.nameLit()
		p.take()
		p.newlines()
		v := p.annotationValue()
		args = append(args, &NamedArg{At: p.at(start), Key: key, Value: v})
		if !p.accept(tComma) {
			return args
		}
		p.newlines()
	}
}

func (p *parser) annotationValue() Expr {
	if !p.is(tAt) {
		return p.conditional(0)
	}
	a := p.annotation()
	return &Ident{At: At{a.Span()}, Name: "@" + a.Name}
}

// declaration reads variables or a method.
func (p *parser) declaration() Stmt {
	start := p.i
	m := p.modifiers()
	var t *TypeRef
	if p.atType() {
		t = p.typeSpec()
	}
	return p.definitions(start, m, t)
}

// genericMethod reads static <T> T f() { … }.
func (p *parser) genericMethod() Stmt {
	start := p.i
	m := p.modifiers()
	p.typeParams()
	t := p.typeSpec()
	if p.kind() != tIdent && p.kind() != tString || p.ahead(1) != tLParen {
		p.unexpected()
	}
	return p.definitions(start, m, t)
}

// definitions reads the names of a declaration and what belongs to them.
func (p *parser) definitions(start int, m *mods, t *TypeRef) Stmt {
	if (p.is(tIdent) || p.is(tString)) && p.ahead(1) == tLParen {
		return p.method(start, m, t)
	}
	d := &VarDecl{Annotations: m.annotations, Modifiers: m.words, Type: t}
	for {
		d.Vars = append(d.Vars, p.variable())
		if !p.accept(tComma) {
			break
		}
		p.newlines()
	}
	d.At = p.at(start)
	return d
}

// variable reads name and name = value.
func (p *parser) variable() *Var {
	start := p.expect(tIdent, "an identifier")
	v := &Var{Name: p.text(start)}
	if p.accept(tAssign) {
		p.newlines()
		v.Init = p.commandExpression()
	}
	v.At = p.at(start)
	return v
}

// multiDeclaration reads def (a, int b) = value.
func (p *parser) multiDeclaration() Stmt {
	start := p.i
	m := p.modifiers()
	d := &VarDecl{Annotations: m.annotations, Modifiers: m.words, Multi: true}
	open := p.expect(tLParen, "'('")
	for {
		first := p.i
		v := &Var{}
		if p.atType() {
			v.Type = p.typeSpec()
		}
		v.Name = p.text(p.expect(tIdent, "an identifier"))
		v.At = p.at(first)
		d.Vars = append(d.Vars, v)
		if !p.accept(tComma) {
			break
		}
	}
	p.closeParen(tRParen, open)
	p.expect(tAssign, "'='")
	p.newlines()
	d.Init = p.assignment(0)
	d.At = p.at(start)
	return d
}

// method reads name(parameters) throws … { … }.
func (p *parser) method(start int, m *mods, t *TypeRef) Stmt {
	if p.nested > 0 && p.class == "" {
		p.fail(start, "Method definition not expected here. Please define the method at an appropriate place or perhaps try using a block/Closure instead.")
	}
	d := &MethodDecl{Annotations: m.annotations, Modifiers: m.words, Return: t}
	d.Name = p.methodName()
	d.Params = p.params()
	d.Throws = p.throws()
	if p.kindAt(p.afterNewlines(p.i)) == tLBrace {
		p.newlines()
		d.Body = p.methodBody()
	}
	p.checkBody(start, m, d)
	d.At = p.at(start)
	return d
}

// checkBody requires a body of methods and forbids it of abstract ones.
func (p *parser) checkBody(start int, m *mods, d *MethodDecl) {
	abstract := p.class != "" && (m.has("abstract") || p.kindOf == "interface")
	switch {
	case abstract && d.Body != nil:
		p.fail(start, "Abstract methods do not define a body.")
	case !abstract && d.Body == nil:
		p.fail(start, "You defined a method without body. Try adding a body, or declare it abstract.")
	}
}

func (p *parser) methodName() string {
	i := p.take()
	if p.toks[i].kind == tString {
		return p.toks[i].text
	}
	return p.text(i)
}

// methodBody reads the body of a method: inside of it no class is being defined.
func (p *parser) methodBody() *Block {
	class := p.class
	p.class = ""
	b := p.block()
	p.class = class
	return b
}

func (p *parser) throws() []*TypeRef {
	if p.kindAt(p.afterNewlines(p.i)) != kThrows {
		return nil
	}
	p.newlines()
	p.take()
	var list []*TypeRef
	for {
		p.newlines()
		start := p.i
		name := p.qualified()
		list = append(list, &TypeRef{At: p.at(start), Name: name})
		if !p.accept(tComma) {
			return list
		}
	}
}

// params reads the parameters of a method with their parentheses.
func (p *parser) params() []*Param {
	open := p.expect(tLParen, "'('")
	var list []*Param
	if !p.is(tRParen) {
		list = p.paramList()
	}
	p.closeParen(tRParen, open)
	return list
}

func (p *parser) paramList() []*Param {
	var list []*Param
	for {
		list = append(list, p.param())
		if !p.accept(tComma) {
			return list
		}
		p.newlines()
	}
}

func (p *parser) param() *Param {
	start := p.i
	v := &Param{}
	p.paramModifiers(v)
	if p.atType() {
		v.Type = p.typeSpec()
	}
	v.Variadic = p.accept(tEllipsis)
	v.Name = p.text(p.expect(tIdent, "an identifier"))
	if p.accept(tAssign) {
		p.newlines()
		v.Default = p.commandExpression()
	}
	v.At = p.at(start)
	return v
}

func (p *parser) paramModifiers(v *Param) {
	def := false
	for {
		switch k := p.kind(); {
		case k == kDef && !def:
			p.take()
			def = true
		case k == kFinal:
			v.Modifiers = append(v.Modifiers, p.text(p.take()))
		case k == tAt:
			v.Annotations = append(v.Annotations, p.annotation())
		default:
			return
		}
		p.newlines()
	}
}

// atClosureParams reports whether what follows the brace before i is a list of parameters and an arrow.
func (p *parser) atClosureParams(i int) bool {
	i = p.afterNewlines(i)
	for n := 0; ; n++ {
		if n == 0 && p.kindAt(i) == tArrow {
			return true
		}
		j, ok := p.scanParam(i)
		if !ok {
			return false
		}
		i = j
		if p.kindAt(i) == tAssign {
			return p.tryClosureParams(i)
		}
		if k := p.afterNewlines(i); p.kindAt(k) == tArrow {
			return true
		}
		if p.kindAt(i) != tComma {
			return false
		}
		i = p.afterNewlines(i + 1)
	}
}

// scanParam recognises one parameter without its default.
func (p *parser) scanParam(i int) (int, bool) {
	for {
		k := p.kindAt(i)
		if k == kDef || k == kFinal {
			i = p.afterNewlines(i + 1)
			continue
		}
		if k != tAt {
			break
		}
		j, ok := p.scanAnnotation(i)
		if !ok {
			return i, false
		}
		i = p.afterNewlines(j)
	}
	if k := p.kindAt(i); k.isBuiltin() || k == tIdent {
		switch next := p.kindAt(i + 1); {
		case k.isBuiltin(), next == tIdent, next == tDot, next == tLt, next == tLBrack, next == tEllipsis:
			j, ok := p.scanType(i)
			if !ok {
				return i, false
			}
			i = j
		}
	}
	if p.kindAt(i) == tEllipsis {
		i++
	}
	return i + 1, p.kindAt(i) == tIdent
}

// tryClosureParams decides about a parameter with a default value, at whose equals sign eq stands: the value must be read
// to find the arrow. A value without an arrow after it on the way to the next statement needs no reading.
func (p *parser) tryClosureParams(eq int) bool {
	if known, ok := p.arrows[eq]; ok {
		return known
	}
	if !p.arrowAhead(eq) {
		return false
	}
	i, last, path := p.i, p.last, p.lastPath
	open := eq
	for p.toks[open].kind != tLBrace {
		open--
	}
	p.i = open + 1
	ok := p.try(tryParams, func() {
		p.newlines()
		p.paramList()
		p.newlines()
		p.expect(tArrow, "'->'")
	})
	p.i, p.last, p.lastPath = i, last, path
	if p.arrows == nil {
		p.arrows = map[int]bool{}
	}
	p.arrows[eq] = ok
	return ok
}

// arrowAhead looks for an arrow between i and the end of the block i stands in.
func (p *parser) arrowAhead(i int) bool {
	depth := 0
	for ; i < len(p.toks); i++ {
		switch p.toks[i].kind {
		case tArrow:
			if depth == 0 {
				return true
			}
		case tLBrace, tLParen, tLBrack:
			depth++
		case tRBrace, tRParen, tRBrack:
			depth--
			if depth < 0 {
				return false
			}
		case tSemi:
			if depth == 0 {
				return false
			}
		}
	}
	return false
}

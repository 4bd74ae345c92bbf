package jenkinsfile

import (
	"unicode"
	"unicode/utf8"
)

// The scan functions look ahead: they take the index of a token and return the one after what they recognised, without
// moving the parser.

// scanBalanced steps from an opening bracket to behind its partner.
func (p *parser) scanBalanced(i int) (int, bool) {
	if end := int(p.partner[i]); end > 0 {
		return end + 1, true
	}
	return i, false
}

// scanClassType recognises a.b.C<D>.
func (p *parser) scanClassType(i int, lt *int) (int, bool) {
	if p.kindAt(i) != tIdent {
		return i, false
	}
	i++
	if p.kindAt(i) == tLt {
		if p.kindAt(i+1) == tGt {
			i = p.afterNewlines(i + 2)
		} else {
			var ok bool
			if i, ok = p.scanTypeArgs(i, lt); !ok {
				return i, false
			}
		}
	}
	for p.kindAt(i) == tDot && p.kindAt(i+1) == tIdent {
		i += 2
		if p.kindAt(i) == tLt {
			var ok bool
			if i, ok = p.scanTypeArgs(i, lt); !ok {
				return i, false
			}
		}
	}
	return i, true
}

// scanTypeArgs recognises <A, ? extends B, C[]>. lt counts the angle brackets that are open, because one >> closes two.
func (p *parser) scanTypeArgs(i int, lt *int) (int, bool) {
	level := *lt
	if level > maxDepth {
		return i, false
	}
	*lt++
	i = p.afterNewlines(i + 1)
	var ok bool
	if i, ok = p.scanTypeArg(i, lt); !ok {
		return i, false
	}
	for *lt == level+1 && p.kindAt(i) == tComma {
		if i, ok = p.scanTypeArg(p.afterNewlines(i+1), lt); !ok {
			return i, false
		}
	}
	i = p.afterNewlines(i)
	i = p.scanAngleEnd(i, lt)
	return i, level != 0 || *lt == level
}

func (p *parser) scanAngleEnd(i int, lt *int) int {
	switch p.kindAt(i) {
	case tGt:
		*lt--
	case tShr:
		*lt -= 2
	case tUshr:
		*lt -= 3
	default:
		return i
	}
	return i + 1
}

func (p *parser) scanTypeArg(i int, lt *int) (int, bool) {
	k := p.kindAt(i)
	switch {
	case k == tQuestion:
		i++
		if next := p.kindAt(i); next == kExtends || next == kSuper {
			var ok bool
			if i, ok = p.scanClassType(p.afterNewlines(i+1), lt); !ok {
				return i, false
			}
			i = p.afterNewlines(i)
		}
		return i, true
	case k.isBuiltin():
		return p.scanEmptyBrackets(i+1, 1)
	}
	i, ok := p.scanClassType(i, lt)
	if !ok {
		return i, false
	}
	return p.scanEmptyBrackets(i, 0)
}

// scanEmptyBrackets recognises at least n pairs of [].
func (p *parser) scanEmptyBrackets(i, n int) (int, bool) {
	for p.kindAt(i) == tLBrack && p.kindAt(i+1) == tRBrack {
		i += 2
		n--
	}
	return i, n <= 0
}

// scanType recognises a type with its [].
func (p *parser) scanType(i int) (int, bool) {
	if p.kindAt(i).isBuiltin() {
		return p.scanEmptyBrackets(i+1, 0)
	}
	lt := 0
	i, ok := p.scanClassType(i, &lt)
	if !ok {
		return i, false
	}
	return p.scanEmptyBrackets(i, 0)
}

// scanAnnotation recognises @Name(…).
func (p *parser) scanAnnotation(i int) (int, bool) {
	if p.kindAt(i) != tAt || p.kindAt(i+1) != tIdent {
		return i, false
	}
	i += 2
	for p.kindAt(i) == tDot {
		j := p.afterNewlines(i + 1)
		if p.kindAt(j) != tIdent {
			return i, false
		}
		i = j + 1
	}
	if j := p.afterNewlines(i); p.kindAt(j) == tLParen {
		return p.scanBalanced(j)
	}
	return i, true
}

// scanModifiers steps over def, modifiers and annotations; n is how many there were.
func (p *parser) scanModifiers(i int) (next, n int) {
	for {
		switch k := p.kindAt(i); {
		case k == kDef || k.isModifier():
			i++
		case k == tAt && p.kindAt(i+1) != kInterface:
			j, ok := p.scanAnnotation(i)
			if !ok {
				return i, n
			}
			i = j
		default:
			return i, n
		}
		i = p.afterNewlines(i)
		n++
	}
}

func (p *parser) isUpper(i int) bool {
	r, _ := utf8.DecodeRuneInString(p.text(i))
	return unicode.IsUpper(r)
}

// atDeclaration reports whether a declaration begins at hand: def, modifiers, annotations and types, of which a class is
// told from a command by the capital letter of its last part, and then a name.
func (p *parser) atDeclaration() bool {
	i, n := p.i, 0
	for {
		switch k := p.kindAt(i); {
		case k == kDef || k.isModifier():
			i = p.afterNewlines(i + 1)
		case k == tAt:
			j, ok := p.scanAnnotation(i)
			if !ok {
				return false
			}
			i = p.afterNewlines(j)
		case k.isBuiltin():
			j, ok := p.scanDeclaredType(i + 1)
			if !ok {
				return false
			}
			i = j
		case k == tIdent && p.continuesType(p.kindAt(i+1)):
			j, ok := p.scanDeclaredName(i)
			if !ok {
				return false
			}
			i = j
		default:
			return n > 0 && (k == tIdent || k == tString)
		}
		n++
	}
}

// continuesType reports whether a name followed by k is taken for a type in a declaration.
func (p *parser) continuesType(k kind) bool {
	switch k {
	case tLt, tLBrack, tIdent, tString, kDef, tAt, tDot:
		return true
	}
	return k.isModifier() || k.isBuiltin()
}

// scanDeclaredName recognises the type of a declaration: Name or a.b.Name.
func (p *parser) scanDeclaredName(i int) (int, bool) {
	for p.kindAt(i+1) == tDot {
		if p.kindAt(i+2) != tIdent {
			return i, false
		}
		i += 2
	}
	if !p.isUpper(i) {
		return i, false
	}
	return p.scanDeclaredType(i + 1)
}

// scanDeclaredType recognises what may follow a type's name: type arguments and brackets.
func (p *parser) scanDeclaredType(i int) (int, bool) {
	if p.kindAt(i) == tLt {
		lt := 0
		var ok bool
		if i, ok = p.scanTypeArgs(i, &lt); !ok {
			return i, false
		}
	}
	for p.kindAt(i) == tLBrack {
		var ok bool
		if i, ok = p.scanBalanced(i); !ok {
			return i, false
		}
	}
	return i, true
}

// Reading types.

// classType reads a.b.C<D> without brackets.
func (p *parser) classType() *TypeRef {
	start, lt := p.i, 0
	end, ok := p.scanClassType(p.i, &lt)
	if !ok {
		p.typeError(end)
	}
	t := &TypeRef{}
	angle := -1
	for p.i < end {
		i := p.take()
		switch k := p.toks[i].kind; {
		case k == tLt && angle < 0:
			angle = i
		case angle < 0 && (k == tIdent || k == tDot):
			t.Name += p.text(i)
		}
	}
	if angle >= 0 {
		t.Generics = p.src[p.toks[angle].start.off:p.toks[p.last].end.off]
	}
	t.At = p.at(start)
	return t
}

// typeError fails at the token where a type stops being one.
func (p *parser) typeError(i int) {
	p.i = min(i, len(p.toks)-1)
	if p.is(tIdent) || p.is(tLt) {
		p.fail(p.i, "Missing closing bracket '>' for generics types;\n   solution: Please specify the missing bracket!")
	}
	p.expected("an identifier")
}

// plainType reads a type without brackets.
func (p *parser) plainType() *TypeRef {
	if p.kind().isBuiltin() {
		i := p.take()
		return &TypeRef{At: p.at(i), Name: p.text(i)}
	}
	return p.classType()
}

// typeSpec reads a type with its [].
func (p *parser) typeSpec() *TypeRef {
	start := p.i
	t := p.plainType()
	for p.is(tLBrack) && p.ahead(1) == tRBrack {
		p.take()
		p.take()
		t.Dims++
	}
	t.At = p.at(start)
	return t
}

// atType reports whether a type, and not already the declared name, is at hand.
func (p *parser) atType() bool {
	if p.kind().isBuiltin() {
		return true
	}
	if !p.is(tIdent) {
		return false
	}
	switch p.ahead(1) {
	case tIdent, tString, tDot, tLt, tLBrack, tEllipsis:
		return true
	}
	return false
}

// qualified reads a.b.c.
func (p *parser) qualified() string {
	i := p.expect(tIdent, "an identifier")
	name := p.text(i)
	for p.is(tDot) && p.kindAt(p.afterNewlines(p.i+1)) == tIdent {
		p.take()
		p.newlines()
		name += "." + p.text(p.take())
	}
	return name
}

// typeParams reads <T extends A & B, U> and returns its text.
func (p *parser) typeParams() string {
	start := p.i
	p.expect(tLt, "'<'")
	lt := 1
	for {
		p.newlines()
		p.expect(tIdent, "an identifier")
		if p.accept(kExtends) {
			p.newlines()
			p.boundType(&lt)
			for p.accept(tAmp) {
				p.newlines()
				p.boundType(&lt)
			}
		}
		if !p.accept(tComma) {
			break
		}
	}
	p.newlines()
	if end := p.scanAngleEnd(p.i, &lt); end != p.i {
		p.take()
	}
	if lt != 0 {
		p.fail(p.i, "Missing closing bracket '>' for generics types;\n   solution: Please specify the missing bracket!")
	}
	return p.src[p.toks[start].start.off:p.toks[p.last].end.off]
}

func (p *parser) boundType(lt *int) {
	end, ok := p.scanClassType(p.i, lt)
	if !ok {
		p.typeError(end)
	}
	for p.i < end {
		p.take()
	}
}

package jenkinsfile

import (
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Limits that keep a hostile script from exhausting the machine.
const (
	// MaxSize is the size in bytes of the largest script Parse takes.
	MaxSize = 1 << 20
	// maxDepth bounds how deep constructs may nest in each other.
	maxDepth = 500
	// maxChain bounds how many links one expression may have: a + b + c, a.b.c, else if … else if. The tree leans to the
	// left and whoever walks it recurses as deep.
	maxChain = 2000
	// maxErrors is the number of errors after which Parse stops looking for more.
	maxErrors = 20
	// stepsPerToken bounds the work of backtracking.
	stepsPerToken = 100
)

// Parse reads a whole script. The name is what messages call it: "WorkflowScript", "Jenkinsfile". When the script is not
// valid the error is an Errors with kind fault.Invalid and the file is nil.
//
// Parse takes what Groovy 2.4 takes up to its phase CONVERSION, which resolves no names. It keeps no state and may be called
// concurrently.
func Parse(name, source string) (*File, error) {
	if len(source) > MaxSize {
		err := newError(name, "", Pos{Line: 1, Col: 1}, "the script has %d bytes; at most %d are allowed", len(source), MaxSize)
		return nil, fault.With(fault.Invalid, Errors{err})
	}
	l := lex(source)
	p := &parser{name: name, src: source, toks: l.tokens, quietEOF: l.swallowed, last: -1, ctorCall: -1, partner: partners(l.tokens)}
	p.budget = stepsPerToken*len(p.toks) + 1000
	f := p.parse()
	if len(p.errs) > 0 {
		return nil, fault.With(fault.Invalid, p.errs.sorted())
	}
	return f, nil
}

// parser is a recursive descent over the tokens. It fails by panicking with an *Error, which is caught where a statement
// begins, so that the next one can be looked at, or where something was only tried.
type parser struct {
	name string
	src  string
	toks []token
	// partner has, for each opening bracket or string with parts, the index of what closes it; 0 when nothing does.
	partner []int32
	i       int // the token at hand
	last    int // the last token taken that is no newline; -1 before the first

	depth  int
	budget int
	trying int
	failed map[attempt]bool
	arrows map[int]bool // by the equals sign of a default value: whether it belongs to a closure's parameter
	// lastPath is the path expression that was completed last; commands may follow only a path.
	lastPath Expr
	class    string // name of the class whose body is read; "" outside
	kindOf   string // what the class is: class, interface, …
	ctorCall int    // the token at which this(…) or super(…) may stand; -1 for none
	nested   int    // 0 at the top of the script, where methods and classes may stand

	errs     Errors
	quietEOF bool // what is missing at the end of the file has been said
	fatal    bool
}

// attempt names something that was tried at a token.
type attempt struct {
	what uint8
	at   int
}

func (p *parser) parse() (f *File) {
	f = &File{Name: p.name, Source: p.src}
	defer func() {
		if r := recover(); r != nil && !p.caught(r) {
			panic(r)
		}
	}()
	p.newlines()
	p.packageLine(f)
	f.Body = p.statements(tEOF, -1)
	f.Body, f.Imports = splitImports(f.Body)
	p.checkClasses(f.Body, "")
	f.At = At{Span{Pos{Line: 1, Col: 1}, p.toks[len(p.toks)-1].end.pos()}}
	return f
}

// caught takes a panic as an error of the script; it returns false when it is something else.
func (p *parser) caught(r any) bool {
	e, ok := r.(*Error)
	if ok {
		p.errs = append(p.errs, e)
	}
	return ok
}

// checkClasses refuses two classes of one name in the same place.
func (p *parser) checkClasses(body []Stmt, outer string) {
	seen := map[string]bool{}
	for _, s := range body {
		d, ok := s.(*ClassDecl)
		if !ok {
			continue
		}
		if seen[d.Name] {
			p.errs = append(p.errs, p.errorAt(d.Where.Start, "Invalid duplicate class definition of class %[1]s : The source %[2]s contains at least two definitions of the class %[1]s.", outer+d.Name, p.name))
		}
		seen[d.Name] = true
		p.checkClasses(d.Members, outer+d.Name+"$")
	}
}

// importStmt carries an import through the statements of the script.
type importStmt struct{ *Import }

func (importStmt) stmt() {}

func splitImports(body []Stmt) (rest []Stmt, imports []*Import) {
	rest = body[:0]
	for _, s := range body {
		if i, ok := s.(importStmt); ok {
			imports = append(imports, i.Import)
			continue
		}
		rest = append(rest, s)
	}
	return rest, imports
}

// partners pairs the brackets. A bracket inside of which another kind is closed has no partner.
func partners(toks []token) []int32 {
	out := make([]int32, len(toks))
	var stack []int32
	for i := range toks {
		switch k := toks[i].kind; k {
		case tLParen, tLBrack, tLBrace, tStrStart:
			stack = append(stack, int32(i))
		case tRParen, tRBrack, tRBrace, tStrEnd:
			if n := len(stack) - 1; n >= 0 {
				if open := stack[n]; closes(toks[open].kind, k) {
					out[open] = int32(i)
				}
				stack = stack[:n]
			}
		}
	}
	return out
}

func closes(open, end kind) bool {
	switch open {
	case tLParen:
		return end == tRParen
	case tLBrack:
		return end == tRBrack
	case tLBrace:
		return end == tRBrace
	}
	return end == tStrEnd
}

// Tokens.

func (p *parser) tok() *token      { return &p.toks[p.i] }
func (p *parser) kind() kind       { return p.toks[p.i].kind }
func (p *parser) is(k kind) bool   { return p.toks[p.i].kind == k }
func (p *parser) ahead(n int) kind { return p.kindAt(p.i + n) }
func (p *parser) kindAt(i int) kind {
	if i >= len(p.toks) {
		return tEOF
	}
	return p.toks[i].kind
}

// text returns the source of the token at i.
func (p *parser) text(i int) string { return p.src[p.toks[i].start.off:p.toks[i].end.off] }

// take steps over the token at hand and returns its index.
func (p *parser) take() int {
	i := p.i
	if p.toks[i].kind != tEOF {
		p.i++
	}
	if p.toks[i].kind != tNewline {
		p.last = i
	}
	p.budget--
	if p.budget < 0 {
		p.stop("the script is too complicated to be understood here")
	}
	return i
}

// accept takes a token of the kind if it is at hand.
func (p *parser) accept(k kind) bool {
	if p.toks[p.i].kind != k {
		return false
	}
	p.take()
	return true
}

// expect takes a token of the kind or fails; what says what was expected.
func (p *parser) expect(k kind, what string) int {
	if p.toks[p.i].kind != k {
		p.expected(what)
	}
	return p.take()
}

// newlines steps over newlines that mean nothing here. The lexer never makes two in a row.
func (p *parser) newlines() {
	if p.toks[p.i].kind == tNewline {
		p.take()
	}
}

// afterNewlines returns the index of the first token at or after i that is no newline.
func (p *parser) afterNewlines(i int) int {
	if p.kindAt(i) == tNewline {
		return i + 1
	}
	return i
}

// Places.

// at is the place from the token start to the last one taken.
func (p *parser) at(start int) At {
	end := max(p.last, start)
	return At{Span{p.toks[start].start.pos(), p.toks[end].end.pos()}}
}

// from is the place from the beginning of a node to the last token taken.
func (p *parser) from(n Node) At {
	return At{Span{n.Span().Start, p.toks[max(p.last, 0)].end.pos()}}
}

// Errors.

func (p *parser) errorAt(pos Pos, format string, args ...any) *Error {
	return newError(p.name, p.src, pos, format, args...)
}

// fail gives up at a token.
func (p *parser) fail(i int, format string, args ...any) {
	panic(p.errorAt(p.toks[i].start.pos(), format, args...))
}

// stop gives the whole script up.
func (p *parser) stop(format string, args ...any) {
	p.fatal = true
	p.fail(p.i, format, args...)
}

func (p *parser) unexpected() {
	t := p.tok()
	if t.kind == tError {
		p.fail(p.i, "%s", t.text)
	}
	p.fail(p.i, "unexpected token: %s", p.describe(p.i))
}

func (p *parser) expected(what string) {
	t := p.tok()
	if t.kind == tError {
		p.fail(p.i, "%s", t.text)
	}
	p.fail(p.i, "expecting %s, found %s", what, p.quoted(p.i))
}

// describe names a token in a message.
func (p *parser) describe(i int) string {
	switch t := p.toks[i]; t.kind {
	case tEOF:
		return "end of file"
	case tNewline:
		return "end of line"
	case tStrStart, tStrMiddle, tStrEnd:
		return "a string"
	default:
		return shorten(p.text(i))
	}
}

func (p *parser) quoted(i int) string {
	switch p.toks[i].kind {
	case tEOF, tNewline, tStrStart, tStrMiddle, tStrEnd:
		return p.describe(i)
	}
	return "'" + p.describe(i) + "'"
}

// shorten cuts a token's text for a message.
func shorten(s string) string {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = s[:i] + "…"
	}
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return s
}

// Depth.

// enter goes one construct deeper; the caller defers or calls leave.
func (p *parser) enter() {
	p.depth++
	if p.depth > maxDepth {
		p.stop("constructs are nested more than %d deep", maxDepth)
	}
}

func (p *parser) leave() { p.depth-- }

// link counts one more link of an expression.
func (p *parser) link(n int) {
	if n > maxChain {
		p.stop("an expression has more than %d links", maxChain)
	}
}

// Trying.

// Things that are tried.
const (
	tryCast uint8 = iota
	tryParams
)

// try reads what may not be there. When it fails nothing has happened, except that the same attempt will fail at once.
func (p *parser) try(what uint8, f func()) (ok bool) {
	key := attempt{what, p.i}
	if p.failed[key] {
		return false
	}
	i, last, path := p.i, p.last, p.lastPath
	ctx := p.scope()
	p.trying++
	defer func() {
		p.trying--
		r := recover()
		if r == nil {
			return
		}
		if _, mine := r.(*Error); !mine || p.fatal {
			panic(r)
		}
		p.i, p.last, p.lastPath = i, last, path
		p.restore(ctx)
		if p.failed == nil {
			p.failed = map[attempt]bool{}
		}
		p.failed[key] = true
		ok = false
	}()
	f()
	return true
}

package label

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/outwork-build/outwork/internal/fault"
)

// SyntaxError says where a text stops being a label expression. It comes with fault.Invalid around it.
type SyntaxError struct {
	Input  string
	Offset int    // in bytes, from 0
	Column int    // in characters, from 1
	Reason string // "expected a label after &&"
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%q: %s at column %d", e.Input, e.Reason, e.Column)
}

// Caret renders the input on one line and a ^ below the place that is wrong on the next.
func (e *SyntaxError) Caret() string {
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, e.Input)
	return line + "\n" + strings.Repeat(" ", e.Column-1) + "^"
}

func wrong(s string, at int, format string, args ...any) error {
	return fault.With(fault.Invalid, &SyntaxError{
		Input: s, Offset: at, Column: utf8.RuneCountInString(s[:at]) + 1, Reason: fmt.Sprintf(format, args...),
	})
}

const (
	maxLength = 16 << 10 // bytes of an expression
	maxDepth  = 500      // of nested parentheses and negations
)

// Parse reads a label expression. Its error is a *SyntaxError of kind fault.Invalid. Text of only white space gives nil,
// which matches everything.
func Parse(s string) (*Expr, error) {
	if len(s) > maxLength {
		return nil, fault.New(fault.Invalid, "label expression of %d bytes: expected at most %d", len(s), maxLength)
	}
	p := parser{input: s}
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.tok.kind == end {
		return nil, nil
	}
	e, err := p.iff()
	if err != nil {
		return nil, err
	}
	return e, p.ended()
}

type parser struct {
	input string
	last  token // before tok; its text is "" at the start
	tok   token // not yet taken
	opens []int // columns of the parentheses that are open
	depth int
}

func (p *parser) next() error {
	tok, err := scan(p.input, p.tok.at+len(p.tok.text))
	if err != nil {
		return err
	}
	p.last, p.tok = p.tok, tok
	return nil
}

// take moves past the token if it is of this kind.
func (p *parser) take(k kind) (bool, error) {
	if p.tok.kind != k {
		return false, nil
	}
	return true, p.next()
}

func (p *parser) iff() (*Expr, error) { return p.chain(iff, opIff, p.implies) }
func (p *parser) or() (*Expr, error)  { return p.chain(or, opOr, p.and) }
func (p *parser) and() (*Expr, error) { return p.chain(and, opAnd, p.not) }

// chain reads operands joined by one operator, left associative.
func (p *parser) chain(k kind, o op, operand func() (*Expr, error)) (*Expr, error) {
	x, err := operand()
	for err == nil {
		var more bool
		if more, err = p.take(k); err != nil || !more {
			break
		}
		var y *Expr
		if y, err = operand(); err == nil {
			x = &Expr{op: o, x: x, y: y}
		}
	}
	return x, err
}

func (p *parser) implies() (*Expr, error) {
	x, err := p.or()
	if err != nil {
		return nil, err
	}
	if more, err := p.take(implies); err != nil || !more {
		return x, err
	}
	y, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.tok.kind == implies {
		return nil, wrong(p.input, p.tok.at, "expected parentheses around one of the two ->, which cannot be chained,")
	}
	return &Expr{op: opImplies, x: x, y: y}, nil
}

func (p *parser) not() (*Expr, error) {
	negated, err := p.take(not)
	if err != nil {
		return nil, err
	}
	if !negated {
		return p.primary()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	x, err := p.not()
	if err != nil {
		return nil, err
	}
	return &Expr{op: opNot, x: x}, nil
}

func (p *parser) primary() (*Expr, error) {
	tok := p.tok
	switch tok.kind {
	case word:
		return &Expr{op: opAtom, atom: tok.name}, p.next()
	case open:
		return p.group()
	}
	reason := "expected a label"
	if p.last.text != "" {
		reason += " after " + p.last.text
	}
	if tok.kind != end {
		reason += ", found " + tok.text
	}
	return nil, wrong(p.input, tok.at, "%s", reason)
}

func (p *parser) group() (*Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.opens = append(p.opens, utf8.RuneCountInString(p.input[:p.tok.at])+1)
	if err := p.next(); err != nil {
		return nil, err
	}
	e, err := p.iff()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != shut {
		return nil, p.ended()
	}
	p.opens = p.opens[:len(p.opens)-1]
	e.groups++ // nobody else has it yet
	return e, p.next()
}

// ended checks that nothing follows a whole expression.
func (p *parser) ended() error {
	switch {
	case p.tok.kind == end && len(p.opens) == 0:
		return nil
	case p.tok.kind == end:
		return wrong(p.input, p.tok.at, "expected ) for the ( of column %d", p.opens[len(p.opens)-1])
	case p.tok.kind == shut:
		return wrong(p.input, p.tok.at, "expected the end, found ) without a (")
	}
	return wrong(p.input, p.tok.at, "expected &&, ||, -> or <-> between %s and %s", p.last.text, p.tok.text)
}

func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return wrong(p.input, p.tok.at, "expected at most %d levels of nesting, found more", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

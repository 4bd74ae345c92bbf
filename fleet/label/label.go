// Package label parses and matches label expressions: the language in which work says which nodes it may run on.
//
// The grammar is Jenkins' (hudson.model.labels), tightest first: ( ), !, &&, ||, ->, <->.
//
//	expr = iff ;
//	iff  = impl , { "<->" , impl } ;     left associative
//	impl = or , [ "->" , or ] ;          not chained: (a->b)->c and a->(b->c) differ
//	or   = and , { "||" , and } ;
//	and  = not , { "&&" , not } ;
//	not  = { "!" } , prim ;
//	prim = "(" , iff , ")" | ATOM | STRING ;
//
// An ATOM is any run of characters other than white space and & | ! < > ( ) " ', where a - does not stand before a >. A
// STRING stands in double quotes, with the escapes \b \t \n \f \r \" \' \\.
//
// Four points differ from Jenkins, each where Jenkins surprises: !!a is accepted (Jenkins prints it and cannot read it
// back); line ends are white space (there a part of the label); an empty string and a control character in an ATOM are refused
// (no node could have such a label); and text that does not parse is an error with a column, never silently one strange label.
//
// All functions are pure; an Expr does not change and may be used concurrently.
package label

import (
	"slices"
	"strings"
)

// Expr is a label expression. Its methods accept nil, which is the empty expression: it matches everything.
type Expr struct {
	op     op
	atom   string // of opAtom
	x, y   *Expr  // operands; y is nil for opNot
	groups int    // pairs of parentheses around it, as typed
}

type op uint8

const (
	opAtom op = iota
	opNot
	opAnd
	opOr
	opImplies
	opIff
)

// Atom is the expression that names one label, whatever characters it has. The label must not be empty.
func Atom(name string) *Expr { return &Expr{op: opAtom, atom: name} }

// Not negates x. No operand of Not, And, Or, Implies and Iff may be nil.
func Not(x *Expr) *Expr { return &Expr{op: opNot, x: x.grouped(opNot)} }

// And matches what both match.
func And(x, y *Expr) *Expr { return binary(opAnd, x, y) }

// Or matches what either matches.
func Or(x, y *Expr) *Expr { return binary(opOr, x, y) }

// Implies matches what y matches or x does not.
func Implies(x, y *Expr) *Expr { return binary(opImplies, x, y) }

// Iff matches what both match or neither does.
func Iff(x, y *Expr) *Expr { return binary(opIff, x, y) }

// binary puts parentheses around an operand that would be read differently without. The left operand may be of the same
// operator, but for ->, which does not chain.
func binary(o op, x, y *Expr) *Expr {
	left := o
	if o == opImplies {
		left--
	}
	return &Expr{op: o, x: x.grouped(left), y: y.grouped(o - 1)}
}

// grouped returns e, in parentheses if it binds less tightly than loosest.
func (e *Expr) grouped(loosest op) *Expr {
	if e.groups > 0 || e.op <= loosest {
		return e
	}
	c := *e
	c.groups = 1
	return &c
}

// Matches reports whether a node with the labels for which has answers true is admitted.
func (e *Expr) Matches(has func(label string) bool) bool {
	if e == nil {
		return true
	}
	switch e.op {
	case opAtom:
		return has(e.atom)
	case opNot:
		return !e.x.Matches(has)
	case opAnd:
		return e.x.Matches(has) && e.y.Matches(has)
	case opOr:
		return e.x.Matches(has) || e.y.Matches(has)
	case opImplies:
		return !e.x.Matches(has) || e.y.Matches(has)
	default:
		return e.x.Matches(has) == e.y.Matches(has)
	}
}

// In answers whether a label is among these, which must be sorted. It is made for Matches.
func In(sorted []string) func(label string) bool {
	return func(l string) bool {
		_, ok := slices.BinarySearch(sorted, l)
		return ok
	}
}

// Atoms returns the labels that the expression names, sorted, each once.
func (e *Expr) Atoms() []string {
	var atoms []string
	e.walk(func(name string) { atoms = append(atoms, name) })
	slices.Sort(atoms)
	return slices.Compact(atoms)
}

func (e *Expr) walk(atom func(string)) {
	switch {
	case e == nil:
	case e.op == opAtom:
		atom(e.atom)
	default:
		e.x.walk(atom)
		e.y.walk(atom)
	}
}

// Single returns the label when the expression is nothing but one.
func (e *Expr) Single() (name string, ok bool) {
	if e == nil || e.op != opAtom {
		return "", false
	}
	return e.atom, true
}

// String prints the expression as Jenkins names it: no spaces around operators, parentheses as typed, quotes only where
// they are needed. Parse reads it back to an equal expression.
func (e *Expr) String() string {
	if e == nil {
		return ""
	}
	var b strings.Builder
	e.print(&b)
	return b.String()
}

var spelled = [...]string{opAtom: "", opNot: "!", opAnd: "&&", opOr: "||", opImplies: "->", opIff: "<->"}

func (e *Expr) print(b *strings.Builder) {
	for range e.groups {
		b.WriteByte('(')
	}
	switch e.op {
	case opAtom:
		b.WriteString(quoted(e.atom, isAtom))
	case opNot:
		b.WriteByte('!')
		e.x.print(b)
	default:
		e.x.print(b)
		b.WriteString(spelled[e.op])
		e.y.print(b)
	}
	for range e.groups {
		b.WriteByte(')')
	}
}

package export

import (
	"slices"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// XPath is the part of XPath 1.0 that people use with Jenkins:
//
//	/hudson/job/name   //job[color='red']/name   //lastBuild/number/text()   /*/job[1]   //job[starts-with(name,'a')]
//	//job[lastBuild]   //job[last()]   //job/@_class   count(//job)   concat(//crumbRequestField,":",//crumb)
type XPath struct {
	root *Element
	at   int
	s    string
	left *int // how many elements may still be looked at
}

// maxVisits bounds the work of an expression: paths within predicates multiply.
const maxVisits = 20_000_000

// Result is what an expression answers: elements, or a text.
type Result struct {
	Elements []*Element
	Text     string
	IsText   bool
}

// Find evaluates an expression on a document. fault.Invalid when it is not of the subset above.
func Find(root *Element, expr string) (Result, error) {
	left := maxVisits
	x := &XPath{root: root, s: strings.TrimSpace(expr), left: &left}
	r, err := x.expression()
	if err == nil && x.at < len(x.s) {
		err = x.wrong("expected the end")
	}
	return r, err
}

// Exclude returns a copy of a document without the elements that the expressions find.
func Exclude(root *Element, exprs []string) (*Element, error) {
	for _, e := range exprs {
		r, err := Find(root, e)
		if err != nil {
			return nil, err
		}
		root = root.without(r.Elements)
	}
	return root, nil
}

func (x *XPath) wrong(what string) error {
	return fault.New(fault.Invalid, "xpath %q: %s at character %d; what is known are paths with /, //, *, @_class, text(), "+
		"predicates with a number, last(), a path, = or !=, starts-with and contains, and the functions concat and count", x.s, what, x.at+1)
}

func (x *XPath) blanks() {
	for x.at < len(x.s) && x.s[x.at] == ' ' {
		x.at++
	}
}

func (x *XPath) take(token string) bool {
	x.blanks()
	if strings.HasPrefix(x.s[x.at:], token) {
		x.at += len(token)
		return true
	}
	return false
}

func (x *XPath) need(token string) error {
	if !x.take(token) {
		return x.wrong("expected " + token)
	}
	return nil
}

func (x *XPath) expression() (Result, error) {
	switch {
	case x.take("concat("):
		text, err := x.arguments(-1)
		return Result{Text: strings.Join(text, ""), IsText: true}, err
	case x.take("count("):
		r, err := x.path([]*Element{x.top()})
		if err == nil {
			err = x.need(")")
		}
		return Result{Text: strconv.Itoa(len(r.Elements)), IsText: true}, err
	}
	if text, ok, err := x.literal(); ok || err != nil {
		return Result{Text: text, IsText: true}, err
	}
	return x.path([]*Element{x.top()})
}

// top is the node above the root element.
func (x *XPath) top() *Element { return &Element{Children: []*Element{x.root}} }

// arguments reads n arguments of a function, or any number, as texts. Paths begin at the root.
func (x *XPath) arguments(n int) ([]string, error) {
	var out []string
	for {
		r, err := x.expression()
		if err != nil {
			return nil, err
		}
		out = append(out, r.string())
		if x.take(",") {
			continue
		}
		if err := x.need(")"); err != nil {
			return nil, err
		}
		if n >= 0 && len(out) != n {
			return nil, x.wrong("expected " + strconv.Itoa(n) + " arguments")
		}
		return out, nil
	}
}

// string is the value of a result as a text: of several elements, the first one's.
func (r Result) string() string {
	if r.IsText || len(r.Elements) == 0 {
		return r.Text
	}
	return r.Elements[0].string()
}

func (x *XPath) literal() (string, bool, error) {
	x.blanks()
	if x.at >= len(x.s) || x.s[x.at] != '\'' && x.s[x.at] != '"' {
		return "", false, nil
	}
	end := strings.IndexByte(x.s[x.at+1:], x.s[x.at])
	if end < 0 {
		return "", false, x.wrong("a text without its end")
	}
	text := x.s[x.at+1 : x.at+1+end]
	x.at += end + 2
	return text, true, nil
}

// path reads steps and follows them from a set of nodes.
func (x *XPath) path(from []*Element) (Result, error) {
	first := true
	for {
		deep := x.take("//")
		if !deep && !x.take("/") && !first {
			return Result{Elements: from}, nil
		}
		first = false
		switch {
		case x.take("text()"):
			return Result{Text: texts(from), IsText: true}, nil
		case x.take("@"):
			if x.name() != "_class" {
				return Result{}, x.wrong("expected @_class")
			}
			var class []string
			for _, e := range from {
				class = append(class, e.Class)
			}
			return Result{Text: strings.Join(class, "\n"), IsText: true}, nil
		}
		if x.take(".") {
			continue
		}
		name := "*"
		if !x.take("*") {
			if name = x.name(); name == "" {
				return Result{}, x.wrong("expected a name")
			}
		}
		tests, err := x.predicates()
		if err != nil {
			return Result{}, err
		}
		if from, err = x.step(from, name, deep, tests); err != nil {
			return Result{}, err
		}
	}
}

func texts(es []*Element) string {
	var out []string
	for _, e := range es {
		out = append(out, e.string())
	}
	return strings.Join(out, "\n")
}

func (x *XPath) name() string {
	x.blanks()
	start := x.at
	for x.at < len(x.s) && !strings.ContainsRune("/[]()=!,'\"@ *", rune(x.s[x.at])) {
		x.at++
	}
	return x.s[start:x.at]
}

// test is a predicate: of the i-th of n siblings, counted from 1.
type test func(e *Element, i, n int) (bool, error)

// step follows one step. Predicates count within one parent.
func (x *XPath) step(from []*Element, name string, deep bool, tests []test) ([]*Element, error) {
	var out []*Element
	for _, parent := range parents(from, deep) {
		if *x.left -= 1 + len(parent.Children)*(1+len(tests)); *x.left < 0 {
			return nil, fault.New(fault.Exhausted, "xpath %q looks at too much: name what you need with tree=", x.s)
		}
		var found []*Element
		for _, c := range parent.Children {
			if name == "*" || c.Name == name {
				found = append(found, c)
			}
		}
		for _, t := range tests {
			var kept []*Element
			for i, c := range found {
				ok, err := t(c, i+1, len(found))
				if err != nil {
					return nil, err
				}
				if ok {
					kept = append(kept, c)
				}
			}
			found = kept
		}
		out = append(out, found...)
	}
	return out, nil
}

// parents are the nodes whose children a step looks at.
func parents(from []*Element, deep bool) []*Element {
	if !deep {
		return from
	}
	seen := map[*Element]bool{}
	var out []*Element
	var walk func(e *Element)
	walk = func(e *Element) {
		if seen[e] {
			return
		}
		seen[e] = true
		out = append(out, e)
		for _, c := range e.Children {
			walk(c)
		}
	}
	for _, e := range from {
		walk(e)
	}
	return out
}

func (x *XPath) predicates() ([]test, error) {
	var out []test
	for x.take("[") {
		t, err := x.predicate()
		if err != nil {
			return nil, err
		}
		if err := x.need("]"); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (x *XPath) predicate() (test, error) {
	x.blanks()
	start := x.at
	for x.at < len(x.s) && x.s[x.at] >= '0' && x.s[x.at] <= '9' {
		x.at++
	}
	if digits := x.s[start:x.at]; digits != "" {
		want, err := strconv.Atoi(digits)
		if err != nil {
			return nil, x.wrong("a number too large")
		}
		return func(_ *Element, i, _ int) (bool, error) { return i == want, nil }, nil
	}
	if x.take("last()") {
		return func(_ *Element, i, n int) (bool, error) { return i == n, nil }, nil
	}
	for name, holds := range map[string]func(s, part string) bool{"starts-with(": strings.HasPrefix, "contains(": strings.Contains} {
		if !x.take(name) {
			continue
		}
		operand, err := x.relative()
		if err == nil {
			err = x.need(",")
		}
		if err != nil {
			return nil, err
		}
		part, ok, err := x.literal()
		if err == nil && !ok {
			err = x.wrong("expected a text in quotes")
		}
		if err == nil {
			err = x.need(")")
		}
		return x.some(operand, func(s string) bool { return holds(s, part) }), err
	}
	return x.comparison()
}

func (x *XPath) comparison() (test, error) {
	operand, err := x.relative()
	if err != nil {
		return nil, err
	}
	equal := x.take("=")
	if !equal && !x.take("!=") {
		return x.some(operand, func(string) bool { return true }), nil
	}
	want, ok, err := x.literal()
	if err == nil && !ok {
		err = x.wrong("expected a text in quotes")
	}
	return x.some(operand, func(s string) bool { return (s == want) == equal }), err
}

// relative takes the text of a path, without following it.
func (x *XPath) relative() (string, error) {
	x.blanks()
	start := x.at
	for x.at < len(x.s) && !strings.ContainsRune("]=!,)", rune(x.s[x.at])) {
		if x.take("text()") {
			continue
		}
		if x.s[x.at] == '[' || x.s[x.at] == '(' {
			return "", x.wrong("no predicates within predicates")
		}
		x.at++
	}
	path := strings.TrimSpace(x.s[start:x.at])
	if path == "" || strings.HasPrefix(path, "/") {
		return "", x.wrong("expected a relative path")
	}
	return path, nil
}

// some tests whether a value at a relative path holds. The path is read again for each element.
func (x *XPath) some(path string, holds func(string) bool) test {
	return func(e *Element, _, _ int) (bool, error) {
		inner := &XPath{s: path, left: x.left}
		r, err := inner.path([]*Element{e})
		if err == nil && inner.at < len(inner.s) {
			err = inner.wrong("expected the end")
		}
		if err != nil {
			return false, err
		}
		if r.IsText {
			return slices.ContainsFunc(strings.Split(r.Text, "\n"), holds), nil
		}
		return slices.ContainsFunc(r.Elements, func(e *Element) bool { return holds(e.string()) }), nil
	}
}

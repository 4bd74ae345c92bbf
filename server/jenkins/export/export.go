// Package export renders objects the way Jenkins' remote API does: what is shown is chosen by depth or by a tree of names, and
// it is written as JSON, XML or a Python literal.
//
// An object is a Bean: properties in order, each with a visibility and a function that is called only when the property is
// shown. Everything here is pure but for those functions. Nothing is kept between two renderings.
package export

import (
	"fmt"

	"github.com/outwork-build/outwork/internal/fault"
)

// Bean is an object of the API. Class is its _class; "" has none.
type Bean struct {
	Class string
	Props []Prop
}

// Prop is a property of a Bean.
//
// At depth 0 an object shows its properties of visibility 1 and more, an object in it those of 2 and more, and so on; each
// further depth shows one visibility less. An object behind an inline property is shown as fully as its owner.
type Prop struct {
	Name       string
	Visibility int // see above; at or below 0 it is shown only when asked for by name, or at a depth
	Inline     bool
	Value      func() (any, error) // nil, string, bool, int, int64, float64, *Bean, []*Bean, []string or List
}

// List is a long list: only the elements that are shown are made. from counts from 0; to is exclusive, and negative has no end.
type List func(from, to int) ([]*Bean, error)

// Add appends a property of the usual visibility that has a plain value.
func (b *Bean) Add(name string, value any) *Bean { return b.Show(1, name, value) }

// Show appends a property of a visibility that has a plain value.
func (b *Bean) Show(visibility int, name string, value any) *Bean {
	b.Props = append(b.Props, Prop{Name: name, Visibility: visibility, Value: func() (any, error) { return value, nil }})
	return b
}

// Lazy appends a property that is computed when it is shown.
func (b *Bean) Lazy(visibility int, name string, value func() (any, error)) *Bean {
	b.Props = append(b.Props, Prop{Name: name, Visibility: visibility, Value: value})
	return b
}

// InLine appends a property whose objects are shown as fully as this one.
func (b *Bean) InLine(name string, value func() (any, error)) *Bean {
	b.Props = append(b.Props, Prop{Name: name, Visibility: 1, Inline: true, Value: value})
	return b
}

// Options choose what is shown.
type Options struct {
	Tree  string // as in tree=; "" chooses by Depth
	Depth int
	Max   int // values at most; 0 is MaxValues
}

// MaxValues bounds an answer: depth multiplies quickly.
const MaxValues = 1_000_000

// Object is a Bean as it is shown.
type Object struct {
	Class  string
	Fields []Field
}

// Field is a property of an Object. Value is nil, string, bool, int, int64, float64, *Object or []any of these.
type Field struct {
	Name  string
	Value any
}

// Render chooses what is shown of b. fault.Invalid for a malformed tree, fault.Exhausted when there would be too much.
func Render(b *Bean, o Options) (*Object, error) {
	r := &renderer{left: o.Max}
	if r.left == 0 {
		r.left = MaxValues
	}
	var p pruner = byDepth(1 - o.Depth)
	if o.Tree != "" {
		t, err := parseTree(o.Tree)
		if err != nil {
			return nil, err
		}
		p = byName{t}
	}
	return r.object(b, p)
}

// pruner decides which properties of an object are shown.
type pruner interface {
	// accept answers how the objects behind a property are pruned, and which elements of a list are shown.
	accept(p *Prop) (inside pruner, in window, ok bool)
}

// window is a part of a list: from inclusive, to exclusive, to negative without end.
type window struct{ from, to int }

var whole = window{0, -1}

type byDepth int

func (n byDepth) accept(p *Prop) (pruner, window, bool) {
	if p.Visibility < int(n) {
		return nil, whole, false
	}
	if p.Inline {
		return n, whole, true
	}
	return n + 1, whole, true
}

type byName struct{ tree *tree }

func (n byName) accept(p *Prop) (pruner, window, bool) {
	t := n.tree.children[p.Name]
	if t == nil && p.Visibility > 0 {
		t = n.tree.children["*"]
	}
	if t == nil {
		return nil, whole, false
	}
	return byName{t}, t.window, true
}

type renderer struct{ left int }

func (r *renderer) object(b *Bean, p pruner) (*Object, error) {
	o := &Object{Class: b.Class}
	for i := range b.Props {
		prop := &b.Props[i]
		inside, in, ok := p.accept(prop)
		if !ok {
			continue
		}
		v, err := prop.Value()
		if err == nil {
			v, err = r.value(v, inside, in)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", prop.Name, err)
		}
		o.Fields = append(o.Fields, Field{prop.Name, v})
	}
	return o, nil
}

func (r *renderer) value(v any, p pruner, in window) (any, error) {
	if r.left--; r.left < 0 {
		return nil, fault.New(fault.Exhausted, "the answer would be too large: name what you need with tree=, and parts of lists with {from,to}")
	}
	switch v := v.(type) {
	case *Bean:
		if v == nil {
			return nil, nil
		}
		return r.object(v, p)
	case List:
		bs, err := v(in.from, in.to)
		if err != nil {
			return nil, err
		}
		return r.list(bs, p)
	case []*Bean:
		from, to := in.of(len(v))
		return r.list(v[from:to], p)
	case []string:
		from, to := in.of(len(v))
		out := make([]any, 0, to-from)
		for _, s := range v[from:to] {
			out = append(out, s)
		}
		return out, nil
	}
	return v, nil
}

func (r *renderer) list(bs []*Bean, p pruner) ([]any, error) {
	out := make([]any, 0, len(bs))
	for _, b := range bs {
		o, err := r.value(b, p, whole)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// of cuts the window to a list of n elements.
func (w window) of(n int) (from, to int) {
	to = n
	if w.to >= 0 {
		to = min(w.to, n)
	}
	return min(w.from, to), to
}

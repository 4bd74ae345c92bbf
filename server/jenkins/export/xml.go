package export

import (
	"bytes"
	"encoding/xml"
	"slices"
	"strings"
	"unicode"
)

// Element is a piece of XML. An element has children or a text, never both.
type Element struct {
	Name     string
	Class    string // its attribute _class; "" has none
	Text     string
	Children []*Element
}

// ToXML gives an object the shape it has in XML: lists are repeated elements, and null is left out.
func ToXML(o *Object) *Element { return element(rootName(o.Class), o) }

// rootName is the simple name of a Java class, beginning in lower case: hudson.model.Hudson is hudson.
func rootName(class string) string {
	name := class[strings.LastIndexAny(class, ".$")+1:]
	if name == "" {
		return "object"
	}
	r := []rune(name)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}

func element(name string, v any) *Element {
	e := &Element{Name: name}
	o, ok := v.(*Object)
	if !ok {
		e.Text = scalar(v)
		return e
	}
	e.Class = o.Class
	for _, f := range o.Fields {
		switch x := f.Value.(type) {
		case nil:
		case []any:
			for _, v := range x {
				if v != nil {
					e.Children = append(e.Children, element(singular(f.Name), v))
				}
			}
		default:
			e.Children = append(e.Children, element(f.Name, x))
		}
	}
	return e
}

// singular is how an element of a list is called.
func singular(name string) string {
	if strings.HasSuffix(name, "s") && !strings.HasSuffix(name, "ss") {
		return strings.TrimSuffix(name, "s")
	}
	return name
}

// Bytes writes an element. indent makes it readable.
func (e *Element) Bytes(indent bool) []byte {
	var b bytes.Buffer
	e.write(&b, indent, 0)
	return b.Bytes()
}

func (e *Element) write(b *bytes.Buffer, indent bool, level int) {
	line := func(level int) {
		if indent {
			b.WriteByte('\n')
			b.WriteString(strings.Repeat("  ", level))
		}
	}
	b.WriteString("<" + e.Name)
	if e.Class != "" {
		b.WriteString(` _class="`)
		escape(b, e.Class)
		b.WriteByte('"')
	}
	if len(e.Children) == 0 && e.Text == "" {
		b.WriteString("/>")
		return
	}
	b.WriteByte('>')
	escape(b, e.Text)
	for _, c := range e.Children {
		line(level + 1)
		c.write(b, indent, level+1)
	}
	if len(e.Children) > 0 {
		line(level)
	}
	b.WriteString("</" + e.Name + ">")
}

// escape leaves out what XML cannot hold.
func escape(b *bytes.Buffer, s string) { _ = xml.EscapeText(b, []byte(s)) }

// string is the text of an element and all below it.
func (e *Element) string() string {
	if len(e.Children) == 0 {
		return e.Text
	}
	var b strings.Builder
	for _, c := range e.Children {
		b.WriteString(c.string())
	}
	return b.String()
}

// without returns a copy of e that has none of the elements in drop.
func (e *Element) without(drop []*Element) *Element {
	c := *e
	c.Children = nil
	for _, x := range e.Children {
		if !slices.Contains(drop, x) {
			c.Children = append(c.Children, x.without(drop))
		}
	}
	return &c
}

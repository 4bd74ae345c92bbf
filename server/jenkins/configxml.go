package jenkins

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/outwork-build/outwork/internal/fault"
)

// node of a config.xml, as it was sent.
type xmlNode struct {
	name     string
	class    string // its attribute class
	text     string
	children []*xmlNode
}

// declaration is cut off before a document is read: Jenkins writes version 1.1, which no parser but its own takes.
var declaration = regexp.MustCompile(`^\s*<\?xml[^>]*\?>`)

const maxXMLDepth = 100

// readXML reads the document in the body.
func (c *call) readXML() (*xmlNode, error) {
	body, err := io.ReadAll(c.r.Body)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read the body: %w", err)
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, refuse(400, "No mode given: expected config.xml in the body, with Content-Type: text/xml")
	}
	return parseXML(body)
}

func parseXML(body []byte) (*xmlNode, error) {
	if !utf8.Valid(body) {
		return nil, fault.New(fault.Invalid, "config.xml: expected UTF-8")
	}
	d := xml.NewDecoder(bytes.NewReader(declaration.ReplaceAll(body, nil)))
	var stack []*xmlNode
	var root *xmlNode
	for {
		t, err := d.Token()
		if err == io.EOF && root != nil && len(stack) == 0 {
			return root, nil
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "config.xml: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			n := &xmlNode{name: t.Name.Local}
			for _, a := range t.Attr {
				if a.Name.Local == "class" {
					n.class = a.Value
				}
			}
			switch {
			case len(stack) > maxXMLDepth:
				return nil, fault.New(fault.Invalid, "config.xml: nested too deep")
			case len(stack) > 0:
				p := stack[len(stack)-1]
				p.children = append(p.children, n)
			case root != nil:
				return nil, fault.New(fault.Invalid, "config.xml: expected one root element")
			default:
				root = n
			}
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(t)
			}
		}
	}
}

// at finds an element below n by names; nil when there is none. A nil node has nothing below it.
func (n *xmlNode) at(path ...string) *xmlNode {
	for _, name := range path {
		if n == nil {
			return nil
		}
		var next *xmlNode
		for _, c := range n.children {
			if c.name == name {
				next = c
				break
			}
		}
		n = next
	}
	return n
}

// value is the text of the element at path, trimmed; "" when there is none.
func (n *xmlNode) value(path ...string) string {
	if n = n.at(path...); n == nil {
		return ""
	}
	return strings.TrimSpace(n.text)
}

// kind is the class of an element, or its name where it has none.
func (n *xmlNode) kind() string {
	switch {
	case n == nil:
		return ""
	case n.class != "":
		return n.class
	}
	return n.name
}

// xmlWriter writes a config.xml. The zero value is ready.
type xmlWriter struct {
	b     bytes.Buffer
	level int
}

// open begins an element; attrs is "" or attributes, written as they are.
func (w *xmlWriter) open(name, attrs string) {
	w.indent()
	w.b.WriteString("<" + name + spaced(attrs) + ">\n")
	w.level++
}

func (w *xmlWriter) close(name string) {
	w.level--
	w.indent()
	w.b.WriteString("</" + name + ">\n")
}

// empty writes an element without content.
func (w *xmlWriter) empty(name, attrs string) {
	w.indent()
	w.b.WriteString("<" + name + spaced(attrs) + "/>\n")
}

// leaf writes an element with a text.
func (w *xmlWriter) leaf(name, text string) {
	if text == "" {
		w.empty(name, "")
		return
	}
	w.indent()
	w.b.WriteString("<" + name + ">")
	_ = xml.EscapeText(&w.b, []byte(text)) // a buffer always can
	w.b.WriteString("</" + name + ">\n")
}

func (w *xmlWriter) indent() { w.b.WriteString(strings.Repeat("  ", w.level)) }

func spaced(attrs string) string {
	if attrs == "" {
		return ""
	}
	return " " + attrs
}

// document is what was written. It says version 1.0, unlike Jenkins, so that every parser reads it.
func (w *xmlWriter) document() []byte {
	return append([]byte("<?xml version='1.0' encoding='UTF-8'?>\n"), w.b.Bytes()...)
}

func class(name string) string { return `class="` + name + `"` }

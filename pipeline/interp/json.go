package interp

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/outwork-build/outwork/pipeline/value"
)

// slurper is groovy.json.JsonSlurper. Objects keep the order of their members.
type slurper struct{ class string }

// TypeName implements value.Object.
func (s *slurper) TypeName() string { return s.class }

// Property implements value.Object.
func (*slurper) Property(string) (value.Value, bool, error) { return nil, false, nil }

// SetProperty implements value.Object; options of the parser change nothing.
func (*slurper) SetProperty(string, value.Value) error { return nil }

// Invoke implements value.Object.
func (s *slurper) Invoke(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "parseText" && len(a) == 1, name == "parse" && len(a) == 1:
		if a[0] == nil || value.String(a[0]) == "" {
			return nil, true, &value.Exception{Class: "java.lang.IllegalArgumentException", Message: "Text must not be null or empty"}
		}
		v, err := value.FromJSON([]byte(value.String(a[0])))
		if err != nil {
			return nil, true, &value.Exception{Class: "groovy.json.JsonException", Message: "Unable to parse JSON: " + err.Error()}
		}
		return v, true, nil
	case name == "setType":
		return s, true, nil
	}
	return nil, false, nil
}

// jsonBuilder is groovy.json.JsonBuilder made of ready values.
type jsonBuilder struct{ content value.Value }

// TypeName implements value.Object.
func (*jsonBuilder) TypeName() string { return "groovy.json.JsonBuilder" }

// Property implements value.Object.
func (b *jsonBuilder) Property(name string) (value.Value, bool, error) {
	return b.content, name == "content", nil
}

// SetProperty implements value.Object.
func (*jsonBuilder) SetProperty(string, value.Value) error {
	return errors.New("a JsonBuilder has no properties")
}

// Invoke implements value.Object.
func (b *jsonBuilder) Invoke(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "call" && len(a) == 1:
		b.content = a[0]
		return b.content, true, nil
	case name == "toString" || name == "toPrettyString":
		s, err := groovyJSON(b.content)
		if name == "toPrettyString" {
			s = prettyJSON(s)
		}
		return s, true, err
	}
	return nil, false, nil
}

func (t *Thread) jsonOutput(name string, a []value.Value) (value.Value, bool, error) {
	if len(a) != 1 {
		return nil, false, nil
	}
	switch name {
	case "toJson":
		s, err := groovyJSON(a[0])
		if err != nil {
			return nil, true, t.throw("groovy.json.JsonException", err.Error())
		}
		v, err := t.newText(s)
		return v, true, err
	case "prettyPrint":
		v, err := t.newText(prettyJSON(value.String(a[0])))
		return v, true, err
	}
	return nil, false, nil
}

// groovyJSON writes what JsonOutput.toJson does: characters beyond ASCII are escaped.
func groovyJSON(v value.Value) (string, error) {
	var w jsonWriter
	err := w.write(v, 0)
	return w.b.String(), err
}

// jsonWriter bounds what it writes: a value may contain itself.
type jsonWriter struct {
	b     strings.Builder
	nodes int
}

func (w *jsonWriter) write(v value.Value, depth int) error {
	if w.nodes++; depth > 200 || w.nodes > 2_000_000 || w.b.Len() > 64<<20 {
		return errors.New("a value that is too large or contains itself cannot be written as JSON")
	}
	if s, ok := value.Text(v); ok {
		w.b.WriteString(jsonText(s))
		return nil
	}
	switch x := v.(type) {
	case *value.List, *value.Set, *value.Range:
		es, _ := value.Elements(x)
		w.b.WriteByte('[')
		for i, e := range es {
			if i > 0 {
				w.b.WriteByte(',')
			}
			if err := w.write(e, depth+1); err != nil {
				return err
			}
		}
		w.b.WriteByte(']')
		return nil
	case *value.Map:
		return w.members(x, depth)
	case *value.MapEntry:
		return w.members(value.Pairs(x.Key, x.Value), depth)
	case *instance:
		if x.name != "" {
			w.b.WriteString(jsonText(x.name))
			return nil
		}
		m := value.NewMap()
		for i, n := range x.fields.names {
			m.Put(n, x.fields.vals[i])
		}
		return w.members(m, depth)
	case *date:
		w.b.WriteString(jsonText(x.format("yyyy-MM-dd'T'HH:mm:ssZ")))
		return nil
	}
	data, err := value.ToJSON(v)
	w.b.Write(data)
	return err
}

func (w *jsonWriter) members(m *value.Map, depth int) error {
	w.b.WriteByte('{')
	first := true
	for k, v := range m.All() {
		if !first {
			w.b.WriteByte(',')
		}
		first = false
		w.b.WriteString(jsonText(value.String(k)) + ":")
		if err := w.write(v, depth+1); err != nil {
			return err
		}
	}
	w.b.WriteByte('}')
	return nil
}

func jsonText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < ' ' || r > '~':
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, u)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// prettyJSON lays JSON out over lines, four spaces a level, as JsonOutput.prettyPrint does.
func prettyJSON(s string) string {
	var b strings.Builder
	depth, inText := 0, false
	newline := func() { b.WriteString("\n" + strings.Repeat("    ", depth)) }
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case inText:
			b.WriteByte(c)
			if c == '\\' && i+1 < len(s) {
				i++
				b.WriteByte(s[i])
			}
			inText = c != '"'
		case c == '"':
			inText = true
			b.WriteByte(c)
		case c == '{' || c == '[':
			b.WriteByte(c)
			depth++
			newline()
		case c == '}' || c == ']':
			depth = max(depth-1, 0)
			newline()
			b.WriteByte(c)
		case c == ',':
			b.WriteByte(c)
			newline()
		case c == ':':
			b.WriteString(": ")
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

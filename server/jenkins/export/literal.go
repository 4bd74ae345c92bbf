package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
)

// JSON writes an object. indent makes it readable.
func JSON(o *Object, indent bool) []byte {
	var b bytes.Buffer
	writeLiteral(&b, o, jsonWords)
	if !indent {
		return b.Bytes()
	}
	var out bytes.Buffer
	_ = json.Indent(&out, b.Bytes(), "", "  ") // what was written is JSON
	return out.Bytes()
}

// Python writes an object as a literal of Python, for ast.literal_eval.
func Python(o *Object) []byte {
	var b bytes.Buffer
	writeLiteral(&b, o, pythonWords)
	return b.Bytes()
}

// words are what differs between the two.
type words struct {
	null, yes, no string
	quote         func(*bytes.Buffer, string)
}

var (
	jsonWords   = words{"null", "true", "false", jsonQuote}
	pythonWords = words{"None", "True", "False", pythonQuote}
)

func writeLiteral(b *bytes.Buffer, v any, w words) {
	switch v := v.(type) {
	case nil:
		b.WriteString(w.null)
	case *Object:
		b.WriteByte('{')
		first := true
		key := func(k string) {
			if !first {
				b.WriteByte(',')
			}
			first = false
			w.quote(b, k)
			b.WriteByte(':')
		}
		if v.Class != "" {
			key("_class")
			w.quote(b, v.Class)
		}
		for _, f := range v.Fields {
			key(f.Name)
			writeLiteral(b, f.Value, w)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeLiteral(b, e, w)
		}
		b.WriteByte(']')
	case bool:
		if v {
			b.WriteString(w.yes)
		} else {
			b.WriteString(w.no)
		}
	case string:
		w.quote(b, v)
	default:
		b.WriteString(scalar(v))
	}
}

// scalar prints a plain value as text.
func scalar(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

func jsonQuote(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always can
	b.Truncate(b.Len() - 1)
}

// pythonQuote escapes everything but printable ASCII. What Python 2 would take for bytes is marked as text.
func pythonQuote(b *bytes.Buffer, s string) {
	start := b.Len()
	b.WriteByte('"')
	ascii := true
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
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			ascii = false
			fmt.Fprintf(b, `\U%08x`, r)
		default:
			ascii = false
			if utf16.IsSurrogate(r) {
				r = 0xfffd
			}
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	if !ascii {
		text := string(b.Bytes()[start:])
		b.Truncate(start)
		b.WriteByte('u')
		b.WriteString(text)
	}
}

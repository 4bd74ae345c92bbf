package value

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// What a walk over a value may take: collections can contain themselves, and each other many times over.
const (
	maxDepth = 200
	maxNodes = 5_000_000
	maxBytes = 128 << 20
)

// writer gathers the text of a value; past its bounds it only writes dots.
type writer struct {
	strings.Builder
	nodes int
}

func (w *writer) full(depth int) bool {
	w.nodes++
	return depth > maxDepth || w.nodes > maxNodes || w.Len() > maxBytes
}

// String is the text that println, a GString and + make of a value.
func String(v Value) string {
	switch x := v.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	}
	var b writer
	write(&b, v, 0)
	return b.String()
}

// Stringer is an Object with a text of its own.
type Stringer interface{ Text() string }

func write(b *writer, v Value, depth int) {
	if b.full(depth) {
		b.WriteString("...")
		return
	}
	switch x := v.(type) {
	case nil:
		b.WriteString("null")
	case string:
		b.WriteString(x)
	case bool:
		b.WriteString(strconv.FormatBool(x))
	case int64:
		b.WriteString(strconv.FormatInt(x, 10))
	case Long:
		b.WriteString(strconv.FormatInt(int64(x), 10))
	case Char:
		b.WriteRune(rune(x))
	case float64:
		b.WriteString(FormatFloat(x))
	case *big.Int:
		b.WriteString(x.String())
	case *Decimal:
		b.WriteString(x.String())
	case *GString:
		for i, s := range x.Strings {
			b.WriteString(s)
			if i < len(x.Values) {
				write(b, x.Values[i], depth+1)
			}
		}
	case *List:
		writeList(b, x, x.Elems, depth)
	case *Set:
		writeList(b, x, x.Elems(), depth)
	case *Range:
		writeList(b, x, x.List().Elems, depth)
	case *Map:
		writeMap(b, x, depth)
	case *MapEntry:
		write(b, x.Key, depth+1)
		b.WriteByte('=')
		write(b, x.Value, depth+1)
	case *Class:
		b.WriteString("class " + x.Name)
	case *Regex:
		b.WriteString(x.Source)
	case *Matcher:
		b.WriteString(x.String())
	case *Exception:
		b.WriteString(x.Class)
		if x.Message != "" {
			b.WriteString(": " + x.Message)
		}
	case Stringer:
		b.WriteString(x.Text())
	case Object:
		if s, ok, err := x.Invoke("toString", nil); ok && err == nil {
			write(b, s, depth+1)
			return
		}
		b.WriteString(x.TypeName() + "@" + "1")
	default:
		fmt.Fprintf(&b.Builder, "%T", v)
	}
}

func writeList(b *writer, self Value, es []Value, depth int) {
	b.WriteByte('[')
	for i, e := range es {
		if b.Len() > maxBytes {
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if e == self {
			b.WriteString("(this Collection)")
			continue
		}
		write(b, e, depth+1)
	}
	b.WriteByte(']')
}

func writeMap(b *writer, m *Map, depth int) {
	if m.Len() == 0 {
		b.WriteString("[:]")
		return
	}
	b.WriteByte('[')
	first := true
	for k, v := range m.All() {
		if !first {
			b.WriteString(", ")
		}
		first = false
		write(b, k, depth+1)
		b.WriteByte(':')
		if v == Value(m) {
			b.WriteString("(this Map)")
			continue
		}
		write(b, v, depth+1)
	}
	b.WriteByte(']')
}

var quoted = strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// Inspect is the text of a value as source: strings quoted.
func Inspect(v Value) string {
	var b writer
	inspect(&b, v, 0)
	return b.String()
}

func inspect(b *writer, v Value, depth int) {
	if b.full(depth) {
		b.WriteString("...")
		return
	}
	if s, ok := Text(v); ok {
		b.WriteString("'" + quoted.Replace(s) + "'")
		return
	}
	switch x := v.(type) {
	case *Map:
		if x.Len() == 0 {
			b.WriteString("[:]")
			return
		}
		sep := "["
		for k, e := range x.All() {
			b.WriteString(sep)
			inspect(b, k, depth+1)
			b.WriteByte(':')
			inspect(b, e, depth+1)
			sep = ", "
		}
		b.WriteByte(']')
	case *List, *Set:
		es, _ := Elements(v)
		b.WriteByte('[')
		for i, e := range es {
			if i > 0 {
				b.WriteString(", ")
			}
			inspect(b, e, depth+1)
		}
		b.WriteByte(']')
	default:
		write(b, v, depth+1)
	}
}

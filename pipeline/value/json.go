package value

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
)

// MarshalJSON of each type writes what a script means by it: maps in their order, GStrings as text, decimals as numbers.
// So json.Marshal of any Value, or of a Go map of Values, is deterministic.
func (l *List) MarshalJSON() ([]byte, error) { return marshal(l) }

func (s *Set) MarshalJSON() ([]byte, error)     { return marshal(s) }
func (r *Range) MarshalJSON() ([]byte, error)   { return marshal(r) }
func (g *GString) MarshalJSON() ([]byte, error) { return marshalText(g.String()) }
func (c Char) MarshalJSON() ([]byte, error)     { return marshalText(string(rune(c))) }
func (c *Class) MarshalJSON() ([]byte, error)   { return marshalText(c.Name) }
func (r *Regex) MarshalJSON() ([]byte, error)   { return marshalText(r.Source) }
func (m *Matcher) MarshalJSON() ([]byte, error) { return marshalText(m.String()) }

// MarshalJSON writes plain digits.
func (d *Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// MarshalJSON writes an object of one member.
func (e *MapEntry) MarshalJSON() ([]byte, error) { return marshal(Pairs(e.Key, e.Value)) }

// MarshalJSON writes keys as their texts, in order.
func (m *Map) MarshalJSON() ([]byte, error) { return marshal(m) }

func marshal(v Value) ([]byte, error) {
	var b writer
	err := encode(&b, v, 0)
	return []byte(b.String()), err
}

// encode writes collections itself, so that one count bounds all of a value.
func encode(b *writer, v Value, depth int) error {
	if b.full(depth) {
		return fmt.Errorf("a value that is too large or contains itself cannot be written as JSON")
	}
	switch x := v.(type) {
	case *Map:
		sep := "{"
		for k, e := range x.All() {
			key, err := marshalText(String(k))
			if err != nil {
				return err
			}
			b.WriteString(sep)
			b.Write(key)
			b.WriteByte(':')
			if err := encode(b, e, depth+1); err != nil {
				return err
			}
			sep = ","
		}
		if sep == "{" {
			b.WriteByte('{')
		}
		b.WriteByte('}')
		return nil
	case *List, *Set, *Range:
		es, _ := Elements(v)
		b.WriteByte('[')
		for i, e := range es {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := encode(b, e, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case *MapEntry:
		return encode(b, Pairs(x.Key, x.Value), depth+1)
	}
	data, err := ToJSON(v)
	b.Write(data)
	return err
}

func marshalText(s string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ToJSON encodes a value. A closure or an object without an encoding of its own is its text.
func ToJSON(v Value) ([]byte, error) {
	switch x := v.(type) {
	case string:
		return marshalText(x)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("number %s cannot be written as JSON", FormatFloat(x))
		}
		return []byte(FormatFloat(x)), nil
	case nil, bool, int64, Long, *big.Int, json.Marshaler:
		return json.Marshal(x)
	}
	return marshalText(String(v))
}

// FromJSON decodes one JSON value: objects keep their order, whole numbers are int64, Long or *big.Int, others *Decimal.
func FromJSON(data []byte) (Value, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decode(dec, 0)
	if err != nil {
		return nil, fmt.Errorf("JSON at byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("JSON at byte %d: more than one value", dec.InputOffset())
	}
	return v, nil
}

func decode(dec *json.Decoder, depth int) (Value, error) {
	tok, err := dec.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if depth > 500 {
		return nil, fmt.Errorf("nested deeper than 500")
	}
	switch x := tok.(type) {
	case json.Number:
		return number(string(x))
	case json.Delim:
		if x == '[' {
			l := NewList()
			for dec.More() {
				e, err := decode(dec, depth+1)
				if err != nil {
					return nil, err
				}
				l.Elems = append(l.Elems, e)
			}
			_, err := dec.Token()
			return l, err
		}
		m := NewMap()
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := decode(dec, depth+1)
			if err != nil {
				return nil, err
			}
			m.Put(k.(string), v)
		}
		_, err := dec.Token()
		return m, err
	}
	return tok, nil
}

func number(s string) (Value, error) {
	if strings.ContainsAny(s, ".eE") {
		return ParseDecimal(s)
	}
	i, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("number %q", s)
	}
	return Whole(i), nil
}

// Whole is the smallest of int64, Long and *big.Int that holds a whole number.
func Whole(i *big.Int) Value {
	if !i.IsInt64() {
		return i
	}
	if n := i.Int64(); n >= math.MinInt32 && n <= math.MaxInt32 {
		return n
	}
	return Long(i.Int64())
}

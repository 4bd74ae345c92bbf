package value

import (
	"fmt"
	"math"
	"math/big"
	"sort"
	"strconv"
	"strings"
)

// Truth is Groovy truth: nil, false, zero and what is empty are false.
func Truth(v Value) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case int64:
		return x != 0
	case Long:
		return x != 0
	case float64:
		return x != 0
	case *big.Int:
		return x.Sign() != 0
	case *Decimal:
		return x.Unscaled.Sign() != 0
	case string:
		return x != ""
	case *GString:
		return x.String() != ""
	case Char:
		return x != 0
	case *List:
		return len(x.Elems) > 0
	case *Map:
		return x.Len() > 0
	case *Set:
		return x.Len() > 0
	case *Range:
		return x.Len() > 0
	case *Matcher:
		ok, _ := x.Probe()
		return ok
	}
	return true
}

type (
	nilKey  struct{}
	nanKey  struct{}
	bigKey  string
	decKey  string
	gsKey   string
	listKey string
	mapKey  string
	setKey  string
)

// Keyer is an Object that is equal to others of the same key: a date, an enum constant.
type Keyer interface{ Key() any }

// Key is a comparable Go value that two values share exactly when Java's equals holds between them.
func Key(v Value) any { return key(v, new(walk), 0) }

// walk counts what a comparison looks at.
type walk struct{ nodes, bytes int }

func (w *walk) over(depth int) bool {
	w.nodes++
	return depth > maxDepth || w.nodes > maxNodes || w.bytes > maxKey
}

// maxKey bounds the texts made on the way to a key.
const maxKey = 16 << 20

type endless struct{}

func key(v Value, w *walk, depth int) any {
	if w.over(depth) {
		return endless{}
	}
	switch x := v.(type) {
	case nil:
		return nilKey{}
	case string, int64, bool, Long, Char:
		return x
	case float64:
		if math.IsNaN(x) {
			return nanKey{}
		}
		return x
	case *big.Int:
		return bigKey(x.String())
	case *Decimal:
		return decKey(x.Unscaled.String() + "e" + strconv.Itoa(x.Scale))
	case *GString:
		return gsKey(x.String())
	case *List, *Range:
		es, _ := Elements(v)
		return listKey(strings.Join(keyTexts(es, w, depth), ","))
	case *Set:
		parts := keyTexts(x.Elems(), w, depth)
		sort.Strings(parts)
		return setKey(strings.Join(parts, ","))
	case *Map:
		parts := make([]string, 0, x.Len())
		for k, val := range x.All() {
			parts = append(parts, keyText(k, w, depth)+"="+keyText(val, w, depth))
		}
		sort.Strings(parts)
		return mapKey(strings.Join(parts, ","))
	case *Class:
		return *x
	case *MapEntry:
		return keyText(x.Key, w, depth) + "=" + keyText(x.Value, w, depth)
	case Keyer:
		return x.Key()
	}
	return v
}

func keyText(v Value, w *walk, depth int) string {
	k := key(v, w, depth+1)
	s := fmt.Sprint(identity(k))
	w.bytes += len(s)
	return fmt.Sprintf("%T:%d:%s", k, len(s), s) // the length, not quotes: quoting quotes grows with the depth
}

// identity is what stands for a key in a text: objects without a key of their own are told apart by where they are.
func identity(k any) any {
	switch k.(type) {
	case nilKey, nanKey, endless, int64, bool, Long, Char, float64, bigKey, decKey, gsKey, listKey, mapKey, setKey, Class:
		return k
	}
	if o, ok := k.(Object); ok {
		return fmt.Sprintf("%p", o)
	}
	if o, ok := k.(Callable); ok {
		return fmt.Sprintf("%p", o)
	}
	return k
}

func keyTexts(es []Value, w *walk, depth int) []string {
	parts := make([]string, 0, len(es))
	for _, e := range es {
		if w.over(depth) {
			break
		}
		parts = append(parts, keyText(e, w, depth))
	}
	return parts
}

// Equal is Groovy's ==: numbers by value, a GString and a String by text, collections by element.
func Equal(a, b Value) bool { return equal(a, b, new(walk), 0) }

func equal(a, b Value, w *walk, depth int) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if w.over(depth) {
		return false
	}
	if IsNumber(a) || isChar(a) {
		if IsNumber(b) || isChar(b) {
			return CompareNumbers(a, b) == 0
		}
	}
	if s, ok := Text(a); ok {
		t, ok := Text(b)
		return ok && s == t
	}
	switch x := a.(type) {
	case *List, *Range:
		if _, isSet := b.(*Set); isSet {
			return false
		}
		if _, isMap := b.(*Map); isMap {
			return false
		}
		xs, _ := Elements(a)
		ys, ok := Elements(b)
		return ok && equalAll(xs, ys, w, depth)
	case *Set:
		y, ok := b.(*Set)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for _, e := range x.Elems() {
			if !y.Has(e) {
				return false
			}
		}
		return true
	case *Map:
		y, ok := b.(*Map)
		return ok && equalMaps(x, y, w, depth)
	case *MapEntry:
		y, ok := b.(*MapEntry)
		return ok && equal(x.Key, y.Key, w, depth+1) && equal(x.Value, y.Value, w, depth+1)
	}
	return Key(a) == Key(b)
}

func equalAll(xs, ys []Value, w *walk, depth int) bool {
	if len(xs) != len(ys) {
		return false
	}
	for i := range xs {
		if !equal(xs[i], ys[i], w, depth+1) {
			return false
		}
	}
	return true
}

func equalMaps(x, y *Map, w *walk, depth int) bool {
	if x.Len() != y.Len() {
		return false
	}
	for k, v := range x.All() {
		o, ok := y.Get(k)
		if !ok || !equal(v, o, w, depth+1) {
			return false
		}
	}
	return true
}

func isChar(v Value) bool { _, ok := v.(Char); return ok }

// Compare is Groovy's <=>: -1, 0 or 1. ok false means that the two cannot be ordered.
func Compare(a, b Value) (c int, ok bool) {
	switch {
	case a == nil && b == nil:
		return 0, true
	case a == nil:
		return -1, true
	case b == nil:
		return 1, true
	}
	if (IsNumber(a) || isChar(a)) && (IsNumber(b) || isChar(b)) {
		return CompareNumbers(a, b), true
	}
	if s, isText := Text(a); isText {
		if t, isText := Text(b); isText {
			return strings.Compare(s, t), true
		}
		return 0, false
	}
	if x, isBool := a.(bool); isBool {
		if y, isBool := b.(bool); isBool {
			switch {
			case x == y:
				return 0, true
			case y:
				return -1, true
			}
			return 1, true
		}
	}
	if x, can := a.(Ordered); can {
		return x.CompareTo(b)
	}
	if Equal(a, b) {
		return 0, true
	}
	return 0, false
}

// Ordered is an Object that can be compared: a date, an enum constant.
type Ordered interface {
	CompareTo(o Value) (c int, ok bool)
}

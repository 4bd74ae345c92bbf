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
func Key(v Value) any {
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
		return listKey(joinKeys(es))
	case *Set:
		return setKey(sortedKeys(x.Elems()))
	case *Map:
		pairs := make([]string, 0, x.Len())
		for k, val := range x.All() {
			pairs = append(pairs, keyText(k)+"="+keyText(val))
		}
		sort.Strings(pairs)
		return mapKey(strings.Join(pairs, ","))
	case *Class:
		return *x
	case *MapEntry:
		return keyText(x.Key) + "=" + keyText(x.Value)
	case Keyer:
		return x.Key()
	}
	return v
}

func keyText(v Value) string {
	k := Key(v)
	return fmt.Sprintf("%T:%q", k, fmt.Sprint(k))
}

func joinKeys(es []Value) string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = keyText(e)
	}
	return strings.Join(parts, ",")
}

func sortedKeys(es []Value) string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = keyText(e)
	}
	sort.Strings(parts)
	return strings.Join(parts, ",")
}

// Equal is Groovy's ==: numbers by value, a GString and a String by text, collections by element.
func Equal(a, b Value) bool { return equal(a, b, 0) }

func equal(a, b Value, depth int) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if depth > maxDepth {
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
		return ok && equalAll(xs, ys, depth)
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
		return ok && equalMaps(x, y, depth)
	case *MapEntry:
		y, ok := b.(*MapEntry)
		return ok && equal(x.Key, y.Key, depth+1) && equal(x.Value, y.Value, depth+1)
	}
	return Key(a) == Key(b)
}

func equalAll(xs, ys []Value, depth int) bool {
	if len(xs) != len(ys) {
		return false
	}
	for i := range xs {
		if !equal(xs[i], ys[i], depth+1) {
			return false
		}
	}
	return true
}

func equalMaps(x, y *Map, depth int) bool {
	if x.Len() != y.Len() {
		return false
	}
	for k, v := range x.All() {
		w, ok := y.Get(k)
		if !ok || !equal(v, w, depth+1) {
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

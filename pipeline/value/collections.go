package value

import "iter"

// List is java.util.ArrayList, or an array when Array is set.
type List struct {
	Elems []Value
	// Array is the element type of an array ("String", "int"), "" for a list. An array has a fixed length.
	Array string
	// Fixed lists refuse changes (asImmutable, Collections.emptyList).
	Fixed bool
}

// NewList makes a list of its arguments.
func NewList(elems ...Value) *List { return &List{Elems: elems} }

// Strings makes a list of strings.
func Strings(s ...string) *List {
	l := &List{Elems: make([]Value, len(s))}
	for i, x := range s {
		l.Elems[i] = x
	}
	return l
}

// Range is from..to. Its ends are int64 both, or strings of one character both. From > To counts down.
type Range struct {
	From, To Value
	// Open leaves the end out: from..<to.
	Open bool
}

// Bounds are the first and last number of an integer range and the step (1 or -1); empty reports a range without elements.
// A range of characters is bounded by their code points.
func (r *Range) Bounds() (first, last, by int64, empty bool) {
	first, last = rangeEnd(r.From), rangeEnd(r.To)
	by = 1
	if first > last {
		by = -1
	}
	if r.Open {
		if first == last {
			return first, last, by, true
		}
		last -= by
	}
	return first, last, by, false
}

// IsText reports a range of characters.
func (r *Range) IsText() bool { _, ok := r.From.(string); return ok }

func rangeEnd(v Value) int64 {
	switch x := v.(type) {
	case int64:
		return x
	case Long:
		return int64(x)
	case string:
		for _, c := range x {
			return int64(c)
		}
	}
	return 0
}

// Len is the number of elements.
func (r *Range) Len() int {
	first, last, by, empty := r.Bounds()
	if empty {
		return 0
	}
	return int((last-first)*by) + 1
}

// At is the i-th element, counted from 0.
func (r *Range) At(i int) Value {
	first, _, by, _ := r.Bounds()
	n := first + int64(i)*by
	if r.IsText() {
		return string(rune(n))
	}
	return n
}

// List is the range's elements.
func (r *Range) List() *List {
	l := &List{Elems: make([]Value, r.Len())}
	for i := range l.Elems {
		l.Elems[i] = r.At(i)
	}
	return l
}

// Map is java.util.LinkedHashMap: keys in the order of insertion, compared as Java does (1 and 1L differ, "a" and a GString of the
// same text too).
type Map struct {
	keys, vals []Value // a removed key is the value removed
	index      map[any]int
	// Default, when set, makes the value of a missing key (withDefault).
	Default Callable
	// Fixed maps refuse changes.
	Fixed bool
	// Class is the Java class when it is not LinkedHashMap: "java.util.TreeMap".
	Class string
}

type removedKey struct{}

// NewMap returns an empty map.
func NewMap() *Map { return &Map{} }

// Pairs makes a map of keys and values in turn.
func Pairs(kv ...Value) *Map {
	m := NewMap()
	for i := 0; i+1 < len(kv); i += 2 {
		m.Put(kv[i], kv[i+1])
	}
	return m
}

// Len is the number of keys.
func (m *Map) Len() int { return len(m.index) }

// Get returns the value of a key.
func (m *Map) Get(key Value) (Value, bool) {
	if i, ok := m.index[Key(key)]; ok {
		return m.vals[i], true
	}
	return nil, false
}

// GetString returns the value of a string key, nil when there is none.
func (m *Map) GetString(key string) Value { v, _ := m.Get(key); return v }

// Put sets a key; a new one goes to the end.
func (m *Map) Put(key, v Value) {
	k := Key(key)
	if i, ok := m.index[k]; ok {
		m.vals[i] = v
		return
	}
	if m.index == nil {
		m.index = map[any]int{}
	}
	m.index[k] = len(m.keys)
	m.keys, m.vals = append(m.keys, key), append(m.vals, v)
}

// Remove deletes a key and returns its value.
func (m *Map) Remove(key Value) (Value, bool) {
	k := Key(key)
	i, ok := m.index[k]
	if !ok {
		return nil, false
	}
	old := m.vals[i]
	delete(m.index, k)
	m.keys[i], m.vals[i] = removedKey{}, nil
	if len(m.keys) > 16 && len(m.index) < len(m.keys)/2 {
		m.compact()
	}
	return old, true
}

func (m *Map) compact() {
	keys, vals := m.keys, m.vals
	m.keys, m.vals = nil, nil
	for i, k := range keys {
		if _, gone := k.(removedKey); !gone {
			m.index[Key(k)] = len(m.keys)
			m.keys, m.vals = append(m.keys, k), append(m.vals, vals[i])
		}
	}
}

// Clear removes every key.
func (m *Map) Clear() { m.keys, m.vals, m.index = nil, nil, nil }

// All yields keys and values in order. Keys added meanwhile are not seen; removed ones are left out.
func (m *Map) All() iter.Seq2[Value, Value] {
	return func(yield func(Value, Value) bool) {
		keys, vals := m.keys, m.vals
		for i, k := range keys {
			if _, gone := k.(removedKey); gone {
				continue
			}
			if !yield(k, vals[i]) {
				return
			}
		}
	}
}

// Keys returns the keys in order.
func (m *Map) Keys() []Value {
	ks := make([]Value, 0, m.Len())
	for k := range m.All() {
		ks = append(ks, k)
	}
	return ks
}

// Values returns the values in the order of their keys.
func (m *Map) Values() []Value {
	vs := make([]Value, 0, m.Len())
	for _, v := range m.All() {
		vs = append(vs, v)
	}
	return vs
}

// Clone is a shallow copy.
func (m *Map) Clone() *Map {
	c := &Map{Default: m.Default, Class: m.Class}
	for k, v := range m.All() {
		c.Put(k, v)
	}
	return c
}

// Set is java.util.LinkedHashSet.
type Set struct {
	m Map
	// Fixed sets refuse changes.
	Fixed bool
}

// NewSet makes a set of its arguments.
func NewSet(elems ...Value) *Set {
	s := &Set{}
	for _, e := range elems {
		s.Add(e)
	}
	return s
}

// Add puts an element in and reports whether it was new.
func (s *Set) Add(v Value) bool {
	if s.Has(v) {
		return false
	}
	s.m.Put(v, true)
	return true
}

// Has reports membership.
func (s *Set) Has(v Value) bool { _, ok := s.m.Get(v); return ok }

// Remove takes an element out and reports whether it was there.
func (s *Set) Remove(v Value) bool { _, ok := s.m.Remove(v); return ok }

// Len is the number of elements.
func (s *Set) Len() int { return s.m.Len() }

// Elems returns the elements in order of insertion.
func (s *Set) Elems() []Value { return s.m.Keys() }

// Clear empties the set.
func (s *Set) Clear() { s.m.Clear() }

// Elements returns the elements of a list, range, set, or of a map's entries; ok false for anything else. The slice must not be changed.
func Elements(v Value) (elems []Value, ok bool) {
	switch x := v.(type) {
	case *List:
		return x.Elems, true
	case *Range:
		return x.List().Elems, true
	case *Set:
		return x.Elems(), true
	case *Map:
		es := make([]Value, 0, x.Len())
		for k, val := range x.All() {
			es = append(es, &MapEntry{Key: k, Value: val, of: x})
		}
		return es, true
	}
	return nil, false
}

// MapEntry is one entry of a map, as each and collect hand it out.
type MapEntry struct {
	Key, Value Value
	of         *Map
}

// Set changes the entry and its map.
func (e *MapEntry) Set(v Value) {
	e.Value = v
	if e.of != nil {
		e.of.Put(e.Key, v)
	}
}

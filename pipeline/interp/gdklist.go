package interp

import (
	"github.com/outwork-build/outwork/pipeline/value"
)

// listMethod is the methods that change a list or depend on it being one; the others are sequence's.
func (t *Thread) listMethod(l *value.List, name string, a []value.Value) (value.Value, bool, error) {
	if changes(name, len(a)) {
		if err := t.changeable(l); err != nil && (name != "sort" && name != "each" || l.Fixed) {
			return nil, true, err
		}
		if v, ok, err := t.changeList(l, name, a); ok || err != nil {
			return v, ok, err
		}
	}
	n := len(a)
	switch {
	case name == "get" && n == 1 && value.IsNumber(a[0]):
		i := int(value.ToInt(a[0]))
		if i < 0 || i >= len(l.Elems) {
			return nil, true, t.throwf("java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", i, len(l.Elems))
		}
		return l.Elems[i], true, nil
	case name == "each" || name == "eachWithIndex":
		if n == 1 {
			if c, ok := a[0].(*Closure); ok {
				return l, true, t.eachLive(l, name, c)
			}
		}
	case name == "getAt" && n == 1:
		v, err := t.getAt(l, a[0])
		return v, true, err
	case name == "length" && n == 0 && l.Array != "":
		return int64(len(l.Elems)), true, nil
	case name == "clone" && n == 0:
		c := copyOf(l.Elems)
		c.Array = l.Array
		return c, true, t.room(len(l.Elems))
	case name == "peek" && n == 0:
		if len(l.Elems) == 0 {
			return nil, true, nil
		}
		return l.Elems[len(l.Elems)-1], true, nil
	case name == "encodeBase64" && n == 0 && l.Array == "byte":
		return t.textMethod0(string(goBytes(l)), name)
	case name == "encodeHex" && n == 0 && l.Array == "byte":
		return hexOf(goBytes(l)), true, nil
	case name == "equals" && n == 1:
		return value.Equal(l, a[0]), true, nil
	}
	return t.sequence(l.Elems, name, a)
}

// eachLive goes over a list that its closure may not change.
func (t *Thread) eachLive(l *value.List, name string, c *Closure) error {
	i := 0
	return t.iterate(l, func(e value.Value) (bool, error) {
		var err error
		if name == "eachWithIndex" {
			_, err = t.callIndexed(c, e, i)
		} else {
			_, err = t.callEach(c, e)
		}
		i++
		return err == nil, err
	})
}

func changes(name string, n int) bool {
	switch name {
	case "add", "addAll", "push", "leftShift", "remove", "removeAt", "removeElement", "removeAll", "retainAll", "clear", "pop", "set", "putAt", "removeLast", "swap", "addFirst", "addLast", "removeFirst", "poll", "offer":
		return true
	case "sort", "unique":
		return n <= 1
	}
	return false
}

func (t *Thread) changeList(l *value.List, name string, a []value.Value) (value.Value, bool, error) {
	n := len(a)
	switch {
	case (name == "add" || name == "push" || name == "addLast" || name == "offer") && n == 1:
		l.Elems = append(l.Elems, a[0])
		return true, true, t.grown(len(l.Elems))
	case name == "leftShift" && n == 1:
		l.Elems = append(l.Elems, a[0])
		return l, true, t.grown(len(l.Elems))
	case name == "addFirst" && n == 1:
		l.Elems = append([]value.Value{a[0]}, l.Elems...)
		return nil, true, t.grown(len(l.Elems))
	case (name == "add" || name == "addAll") && n == 2 && value.IsNumber(a[0]):
		i := int(value.ToInt(a[0]))
		if i < 0 || i > len(l.Elems) {
			return nil, true, t.throwf("java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", i, len(l.Elems))
		}
		more := []value.Value{a[1]}
		if name == "addAll" {
			more, _ = collection(a[1])
		}
		rest := append([]value.Value{}, l.Elems[i:]...)
		l.Elems = append(append(l.Elems[:i:i], more...), rest...)
		return true, true, t.room(len(l.Elems))
	case name == "addAll" && n == 1:
		more, ok := collection(a[0])
		if !ok {
			return nil, false, nil
		}
		l.Elems = append(l.Elems, more...)
		return len(more) > 0, true, t.room(len(l.Elems))
	case name == "clear" && n == 0:
		l.Elems = nil
		return nil, true, nil
	case (name == "pop" || name == "removeLast") && n == 0:
		if len(l.Elems) == 0 {
			return nil, true, t.throw("java.util.NoSuchElementException", "Cannot pop() an empty List")
		}
		e := l.Elems[len(l.Elems)-1]
		l.Elems = l.Elems[:len(l.Elems)-1]
		return e, true, nil
	case (name == "removeFirst" || name == "poll") && n == 0:
		if len(l.Elems) == 0 {
			if name == "poll" {
				return nil, true, nil
			}
			return nil, true, t.throw("java.util.NoSuchElementException", "")
		}
		return t.removeAt(l, 0)
	case (name == "remove" || name == "removeAt") && n == 1 && value.IsNumber(a[0]):
		return t.removeAt(l, int(value.ToInt(a[0])))
	case (name == "remove" || name == "removeElement") && n == 1:
		k := value.Key(a[0])
		for i, e := range l.Elems {
			if value.Key(e) == k {
				_, _, err := t.removeAt(l, i)
				return true, true, err
			}
		}
		return false, true, nil
	case (name == "removeAll" || name == "retainAll") && n == 1:
		v, err := t.removeAll(l, name == "retainAll", a[0])
		return v, true, err
	case name == "set" && n == 2:
		i := int(value.ToInt(a[0]))
		if i < 0 || i >= len(l.Elems) {
			return nil, true, t.throwf("java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", i, len(l.Elems))
		}
		old := l.Elems[i]
		l.Elems[i] = a[1]
		return old, true, nil
	case name == "putAt" && n == 2:
		return nil, true, t.putAt(l, a[0], a[1])
	case name == "swap" && n == 2:
		i, j := int(value.ToInt(a[0])), int(value.ToInt(a[1]))
		if i < 0 || j < 0 || i >= len(l.Elems) || j >= len(l.Elems) {
			return nil, true, t.throwf("java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", max(i, j), len(l.Elems))
		}
		l.Elems[i], l.Elems[j] = l.Elems[j], l.Elems[i]
		return l, true, nil
	case name == "sort" || name == "unique":
		return t.reorder(l, name, a)
	}
	return nil, false, nil
}

// reorder is sort and unique, which change the list unless they are told not to.
func (t *Thread) reorder(l *value.List, name string, a []value.Value) (value.Value, bool, error) {
	inPlace := true
	var c *Closure
	for _, x := range a {
		switch y := x.(type) {
		case bool:
			inPlace = y
		case *Closure:
			c = y
		}
	}
	var out []value.Value
	var err error
	if name == "sort" {
		out, err = t.sorted(l.Elems, c)
	} else {
		out, err = t.unique(l.Elems, c)
	}
	if err != nil || !inPlace {
		return &value.List{Elems: out}, true, err
	}
	if l.Fixed {
		return nil, true, t.throw("java.lang.UnsupportedOperationException", "")
	}
	l.Elems = out
	return l, true, nil
}

func (t *Thread) removeAt(l *value.List, i int) (value.Value, bool, error) {
	if i < 0 || i >= len(l.Elems) {
		return nil, true, t.throwf("java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", i, len(l.Elems))
	}
	e := l.Elems[i]
	l.Elems = append(l.Elems[:i:i], l.Elems[i+1:]...)
	return e, true, nil
}

// removeAll removes what a collection has, or what a closure answers true for; keep turns it round.
func (t *Thread) removeAll(l *value.List, keep bool, what value.Value) (value.Value, error) {
	c, byClosure := what.(*Closure)
	drop, ok := collection(what)
	if !ok && !byClosure {
		drop = []value.Value{what}
	}
	var out []value.Value
	for _, e := range l.Elems {
		hit := containsKey(drop, e)
		if byClosure {
			var err error
			if hit, err = t.callTruth(c, e); err != nil {
				return nil, err
			}
		}
		if hit == keep {
			out = append(out, e)
		}
	}
	changed := len(out) != len(l.Elems)
	l.Elems = out
	return changed, nil
}

func (t *Thread) rangeMethod(r *value.Range, name string, a []value.Value) (value.Value, bool, error) {
	if err := t.room(r.Len()); err != nil {
		return nil, true, err
	}
	switch {
	case name == "step" && len(a) >= 1:
		v, err := t.stepRange(r, a)
		return v, true, err
	case (name == "getFrom" || name == "getTo") && len(a) == 0:
		first, last, _, _ := r.Bounds()
		lo, hi := min(first, last), max(first, last)
		if name == "getTo" {
			lo = hi
		}
		if r.IsText() {
			return string(rune(lo)), true, nil
		}
		return lo, true, nil
	case (name == "contains" || name == "containsWithinBounds") && len(a) == 1:
		if value.IsNumber(a[0]) {
			ok, err := t.isCase(r, a[0])
			return ok, true, err
		}
	case name == "isReverse":
		_, _, by, _ := r.Bounds()
		return by < 0, true, nil
	case (name == "each" || name == "eachWithIndex") && len(a) == 1:
		if _, ok := a[0].(*Closure); ok {
			_, _, err := t.sequence(r.List().Elems, name, a)
			return r, true, err
		}
	case changes(name, len(a)) && name != "sort" && name != "unique":
		return nil, true, t.throw("java.lang.UnsupportedOperationException", "")
	}
	return t.listMethod(r.List(), name, a)
}

func (t *Thread) stepRange(r *value.Range, a []value.Value) (value.Value, error) {
	by := int(value.ToInt(a[0]))
	if by == 0 {
		return nil, t.throw("groovy.lang.GroovyRuntimeException", "Infinite loop detected due to step size of 0")
	}
	es := r.List().Elems
	out := &value.List{}
	for i := 0; i < len(es); i += max(by, -by) {
		at := i
		if by < 0 {
			at = len(es) - 1 - i
		}
		out.Elems = append(out.Elems, es[at])
	}
	if len(a) == 2 {
		if c, ok := a[1].(*Closure); ok {
			return t.eachOf(out.Elems, "each", c)
		}
	}
	return out, nil
}

func (t *Thread) setMethod(s *value.Set, name string, a []value.Value) (value.Value, bool, error) {
	if changes(name, len(a)) && s.Fixed {
		return nil, true, t.throw("java.lang.UnsupportedOperationException", "")
	}
	n := len(a)
	switch {
	case name == "add" && n == 1:
		return s.Add(a[0]), true, t.grown(s.Len())
	case name == "leftShift" && n == 1:
		s.Add(a[0])
		return s, true, t.grown(s.Len())
	case name == "addAll" && n == 1:
		more, _ := collection(a[0])
		changed := false
		for _, e := range more {
			changed = s.Add(e) || changed
		}
		return changed, true, t.room(s.Len())
	case name == "remove" && n == 1:
		return s.Remove(a[0]), true, nil
	case (name == "removeAll" || name == "retainAll") && n == 1:
		l := &value.List{Elems: s.Elems()}
		v, err := t.removeAll(l, name == "retainAll", a[0])
		s.Clear()
		for _, e := range l.Elems {
			s.Add(e)
		}
		return v, true, err
	case name == "clear" && n == 0:
		s.Clear()
		return nil, true, nil
	case name == "contains" && n == 1:
		return s.Has(a[0]), true, nil
	case name == "equals" && n == 1:
		return value.Equal(s, a[0]), true, nil
	case (name == "each" || name == "eachWithIndex") && n == 1:
		_, ok, err := t.sequence(s.Elems(), name, a)
		return s, ok, err
	case (name == "plus" || name == "minus") && n == 1:
		v, err := t.operate(map[string]string{"plus": "+", "minus": "-"}[name], s, a[0])
		return v, true, err
	case name == "findAll" || name == "intersect" || name == "clone":
		v, ok, err := t.sequence(s.Elems(), name, a)
		if l, isList := v.(*value.List); isList {
			v = value.NewSet(l.Elems...)
		}
		return v, ok, err
	}
	return t.sequence(s.Elems(), name, a)
}

package interp

import (
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

// sequence is the methods that lists, ranges, sets, matchers and every other thing that has elements share, and that do not change it.
func (t *Thread) sequence(es []value.Value, name string, a []value.Value) (value.Value, bool, error) {
	if n := len(a); n > 0 {
		if c, ok := a[n-1].(*Closure); ok {
			if v, ok, err := t.sequenceBy(es, name, a[:n-1], c); ok || err != nil {
				return v, ok, err
			}
		}
	}
	switch len(a) {
	case 0:
		return t.sequence0(es, name)
	case 1:
		return t.sequence1(es, name, a[0])
	}
	switch {
	case name == "subList" && len(a) == 2:
		i, j := int(value.ToInt(a[0])), int(value.ToInt(a[1]))
		if i < 0 || j > len(es) || i > j {
			return nil, true, t.throwf("java.lang.IndexOutOfBoundsException", "fromIndex: %d, toIndex: %d, size: %d", i, j, len(es))
		}
		return copyOf(es[i:j]), true, nil
	case name == "collate" && len(a) >= 2:
		keep := len(a) < 3 || value.Truth(a[2])
		if b, ok := a[1].(bool); ok {
			v, err := t.collate(es, int(value.ToInt(a[0])), int(value.ToInt(a[0])), b)
			return v, true, err
		}
		v, err := t.collate(es, int(value.ToInt(a[0])), int(value.ToInt(a[1])), keep)
		return v, true, err
	}
	return nil, false, nil
}

func copyOf(es []value.Value) *value.List { return &value.List{Elems: append([]value.Value{}, es...)} }

func (t *Thread) sequence0(es []value.Value, name string) (value.Value, bool, error) {
	n := len(es)
	switch name {
	case "size", "getLength":
		return int64(n), true, nil
	case "isEmpty":
		return n == 0, true, nil
	case "first", "head", "last":
		if n == 0 {
			return nil, true, t.throwf("java.util.NoSuchElementException", "Cannot access %s() element from an empty List", name)
		}
		if name == "last" {
			return es[n-1], true, nil
		}
		return es[0], true, nil
	case "tail":
		if n == 0 {
			return nil, true, t.throw("java.util.NoSuchElementException", "Cannot access tail() for an empty List")
		}
		return copyOf(es[1:]), true, nil
	case "init":
		if n == 0 {
			return nil, true, t.throw("java.util.NoSuchElementException", "Cannot access init() for an empty List")
		}
		return copyOf(es[:n-1]), true, nil
	case "reverse":
		out := make([]value.Value, n)
		for i, e := range es {
			out[n-1-i] = e
		}
		return &value.List{Elems: out}, true, t.room(n)
	case "sum":
		v, err := t.sum(es)
		return v, true, err
	case "min", "max":
		v, err := t.extreme(es, name, nil)
		return v, true, err
	case "join":
		v, err := t.join(es, "")
		return v, true, err
	case "sort", "toSorted":
		out, err := t.sorted(es, nil)
		return &value.List{Elems: out}, true, err
	case "unique", "toUnique":
		out, err := t.unique(es, nil)
		return &value.List{Elems: out}, true, err
	case "flatten":
		out := &value.List{}
		err := t.flattenInto(out, es, 0)
		return out, true, err
	case "toList", "asList", "collect", "clone":
		return copyOf(es), true, t.room(n)
	case "toSet":
		return value.NewSet(es...), true, t.room(n)
	case "toArray":
		l := copyOf(es)
		l.Array = "Object"
		return l, true, t.room(n)
	case "indices":
		return &value.Range{From: int64(0), To: int64(n), Open: true}, true, nil
	case "withIndex", "indexed":
		v, err := t.indexed(es, name, 0)
		return v, true, err
	case "any", "every":
		for _, e := range es {
			ok, err := t.truth(e)
			if err != nil || ok == (name == "any") {
				return ok, true, err
			}
		}
		return name == "every", true, nil
	case "find":
		for _, e := range es {
			if ok, err := t.truth(e); err != nil || ok {
				return e, true, err
			}
		}
		return nil, true, nil
	case "findAll", "grep":
		out := &value.List{}
		for _, e := range es {
			ok, err := t.truth(e)
			if err != nil {
				return nil, true, err
			}
			if ok {
				out.Elems = append(out.Elems, e)
			}
		}
		return out, true, nil
	case "iterator", "listIterator":
		return &iterator{es: es}, true, nil
	case "permutations":
		v, err := t.permutations(es)
		return v, true, err
	case "combinations":
		v, err := t.combinations(es)
		return v, true, err
	case "transpose":
		v, err := t.transpose(es)
		return v, true, err
	case "subsequences":
		return nil, false, nil
	case "asImmutable", "asUnmodifiable":
		l := copyOf(es)
		l.Fixed = true
		return l, true, nil
	case "asSynchronized", "stream":
		return copyOf(es), true, nil
	case "collectEntries":
		m := value.NewMap()
		for _, e := range es {
			if err := t.addEntry(m, e); err != nil {
				return nil, true, err
			}
		}
		return m, true, nil
	case "countBy", "groupBy":
		return nil, false, nil
	}
	return nil, false, nil
}

func (t *Thread) indexed(es []value.Value, name string, from int) (value.Value, error) {
	if err := t.room(3 * len(es)); err != nil {
		return nil, err
	}
	if name == "indexed" {
		m := value.NewMap()
		for i, e := range es {
			m.Put(int64(from+i), e)
		}
		return m, nil
	}
	out := &value.List{}
	for i, e := range es {
		out.Elems = append(out.Elems, value.NewList(e, int64(from+i)))
	}
	return out, nil
}

func (t *Thread) sequence1(es []value.Value, name string, a value.Value) (value.Value, bool, error) {
	n := int(value.ToInt(a))
	isNumber := value.IsNumber(a)
	more, isCollection := collection(a)
	switch {
	case name == "join":
		v, err := t.join(es, value.String(a))
		return v, true, err
	case name == "contains", name == "is_in":
		return containsKey(es, a), true, nil
	case name == "containsAll" && isCollection:
		for _, e := range more {
			if !containsKey(es, e) {
				return false, true, nil
			}
		}
		return true, true, nil
	case name == "disjoint" && isCollection:
		for _, e := range more {
			if contains(es, e) {
				return false, true, nil
			}
		}
		return true, true, nil
	case name == "intersect" && isCollection:
		out := &value.List{}
		for _, e := range es {
			if contains(more, e) && !contains(out.Elems, e) {
				out.Elems = append(out.Elems, e)
			}
		}
		return out, true, nil
	case name == "indexOf", name == "lastIndexOf":
		at := -1
		for i, e := range es {
			if value.Key(e) == value.Key(a) {
				at = i
				if name == "indexOf" {
					break
				}
			}
		}
		return int64(at), true, nil
	case name == "count":
		c := 0
		for _, e := range es {
			if value.Equal(e, a) {
				c++
			}
		}
		return int64(c), true, nil
	case name == "take" && isNumber:
		return copyOf(es[:min(max(n, 0), len(es))]), true, nil
	case name == "drop" && isNumber:
		return copyOf(es[min(max(n, 0), len(es)):]), true, nil
	case name == "takeRight" && isNumber:
		return copyOf(es[len(es)-min(max(n, 0), len(es)):]), true, nil
	case name == "dropRight" && isNumber:
		return copyOf(es[:len(es)-min(max(n, 0), len(es))]), true, nil
	case name == "first" || name == "last":
		return nil, false, nil
	case name == "collate" && isNumber:
		v, err := t.collate(es, n, n, true)
		return v, true, err
	case name == "grep":
		out := &value.List{}
		for _, e := range es {
			ok, err := t.isCase(a, e)
			if err != nil {
				return nil, true, err
			}
			if ok {
				out.Elems = append(out.Elems, e)
			}
		}
		return out, true, nil
	case name == "sum":
		v, err := t.sum(append([]value.Value{a}, es...))
		return v, true, err
	case (name == "sort" || name == "toSorted" || name == "unique") && isBool(a):
		return t.sequence0(es, name)
	case name == "plus":
		v, err := t.plus(&value.List{Elems: es}, a)
		return v, true, err
	case name == "minus":
		v, err := t.minus(&value.List{Elems: es}, a)
		return v, true, err
	case name == "multiply":
		v, err := t.times(&value.List{Elems: es}, a)
		return v, true, err
	case (name == "withIndex" || name == "indexed") && isNumber:
		v, err := t.indexed(es, name, n)
		return v, true, err
	case name == "toArray":
		l := copyOf(es)
		l.Array = "Object"
		if given, ok := a.(*value.List); ok && given.Array != "" {
			l.Array = given.Array
		}
		return l, true, t.room(len(es))
	case name == "equals":
		return value.Key(&value.List{Elems: es}) == value.Key(a), true, nil
	}
	return nil, false, nil
}

func isBool(v value.Value) bool { _, ok := v.(bool); return ok }

// containsKey is Java's contains: by equals, where 1 and 1L differ.
func containsKey(es []value.Value, v value.Value) bool {
	k := value.Key(v)
	for _, e := range es {
		if value.Key(e) == k {
			return true
		}
	}
	return false
}

func (t *Thread) join(es []value.Value, sep string) (value.Value, error) {
	var b strings.Builder
	for i, e := range es {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(value.String(e))
		if b.Len() > t.p.lim.String {
			break
		}
	}
	return t.newText(b.String())
}

func (t *Thread) sum(es []value.Value) (value.Value, error) {
	var total value.Value
	for i, e := range es {
		if i == 0 {
			total = e
			continue
		}
		v, err := t.operate("+", total, e)
		if err != nil {
			return nil, err
		}
		total = v
	}
	return total, nil
}

// extreme is min or max, by a closure of one (a key) or two (a comparison) parameters when one is given. Of equals the first.
func (t *Thread) extreme(es []value.Value, name string, c *Closure) (value.Value, error) {
	var best value.Value
	found := false
	for _, e := range es {
		if e == nil && c == nil {
			continue
		}
		if !found {
			best, found = e, true
			continue
		}
		d, err := t.compareBy(e, best, c)
		if err != nil {
			return nil, err
		}
		if name == "min" && d < 0 || name == "max" && d > 0 {
			best = e
		}
	}
	return best, nil
}

// compareBy compares by a closure: of one parameter a key, of two a comparison; nil compares the elements.
func (t *Thread) compareBy(a, b value.Value, c *Closure) (int, error) {
	if c == nil {
		return t.compareAny(a, b)
	}
	if c.Arity() == 2 {
		v, err := t.call(c, []value.Value{a, b})
		return int(value.ToInt(v)), err
	}
	x, err := t.call(c, []value.Value{a})
	if err != nil {
		return 0, err
	}
	y, err := t.call(c, []value.Value{b})
	if err != nil {
		return 0, err
	}
	return t.compareAny(x, y)
}

// compareAny is Groovy's NumberAwareComparator: what cannot be compared is ordered by its text.
func (t *Thread) compareAny(a, b value.Value) (int, error) {
	if c, ok := value.Compare(a, b); ok {
		return c, nil
	}
	return strings.Compare(value.String(a), value.String(b)), nil
}

// sorted returns a sorted copy; the sort is stable and ends at the first error.
func (t *Thread) sorted(es []value.Value, c *Closure) ([]value.Value, error) {
	if err := t.room(len(es)); err != nil {
		return nil, err
	}
	out := append([]value.Value{}, es...)
	tmp := make([]value.Value, len(out))
	return out, t.mergeSort(out, tmp, c)
}

// mergeSort calls the comparison in an order that only depends on the data: a comparing closure may have effects.
func (t *Thread) mergeSort(es, tmp []value.Value, c *Closure) error {
	if len(es) < 2 {
		return nil
	}
	m := len(es) / 2
	if err := t.mergeSort(es[:m], tmp[:m], c); err != nil {
		return err
	}
	if err := t.mergeSort(es[m:], tmp[m:], c); err != nil {
		return err
	}
	copy(tmp, es)
	i, j := 0, m
	for k := range es {
		left := j >= len(es)
		if i < m && j < len(es) {
			d, err := t.compareBy(tmp[i], tmp[j], c)
			if err != nil {
				return err
			}
			left = d <= 0
			if err := t.tick(); err != nil {
				return err
			}
		}
		if left {
			es[k] = tmp[i]
			i++
		} else {
			es[k] = tmp[j]
			j++
		}
	}
	return nil
}

func (t *Thread) unique(es []value.Value, c *Closure) ([]value.Value, error) {
	var out []value.Value
	if c != nil && c.Arity() == 2 {
		for _, e := range es {
			seen := false
			for _, o := range out {
				v, err := t.call(c, []value.Value{o, e})
				if err != nil {
					return nil, err
				}
				seen = seen || value.ToInt(v) == 0 && value.IsNumber(v)
			}
			if !seen {
				out = append(out, e)
			}
		}
		return out, nil
	}
	seen := map[any]bool{}
	for _, e := range es {
		k := e
		if c != nil {
			v, err := t.call(c, []value.Value{e})
			if err != nil {
				return nil, err
			}
			k = v
		}
		if g, ok := k.(*value.GString); ok {
			k = g.String()
		}
		if id := value.Key(k); !seen[id] {
			seen[id] = true
			out = append(out, e)
		}
	}
	return out, nil
}

func (t *Thread) flattenInto(out *value.List, es []value.Value, depth int) error {
	if depth > 200 {
		return t.throw("java.lang.StackOverflowError", "")
	}
	for _, e := range es {
		if err := t.tick(); err != nil {
			return err
		}
		if inner, ok := collection(e); ok {
			if err := t.flattenInto(out, inner, depth+1); err != nil {
				return err
			}
			continue
		}
		out.Elems = append(out.Elems, e)
		if err := t.grown(len(out.Elems)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Thread) collate(es []value.Value, size, step int, keep bool) (value.Value, error) {
	if size < 1 || step < 1 {
		return value.NewList(copyOf(es)), nil
	}
	out := &value.List{}
	for i := 0; i < len(es); i += step {
		end := min(i+size, len(es))
		if end-i < size && !keep {
			break
		}
		out.Elems = append(out.Elems, copyOf(es[i:end]))
		if err := t.grown(len(out.Elems)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *Thread) permutations(es []value.Value) (value.Value, error) {
	seen := value.NewSet()
	var walk func(done, rest []value.Value) error
	walk = func(done, rest []value.Value) error {
		if len(rest) == 0 {
			seen.Add(copyOf(done))
			return t.room(seen.Len())
		}
		for i := range rest {
			others := append(append([]value.Value{}, rest[:i]...), rest[i+1:]...)
			if err := walk(append(done[:len(done):len(done)], rest[i]), others); err != nil {
				return err
			}
		}
		return t.tick()
	}
	err := walk(nil, es)
	return seen, err
}

// combinations takes one of each inner list; the first varies fastest.
func (t *Thread) combinations(es []value.Value) (value.Value, error) {
	all := []value.Value{value.NewList()}
	for _, e := range es {
		choices, ok := collection(e)
		if !ok {
			choices = []value.Value{e}
		}
		var next []value.Value
		for _, c := range choices {
			for _, done := range all {
				d := done.(*value.List).Elems
				next = append(next, &value.List{Elems: append(d[:len(d):len(d)], c)})
				if err := t.grown(len(next)); err != nil {
					return nil, err
				}
			}
		}
		all = next
	}
	return &value.List{Elems: all}, nil
}

func (t *Thread) transpose(es []value.Value) (value.Value, error) {
	out := &value.List{}
	shortest := -1
	var rows [][]value.Value
	for _, e := range es {
		row, _ := collection(e)
		rows = append(rows, row)
		if shortest < 0 || len(row) < shortest {
			shortest = len(row)
		}
	}
	for i := range max(shortest, 0) {
		col := &value.List{}
		for _, r := range rows {
			col.Elems = append(col.Elems, r[i])
		}
		out.Elems = append(out.Elems, col)
	}
	return out, t.room(len(out.Elems))
}

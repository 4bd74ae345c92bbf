package interp

import "github.com/outwork-build/outwork/pipeline/value"

// callEach calls a closure with an element: a map entry goes as key and value to a closure of two parameters.
func (t *Thread) callEach(c *Closure, e value.Value) (value.Value, error) {
	if en, ok := e.(*value.MapEntry); ok && c.Arity() == 2 {
		return t.call(c, []value.Value{en.Key, en.Value})
	}
	return t.call(c, []value.Value{e})
}

func (t *Thread) callTruth(c *Closure, e value.Value) (bool, error) {
	v, err := t.callEach(c, e)
	if err != nil {
		return false, err
	}
	return t.truth(v)
}

// callIndexed is callEach with the index after the element.
func (t *Thread) callIndexed(c *Closure, e value.Value, i int) (value.Value, error) {
	if en, ok := e.(*value.MapEntry); ok && c.Arity() == 3 {
		return t.call(c, []value.Value{en.Key, en.Value, int64(i)})
	}
	return t.call(c, []value.Value{e, int64(i)})
}

// sequenceBy is the methods that end in a closure.
func (t *Thread) sequenceBy(es []value.Value, name string, a []value.Value, c *Closure) (value.Value, bool, error) {
	switch name {
	case "each", "eachWithIndex", "reverseEach":
		v, err := t.eachOf(es, name, c)
		return v, true, err
	case "collect", "collectMany", "collectNested":
		v, err := t.collect(es, name, a, c)
		return v, true, err
	case "collectEntries":
		v, err := t.collectEntries(es, c)
		return v, true, err
	case "find", "findResult", "findIndexOf", "findLastIndexOf", "any", "every", "findIndexValues":
		v, err := t.search(es, name, a, c)
		return v, true, err
	case "findAll", "grep", "split", "count", "takeWhile", "dropWhile", "findResults":
		v, err := t.filter(es, name, c)
		return v, true, err
	case "groupBy", "countBy":
		v, err := t.groupBy(es, name, a, c)
		return v, true, err
	case "inject":
		v, err := t.inject(es, a, c)
		return v, true, err
	case "sort", "toSorted":
		out, err := t.sorted(es, c)
		return &value.List{Elems: out}, true, err
	case "unique", "toUnique":
		out, err := t.unique(es, c)
		return &value.List{Elems: out}, true, err
	case "min", "max":
		v, err := t.extreme(es, name, c)
		return v, true, err
	case "sum":
		vals := append([]value.Value{}, a...)
		for _, e := range es {
			v, err := t.callEach(c, e)
			if err != nil {
				return nil, true, err
			}
			vals = append(vals, v)
		}
		v, err := t.sum(vals)
		return v, true, err
	case "eachPermutation":
		ps, err := t.permutations(es)
		if err != nil {
			return nil, true, err
		}
		for _, p := range ps.(*value.Set).Elems() {
			if _, err := t.call(c, []value.Value{p}); err != nil {
				return nil, true, err
			}
		}
		return nil, true, nil
	case "eachCombination":
		cs, err := t.combinations(es)
		if err != nil {
			return nil, true, err
		}
		for _, p := range cs.(*value.List).Elems {
			if _, err := t.call(c, []value.Value{p}); err != nil {
				return nil, true, err
			}
		}
		return nil, true, nil
	}
	return nil, false, nil
}

func (t *Thread) eachOf(es []value.Value, name string, c *Closure) (value.Value, error) {
	for i, e := range es {
		var err error
		switch name {
		case "eachWithIndex":
			_, err = t.callIndexed(c, e, i)
		case "reverseEach":
			_, err = t.callEach(c, es[len(es)-1-i])
		default:
			_, err = t.callEach(c, e)
		}
		if err != nil {
			return nil, err
		}
	}
	return &value.List{Elems: es}, nil
}

func (t *Thread) collect(es []value.Value, name string, a []value.Value, c *Closure) (value.Value, error) {
	if err := t.enter(); err != nil { // collectNested calls itself
		return nil, err
	}
	defer func() { t.depth-- }()
	out := &value.List{}
	if len(a) == 1 {
		if into, ok := a[0].(*value.List); ok {
			out = into
		}
	}
	for _, e := range es {
		var v value.Value
		var err error
		if inner, ok := collection(e); ok && name == "collectNested" {
			v, err = t.collect(inner, name, nil, c)
		} else {
			v, err = t.callEach(c, e)
		}
		if err != nil {
			return nil, err
		}
		if name == "collectMany" {
			more, _ := collection(v)
			out.Elems = append(out.Elems, more...)
		} else {
			out.Elems = append(out.Elems, v)
		}
		if err := t.grown(len(out.Elems)); err != nil {
			return nil, err
		}
	}
	if len(a) == 1 {
		if into, ok := a[0].(*value.Set); ok {
			for _, v := range out.Elems {
				into.Add(v)
			}
			return into, nil
		}
	}
	return out, nil
}

func (t *Thread) collectEntries(es []value.Value, c *Closure) (value.Value, error) {
	m := value.NewMap()
	for _, e := range es {
		v, err := t.callEach(c, e)
		if err != nil {
			return nil, err
		}
		if err := t.addEntry(m, v); err != nil {
			return nil, err
		}
	}
	return m, t.room(m.Len())
}

// addEntry puts what a closure of collectEntries returned: [k, v], [k: v] or an entry.
func (t *Thread) addEntry(m *value.Map, v value.Value) error {
	switch x := v.(type) {
	case *value.Map:
		for k, val := range x.All() {
			m.Put(k, val)
		}
		return nil
	case *value.MapEntry:
		m.Put(x.Key, x.Value)
		return nil
	case *value.List:
		if len(x.Elems) == 2 {
			m.Put(x.Elems[0], x.Elems[1])
			return nil
		}
	}
	return t.throwf("org.codehaus.groovy.runtime.typehandling.GroovyCastException", "Cannot cast object '%s' with class '%s' to class 'java.util.Map'",
		shorten(value.String(v)), value.TypeName(v))
}

func (t *Thread) search(es []value.Value, name string, a []value.Value, c *Closure) (value.Value, error) {
	last := int64(-1)
	all := &value.List{}
	from := 0
	if len(a) == 1 && name != "findResult" {
		from = int(value.ToInt(a[0]))
	}
	for i, e := range es {
		if i < from {
			continue
		}
		if name == "findResult" {
			v, err := t.callEach(c, e)
			if err != nil || v != nil {
				return v, err
			}
			continue
		}
		ok, err := t.callTruth(c, e)
		if err != nil {
			return nil, err
		}
		switch {
		case name == "every" && !ok:
			return false, nil
		case !ok:
		case name == "find":
			return e, nil
		case name == "any":
			return true, nil
		case name == "findIndexOf":
			return int64(i), nil
		case name == "findLastIndexOf":
			last = int64(i)
		case name == "findIndexValues":
			all.Elems = append(all.Elems, value.Long(i))
		}
	}
	switch name {
	case "every":
		return true, nil
	case "any":
		return false, nil
	case "findIndexOf", "findLastIndexOf":
		return last, nil
	case "findIndexValues":
		return all, nil
	case "findResult":
		if len(a) == 1 {
			return a[0], nil
		}
	}
	return nil, nil
}

func (t *Thread) filter(es []value.Value, name string, c *Closure) (value.Value, error) {
	yes, no := &value.List{}, &value.List{}
	dropping := true
	for _, e := range es {
		if name == "findResults" {
			v, err := t.callEach(c, e)
			if err != nil {
				return nil, err
			}
			if v != nil {
				yes.Elems = append(yes.Elems, v)
			}
			continue
		}
		if name == "dropWhile" && !dropping {
			yes.Elems = append(yes.Elems, e)
			continue
		}
		ok, err := t.callTruth(c, e)
		if err != nil {
			return nil, err
		}
		switch {
		case name == "takeWhile" && !ok:
			return yes, nil
		case name == "dropWhile":
			if dropping = ok; !ok {
				yes.Elems = append(yes.Elems, e)
			}
		case ok:
			yes.Elems = append(yes.Elems, e)
		default:
			no.Elems = append(no.Elems, e)
		}
	}
	switch name {
	case "split":
		return value.NewList(yes, no), nil
	case "count":
		return int64(len(yes.Elems)), nil
	}
	return yes, nil
}

func (t *Thread) groupBy(es []value.Value, name string, a []value.Value, c *Closure) (value.Value, error) {
	m := value.NewMap()
	first := c
	if len(a) > 0 {
		if f, ok := a[0].(*Closure); ok {
			first = f
		}
	}
	for _, e := range es {
		k, err := t.callEach(first, e)
		if err != nil {
			return nil, err
		}
		old, has := m.Get(k)
		switch {
		case name == "countBy" && has:
			m.Put(k, value.ToInt(old)+1)
		case name == "countBy":
			m.Put(k, int64(1))
		case has:
			l := old.(*value.List)
			l.Elems = append(l.Elems, e)
		default:
			m.Put(k, value.NewList(e))
		}
	}
	if len(a) > 0 && name == "groupBy" {
		for k, v := range m.All() {
			inner, err := t.groupBy(v.(*value.List).Elems, name, a[1:], c)
			if err != nil {
				return nil, err
			}
			m.Put(k, inner)
		}
	}
	return m, t.room(m.Len())
}

func (t *Thread) inject(es []value.Value, a []value.Value, c *Closure) (value.Value, error) {
	var acc value.Value
	switch {
	case len(a) > 0:
		acc = a[0]
	case len(es) == 0:
		return nil, t.throw("java.util.NoSuchElementException", "Cannot call inject() on an empty collection without passing an initial value.")
	default:
		acc, es = es[0], es[1:]
	}
	for _, e := range es {
		args := []value.Value{acc, e}
		if en, ok := e.(*value.MapEntry); ok && c.Arity() == 3 {
			args = []value.Value{acc, en.Key, en.Value}
		}
		v, err := t.call(c, args)
		if err != nil {
			return nil, err
		}
		acc = v
	}
	return acc, nil
}

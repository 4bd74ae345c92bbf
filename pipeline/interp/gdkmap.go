package interp

import "github.com/outwork-build/outwork/pipeline/value"

func (t *Thread) mapMethod(m *value.Map, name string, a []value.Value) (value.Value, bool, error) {
	if n := len(a); n > 0 {
		if c, ok := a[n-1].(*Closure); ok {
			if v, ok, err := t.mapBy(m, name, a[:n-1], c); ok || err != nil {
				return v, ok, err
			}
		}
	}
	if v, ok, err := t.changeMap(m, name, a); ok || err != nil {
		return v, ok, err
	}
	switch len(a) {
	case 0:
		return t.mapMethod0(m, name)
	case 1:
		return t.mapMethod1(m, name, a[0])
	}
	switch {
	case name == "getOrDefault" && len(a) == 2:
		if v, ok := m.Get(a[0]); ok {
			return v, true, nil
		}
		return a[1], true, nil
	case name == "get" && len(a) == 2: // Groovy's get keeps the default
		if v, ok := m.Get(a[0]); ok {
			return v, true, nil
		}
		m.Put(a[0], a[1])
		return a[1], true, t.grown(m.Len())
	case name == "subMap" && len(a) == 2:
		out, _, err := t.mapMethod1(m, name, a[0])
		return out, true, err
	}
	return nil, false, nil
}

func (t *Thread) mapMethod0(m *value.Map, name string) (value.Value, bool, error) {
	switch name {
	case "size":
		return int64(m.Len()), true, nil
	case "isEmpty":
		return m.Len() == 0, true, nil
	case "keySet":
		return value.NewSet(m.Keys()...), true, t.room(m.Len())
	case "values":
		return &value.List{Elems: m.Values()}, true, t.room(m.Len())
	case "entrySet", "iterator":
		es, _ := value.Elements(m)
		if name == "iterator" {
			return &iterator{es: es}, true, nil
		}
		return value.NewSet(es...), true, t.room(m.Len())
	case "clone":
		return m.Clone(), true, t.room(m.Len())
	case "sort", "toSorted":
		v, err := t.sortedMap(m)
		return v, true, err
	case "asImmutable":
		c := m.Clone()
		c.Fixed = true
		return c, true, t.room(m.Len())
	case "toMapString":
		return value.String(m), true, nil
	case "getClass":
		return &value.Class{Name: value.TypeName(m)}, true, nil
	case "asSynchronized":
		return m, true, nil
	case "collect", "toList", "first", "head", "find", "last", "sum":
		es, _ := value.Elements(m)
		return t.sequence(es, name, nil)
	}
	return nil, false, nil
}

func (t *Thread) mapMethod1(m *value.Map, name string, a value.Value) (value.Value, bool, error) {
	switch name {
	case "get", "getAt":
		if v, ok := m.Get(a); ok {
			return v, true, nil
		}
		if m.Default != nil {
			v, err := t.mapDefault(m, a)
			return v, true, err
		}
		return nil, true, nil
	case "containsKey":
		_, ok := m.Get(a)
		return ok, true, nil
	case "containsValue":
		return contains(m.Values(), a), true, nil
	case "plus", "minus":
		v, err := t.operate(map[string]string{"plus": "+", "minus": "-"}[name], m, a)
		return v, true, err
	case "subMap":
		out := value.NewMap()
		keys, _ := collection(a)
		for _, k := range keys {
			if v, ok := m.Get(k); ok {
				out.Put(k, v)
			}
		}
		return out, true, nil
	case "take", "drop":
		out := value.NewMap()
		i, n := 0, int(value.ToInt(a))
		for k, v := range m.All() {
			if (i < n) == (name == "take") {
				out.Put(k, v)
			}
			i++
		}
		return out, true, nil
	case "equals":
		return value.Equal(m, a), true, nil
	case "intersect":
		out := value.NewMap()
		if o, ok := a.(*value.Map); ok {
			for k, v := range m.All() {
				if w, has := o.Get(k); has && value.Equal(v, w) {
					out.Put(k, v)
				}
			}
		}
		return out, true, nil
	}
	return nil, false, nil
}

func (t *Thread) changeMap(m *value.Map, name string, a []value.Value) (value.Value, bool, error) {
	n := len(a)
	switch name {
	case "put", "putAll", "putAt", "remove", "clear", "leftShift", "putIfAbsent", "removeAll", "retainAll":
		if m.Fixed {
			return nil, true, t.throw("java.lang.UnsupportedOperationException", "")
		}
	}
	switch {
	case (name == "put" || name == "putAt") && n == 2:
		old, _ := m.Get(a[0])
		m.Put(a[0], a[1])
		return old, true, t.grown(m.Len())
	case name == "putIfAbsent" && n == 2:
		if old, ok := m.Get(a[0]); ok {
			return old, true, nil
		}
		m.Put(a[0], a[1])
		return nil, true, t.grown(m.Len())
	case name == "putAll" && n == 1:
		o, ok := a[0].(*value.Map)
		if !ok {
			return nil, false, nil
		}
		for k, v := range o.All() {
			m.Put(k, v)
		}
		return nil, true, t.room(m.Len())
	case name == "leftShift" && n == 1:
		v, err := t.shift(m, a[0])
		return v, true, err
	case name == "remove" && n == 1:
		old, _ := m.Remove(a[0])
		return old, true, nil
	case name == "clear" && n == 0:
		m.Clear()
		return nil, true, nil
	}
	return nil, false, nil
}

// mapBy is the methods of a map that end in a closure.
func (t *Thread) mapBy(m *value.Map, name string, a []value.Value, c *Closure) (value.Value, bool, error) {
	es, _ := value.Elements(m)
	switch name {
	case "each", "eachWithIndex", "reverseEach":
		_, err := t.eachOf(es, name, c)
		return m, true, err
	case "findAll", "takeWhile", "dropWhile":
		v, err := t.filter(es, name, c)
		if err != nil {
			return nil, true, err
		}
		return mapOfEntries(v.(*value.List).Elems), true, nil
	case "groupBy":
		v, err := t.groupBy(es, name, a, c)
		if err != nil {
			return nil, true, err
		}
		groups := v.(*value.Map)
		for k, g := range groups.All() {
			groups.Put(k, mapOfEntries(g.(*value.List).Elems))
		}
		return groups, true, nil
	case "sort", "toSorted":
		out, err := t.sortedEntries(es, c)
		return mapOfEntries(out), true, err
	case "withDefault":
		d := m.Clone()
		d.Default = c
		return d, true, nil
	case "removeAll", "retainAll":
		changed := false
		for _, e := range es {
			hit, err := t.callTruth(c, e)
			if err != nil {
				return nil, true, err
			}
			if hit == (name == "removeAll") {
				m.Remove(e.(*value.MapEntry).Key)
				changed = true
			}
		}
		return changed, true, nil
	case "computeIfAbsent":
		if v, ok := m.Get(a[0]); ok {
			return v, true, nil
		}
		v, err := t.call(c, a[:1])
		m.Put(a[0], v)
		return v, true, err
	case "computeIfPresent", "compute", "merge", "forEach", "replaceAll":
		if name == "forEach" {
			_, err := t.eachOf(es, "each", c)
			return nil, true, err
		}
		return nil, false, nil
	}
	v, ok, err := t.sequenceBy(es, name, a, c)
	return v, ok, err
}

// sortedEntries sorts entries by a closure of one entry, or of two to compare.
func (t *Thread) sortedEntries(es []value.Value, c *Closure) ([]value.Value, error) {
	return t.sorted(es, c)
}

func mapOfEntries(es []value.Value) *value.Map {
	m := value.NewMap()
	for _, e := range es {
		en := e.(*value.MapEntry)
		m.Put(en.Key, en.Value)
	}
	return m
}

// sortedMap is a copy with its keys in order.
func (t *Thread) sortedMap(m *value.Map) (value.Value, error) {
	keys, err := t.sorted(m.Keys(), nil)
	if err != nil {
		return nil, err
	}
	out := value.NewMap()
	out.Class = "java.util.TreeMap"
	for _, k := range keys {
		v, _ := m.Get(k)
		out.Put(k, v)
	}
	return out, nil
}

func (t *Thread) entryMethod(e *value.MapEntry, name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "getKey" && len(a) == 0:
		return e.Key, true, nil
	case name == "getValue" && len(a) == 0:
		return e.Value, true, nil
	case name == "setValue" && len(a) == 1:
		old := e.Value
		e.Set(a[0])
		return old, true, nil
	}
	return nil, false, nil
}

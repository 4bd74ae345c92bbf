package interp

import (
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

// getAt is recv[key].
func (t *Thread) getAt(recv, key value.Value) (value.Value, error) {
	if s, ok := value.Text(recv); ok {
		return t.textAt(s, key)
	}
	switch x := recv.(type) {
	case *value.Map:
		if g, ok := key.(*value.GString); ok { // m["${k}"] asks for a property, whose name is a String
			key = g.String()
		}
		if v, ok := x.Get(key); ok {
			return v, nil
		}
		if x.Default != nil {
			return t.mapDefault(x, key)
		}
		return nil, nil
	case *value.List:
		return t.elementAt(x.Elems, key, x.Array != "")
	case *value.Range:
		return t.elementAt(x.List().Elems, key, false)
	case *value.Set:
		return t.elementAt(x.Elems(), key, false)
	case *value.Matcher:
		es, err := t.matchList(x)
		if err != nil {
			return nil, err
		}
		if n, ok := key.(int64); ok && (n >= int64(len(es)) || n < -int64(len(es))) {
			return nil, t.throwf("java.lang.IndexOutOfBoundsException", "index is out of range %d..%d (index = %d)", -len(es), len(es)-1, n)
		}
		return t.elementAt(es, key, false)
	case *builder:
		return t.textAt(x.b.String(), key)
	case *instance:
		if ms := x.class.find("getAt"); ms != nil {
			return t.runMethod(ms[0], x, []value.Value{key})
		}
	}
	if k, ok := value.Text(key); ok {
		return t.get(recv, k)
	}
	if value.IsNumber(recv) {
		return nil, t.missingMethod(recv, "getAt", []value.Value{key})
	}
	es, ok := value.Elements(recv)
	if !ok {
		return nil, t.missingMethod(recv, "getAt", []value.Value{key})
	}
	return t.elementAt(es, key, false)
}

// elementAt takes one element by an index that may be negative, or several by a range or list of indexes.
func (t *Thread) elementAt(es []value.Value, key value.Value, isArray bool) (value.Value, error) {
	switch k := key.(type) {
	case *value.Range:
		i, j, back, err := t.bounds(k, len(es))
		if err != nil {
			return nil, err
		}
		out := copyOf(es[i:j])
		if back {
			v, _, err := t.sequence0(out.Elems, "reverse")
			return v, err
		}
		return out, nil
	case *value.List, *value.Set:
		out := &value.List{}
		keys, _ := collection(key)
		for _, k := range keys {
			v, err := t.elementAt(es, k, isArray)
			if err != nil {
				return nil, err
			}
			if inner, ok := v.(*value.List); ok {
				if _, isRange := k.(*value.Range); isRange {
					out.Elems = append(out.Elems, inner.Elems...)
					continue
				}
			}
			out.Elems = append(out.Elems, v)
		}
		return out, nil
	}
	if name, ok := value.Text(key); ok {
		return t.spreadGet(&value.List{Elems: es}, name)
	}
	if !value.IsNumber(key) {
		return nil, t.missingMethod(&value.List{}, "getAt", []value.Value{key})
	}
	i := int(value.ToInt(key))
	if i < 0 {
		i += len(es)
		if i < 0 {
			return nil, t.throwf("java.lang.ArrayIndexOutOfBoundsException", "Negative array index [%d] too large for array size %d", i-len(es), len(es))
		}
	}
	if i >= len(es) {
		if isArray {
			return nil, t.throwf("java.lang.ArrayIndexOutOfBoundsException", "%d", i)
		}
		return nil, nil
	}
	return es[i], nil
}

// bounds are the half-open bounds of a range of indexes into n elements; back reports that it counts down.
func (t *Thread) bounds(r *value.Range, n int) (i, j int, back bool, err error) {
	first, last := int(value.ToInt(r.From)), int(value.ToInt(r.To))
	fix := func(x int) int {
		if x < 0 {
			return x + n
		}
		return x
	}
	from, to := fix(first), fix(last)
	if r.Open {
		switch {
		case first == last:
			return min(max(from, 0), n), min(max(from, 0), n), false, nil
		case from <= to:
			to--
		default:
			to++
		}
	}
	if from > to {
		from, to, back = to, from, true
	}
	if from < 0 || to >= n {
		bad := to
		if from < 0 {
			bad = from
		}
		return 0, 0, false, t.throwf("java.lang.IndexOutOfBoundsException", "toIndex = %d", bad+1)
	}
	return from, to + 1, back, nil
}

func (t *Thread) textAt(s string, key value.Value) (value.Value, error) {
	n := length(s)
	switch k := key.(type) {
	case *value.Range:
		i, j, back, err := t.bounds(k, n)
		if err != nil {
			return nil, t.throwf("java.lang.StringIndexOutOfBoundsException", "String index out of range: %d", value.ToInt(k.To)+1)
		}
		out := cut(s, i, j)
		if back {
			v, _, err := t.textMethod0(out, "reverse")
			return v, err
		}
		return out, nil
	case *value.List:
		var b strings.Builder
		for _, x := range k.Elems {
			v, err := t.textAt(s, x)
			if err != nil {
				return nil, err
			}
			b.WriteString(value.String(v))
		}
		return b.String(), nil
	}
	if name, ok := value.Text(key); ok {
		return t.get(s, name)
	}
	i := int(value.ToInt(key))
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil, t.throwf("java.lang.StringIndexOutOfBoundsException", "String index out of range: %d", value.ToInt(key))
	}
	return cut(s, i, i+1), nil
}

// putAt is recv[key] = v.
func (t *Thread) putAt(recv, key, v value.Value) error {
	switch x := recv.(type) {
	case nil:
		return t.throw("java.lang.NullPointerException", "Cannot invoke method putAt() on null object")
	case *value.Map:
		if x.Fixed {
			return t.throw("java.lang.UnsupportedOperationException", "")
		}
		if g, ok := key.(*value.GString); ok {
			key = g.String()
		}
		x.Put(key, v)
		return t.grown(x.Len())
	case *value.List:
		return t.putElement(x, key, v)
	case *instance:
		if ms := x.class.find("putAt"); ms != nil {
			_, err := t.runMethod(ms[0], x, []value.Value{key, v})
			return err
		}
	}
	if name, ok := value.Text(key); ok {
		return t.setProperty(recv, name, v, nil)
	}
	return t.missingMethod(recv, "putAt", []value.Value{key, v})
}

func (t *Thread) putElement(l *value.List, key, v value.Value) error {
	if l.Fixed {
		return t.throw("java.lang.UnsupportedOperationException", "")
	}
	if r, ok := key.(*value.Range); ok {
		i, j, _, err := t.bounds(r, len(l.Elems))
		if err != nil {
			return err
		}
		more, isList := collection(v)
		if !isList {
			more = []value.Value{v}
		}
		rest := append([]value.Value{}, l.Elems[j:]...)
		l.Elems = append(append(l.Elems[:i:i], more...), rest...)
		return t.room(len(l.Elems))
	}
	if !value.IsNumber(key) {
		return t.missingMethod(l, "putAt", []value.Value{key, v})
	}
	i := int(value.ToInt(key))
	if i < 0 {
		i += len(l.Elems)
		if i < 0 {
			return t.throwf("java.lang.ArrayIndexOutOfBoundsException", "Negative array index [%d] too large for array size %d", i-len(l.Elems), len(l.Elems))
		}
	}
	if i >= len(l.Elems) {
		if l.Array != "" {
			return t.throwf("java.lang.ArrayIndexOutOfBoundsException", "%d", i)
		}
		if err := t.room(i + 1); err != nil {
			return err
		}
		for len(l.Elems) <= i {
			l.Elems = append(l.Elems, nil)
		}
	}
	if l.Array != "" {
		c, err := t.coerce(v, typeRef(l.Array))
		if err != nil {
			return err
		}
		v = c
	}
	l.Elems[i] = v
	return nil
}

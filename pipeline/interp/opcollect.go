package interp

import (
	"math/big"
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

func (t *Thread) plus(a, b value.Value) (value.Value, error) {
	if g, ok := a.(*value.GString); ok {
		return t.plusGString(g, b)
	}
	if s, ok := a.(string); ok {
		return t.newText(s + value.String(b))
	}
	if _, ok := value.Text(b); ok && (a == nil || value.IsNumber(a)) {
		return t.newText(value.String(a) + value.String(b))
	}
	switch x := a.(type) {
	case value.Char:
		return t.newText(value.String(x) + value.String(b))
	case *value.List, *value.Range:
		es, _ := value.Elements(a)
		out := append([]value.Value{}, es...)
		if more, ok := collection(b); ok {
			out = append(out, more...)
		} else {
			out = append(out, b)
		}
		return &value.List{Elems: out}, t.room(len(out))
	case *value.Set:
		out := value.NewSet(x.Elems()...)
		more, ok := collection(b)
		if !ok {
			more = []value.Value{b}
		}
		for _, e := range more {
			out.Add(e)
		}
		return out, t.room(out.Len())
	case *value.Map:
		m, ok := b.(*value.Map)
		if !ok {
			if en, isEntry := b.(*value.MapEntry); isEntry {
				m, ok = value.Pairs(en.Key, en.Value), true
			}
		}
		if ok {
			out := x.Clone()
			for k, v := range m.All() {
				out.Put(k, v)
			}
			return out, t.room(out.Len())
		}
	case *Closure:
		return t.byMethod("+", a, b)
	}
	return t.byMethod("+", a, b)
}

func (t *Thread) plusGString(g *value.GString, b value.Value) (value.Value, error) {
	strs := append([]string{}, g.Strings...)
	vals := append([]value.Value{}, g.Values...)
	tail := &value.GString{Strings: []string{value.String(b)}}
	if o, ok := b.(*value.GString); ok {
		tail = o
	}
	strs[len(strs)-1] += tail.Strings[0]
	strs = append(strs, tail.Strings[1:]...)
	vals = append(vals, tail.Values...)
	out := &value.GString{Strings: strs, Values: vals}
	n := 0
	for _, s := range strs {
		n += len(s)
	}
	return out, t.roomText(n + 16*len(vals))
}

// collection is the elements of a list, range or set; a map is none.
func collection(v value.Value) ([]value.Value, bool) {
	switch v.(type) {
	case *value.List, *value.Range, *value.Set:
		return value.Elements(v)
	}
	return nil, false
}

func (t *Thread) minus(a, b value.Value) (value.Value, error) {
	if s, ok := value.Text(a); ok {
		if r, isRegex := b.(*value.Regex); isRegex {
			return t.replace(r, s, "", 1)
		}
		return strings.Replace(s, value.String(b), "", 1), nil
	}
	switch x := a.(type) {
	case *value.List, *value.Range:
		es, _ := value.Elements(a)
		out := &value.List{}
		drop, ok := collection(b)
		if !ok {
			drop = []value.Value{b}
		}
		for _, e := range es {
			if !contains(drop, e) {
				out.Elems = append(out.Elems, e)
			}
		}
		return out, t.room(len(out.Elems))
	case *value.Set:
		out := value.NewSet(x.Elems()...)
		drop, ok := collection(b)
		if !ok {
			drop = []value.Value{b}
		}
		for _, e := range drop {
			out.Remove(e)
		}
		return out, nil
	case *value.Map:
		if m, ok := b.(*value.Map); ok {
			out := value.NewMap()
			for k, v := range x.All() {
				if w, has := m.Get(k); !has || !value.Equal(v, w) {
					out.Put(k, v)
				}
			}
			return out, nil
		}
	}
	return t.byMethod("-", a, b)
}

func contains(es []value.Value, v value.Value) bool {
	for _, e := range es {
		if value.Equal(e, v) {
			return true
		}
	}
	return false
}

func (t *Thread) times(a, b value.Value) (value.Value, error) {
	n := int(value.ToInt(b))
	if value.IsNumber(b) {
		if s, ok := value.Text(a); ok {
			if n < 0 {
				return nil, t.throwf("java.lang.IllegalArgumentException", "multiply() should be called with a number of 0 or greater not: %d", n)
			}
			if n > 0 && len(s) > t.p.lim.String/n {
				return nil, t.roomText(t.p.lim.String + 1)
			}
			return t.newText(strings.Repeat(s, n))
		}
		if es, ok := collection(a); ok {
			if len(es) > 0 && n > t.p.lim.Collection/len(es) {
				return nil, t.room(t.p.lim.Collection + 1)
			}
			out := &value.List{}
			for range max(n, 0) {
				out.Elems = append(out.Elems, es...)
			}
			return out, t.room(len(out.Elems))
		}
	}
	return t.byMethod("*", a, b)
}

func (t *Thread) bits(op string, a, b value.Value) (value.Value, error) {
	x, xb := a.(bool)
	y, yb := b.(bool)
	if xb && yb {
		switch op {
		case "&":
			return x && y, nil
		case "|":
			return x || y, nil
		case "^":
			return x != y, nil
		}
	}
	ra, rb := value.RankOf(a), value.RankOf(b)
	if ra == value.NoNumber || rb == value.NoNumber || ra > value.BigRank || rb > value.BigRank {
		return t.byMethod(op, a, b)
	}
	if op == ">>" || op == ">>>" {
		return shiftRight(op, a, uint(value.ToInt(b)), ra), nil
	}
	if max(ra, rb) == value.BigRank {
		r := new(big.Int)
		switch op {
		case "&":
			return r.And(value.ToBig(a), value.ToBig(b)), nil
		case "|":
			return r.Or(value.ToBig(a), value.ToBig(b)), nil
		}
		return r.Xor(value.ToBig(a), value.ToBig(b)), nil
	}
	i, j := value.ToInt(a), value.ToInt(b)
	switch op {
	case "&":
		i &= j
	case "|":
		i |= j
	case "^":
		i ^= j
	}
	return whole(i, max(ra, rb)), nil
}

func shiftRight(op string, a value.Value, n uint, rank value.Rank) value.Value {
	switch {
	case rank == value.BigRank:
		return new(big.Int).Rsh(value.ToBig(a), n&0xffff)
	case rank == value.IntRank && op == ">>>":
		return int64(int32(uint32(value.ToInt(a)) >> (n & 31)))
	case rank == value.IntRank:
		return int64(int32(value.ToInt(a)) >> (n & 31))
	case op == ">>>":
		return value.Long(uint64(value.ToInt(a)) >> (n & 63))
	}
	return value.Long(value.ToInt(a) >> (n & 63))
}

// shift is <<: it appends to collections and texts.
func (t *Thread) shift(a, b value.Value) (value.Value, error) {
	switch x := a.(type) {
	case *value.List:
		if err := t.changeable(x); err != nil {
			return nil, err
		}
		x.Elems = append(x.Elems, b)
		return x, t.grown(len(x.Elems))
	case *value.Set:
		x.Add(b)
		return x, t.grown(x.Len())
	case *value.Map:
		switch m := b.(type) {
		case *value.Map:
			for k, v := range m.All() {
				x.Put(k, v)
			}
			return x, t.room(x.Len())
		case *value.MapEntry:
			x.Put(m.Key, m.Value)
			return x, t.grown(x.Len())
		}
	case string, *value.GString:
		b1 := &builder{}
		b1.b.WriteString(value.String(x))
		b1.b.WriteString(value.String(b))
		return b1, t.roomText(b1.b.Len())
	}
	switch rank := value.RankOf(a); {
	case rank == value.IntRank && value.IsNumber(b):
		return int64(int32(value.ToInt(a)) << (uint(value.ToInt(b)) & 31)), nil
	case rank == value.LongRank && value.IsNumber(b):
		return value.Long(value.ToInt(a) << (uint(value.ToInt(b)) & 63)), nil
	case rank == value.BigRank && value.IsNumber(b):
		if n := value.ToInt(b); n >= 0 && n < 1<<18 {
			return new(big.Int).Lsh(value.ToBig(a), uint(n)), nil
		}
	}
	return t.byMethod("<<", a, b)
}

// grown refuses a collection that has become too large by one element.
func (t *Thread) grown(n int) error {
	if n > t.p.lim.Collection {
		return t.room(n)
	}
	return t.spend(16)
}

func (t *Thread) changeable(l *value.List) error {
	if l.Fixed || l.Array != "" {
		return t.throw("java.lang.UnsupportedOperationException", "")
	}
	return nil
}

func (t *Thread) rangeOf(a, b value.Value, open bool) (value.Value, error) {
	end := func(v value.Value) (value.Value, bool) {
		if s, ok := value.Text(v); ok {
			return s, len([]rune(s)) == 1
		}
		if value.RankOf(v) == value.NoNumber || value.RankOf(v) > value.BigRank {
			return nil, false
		}
		return value.ToInt(v), true
	}
	x, okX := end(a)
	y, okY := end(b)
	_, tx := x.(string)
	_, ty := y.(string)
	if !okX || !okY || tx != ty {
		if value.IsNumber(a) && value.IsNumber(b) {
			return t.decimalRange(a, b, open)
		}
		return nil, t.throwf("java.lang.IllegalArgumentException", "Incompatible Argument classes %s and %s for a range", value.TypeName(a), value.TypeName(b))
	}
	return &value.Range{From: x, To: y, Open: open}, nil
}

// decimalRange counts from a to b by one.
func (t *Thread) decimalRange(a, b value.Value, open bool) (value.Value, error) {
	out := &value.List{}
	for v := a; ; {
		c := value.CompareNumbers(v, b)
		if c > 0 || open && c == 0 {
			return out, nil
		}
		out.Elems = append(out.Elems, v)
		if err := t.grown(len(out.Elems)); err != nil {
			return nil, err
		}
		n, err := t.operate("+", v, int64(1))
		if err != nil {
			return nil, err
		}
		v = n
	}
}

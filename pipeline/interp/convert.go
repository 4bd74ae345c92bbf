package interp

import (
	"math"
	"math/big"
	"strings"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// truth is Groovy truth; an asBoolean of a script's class is asked.
func (t *Thread) truth(v value.Value) (bool, error) {
	switch x := v.(type) {
	case bool:
		return x, nil
	case *value.Matcher:
		x.Reset()
		ok, err := x.Find()
		return ok, t.traced(err)
	case *builder:
		return x.b.Len() > 0, nil
	case *instance:
		if ms := x.class.find("asBoolean"); ms != nil {
			r, err := t.runMethod(ms[0], x, nil)
			return value.Truth(r), err
		}
	}
	return value.Truth(v), nil
}

// coerceArg is coerce for an argument of a call.
func (t *Thread) coerceArg(v value.Value, typ *jf.TypeRef) (value.Value, error) {
	return t.coerce(v, typ)
}

// coerce converts what is assigned to a variable of a declared type.
func (t *Thread) coerce(v value.Value, typ *jf.TypeRef) (value.Value, error) {
	if typ == nil || typ.Name == "" || typ.Name == "def" || typ.Name == "Object" {
		return v, nil
	}
	return t.cast(v, typ, nil)
}

// cast is (T) v, and what an assignment to a variable of type T does.
func (t *Thread) cast(v value.Value, typ *jf.TypeRef, f *frame) (value.Value, error) {
	if typ.Dims > 0 {
		return t.toArray(v, typ)
	}
	name, known := value.ClassName(typ.Name)
	if v == nil {
		if z := zeroOf(typ.Name); z != nil {
			if typ.Name == "boolean" {
				return false, nil
			}
			return nil, t.throwf("org.codehaus.groovy.runtime.typehandling.GroovyCastException",
				"Cannot cast object 'null' with class 'null' to class '%s'. Try '%s' instead", typ.Name, name)
		}
		return nil, nil
	}
	switch name {
	case "java.lang.String":
		if l, ok := v.(*lazy); ok {
			return l.Text(), nil
		}
		return t.toText(v)
	case "java.lang.Boolean":
		return t.truth(v)
	case "java.lang.Integer", "java.lang.Long", "java.lang.Short", "java.lang.Byte", "java.lang.Double", "java.lang.Float",
		"java.math.BigDecimal", "java.math.BigInteger", "java.lang.Number":
		return t.toNumber(v, name, typ.Name)
	case "java.lang.Character":
		if s, ok := value.Text(v); ok && len([]rune(s)) == 1 {
			return value.Char([]rune(s)[0]), nil
		}
		if value.IsNumber(v) {
			return value.Char(value.ToInt(v)), nil
		}
		return nil, t.badCast(v, name)
	case "java.util.Set", "java.util.HashSet", "java.util.LinkedHashSet":
		if es, ok := collection(v); ok {
			if s, isSet := v.(*value.Set); isSet {
				return s, nil
			}
			return value.NewSet(es...), nil
		}
	case "java.util.List", "java.util.ArrayList", "java.util.Collection":
		switch x := v.(type) {
		case *value.Range, *value.Set:
			if name == "java.util.ArrayList" {
				es, _ := value.Elements(x)
				return &value.List{Elems: es}, nil
			}
			return x, nil
		case *value.List:
			if x.Array != "" {
				return &value.List{Elems: append([]value.Value{}, x.Elems...)}, nil
			}
			return x, nil
		}
	}
	if c := t.classNamed(typ.Name); c != nil {
		return t.castToClass(v, c)
	}
	if !known || t.isInstance(v, typ.Name, f) {
		return v, nil
	}
	if _, isClosure := v.(*Closure); isClosure && !strings.HasPrefix(name, "java.util.") {
		return v, nil
	}
	return nil, t.badCast(v, name)
}

func (t *Thread) castToClass(v value.Value, c *class) (value.Value, error) {
	switch x := v.(type) {
	case *value.Map:
		return t.build(c, nil, x, nil)
	case string, *value.GString:
		if err := t.prepare(c); err != nil {
			return nil, err
		}
		if c.constants != nil {
			if k, ok := c.constants.Get(value.String(x)); ok {
				return k, nil
			}
			return nil, t.throwf("java.lang.IllegalArgumentException", "No enum constant %s.%s", c.name, value.String(x))
		}
	case *instance:
		for k := x.class; k != nil; k = k.super {
			if k == c {
				return v, nil
			}
		}
		if c.decl.Kind != "class" {
			return v, nil
		}
	case *Closure:
		if c.decl.Kind != "class" {
			impl := *x
			impl.stands = true
			return &impl, nil
		}
	}
	return nil, t.badCast(v, c.name)
}

func (t *Thread) badCast(v value.Value, class string) error {
	return t.throwf("org.codehaus.groovy.runtime.typehandling.GroovyCastException", "Cannot cast object '%s' with class '%s' to class '%s'",
		shorten(value.String(v)), value.TypeName(v), class)
}

func (t *Thread) toText(v value.Value) (value.Value, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return t.newText(value.String(v))
}

func (t *Thread) toArray(v value.Value, typ *jf.TypeRef) (value.Value, error) {
	if v == nil {
		return nil, nil
	}
	es, ok := collection(v)
	if !ok {
		if s, isText := value.Text(v); isText && typ.Name == "char" {
			for _, r := range s {
				es = append(es, value.Char(r))
			}
		} else if isText && typ.Name == "String" {
			es, _ = t.elements(v)
		} else {
			es = []value.Value{v}
		}
	}
	out := &value.List{Array: typ.Name, Elems: make([]value.Value, len(es))}
	for i, e := range es {
		elem := &jf.TypeRef{Name: typ.Name, Dims: typ.Dims - 1}
		c, err := t.coerce(e, elem)
		if err != nil {
			return nil, err
		}
		out.Elems[i] = c
	}
	return out, t.room(len(es))
}

func (t *Thread) toNumber(v value.Value, class, written string) (value.Value, error) {
	if c, ok := v.(value.Char); ok {
		v = int64(c)
	}
	if s, ok := value.Text(v); ok && len([]rune(s)) == 1 && (written == "int" || written == "Integer" || written == "long") {
		v = int64([]rune(s)[0]) // Groovy takes a text of one character for its code
	}
	if !value.IsNumber(v) {
		if zeroOf(written) != nil {
			class = written
		}
		return nil, t.badCast(v, class)
	}
	return narrow(v, class), nil
}

// narrow converts a number to a class, cut to its width.
func narrow(v value.Value, class string) value.Value {
	switch class {
	case "java.lang.Integer":
		return int64(int32(value.ToInt(v)))
	case "java.lang.Short":
		return int64(int16(value.ToInt(v)))
	case "java.lang.Byte":
		return int64(int8(value.ToInt(v)))
	case "java.lang.Long":
		return value.Long(value.ToInt(v))
	case "java.lang.Double", "java.lang.Float":
		return value.ToFloat(v)
	case "java.math.BigInteger":
		return new(big.Int).Set(value.ToBig(v))
	case "java.math.BigDecimal":
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return v
		}
		return value.ToDecimal(v)
	}
	return v
}

// asType is v as T.
func (t *Thread) asType(v value.Value, typ *jf.TypeRef, f *frame) (value.Value, error) {
	if v == nil || typ.Dims > 0 {
		return t.cast(v, typ, f)
	}
	name, _ := value.ClassName(typ.Name)
	if s, ok := value.Text(v); ok {
		switch name {
		case "java.lang.Integer", "java.lang.Long", "java.lang.Double", "java.lang.Float", "java.math.BigDecimal", "java.math.BigInteger", "java.lang.Short", "java.lang.Byte":
			return t.parseNumber(strings.TrimSpace(s), name)
		case "java.util.List", "java.util.ArrayList":
			es, err := t.elements(v)
			return &value.List{Elems: es}, err
		case "java.util.Set":
			es, err := t.elements(v)
			return value.NewSet(es...), err
		}
	}
	switch name {
	case "java.util.TreeMap", "java.util.SortedMap":
		if m, ok := v.(*value.Map); ok {
			return t.sortedMap(m)
		}
	case "java.util.TreeSet", "java.util.SortedSet":
		if es, ok := collection(v); ok {
			l, err := t.sorted(value.NewSet(es...).Elems(), nil)
			return value.NewSet(l...), err
		}
	case "java.util.Map", "java.util.HashMap", "java.util.LinkedHashMap":
		if m, ok := v.(*value.Map); ok {
			return m, nil
		}
	}
	return t.cast(v, typ, f)
}

// parseNumber reads a number as Integer.parseInt and its like do.
func (t *Thread) parseNumber(s, class string) (value.Value, error) {
	bad := func() (value.Value, error) {
		if class == "java.lang.Double" || class == "java.lang.Float" || class == "java.math.BigDecimal" {
			if s == "" {
				return nil, t.throw("java.lang.NumberFormatException", "empty String")
			}
			if class == "java.math.BigDecimal" {
				return nil, t.throw("java.lang.NumberFormatException", "")
			}
		}
		return nil, t.throwf("java.lang.NumberFormatException", "For input string: \"%s\"", s)
	}
	switch class {
	case "java.lang.Double", "java.lang.Float":
		d, err := value.ParseDecimal(strings.TrimRight(s, "dDfF"))
		if err != nil {
			switch s {
			case "NaN":
				return math.NaN(), nil
			case "Infinity":
				return math.Inf(1), nil
			case "-Infinity":
				return math.Inf(-1), nil
			}
			return bad()
		}
		return d.Float(), nil
	case "java.math.BigDecimal":
		d, err := value.ParseDecimal(s)
		if err != nil {
			return bad()
		}
		return d, nil
	}
	i, ok := new(big.Int).SetString(s, 10)
	if !ok || strings.Contains(s, "_") || len(s) > 10_000 {
		return bad()
	}
	switch {
	case class == "java.math.BigInteger":
		return i, nil
	case class == "java.lang.Long" && i.IsInt64():
		return value.Long(i.Int64()), nil
	case class == "java.lang.Integer" && i.IsInt64() && i.Int64() == int64(int32(i.Int64())),
		class == "java.lang.Short" && i.IsInt64() && i.Int64() == int64(int16(i.Int64())),
		class == "java.lang.Byte" && i.IsInt64() && i.Int64() == int64(int8(i.Int64())):
		return i.Int64(), nil
	}
	return bad()
}

// isInstance is instanceof, by the name of a class as written in the script of f.
func (t *Thread) isInstance(v value.Value, name string, f *frame) bool {
	if v == nil {
		return false
	}
	if strings.HasSuffix(name, "[]") {
		l, ok := v.(*value.List)
		return ok && l.Array != "" && (strings.TrimSuffix(name, "[]") == "Object" || l.Array == strings.TrimSuffix(name, "[]"))
	}
	if f != nil {
		if full, ok := f.script.imports[name]; ok {
			name = full
		}
	}
	if name == "Object" || name == "java.lang.Object" || name == "def" || name == "" {
		return true
	}
	if ex, ok := v.(*value.Exception); ok && ex.Payload != nil {
		v = ex.Payload
	}
	if in, ok := v.(*instance); ok {
		for c := in.class; c != nil; c = c.super {
			if c.name == name || c.decl.Name == name {
				return true
			}
			for _, i := range c.decl.Implements {
				if i.Name == name || t.extends(i.Name, name, 0) {
					return true
				}
			}
		}
		return value.IsA(in.class.base(), name)
	}
	if l, ok := v.(*value.List); ok && l.Array != "" {
		return false
	}
	if _, ok := v.(*builder); ok {
		return value.IsA("java.lang.StringBuilder", name)
	}
	if c, ok := v.(*value.Map); ok && c.Class != "" {
		return value.IsA(c.Class, name)
	}
	return value.IsA(value.TypeName(v), name)
}

// extends reports that an interface of a script extends another. depth ends a circle of them.
func (t *Thread) extends(name, ancestor string, depth int) bool {
	c := t.classNamed(name)
	if c == nil || depth > 20 {
		return false
	}
	for _, i := range c.decl.Implements {
		if i.Name == ancestor || t.extends(i.Name, ancestor, depth+1) {
			return true
		}
	}
	return c.decl.Extends != nil && (c.decl.Extends.Name == ancestor || t.extends(c.decl.Extends.Name, ancestor, depth+1))
}

// isCase is what switch, in and grep ask of their right side.
func (t *Thread) isCase(c, v value.Value) (bool, error) {
	switch x := c.(type) {
	case nil:
		return v == nil, nil
	case *value.Class:
		return v != nil && t.isInstance(v, x.Name, nil), nil
	case *value.Regex:
		if v == nil {
			return false, nil
		}
		m, err := x.Full(value.String(v))
		return m != nil, t.traced(err)
	case *Closure:
		r, err := t.call(x, []value.Value{v})
		if err != nil {
			return false, err
		}
		return t.truth(r)
	case *value.List:
		return contains(x.Elems, v), nil
	case *value.Range:
		if value.IsNumber(v) && !x.IsText() {
			first, last, by, empty := x.Bounds()
			if d, ok := v.(*value.Decimal); ok && value.CompareNumbers(d, value.Long(value.ToInt(d))) != 0 {
				return false, nil
			}
			n := value.ToInt(v)
			return !empty && (n-first)*by >= 0 && (last-n)*by >= 0, nil
		}
		return contains(x.List().Elems, v), nil
	case *value.Set:
		return x.Has(v) || contains(x.Elems(), v), nil
	case *value.Map:
		r, _ := x.Get(v)
		return t.truth(r)
	case *instance:
		if ms := x.class.find("isCase"); ms != nil {
			r, err := t.runMethod(ms[0], x, []value.Value{v})
			return value.Truth(r), err
		}
	}
	if s, ok := value.Text(c); ok {
		return v != nil && s == value.String(v), nil
	}
	return t.equal(c, v)
}

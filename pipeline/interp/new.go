package interp

import (
	"crypto/md5"
	"net/url"
	"strings"

	"github.com/google/uuid"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

func (t *Thread) new(x *jf.New, e *env) (value.Value, error) {
	if len(x.Dims) > 0 {
		return t.newArray(x, e)
	}
	args, err := t.exprs(x.Args, e)
	if err != nil {
		return nil, err
	}
	var named *value.Map
	if len(x.Named) > 0 {
		named = value.NewMap()
		if err := t.named(named, x.Named, e); err != nil {
			return nil, err
		}
	}
	t.at = x.Where.Start
	return t.instantiate(x.Type.Name, args, named, e.f)
}

func (t *Thread) newArray(x *jf.New, e *env) (value.Value, error) {
	n, err := t.eval(x.Dims[0], e)
	if err != nil {
		return nil, err
	}
	size := int(value.ToInt(n))
	if size < 0 {
		return nil, t.throwf("java.lang.NegativeArraySizeException", "%d", size)
	}
	if err := t.room(size); err != nil {
		return nil, err
	}
	l := &value.List{Array: x.Type.Name, Elems: make([]value.Value, size)}
	for i := range l.Elems {
		if len(x.Dims) > 1 {
			inner := *x
			inner.Dims = x.Dims[1:]
			if l.Elems[i], err = t.newArray(&inner, e); err != nil {
				return nil, err
			}
			continue
		}
		l.Elems[i] = zeroOf(x.Type.Name)
	}
	return l, nil
}

// instantiate is new Name(args): a class of the script, or one of the Java classes that are provided.
func (t *Thread) instantiate(name string, args []value.Value, named *value.Map, f *frame) (value.Value, error) {
	if c := t.classNamed(name); c != nil {
		return t.build(c, args, named, nil)
	}
	full, known := value.ClassName(name)
	if f != nil {
		if imported, ok := f.script.imports[name]; ok {
			full, known = value.ClassName(imported)
			if c := t.classNamed(imported); c != nil {
				return t.build(c, args, named, nil)
			}
		}
	}
	if !known && value.Super(full) == "" {
		return nil, t.throwf("java.lang.ClassNotFoundException", "unable to resolve class %s: only the classes of the script and common Java and Groovy classes can be made", name)
	}
	if value.IsThrowable(full) {
		ex := &value.Exception{Class: full}
		return ex, t.initException(ex, args)
	}
	if v, ok, err := t.newJava(full, args); ok || err != nil {
		return v, err
	}
	return nil, t.throwf("groovy.lang.GroovyRuntimeException", "Could not find matching constructor for: %s(%s)", full, typeNames(args))
}

func (t *Thread) newJava(class string, a []value.Value) (value.Value, bool, error) {
	var es []value.Value
	isCollection := false
	if len(a) == 1 {
		es, isCollection = collection(a[0])
	}
	switch class {
	case "java.util.ArrayList", "java.util.LinkedList", "java.util.Stack":
		if len(a) == 0 || isCollection {
			return copyOf(es), true, t.room(len(es))
		}
		return value.NewList(), true, nil // a capacity
	case "java.util.HashSet", "java.util.LinkedHashSet", "java.util.TreeSet":
		return value.NewSet(es...), true, t.room(len(es))
	case "java.util.HashMap", "java.util.LinkedHashMap", "java.util.TreeMap", "java.util.Properties":
		m := value.NewMap()
		if len(a) == 1 {
			if o, ok := a[0].(*value.Map); ok {
				m = o.Clone()
			}
		}
		return m, true, t.room(m.Len())
	case "java.lang.StringBuilder", "java.lang.StringBuffer":
		b := &builder{}
		if len(a) == 1 && !value.IsNumber(a[0]) {
			b.set(value.String(a[0]))
		}
		return b, true, nil
	case "java.lang.String":
		if len(a) == 0 {
			return "", true, nil
		}
		if l, ok := a[0].(*value.List); ok {
			if l.Array == "byte" {
				v, err := t.newText(strings.ToValidUTF8(string(goBytes(l)), "\uFFFD"))
				return v, true, err
			}
			v, err := t.join(l.Elems, "")
			return v, true, err
		}
		return value.String(a[0]), true, nil
	case "java.lang.Object":
		return &plainObject{}, true, nil
	case "java.lang.Integer", "java.lang.Long", "java.lang.Double", "java.math.BigDecimal", "java.math.BigInteger":
		if len(a) >= 1 {
			v, err := t.asType(a[0], typeRef(class), nil)
			return v, true, err
		}
	case "java.lang.Boolean":
		if len(a) == 1 {
			return strings.EqualFold(value.String(a[0]), "true"), true, nil
		}
	case "java.util.Date":
		v, err := t.newDate(a)
		return v, true, err
	case "java.text.SimpleDateFormat":
		if len(a) >= 1 {
			return &dateFormat{pattern: value.String(a[0])}, true, nil
		}
	case "java.util.Random":
		return &randomObject{t.p}, true, nil
	case "groovy.json.JsonSlurper", "groovy.json.JsonSlurperClassic":
		return &slurper{class}, true, nil
	case "groovy.json.JsonBuilder":
		b := &jsonBuilder{}
		if len(a) == 1 {
			b.content = a[0]
		}
		return b, true, nil
	case "java.net.URL", "java.net.URI":
		if len(a) == 1 {
			v, err := t.newURL(value.String(a[0]))
			return v, true, err
		}
	}
	return nil, false, nil
}

// plainObject is new Object(): a lock, a marker.
type plainObject struct{ _ byte }

// TypeName implements value.Object.
func (*plainObject) TypeName() string { return "java.lang.Object" }

// Property implements value.Object.
func (*plainObject) Property(string) (value.Value, bool, error) { return nil, false, nil }

// SetProperty implements value.Object.
func (*plainObject) SetProperty(name string, _ value.Value) error {
	return &value.Exception{Class: "groovy.lang.MissingPropertyException", Message: "No such property: " + name + " for class: java.lang.Object"}
}

// Invoke implements value.Object.
func (*plainObject) Invoke(string, []value.Value) (value.Value, bool, error) { return nil, false, nil }

// randomObject is java.util.Random: each number is journalled.
type randomObject struct{ p *Program }

// TypeName implements value.Object.
func (*randomObject) TypeName() string { return "java.util.Random" }

// Property implements value.Object.
func (*randomObject) Property(string) (value.Value, bool, error) { return nil, false, nil }

// SetProperty implements value.Object.
func (*randomObject) SetProperty(name string, _ value.Value) error {
	return &value.Exception{Class: "groovy.lang.MissingPropertyException", Message: "No such property: " + name + " for class: java.util.Random"}
}

// Invoke implements value.Object.
func (r *randomObject) Invoke(name string, a []value.Value) (value.Value, bool, error) {
	switch name {
	case "nextInt", "nextLong", "nextDouble", "nextBoolean", "nextFloat":
	default:
		return nil, false, nil
	}
	f, err := r.p.cur.random()
	if err != nil {
		return nil, true, err
	}
	switch name {
	case "nextInt":
		n := float64(1 << 31)
		if len(a) == 1 {
			n = value.ToFloat(a[0])
		}
		return int64(f * n), true, nil
	case "nextLong":
		return value.Long(f * (1 << 62)), true, nil
	case "nextBoolean":
		return f < 0.5, true, nil
	}
	return f, true, nil
}

// urlObject is java.net.URL and URI: it can be taken apart, not opened.
type urlObject struct{ u *url.URL }

func (t *Thread) newURL(s string) (value.Value, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, t.throw("java.net.MalformedURLException", err.Error())
	}
	return &urlObject{u}, nil
}

// TypeName implements value.Object.
func (*urlObject) TypeName() string { return "java.net.URL" }

// Text implements value.Stringer.
func (u *urlObject) Text() string { return u.u.String() }

// Property implements value.Object.
func (u *urlObject) Property(name string) (value.Value, bool, error) {
	switch name {
	case "host":
		return u.u.Hostname(), true, nil
	case "protocol", "scheme":
		return u.u.Scheme, true, nil
	case "path":
		return u.u.Path, true, nil
	case "file":
		return u.u.RequestURI(), true, nil
	case "query":
		if u.u.RawQuery == "" {
			return nil, true, nil
		}
		return u.u.RawQuery, true, nil
	case "port":
		p := int64(-1)
		if d, err := value.ParseDecimal(u.u.Port()); err == nil {
			p = value.ToInt(d)
		}
		return p, true, nil
	case "ref", "fragment":
		return u.u.Fragment, true, nil
	case "userInfo":
		return u.u.User.String(), true, nil
	}
	return nil, false, nil
}

// SetProperty implements value.Object.
func (*urlObject) SetProperty(name string, _ value.Value) error {
	return &value.Exception{Class: "groovy.lang.ReadOnlyPropertyException", Message: "Cannot set readonly property: " + name + " for class: java.net.URL"}
}

// Invoke implements value.Object.
func (u *urlObject) Invoke(name string, a []value.Value) (value.Value, bool, error) {
	if len(a) == 0 {
		switch name {
		case "toString", "toExternalForm":
			return u.u.String(), true, nil
		case "toURI", "toURL":
			return u, true, nil
		}
		if rest, ok := strings.CutPrefix(name, "get"); ok {
			return u.Property(uncapital(rest))
		}
	}
	return nil, false, nil
}

func nameUUID(b []byte) string {
	sum := md5.Sum(b)
	sum[6] = sum[6]&0x0f | 0x30
	sum[8] = sum[8]&0x3f | 0x80
	return uuid.UUID(sum).String()
}

// classGet reads a static property.
func (t *Thread) classGet(c *value.Class, name string) (value.Value, bool, error) {
	if k := t.classNamed(c.Name); k != nil {
		if err := t.prepare(k); err != nil {
			return nil, true, err
		}
		for ; k != nil; k = k.super {
			if e, i := k.statics.own(name); e != nil {
				return e.vals[i], true, nil
			}
		}
	}
	switch name {
	case "class":
		return c, true, nil
	case "name", "canonicalName":
		return c.Name, true, nil
	case "simpleName":
		return value.Simple(c.Name), true, nil
	}
	if v, ok := constant(value.Simple(c.Name), name); ok {
		return v, true, nil
	}
	if k := t.classNamed(c.Name); k != nil {
		v, ok, err := t.callStatic(k, "get"+capital(name), nil)
		return v, ok, err
	}
	return t.static(value.Simple(c.Name), "get"+capital(name), nil)
}

// constant is a public static field of a Java class.
func constant(class, name string) (value.Value, bool) {
	switch class + "." + name {
	case "Integer.MAX_VALUE":
		return int64(1<<31 - 1), true
	case "Integer.MIN_VALUE":
		return int64(-1 << 31), true
	case "Long.MAX_VALUE":
		return value.Long(1<<63 - 1), true
	case "Long.MIN_VALUE":
		return value.Long(-1 << 63), true
	case "Double.MAX_VALUE":
		return 1.7976931348623157e308, true
	case "Double.MIN_VALUE":
		return 4.9e-324, true
	case "Math.PI":
		return 3.141592653589793, true
	case "Math.E":
		return 2.718281828459045, true
	case "Boolean.TRUE":
		return true, true
	case "Boolean.FALSE":
		return false, true
	case "BigDecimal.ZERO", "BigDecimal.ONE", "BigDecimal.TEN", "BigInteger.ZERO", "BigInteger.ONE", "BigInteger.TEN":
		n := map[string]int64{"ZERO": 0, "ONE": 1, "TEN": 10}[name]
		if class == "BigInteger" {
			return value.ToBig(n), true
		}
		return value.ToDecimal(n), true
	case "BigDecimal.ROUND_HALF_UP":
		return int64(4), true
	case "Pattern.CASE_INSENSITIVE":
		return int64(2), true
	case "Pattern.MULTILINE":
		return int64(8), true
	case "Pattern.DOTALL":
		return int64(32), true
	case "Closure.OWNER_FIRST":
		return int64(ownerFirst), true
	case "Closure.DELEGATE_FIRST":
		return int64(delegateFirst), true
	case "Closure.OWNER_ONLY":
		return int64(ownerOnly), true
	case "Closure.DELEGATE_ONLY":
		return int64(delegateOnly), true
	case "Closure.TO_SELF":
		return int64(toSelf), true
	case "File.separator", "File.pathSeparator":
		return map[string]string{"separator": "/", "pathSeparator": ":"}[name], true
	}
	switch class {
	case "Result":
		switch name {
		case "SUCCESS", "UNSTABLE", "FAILURE", "NOT_BUILT", "ABORTED":
			return name, true
		}
	case "TimeUnit":
		switch name {
		case "NANOSECONDS", "MICROSECONDS", "MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS":
			return name, true
		}
	case "StandardCharsets":
		return name, true
	case "Locale":
		return name, true
	}
	return nil, false
}

package interp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// effect journals the result of something that is not deterministic and leaves no mark on the world.
func (t *Thread) effect(name string, f func() any) (raw json.RawMessage, err error) {
	_, err = t.numbered(func() (value.Value, error) {
		raw, err = t.do(step.Effect{Name: name, Run: func(context.Context, step.Address) (any, error) { return f(), nil }}, true)
		return nil, err
	})
	return raw, err
}

// now is the time in milliseconds.
func (t *Thread) now() (int64, error) {
	raw, err := t.effect("now", func() any { return t.p.run.Now().UnixMilli() })
	if err != nil {
		return 0, err
	}
	var ms int64
	return ms, json.Unmarshal(raw, &ms)
}

// random is a number from 0 to below 1.
func (t *Thread) random() (float64, error) {
	raw, err := t.effect("random", func() any { return rand.Float64() })
	if err != nil {
		return 0, err
	}
	var f float64
	return f, json.Unmarshal(raw, &f)
}

// classMethod is the static methods of classes, and what Class itself has.
func (t *Thread) classMethod(c *value.Class, name string, a []value.Value) (value.Value, bool, error) {
	if k := t.classNamed(c.Name); k != nil {
		if v, ok, err := t.callStatic(k, name, a); ok || err != nil {
			return v, ok, err
		}
	}
	switch {
	case (name == "getName" || name == "getCanonicalName" || name == "getTypeName") && len(a) == 0:
		return c.Name, true, nil
	case name == "getSimpleName" && len(a) == 0:
		return value.Simple(c.Name), true, nil
	case name == "isInstance" && len(a) == 1:
		return t.isInstance(a[0], c.Name, nil), true, nil
	case name == "newInstance":
		v, err := t.instantiate(c.Name, a, nil, nil)
		return v, true, err
	case name == "isAssignableFrom" && len(a) == 1:
		o, ok := a[0].(*value.Class)
		return ok && value.IsA(o.Name, c.Name), true, nil
	case name == "isCase" && len(a) == 1:
		return t.isInstance(a[0], c.Name, nil), true, nil
	}
	return t.static(value.Simple(c.Name), name, a)
}

func (t *Thread) static(class, name string, a []value.Value) (value.Value, bool, error) {
	switch class {
	case "Math", "StrictMath":
		return t.mathMethod(name, a)
	case "Integer", "Long", "Double", "Float", "BigDecimal", "BigInteger", "Short", "Byte":
		return t.numberStatic(class, name, a)
	case "Boolean":
		if (name == "parseBoolean" || name == "valueOf") && len(a) == 1 {
			return strings.EqualFold(value.String(a[0]), "true"), true, nil
		}
		if name == "toString" && len(a) == 1 {
			return value.String(a[0]), true, nil
		}
	case "String":
		return t.stringStatic(name, a)
	case "Character":
		if len(a) == 1 {
			if v, err := t.cast(a[0], typeRef("char"), nil); err == nil && v != nil {
				return t.charMethod(v.(value.Char), name, nil)
			}
		}
	case "System":
		return t.systemMethod(name, a)
	case "UUID":
		return t.uuidMethod(name, a)
	case "Collections", "Arrays", "Objects":
		return t.collectionsMethod(name, a)
	case "URLEncoder", "URLDecoder":
		if len(a) >= 1 {
			if name == "encode" {
				return strings.ReplaceAll(url.QueryEscape(value.String(a[0])), "%2A", "*"), true, nil
			}
			s, err := url.QueryUnescape(value.String(a[0]))
			if err != nil {
				return nil, true, t.throw("java.lang.IllegalArgumentException", "URLDecoder: "+err.Error())
			}
			return s, true, nil
		}
	case "Base64":
		if len(a) == 0 && strings.HasPrefix(name, "get") {
			return &base64Coder{url: strings.Contains(name, "Url"), decode: strings.HasSuffix(name, "Decoder")}, true, nil
		}
	case "Pattern":
		return t.patternStatic(name, a)
	case "JsonOutput":
		return t.jsonOutput(name, a)
	case "Thread":
		if name == "sleep" && len(a) == 1 && t.p.c.Steps["sleep"] != nil {
			_, err := t.runStep(t.p.c.Steps["sleep"], arguments{named: value.Pairs("time", a[0], "unit", "MILLISECONDS")})
			return nil, true, err
		}
	case "Date":
		if (name == "parse" || name == "format") && len(a) >= 2 {
			v, err := t.parseDate(value.String(a[0]), value.String(a[1]))
			return v, true, err
		}
	case "TimeUnit":
		if name == "valueOf" && len(a) == 1 {
			return value.String(a[0]), true, nil
		}
	case "TimeZone", "Locale":
		if len(a) <= 1 {
			return &value.Class{Name: class}, true, nil
		}
	case "Result":
		if name == "fromString" && len(a) == 1 {
			return value.String(a[0]), true, nil
		}
	}
	return nil, false, nil
}

func (t *Thread) mathMethod(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "random" && len(a) == 0:
		f, err := t.random()
		return f, true, err
	case name == "abs" && len(a) == 1:
		return t.numberMethod0(a[0], "abs")
	case (name == "max" || name == "min") && len(a) == 2:
		best := a[0]
		if c := value.CompareNumbers(a[1], a[0]); c > 0 && name == "max" || c < 0 && name == "min" {
			best = a[1]
		}
		switch max(value.RankOf(a[0]), value.RankOf(a[1])) {
		case value.LongRank:
			return value.Long(value.ToInt(best)), true, nil
		case value.IntRank:
			return best, true, nil
		}
		return value.ToFloat(best), true, nil
	case name == "round" && len(a) == 1:
		return value.Long(int64(math.Floor(value.ToFloat(a[0]) + 0.5))), true, nil
	case (name == "pow" || name == "atan2" || name == "hypot") && len(a) == 2:
		f := map[string]func(x, y float64) float64{"pow": math.Pow, "atan2": math.Atan2, "hypot": math.Hypot}[name]
		return f(value.ToFloat(a[0]), value.ToFloat(a[1])), true, nil
	case (name == "floorMod" || name == "floorDiv") && len(a) == 2:
		x, y := value.ToInt(a[0]), value.ToInt(a[1])
		if y == 0 {
			return nil, true, t.throw("java.lang.ArithmeticException", "/ by zero")
		}
		m := (x%y + y) % y
		if name == "floorDiv" {
			m = (x - m) / y
		}
		return whole(m, max(value.RankOf(a[0]), value.RankOf(a[1]))), true, nil
	case len(a) == 1:
		f, ok := map[string]func(float64) float64{"ceil": math.Ceil, "floor": math.Floor, "sqrt": math.Sqrt, "cbrt": math.Cbrt, "log": math.Log,
			"log10": math.Log10, "exp": math.Exp, "sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "rint": math.RoundToEven}[name]
		if ok {
			return f(value.ToFloat(a[0])), true, nil
		}
	}
	return nil, false, nil
}

func (t *Thread) numberStatic(class, name string, a []value.Value) (value.Value, bool, error) {
	full, _ := value.ClassName(class)
	switch {
	case (strings.HasPrefix(name, "parse") || name == "valueOf" || name == "decode") && len(a) >= 1:
		if value.IsNumber(a[0]) {
			return narrow(a[0], full), true, nil
		}
		if a[0] == nil {
			return nil, true, t.throw("java.lang.NumberFormatException", "null")
		}
		s := value.String(a[0])
		if len(a) == 2 {
			i, err := strconv.ParseInt(s, int(value.ToInt(a[1])), 64)
			if err != nil {
				return nil, true, t.throwf("java.lang.NumberFormatException", "For input string: \"%s\"", s)
			}
			return narrow(value.Long(i), full), true, nil
		}
		v, err := t.parseNumber(s, full)
		return v, true, err
	case name == "toString" && len(a) == 1:
		return value.String(a[0]), true, nil
	case name == "toString" && len(a) == 2:
		return strconv.FormatInt(value.ToInt(a[0]), int(min(max(value.ToInt(a[1]), 2), 36))), true, nil
	case name == "toHexString" || name == "toBinaryString" || name == "toOctalString":
		base := map[string]int{"toHexString": 16, "toBinaryString": 2, "toOctalString": 8}[name]
		if class == "Integer" {
			return strconv.FormatUint(uint64(uint32(value.ToInt(a[0]))), base), true, nil
		}
		return strconv.FormatUint(uint64(value.ToInt(a[0])), base), true, nil
	case (name == "max" || name == "min") && len(a) == 2:
		return t.mathMethod(name, a)
	case name == "compare" && len(a) == 2:
		return int64(value.CompareNumbers(a[0], a[1])), true, nil
	case name == "isNaN" && len(a) == 1:
		return math.IsNaN(value.ToFloat(a[0])), true, nil
	}
	return nil, false, nil
}

func (t *Thread) stringStatic(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "format" && len(a) >= 1:
		s, err := t.formatCall(a)
		return s, true, err
	case (name == "valueOf" || name == "copyValueOf") && len(a) == 1:
		if l, ok := a[0].(*value.List); ok && l.Array == "char" {
			v, err := t.join(l.Elems, "")
			return v, true, err
		}
		return value.String(a[0]), true, nil
	case name == "join" && len(a) >= 1:
		es := a[1:]
		if len(a) == 2 {
			if inner, ok := collection(a[1]); ok {
				es = inner
			}
		}
		v, err := t.join(es, value.String(a[0]))
		return v, true, err
	}
	return nil, false, nil
}

func (t *Thread) systemMethod(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "currentTimeMillis" && len(a) == 0:
		ms, err := t.now()
		return value.Long(ms), true, err
	case name == "nanoTime" && len(a) == 0:
		ms, err := t.now()
		return value.Long(ms * 1_000_000), true, err
	case name == "lineSeparator":
		return "\n", true, nil
	case name == "getenv" || name == "getProperty" || name == "exit" || name == "setProperty":
		return nil, true, t.throwf("org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException",
			"Scripts not permitted to use staticMethod java.lang.System %s: it would reach the controller, not the agent; use env.NAME or a sh step", name)
	case name == "identityHashCode" && len(a) == 1:
		return hashCode(a[0]), true, nil
	}
	return nil, false, nil
}

func (t *Thread) uuidMethod(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "randomUUID" && len(a) == 0:
		raw, err := t.effect("uuid", func() any { return uuid.NewString() })
		if err != nil {
			return nil, true, err
		}
		var s string
		err = json.Unmarshal(raw, &s)
		return s, true, err
	case name == "fromString" && len(a) == 1:
		u, err := uuid.Parse(value.String(a[0]))
		if err != nil {
			return nil, true, t.throw("java.lang.IllegalArgumentException", "Invalid UUID string: "+value.String(a[0]))
		}
		return u.String(), true, nil
	case name == "nameUUIDFromBytes" && len(a) == 1:
		if l, ok := a[0].(*value.List); ok {
			return nameUUID(goBytes(l)), true, nil
		}
	}
	return nil, false, nil
}

func (t *Thread) collectionsMethod(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "emptyList":
		return &value.List{Fixed: true}, true, nil
	case name == "emptyMap":
		return &value.Map{Fixed: true}, true, nil
	case name == "emptySet":
		return &value.Set{Fixed: true}, true, nil
	case name == "asList":
		if len(a) == 1 {
			if l, ok := a[0].(*value.List); ok {
				return copyOf(l.Elems), true, nil
			}
		}
		return copyOf(a), true, nil
	case (name == "singletonList" || name == "singleton") && len(a) == 1:
		return &value.List{Elems: a, Fixed: true}, true, nil
	case name == "nCopies" && len(a) == 2:
		v, err := t.times(value.NewList(a[1]), a[0])
		return v, true, err
	case name == "shuffle" && len(a) >= 1:
		l, ok := a[0].(*value.List)
		if !ok {
			return nil, false, nil
		}
		for i := len(l.Elems) - 1; i > 0; i-- {
			f, err := t.random()
			if err != nil {
				return nil, true, err
			}
			j := int(f * float64(i+1))
			l.Elems[i], l.Elems[j] = l.Elems[j], l.Elems[i]
		}
		return nil, true, nil
	case strings.HasPrefix(name, "unmodifiable") || strings.HasPrefix(name, "synchronized"):
		return a[0], true, nil
	case (name == "equals" || name == "deepEquals") && len(a) == 2:
		return value.Equal(a[0], a[1]), true, nil
	case name == "hash":
		return hashCode(&value.List{Elems: a}), true, nil
	case name == "toString" && len(a) == 1:
		return value.String(a[0]), true, nil
	case name == "isNull" && len(a) == 1:
		return a[0] == nil, true, nil
	case name == "nonNull" && len(a) == 1:
		return a[0] != nil, true, nil
	case name == "addAll" && len(a) >= 1:
		return t.tryInvoke(a[0], "addAll", []value.Value{copyOf(a[1:])})
	case name == "reverse" && len(a) == 1:
		if l, ok := a[0].(*value.List); ok {
			v, _, err := t.sequence0(l.Elems, "reverse")
			l.Elems = v.(*value.List).Elems
			return nil, true, err
		}
	case (name == "sort" || name == "max" || name == "min" || name == "frequency") && len(a) >= 1:
		if name == "frequency" {
			name = "count"
		}
		v, ok, err := t.tryInvoke(a[0], name, a[1:])
		return v, ok, err
	}
	return nil, false, nil
}

func (t *Thread) patternStatic(name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "compile" && len(a) >= 1:
		s := value.String(a[0])
		if len(a) == 2 {
			flags := value.ToInt(a[1])
			for _, f := range []struct {
				bit  int64
				text string
			}{{2, "(?i)"}, {8, "(?m)"}, {32, "(?s)"}} {
				if flags&f.bit != 0 {
					s = f.text + s
				}
			}
		}
		r, err := t.regex(s)
		return r, true, err
	case name == "quote" && len(a) == 1:
		return `\Q` + value.String(a[0]) + `\E`, true, nil
	case name == "matches" && len(a) == 2:
		v, err := t.operate("==~", a[1], a[0])
		return v, true, err
	}
	return nil, false, nil
}

// base64Coder is Base64.Encoder and Decoder.
type base64Coder struct{ url, decode bool }

// TypeName implements value.Object.
func (*base64Coder) TypeName() string { return "java.util.Base64$Encoder" }

// Property implements value.Object.
func (*base64Coder) Property(string) (value.Value, bool, error) { return nil, false, nil }

// SetProperty implements value.Object.
func (*base64Coder) SetProperty(name string, _ value.Value) error {
	return fmt.Errorf("no property %s", name)
}

// Invoke implements value.Object.
func (c *base64Coder) Invoke(name string, a []value.Value) (value.Value, bool, error) {
	if len(a) != 1 {
		return nil, false, nil
	}
	enc := base64.StdEncoding
	if c.url {
		enc = base64.URLEncoding
	}
	data := []byte(value.String(a[0]))
	if l, ok := a[0].(*value.List); ok {
		data = goBytes(l)
	}
	switch {
	case c.decode && name == "decode":
		out, err := enc.DecodeString(string(data))
		if err != nil {
			return nil, true, &value.Exception{Class: "java.lang.IllegalArgumentException", Message: "Illegal base64 character"}
		}
		return bytesOf(out), true, nil
	case name == "encodeToString":
		return enc.EncodeToString(data), true, nil
	case name == "encode":
		return bytesOf([]byte(enc.EncodeToString(data))), true, nil
	}
	return nil, false, nil
}

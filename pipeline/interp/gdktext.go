package interp

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/outwork-build/outwork/pipeline/value"
)

// Indexes into texts count characters. (Java counts UTF-16 units, which differ beyond the basic plane only.)

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func length(s string) int { return utf8.RuneCountInString(s) }

// cut is characters i to j of a text.
func cut(s string, i, j int) string {
	if ascii(s) {
		return s[i:j]
	}
	return string([]rune(s)[i:j])
}

func utf16Of(s string) []uint16 { return utf16.Encode([]rune(s)) }

// charIndex turns a byte offset into a character index; -1 stays.
func charIndex(s string, at int) int {
	if at < 0 {
		return -1
	}
	return utf8.RuneCountInString(s[:at])
}

// byteIndex turns a character index into a byte offset, within the text.
func byteIndex(s string, i int) int {
	if ascii(s) {
		return min(max(i, 0), len(s))
	}
	r := []rune(s)
	return len(string(r[:min(max(i, 0), len(r))]))
}

// textMethod is the methods of String and CharSequence.
func (t *Thread) textMethod(s, name string, a []value.Value) (value.Value, bool, error) {
	switch len(a) {
	case 0:
		if v, ok, err := t.textMethod0(s, name); ok || err != nil {
			return v, true, err
		}
	case 1:
		if v, ok, err := t.textMethod1(s, name, a[0]); ok || err != nil {
			return v, true, err
		}
	}
	if v, ok, err := t.textMethodN(s, name, a); ok || err != nil {
		return v, ok, err
	}
	return t.textRegex(s, name, a)
}

func (t *Thread) textMethod0(s, name string) (value.Value, bool, error) {
	switch name {
	case "trim":
		return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }), true, nil
	case "toString", "intern", "toText":
		return s, true, nil
	case "length", "size":
		return int64(length(s)), true, nil
	case "isEmpty":
		return s == "", true, nil
	case "isAllWhitespace":
		return strings.TrimSpace(s) == "", true, nil
	case "toLowerCase":
		return strings.ToLower(s), true, nil
	case "toUpperCase":
		return strings.ToUpper(s), true, nil
	case "capitalize":
		r, n := utf8.DecodeRuneInString(s)
		if n == 0 {
			return s, true, nil
		}
		return string(unicode.ToUpper(r)) + s[n:], true, nil
	case "uncapitalize":
		r, n := utf8.DecodeRuneInString(s)
		if n == 0 {
			return s, true, nil
		}
		return string(unicode.ToLower(r)) + s[n:], true, nil
	case "reverse":
		r := []rune(s)
		for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
			r[i], r[j] = r[j], r[i]
		}
		return string(r), true, nil
	case "toInteger", "toLong", "toDouble", "toFloat", "toBigDecimal", "toBigInteger", "toShort", "toByte":
		v, err := t.parseNumber(strings.TrimSpace(s), numberClass[name])
		return v, true, err
	case "isInteger", "isLong", "isNumber", "isDouble", "isFloat", "isBigDecimal", "isBigInteger":
		_, err := t.parseNumber(strings.TrimSpace(s), numberClass[name])
		return err == nil, true, nil
	case "toBoolean":
		l := strings.ToLower(strings.TrimSpace(s))
		return l == "true" || l == "y" || l == "1", true, nil
	case "readLines":
		return value.Strings(lines(s)...), true, nil
	case "stripIndent":
		return stripIndent(s), true, nil
	case "stripMargin":
		return stripMargin(s, "|"), true, nil
	case "normalize":
		return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), true, nil
	case "denormalize":
		return s, true, nil
	case "toList", "collect", "asList":
		es, err := t.elements(s)
		return &value.List{Elems: es}, true, err
	case "toSet":
		es, err := t.elements(s)
		return value.NewSet(es...), true, err
	case "toCharArray", "getChars":
		l := &value.List{Array: "char"}
		for _, r := range s {
			l.Elems = append(l.Elems, value.Char(r))
		}
		return l, true, t.room(len(l.Elems))
	case "getBytes":
		return bytesOf([]byte(s)), true, t.room(len(s))
	case "tokenize":
		return value.Strings(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n\r\f", r) })...), true, nil
	case "split":
		return array(strings.Fields(s)), true, nil
	case "chars":
		return t.textMethod0(s, "toCharArray")
	case "encodeBase64":
		return base64.StdEncoding.EncodeToString([]byte(s)), true, nil
	case "decodeBase64":
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		if err != nil {
			return nil, true, t.throw("java.lang.RuntimeException", "bad character in base64 value")
		}
		return bytesOf(b), true, nil
	case "next", "previous":
		r := []rune(s)
		if len(r) == 0 {
			return "\x00", true, nil
		}
		step := rune(1)
		if name == "previous" {
			step = -1
		}
		r[len(r)-1] += step
		return string(r), true, nil
	case "md5", "sha256":
		return nil, false, nil
	case "toURL", "toURI":
		v, err := t.newURL(s)
		return v, true, err
	case "expand", "unexpand":
		return expand(s, 8), true, nil
	case "eachLine":
		return nil, false, nil
	}
	return nil, false, nil
}

var numberClass = map[string]string{
	"toInteger": "java.lang.Integer", "toLong": "java.lang.Long", "toDouble": "java.lang.Double", "toFloat": "java.lang.Float",
	"toBigDecimal": "java.math.BigDecimal", "toBigInteger": "java.math.BigInteger", "toShort": "java.lang.Short", "toByte": "java.lang.Byte",
	"isInteger": "java.lang.Integer", "isLong": "java.lang.Long", "isNumber": "java.math.BigDecimal", "isDouble": "java.lang.Double",
	"isFloat": "java.lang.Float", "isBigDecimal": "java.math.BigDecimal", "isBigInteger": "java.math.BigInteger",
}

func expand(s string, tab int) string {
	var b strings.Builder
	col := 0
	for _, r := range s {
		switch r {
		case '\t':
			n := tab - col%tab
			b.WriteString(strings.Repeat(" ", n))
			col += n
		case '\n':
			b.WriteRune(r)
			col = 0
		default:
			b.WriteRune(r)
			col++
		}
	}
	return b.String()
}

// array is a Java array of strings.
func array(ss []string) *value.List {
	l := value.Strings(ss...)
	l.Array = "String"
	return l
}

func bytesOf(b []byte) *value.List {
	l := &value.List{Array: "byte", Elems: make([]value.Value, len(b))}
	for i, x := range b {
		l.Elems[i] = int64(int8(x))
	}
	return l
}

// lines are the lines of a text, without their ends.
func lines(s string) []string {
	if s == "" {
		return nil
	}
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// stripIndent is Java's own (since 15), which hides Groovy's: the white space that all lines begin with is removed, where blank
// lines do not count but the last one does; white space at the end of lines goes too.
func stripIndent(s string) string {
	ls := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), "\n")
	indent := -1
	for i, l := range ls {
		text := strings.TrimLeft(l, " \t")
		if text == "" && i < len(ls)-1 {
			continue
		}
		if n := len(l) - len(text); indent < 0 || n < indent {
			indent = n
		}
	}
	for i, l := range ls {
		ls[i] = strings.TrimRight(l[min(max(indent, 0), len(l)):], " \t")
	}
	return strings.Join(ls, "\n")
}

func stripMargin(s, margin string) string {
	ls := lines(s)
	for i, l := range ls {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(l, " \t"), margin); ok {
			ls[i] = rest
		}
	}
	out := strings.Join(ls, "\n")
	if strings.HasSuffix(s, "\n") {
		out += "\n"
	}
	return out
}

func (t *Thread) textMethod1(s, name string, a value.Value) (value.Value, bool, error) {
	arg, isText := value.Text(a)
	n := int(value.ToInt(a))
	isNumber := value.IsNumber(a)
	switch {
	case name == "contains" && isText:
		return strings.Contains(s, arg), true, nil
	case name == "startsWith" && isText:
		return strings.HasPrefix(s, arg), true, nil
	case name == "endsWith" && isText:
		return strings.HasSuffix(s, arg), true, nil
	case name == "equals":
		str, ok := a.(string)
		return ok && str == s, true, nil
	case name == "equalsIgnoreCase":
		return isText && strings.EqualFold(s, arg), true, nil
	case name == "contentEquals" && isText:
		return s == arg, true, nil
	case name == "compareTo" && isText:
		return int64(compareJava(s, arg)), true, nil
	case name == "compareToIgnoreCase" && isText:
		return int64(compareJava(strings.ToLower(s), strings.ToLower(arg))), true, nil
	case name == "concat" && isText:
		v, err := t.newText(s + arg)
		return v, true, err
	case name == "plus":
		v, err := t.newText(s + value.String(a))
		return v, true, err
	case name == "minus":
		v, err := t.minus(s, a)
		return v, true, err
	case name == "multiply" && isNumber:
		v, err := t.times(s, a)
		return v, true, err
	case name == "indexOf" && isText:
		return int64(charIndex(s, strings.Index(s, arg))), true, nil
	case name == "indexOf" && isNumber:
		return int64(charIndex(s, strings.IndexRune(s, rune(n)))), true, nil
	case name == "lastIndexOf" && isText:
		return int64(charIndex(s, strings.LastIndex(s, arg))), true, nil
	case name == "substring" && isNumber:
		v, err := t.substring(s, n, length(s))
		return v, true, err
	case (name == "charAt" || name == "codePointAt") && isNumber:
		if n < 0 || n >= length(s) {
			return nil, true, t.throwf("java.lang.StringIndexOutOfBoundsException", "String index out of range: %d", n)
		}
		if name == "codePointAt" {
			return int64([]rune(cut(s, n, n+1))[0]), true, nil
		}
		return value.Char([]rune(cut(s, n, n+1))[0]), true, nil
	case name == "count" && isText:
		return int64(strings.Count(s, arg)), true, nil
	case name == "take" && isNumber:
		return cut(s, 0, min(max(n, 0), length(s))), true, nil
	case name == "drop" && isNumber:
		return cut(s, min(max(n, 0), length(s)), length(s)), true, nil
	case (name == "padLeft" || name == "padRight" || name == "center") && isNumber:
		v, err := t.pad(s, name, n, " ")
		return v, true, err
	case name == "tokenize" && isText:
		return value.Strings(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(arg, r) })...), true, nil
	case name == "stripMargin" && isText:
		return stripMargin(s, arg), true, nil
	case name == "stripIndent" && isNumber:
		ls := lines(s)
		for i, l := range ls {
			ls[i] = l[min(n, len(l)):]
		}
		return strings.Join(ls, "\n"), true, nil
	case name == "leftShift":
		v, err := t.shift(s, a)
		return v, true, err
	case name == "getAt":
		v, err := t.getAt(s, a)
		return v, true, err
	case name == "getBytes":
		return bytesOf([]byte(s)), true, t.room(len(s))
	case name == "isCase":
		return a != nil && value.String(a) == s, true, nil
	case name == "toLowerCase", name == "toUpperCase": // a locale
		return t.textMethod0(s, name)
	case name == "expand" && isNumber:
		return expand(s, max(n, 1)), true, nil
	case name == "join":
		return nil, false, nil
	}
	return nil, false, nil
}

func compareJava(a, b string) int {
	x, y := []rune(a), []rune(b)
	for i := 0; i < len(x) && i < len(y); i++ {
		if x[i] != y[i] {
			return int(x[i] - y[i])
		}
	}
	return len(x) - len(y)
}

func (t *Thread) substring(s string, i, j int) (value.Value, error) {
	if n := length(s); i < 0 || j > n || i > j {
		return nil, t.throwf("java.lang.StringIndexOutOfBoundsException", "begin %d, end %d, length %d", i, j, n)
	}
	return cut(s, i, j), nil
}

func (t *Thread) pad(s, how string, width int, with string) (value.Value, error) {
	missing := width - length(s)
	if missing <= 0 || with == "" {
		return s, nil
	}
	if err := t.roomText(missing); err != nil {
		return nil, err
	}
	fill := func(n int) string {
		return string([]rune(strings.Repeat(with, n/length(with)+1))[:n])
	}
	switch how {
	case "padLeft":
		return fill(missing) + s, nil
	case "padRight":
		return s + fill(missing), nil
	}
	return fill(missing/2) + s + fill(missing-missing/2), nil
}

func (t *Thread) textMethodN(s, name string, a []value.Value) (value.Value, bool, error) {
	n := len(a)
	switch {
	case name == "substring" && n == 2, name == "subSequence" && n == 2:
		v, err := t.substring(s, int(value.ToInt(a[0])), int(value.ToInt(a[1])))
		return v, true, err
	case name == "replace" && n == 2:
		x, okX := value.Text(a[0])
		y, okY := value.Text(a[1])
		if !okX || !okY {
			return nil, false, nil
		}
		v, err := t.newText(strings.ReplaceAll(s, x, y))
		return v, true, err
	case (name == "indexOf" || name == "lastIndexOf") && n == 2:
		needle := value.String(a[0])
		from := byteIndex(s, int(value.ToInt(a[1])))
		if name == "lastIndexOf" {
			return int64(charIndex(s, strings.LastIndex(s[:min(from+len(needle), len(s))], needle))), true, nil
		}
		at := strings.Index(s[from:], needle)
		if at >= 0 {
			at += from
		}
		return int64(charIndex(s, at)), true, nil
	case (name == "startsWith" || name == "endsWith") && n == 2:
		return strings.HasPrefix(s[byteIndex(s, int(value.ToInt(a[1]))):], value.String(a[0])), true, nil
	case (name == "padLeft" || name == "padRight" || name == "center") && n == 2:
		v, err := t.pad(s, name, int(value.ToInt(a[0])), value.String(a[1]))
		return v, true, err
	case (name == "eachLine" || name == "collectReplacements" || name == "splitEachLine") && n >= 1:
		c, ok := a[n-1].(*Closure)
		if !ok {
			return nil, false, nil
		}
		if name == "eachLine" {
			v, err := t.eachLine(s, c)
			return v, true, err
		}
	case name == "tr" && n == 2:
		return tr(s, value.String(a[0]), value.String(a[1])), true, nil
	case name == "format" || name == "formatted":
		v, err := t.format(s, a)
		return v, true, err
	case name == "regionMatches" && n == 4:
		x, y := []rune(s), []rune(value.String(a[1]))
		i, j, k := int(value.ToInt(a[0])), int(value.ToInt(a[2])), int(value.ToInt(a[3]))
		return i >= 0 && j >= 0 && k >= 0 && i+k <= len(x) && j+k <= len(y) && string(x[i:i+k]) == string(y[j:j+k]), true, nil
	case name == "charAt", name == "each":
		return nil, false, nil
	}
	return nil, false, nil
}

func (t *Thread) eachLine(s string, c *Closure) (value.Value, error) {
	var last value.Value
	for i, l := range lines(s) {
		args := []value.Value{l}
		if c.Arity() == 2 {
			args = append(args, int64(i))
		}
		v, err := t.call(c, args)
		if err != nil {
			return nil, err
		}
		last = v
	}
	return last, nil
}

// tr replaces characters of one set, where a-z is a range, by those at the same place of another.
func tr(s, from, to string) string {
	f, g := expandSet(from), expandSet(to)
	if len(g) == 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		for i, x := range f {
			if x == r {
				return g[min(i, len(g)-1)]
			}
		}
		return r
	}, s)
}

func expandSet(s string) []rune {
	r := []rune(s)
	var out []rune
	for i := 0; i < len(r); i++ {
		if i+2 < len(r) && r[i+1] == '-' && r[i] <= r[i+2] && r[i+2]-r[i] < 0x1000 {
			for x := r[i]; x <= r[i+2]; x++ {
				out = append(out, x)
			}
			i += 2
			continue
		}
		out = append(out, r[i])
	}
	return out
}

func (t *Thread) charMethod(c value.Char, name string, a []value.Value) (value.Value, bool, error) {
	if len(a) == 0 {
		switch name {
		case "isDigit":
			return unicode.IsDigit(rune(c)), true, nil
		case "isLetter":
			return unicode.IsLetter(rune(c)), true, nil
		case "isLetterOrDigit":
			return unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c)), true, nil
		case "isWhitespace":
			return unicode.IsSpace(rune(c)), true, nil
		case "isUpperCase":
			return unicode.IsUpper(rune(c)), true, nil
		case "isLowerCase":
			return unicode.IsLower(rune(c)), true, nil
		case "toUpperCase":
			return value.Char(unicode.ToUpper(rune(c))), true, nil
		case "toLowerCase":
			return value.Char(unicode.ToLower(rune(c))), true, nil
		case "charValue":
			return c, true, nil
		case "next":
			return c + 1, true, nil
		case "previous":
			return c - 1, true, nil
		}
	}
	if name == "equals" && len(a) == 1 {
		o, ok := a[0].(value.Char)
		return ok && o == c, true, nil
	}
	return t.textMethod(string(rune(c)), name, a)
}

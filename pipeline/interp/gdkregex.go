package interp

import (
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

// regex compiles a pattern, or finds it compiled.
func (t *Thread) regex(source string) (*value.Regex, error) {
	if r := t.p.patterns[source]; r != nil {
		return r, nil
	}
	r, err := value.CompileRegex(source)
	if err != nil {
		if ex, ok := err.(*value.Exception); ok {
			return nil, t.traced(ex)
		}
		return nil, t.throw("java.util.regex.PatternSyntaxException", err.Error())
	}
	if t.p.patterns == nil || len(t.p.patterns) > 500 {
		t.p.patterns = map[string]*value.Regex{}
	}
	t.p.patterns[source] = r
	return r, nil
}

func (t *Thread) regexOf(v value.Value) (*value.Regex, error) {
	if r, ok := v.(*value.Regex); ok {
		return r, nil
	}
	if v == nil {
		return nil, t.throw("java.lang.NullPointerException", "")
	}
	return t.regex(value.String(v))
}

// textRegex is the methods of String that take a pattern.
func (t *Thread) textRegex(s, name string, a []value.Value) (value.Value, bool, error) {
	n := len(a)
	if n == 0 {
		return nil, false, nil
	}
	switch name {
	case "matches", "matcher", "replaceAll", "replaceFirst", "split", "find", "findAll", "eachMatch", "splitEachLine", "takeWhile", "replace":
	default:
		return nil, false, nil
	}
	if _, isClosure := a[0].(*Closure); isClosure {
		return nil, false, nil
	}
	r, err := t.regexOf(a[0])
	if err != nil {
		return nil, true, err
	}
	var c *Closure
	if n > 1 {
		c, _ = a[n-1].(*Closure)
	}
	switch {
	case name == "matches" && n == 1:
		m, err := r.Full(s)
		return m != nil, true, err
	case name == "matcher" && n == 1:
		return value.NewMatcher(r, s), true, nil
	case (name == "replaceAll" || name == "replaceFirst") && n == 2:
		limit := 0
		if name == "replaceFirst" {
			limit = 1
		}
		if c != nil {
			v, err := t.replaceBy(r, s, c, limit)
			return v, true, err
		}
		v, err := t.replace(r, s, value.String(a[1]), limit)
		return v, true, err
	case name == "split" && n <= 2:
		limit := 0
		if n == 2 {
			limit = int(value.ToInt(a[1]))
		}
		ss, err := splitRegex(r, s, limit)
		if err != nil {
			return nil, true, err
		}
		return array(ss), true, t.room(len(ss))
	case name == "find" && (n == 1 || c != nil):
		ms, err := r.All(s, 1)
		if err != nil || len(ms) == 0 {
			return nil, true, err
		}
		if c != nil {
			v, err := t.callMatch(c, ms[0])
			return v, true, err
		}
		return ms[0].Text[0], true, nil
	case (name == "findAll" || name == "eachMatch") && (n == 1 || c != nil):
		ms, err := r.All(s, 0)
		if err != nil {
			return nil, true, err
		}
		out := &value.List{}
		for _, m := range ms {
			var v value.Value = m.Text[0]
			if c != nil {
				if v, err = t.callMatch(c, m); err != nil {
					return nil, true, err
				}
			}
			out.Elems = append(out.Elems, v)
		}
		if name == "eachMatch" {
			return s, true, nil
		}
		return out, true, nil
	case name == "splitEachLine" && c != nil:
		var last value.Value
		for _, l := range lines(s) {
			ss, err := splitRegex(r, l, 0)
			if err != nil {
				return nil, true, err
			}
			if last, err = t.call(c, []value.Value{value.Strings(ss...)}); err != nil {
				return nil, true, err
			}
		}
		return last, true, nil
	}
	return nil, false, nil
}

// matchValue is a match as Groovy hands it out: the text, or a list of the text and its groups.
func matchValue(m *value.Match) value.Value {
	if len(m.Text) == 1 {
		return m.Text[0]
	}
	return groups(m)
}

func groups(m *value.Match) *value.List {
	l := &value.List{}
	for i, s := range m.Text {
		if m.Start[i] < 0 {
			l.Elems = append(l.Elems, nil)
			continue
		}
		l.Elems = append(l.Elems, s)
	}
	return l
}

func (t *Thread) callMatch(c *Closure, m *value.Match) (value.Value, error) {
	if len(m.Text) == 1 {
		return t.call(c, []value.Value{m.Text[0]})
	}
	if c.Arity() > 1 {
		return t.call(c, groups(m).Elems)
	}
	return t.call(c, []value.Value{groups(m)})
}

// replace puts a replacement, in which $1 and ${name} are groups, in the place of each match, or of the first limit ones.
func (t *Thread) replace(r *value.Regex, s, with string, limit int) (value.Value, error) {
	return t.replaceEach(r, s, limit, func(m *value.Match) (string, error) { return t.expandGroups(r, m, with) })
}

func (t *Thread) replaceBy(r *value.Regex, s string, c *Closure, limit int) (value.Value, error) {
	return t.replaceEach(r, s, limit, func(m *value.Match) (string, error) {
		v, err := t.callMatch(c, m)
		return value.String(v), err
	})
}

func (t *Thread) replaceEach(r *value.Regex, s string, limit int, f func(*value.Match) (string, error)) (value.Value, error) {
	ms, err := r.All(s, limit)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	runes, at := []rune(s), 0
	for _, m := range ms {
		b.WriteString(string(runes[at:m.Start[0]]))
		text, err := f(m)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
		if b.Len() > t.p.lim.String {
			return nil, t.roomText(b.Len())
		}
		at = m.End[0]
	}
	b.WriteString(string(runes[at:]))
	return t.newText(b.String())
}

func (t *Thread) expandGroups(r *value.Regex, m *value.Match, with string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(with); i++ {
		switch c := with[i]; {
		case c == '\\' && i+1 < len(with):
			i++
			b.WriteByte(with[i])
		case c == '$' && i+1 < len(with) && with[i+1] == '{':
			end := strings.IndexByte(with[i:], '}')
			if end < 0 {
				return "", t.throw("java.lang.IllegalArgumentException", "named capturing group is missing trailing '}'")
			}
			name := with[i+2 : i+end]
			g := r.Name(name)
			if g == 0 {
				return "", t.throwf("java.lang.IllegalArgumentException", "No group with name {%s}", name)
			}
			b.WriteString(m.Text[g])
			i += end
		case c == '$':
			j := i + 1
			g := -1
			for j < len(with) && with[j] >= '0' && with[j] <= '9' {
				n, _ := strconv.Atoi(with[i+1 : j+1])
				if n >= len(m.Text) && g >= 0 {
					break
				}
				g = n
				j++
			}
			if g < 0 {
				return "", t.throw("java.lang.IllegalArgumentException", "Illegal group reference")
			}
			if g >= len(m.Text) {
				return "", t.throwf("java.lang.IndexOutOfBoundsException", "No group %d", g)
			}
			b.WriteString(m.Text[g])
			i = j - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// splitRegex is String.split: trailing empty parts are left out when limit is 0.
func splitRegex(r *value.Regex, s string, limit int) ([]string, error) {
	ms, err := r.All(s, 0)
	if err != nil {
		return nil, err
	}
	runes, at := []rune(s), 0
	var out []string
	for _, m := range ms {
		if limit > 0 && len(out) == limit-1 {
			break
		}
		if m.End[0] == 0 || m.Start[0] == len(runes) && m.End[0] == m.Start[0] { // nothing before an empty match at the start
			continue
		}
		out = append(out, string(runes[at:m.Start[0]]))
		at = m.End[0]
	}
	if len(out) == 0 && at == 0 {
		return []string{s}, nil
	}
	out = append(out, string(runes[at:]))
	if limit == 0 {
		for len(out) > 0 && out[len(out)-1] == "" {
			out = out[:len(out)-1]
		}
	}
	return out, nil
}

func (t *Thread) regexMethod(r *value.Regex, name string, a []value.Value) (value.Value, bool, error) {
	switch {
	case name == "matcher" && len(a) == 1:
		return value.NewMatcher(r, value.String(a[0])), true, nil
	case (name == "pattern" || name == "toString") && len(a) == 0:
		return r.Source, true, nil
	case name == "split" && len(a) == 1:
		ss, err := splitRegex(r, value.String(a[0]), 0)
		return array(ss), true, err
	case name == "isCase" && len(a) == 1:
		ok, err := t.isCase(r, a[0])
		return ok, true, err
	}
	return nil, false, nil
}

// matchList is what each and [] see of a matcher.
func (t *Thread) matchList(m *value.Matcher) ([]value.Value, error) {
	ms, err := m.Matches()
	if err != nil {
		return nil, t.traced(err)
	}
	out := make([]value.Value, len(ms))
	for i, x := range ms {
		out[i] = matchValue(x)
	}
	return out, t.room(len(out))
}

func (t *Thread) matcherMethod(m *value.Matcher, name string, a []value.Value) (value.Value, bool, error) {
	switch name {
	case "find":
		if len(a) == 0 {
			ok, err := m.Find()
			return ok, true, err
		}
	case "matches", "lookingAt":
		if len(a) == 0 {
			ok, err := m.Full()
			return ok, true, err
		}
	case "hasGroup":
		return m.Regex.Groups() > 0, true, nil
	case "groupCount", "getGroupCount":
		return int64(m.Regex.Groups()), true, nil
	case "size", "getCount":
		ms, err := m.Matches()
		return int64(len(ms)), true, err
	case "reset":
		m.Reset()
		return m, true, nil
	case "replaceAll", "replaceFirst":
		return t.textRegex(m.Text, name, append([]value.Value{m.Regex}, a...))
	case "group", "start", "end":
		if len(a) <= 1 {
			v, err := t.group(m, name, a)
			return v, true, err
		}
	case "getAt":
		if len(a) == 1 {
			v, err := t.getAt(m, a[0])
			return v, true, err
		}
	case "each", "collect", "findAll", "find_", "any", "every", "eachWithIndex", "inject", "iterator":
		es, err := t.matchList(m)
		if err != nil {
			return nil, true, err
		}
		if name == "iterator" {
			return &iterator{es: es}, true, nil
		}
		return t.sequence(es, name, a)
	case "pattern":
		return m.Regex, true, nil
	}
	return nil, false, nil
}

func (t *Thread) group(m *value.Matcher, name string, a []value.Value) (value.Value, error) {
	if m.Cur == nil {
		return nil, t.throw("java.lang.IllegalStateException", "No match found")
	}
	g := 0
	if len(a) == 1 {
		if s, ok := value.Text(a[0]); ok {
			if g = m.Regex.Name(s); g == 0 {
				return nil, t.throwf("java.lang.IllegalArgumentException", "No group with name <%s>", s)
			}
		} else {
			g = int(value.ToInt(a[0]))
		}
	}
	if g < 0 || g >= len(m.Cur.Text) {
		return nil, t.throwf("java.lang.IndexOutOfBoundsException", "No group %d", g)
	}
	switch name {
	case "start":
		return int64(m.Cur.Start[g]), nil
	case "end":
		return int64(m.Cur.End[g]), nil
	}
	if m.Cur.Start[g] < 0 {
		return nil, nil
	}
	return m.Cur.Text[g], nil
}

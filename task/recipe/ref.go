package recipe

import (
	"cmp"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/near"
)

// Ref names a task: its name, and values for some of its parameters.
type Ref struct {
	Name   string
	Params []Value // by name
}

// String returns name:param=value,…
func (r Ref) String() string {
	var b strings.Builder
	b.WriteString(r.Name)
	for i, p := range r.Params {
		b.WriteByte(":,"[min(i, 1)])
		b.WriteString(p.Name + "=" + p.Value)
	}
	return b.String()
}

// ParseRef reads what String returns, the parameters in any order.
func ParseRef(s string) (Ref, error) {
	name, list, has := strings.Cut(s, ":")
	r := Ref{Name: name}
	if !validName(name) {
		return r, fault.New(fault.Invalid, "task %q: expected a name of letters, digits, and . _ - + / between them", s)
	}
	if !has {
		return r, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		k, v, ok := strings.Cut(part, "=")
		if !ok || !validParam(k) {
			return r, fault.New(fault.Invalid, "task %q: expected name:param=value,param=value, found %q", s, part)
		}
		if err := checkValue(k, v); err != nil {
			return r, fault.New(fault.Invalid, "task %q: %w", s, err)
		}
		if slices.ContainsFunc(r.Params, func(p Value) bool { return p.Name == k }) {
			return r, fault.New(fault.Invalid, "task %q: parameter %s stands there twice", s, k)
		}
		r.Params = append(r.Params, Value{k, v})
	}
	slices.SortFunc(r.Params, func(a, b Value) int { return cmp.Compare(a.Name, b.Name) })
	return r, nil
}

// parseRequire reads [as=]name[:param=value,…].
func parseRequire(s string) (Require, error) {
	head, _, _ := strings.Cut(s, ":")
	as, _, has := strings.Cut(head, "=")
	rest := s
	if has {
		rest = s[len(as)+1:]
		if !validName(as) {
			return Require{}, fault.New(fault.Invalid, "%q: expected as=task, found the name %q", s, as)
		}
	}
	ref, err := ParseRef(rest)
	if err != nil {
		return Require{}, err
	}
	if !has {
		as = ref.Name
	}
	return Require{As: as, Task: ref}, nil
}

// validName reports whether s can name a task: it stands in paths of artifacts.
func validName(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	for seg := range strings.SplitSeq(s, "/") {
		if seg == "" || strings.Trim(seg, ".") == "" || !only(seg, "._-+") || strings.HasPrefix(seg, "-") {
			return false
		}
	}
	return true
}

func validParam(s string) bool {
	return s != "" && len(s) <= 100 && only(s, "_") && (s[0] < '0' || s[0] > '9')
}

// checkValue keeps what a shell would read as something else out of parameters: they are expanded in commands.
func checkValue(name, v string) error {
	if only(v, "._-+/@%=^") && len(v) <= 1000 {
		return nil
	}
	return fault.New(fault.Invalid, "parameter %s: value %q: expected letters, digits and . _ - + / @ %% = ^", name, v)
}

// only reports whether s has nothing but ASCII letters, digits and the marks given.
func only(s, marks string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(marks, c) >= 0:
		default:
			return false
		}
	}
	return true
}

// nearest returns those of names that s may have been meant as, best first, at most three.
func nearest(s string, names []string) []string {
	type scored struct {
		name string
		d    int
	}
	var found []scored
	for _, n := range names {
		d := near.Distance(s, n, 1000)
		if d <= 1+len(s)/4 || len(s) > 2 && strings.Contains(n, s) {
			found = append(found, scored{n, d})
		}
	}
	slices.SortFunc(found, func(a, b scored) int { return cmp.Or(cmp.Compare(a.d, b.d), cmp.Compare(a.name, b.name)) })
	var out []string
	for _, f := range found[:min(3, len(found))] {
		if f.d <= found[0].d+1 {
			out = append(out, f.name)
		}
	}
	return out
}

// didYouMean is a hint at near names, or the list of all when it is short.
func didYouMean(s string, names []string) string {
	if n := nearest(s, names); len(n) > 0 {
		return "; did you mean " + strings.Join(n, " or ") + "?"
	}
	if len(names) > 0 && len(names) <= 12 {
		return "; there is " + strings.Join(slices.Sorted(slices.Values(names)), ", ")
	}
	return ""
}

package jenkinsfile

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
)

// dump writes a tree as an S-expression, one node a line when it does not fit: (Call :Name "sh" :Args ["x"]). Zero fields are
// left out, places too.
func dump(n any) string {
	return layout(describe(reflect.ValueOf(n)), 0) + "\n"
}

// sexp is an atom, or a head with parts.
type sexp struct {
	atom  string
	parts []sexp
	open  string
}

func describe(v reflect.Value) sexp {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return sexp{atom: "nil"}
		}
		if n, ok := v.Interface().(*big.Int); ok {
			return sexp{atom: n.String()}
		}
		return describe(v.Elem())
	case reflect.Slice:
		s := sexp{open: "["}
		for i := range v.Len() {
			s.parts = append(s.parts, describe(v.Index(i)))
		}
		return s
	case reflect.Struct:
		return describeStruct(v)
	case reflect.String:
		return sexp{atom: fmt.Sprintf("%q", v.String())}
	}
	return sexp{atom: fmt.Sprint(v.Interface())}
}

func describeStruct(v reflect.Value) sexp {
	switch n := v.Interface().(type) {
	case Lit:
		kinds := []string{"null", "bool", "int", "long", "bigint", "decimal", "float", "double", "string"}
		if n.Kind == String {
			return sexp{atom: fmt.Sprintf("%q", n.Value)}
		}
		return sexp{atom: fmt.Sprintf("%s:%v", kinds[n.Kind], n.Value)}
	case Ident:
		return sexp{atom: n.Name}
	case Error:
		return sexp{atom: fmt.Sprintf("%d:%d %s", n.Pos.Line, n.Pos.Col, n.Message)}
	}
	s := sexp{open: "(", parts: []sexp{{atom: v.Type().Name()}}}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name == "At" || f.Name == "Source" || v.Field(i).IsZero() || f.Type == reflect.TypeFor[Pos]() {
			continue
		}
		if f.Type == reflect.TypeFor[*Call]() && v.Type() == reflect.TypeFor[Pipeline]() {
			continue
		}
		s.parts = append(s.parts, sexp{atom: ":" + f.Name}, describe(v.Field(i)))
	}
	return s
}

func (s sexp) String() string {
	if s.open == "" {
		return s.atom
	}
	var b strings.Builder
	b.WriteString(s.open)
	for i, p := range s.parts {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.String())
	}
	b.WriteString(map[string]string{"(": ")", "[": "]"}[s.open])
	return b.String()
}

func layout(s sexp, indent int) string {
	line := s.String()
	if s.open == "" || len(line)+indent < 120 {
		return line
	}
	var b strings.Builder
	b.WriteString(s.open)
	pad := "\n" + strings.Repeat("  ", indent/2+1)
	for i := 0; i < len(s.parts); i++ {
		p := s.parts[i]
		if i == 0 && s.open == "(" {
			b.WriteString(p.atom)
			continue
		}
		b.WriteString(pad)
		if strings.HasPrefix(p.atom, ":") && i+1 < len(s.parts) {
			b.WriteString(p.atom + " ")
			i++
			p = s.parts[i]
		}
		b.WriteString(layout(p, indent+2))
	}
	b.WriteString(map[string]string{"(": ")", "[": "]"}[s.open])
	return b.String()
}

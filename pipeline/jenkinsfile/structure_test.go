package jenkinsfile

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// groovyTree writes a file as testdata/oracle.groovy writes Groovy's own tree; "" for scripts with classes.
func groovyTree(f *File) string {
	var methods, rest []string
	for _, s := range f.Body {
		switch s := s.(type) {
		case *ClassDecl:
			return ""
		case *MethodDecl:
			methods = append(methods, gnode("method", gtype(s.Return), quoteJSON(s.Name), gparams(s.Params), gnode("block", gstmts(s.Body.Stmts)...)))
		default:
			rest = append(rest, gstmt(s)...)
		}
	}
	return strings.Join(append(methods, rest...), "\n")
}

func gnode(head string, parts ...string) string {
	out := []string{head}
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return "(" + strings.Join(out, " ") + ")"
}

func quoteJSON(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case strings.ContainsRune("\"\\", r):
			b.WriteString("\\" + string(r))
		case r == '\n', r == '\t', r == '\r', r == '\b', r == '\f':
			q, _ := json.Marshal(string(r))
			b.Write(q[1 : len(q)-1])
		case r < ' ' || r > '~':
			if r > 0xFFFF {
				r -= 0x10000
				fmt.Fprintf(&b, "\\u%04x\\u%04x", 0xD800+r>>10, 0xDC00+r&0x3FF)
				continue
			}
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func gtype(t *TypeRef) string {
	if t == nil || t.Name == "" {
		return "def"
	}
	return t.Name + strings.Repeat("[]", t.Dims)
}

func gparams(params []*Param) string {
	parts := make([]string, len(params))
	for i, p := range params {
		parts[i] = gparam(p)
	}
	return gnode("params", parts...)
}

func gparam(p *Param) string {
	t := gtype(p.Type)
	if p.Variadic {
		if t == "def" {
			t = "java.lang.Object"
		}
		t += "[]"
	}
	init := ""
	if p.Default != nil {
		init = gexpr(p.Default)
	}
	return gnode("param", t, p.Name, init)
}

func gstmts(list []Stmt) []string {
	var out []string
	for _, s := range list {
		out = append(out, gstmt(s)...)
	}
	return out
}

func gbody(s Stmt) string {
	if b, ok := s.(*Block); ok && len(b.Stmts) == 0 && b.Where.End.Offset-b.Where.Start.Offset == 1 {
		return "nil" // a lone semicolon
	}
	return strings.Join(gstmt(s), " ")
}

func opt(x Expr) string {
	if x == nil {
		return ""
	}
	return gexpr(x)
}

func optReturn(x Expr) string {
	for {
		paren, ok := x.(*Paren)
		if !ok {
			break
		}
		x = paren.X
	}
	if l, ok := x.(*Lit); ok && l.Kind == Null {
		return ""
	}
	return opt(x)
}

func gstmt(s Stmt) []string {
	one := func(s string) []string { return []string{s} }
	switch s := s.(type) {
	case *ExprStmt:
		return one(gexpr(s.X))
	case *VarDecl:
		return gvars(s)
	case *Block:
		return one(gnode("block", gstmts(s.Stmts)...))
	case *If:
		other := "nil"
		if s.Else != nil {
			other = gbody(s.Else)
		}
		return one(gnode("if", gexpr(s.Cond), gbody(s.Then), other))
	case *While:
		return one(gnode("while", gexpr(s.Cond), gbody(s.Body)))
	case *For:
		parts := []string{"nil", "nil", "nil"}
		if len(s.Init) > 0 {
			parts[0] = strings.Join(gstmts(s.Init), " ")
		}
		if s.Cond != nil {
			parts[1] = gexpr(s.Cond)
		}
		if len(s.Post) > 0 {
			parts[2] = gexpr(s.Post[0])
		}
		return one(gnode("for", gnode("parts", parts...), gbody(s.Body)))
	case *ForIn:
		return one(gnode("for", gnode("in", gparam(s.Var), gexpr(s.In)), gbody(s.Body)))
	case *Switch:
		return one(gswitch(s))
	case *Try:
		return one(gtry(s))
	case *Throw:
		return one(gnode("throw", gexpr(s.X)))
	case *Return:
		return one(gnode("return", optReturn(s.X)))
	case *Break:
		return one(gnode("break", s.Label))
	case *Continue:
		return one(gnode("continue", s.Label))
	case *Assert:
		return one(gnode("assert", gexpr(s.Cond), optReturn(s.Message)))
	case *Synchronized:
		return one(gnode("synchronized", gexpr(s.Lock), gbody(s.Body)))
	}
	return one(fmt.Sprintf("?%T", s))
}

func gvars(d *VarDecl) []string {
	if d.Multi {
		vars := make([]string, len(d.Vars))
		for i, v := range d.Vars {
			vars[i] = gnode(gtype(v.Type), v.Name)
		}
		return []string{gnode("def", gnode("vars", vars...), gexpr(d.Init))}
	}
	out := make([]string, len(d.Vars))
	for i, v := range d.Vars {
		out[i] = gnode("def", gtype(d.Type), v.Name, opt(v.Init))
	}
	return out
}

func gswitch(s *Switch) string {
	parts := []string{gexpr(s.Tag)}
	last := ""
	for _, c := range s.Cases {
		body := gstmts(c.Body)
		if c.Body == nil {
			body = []string{"nil"}
		}
		if c.Value == nil {
			last = gnode("default", body...)
			continue
		}
		parts = append(parts, gnode("case", append([]string{gexpr(c.Value)}, body...)...))
	}
	return gnode("switch", append(parts, last)...)
}

func gtry(s *Try) string {
	parts := []string{gbody(s.Body)}
	for _, c := range s.Catches {
		types := c.Types
		if len(types) == 0 {
			types = []*TypeRef{nil}
		}
		for _, t := range types {
			parts = append(parts, gnode("catch", gtype(t), c.Name, gbody(c.Body)))
		}
	}
	if s.Finally != nil {
		parts = append(parts, gnode("finally", gbody(s.Finally)))
	}
	return gnode("try", parts...)
}

func gexprs(list []Expr) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = gexpr(x)
	}
	return out
}

func gmap(entries []*NamedArg) string {
	parts := make([]string, len(entries))
	for i, e := range entries {
		if e.Spread {
			parts[i] = gnode("*:", gexpr(e.Value))
			continue
		}
		parts[i] = gnode("entry", gexpr(e.Key), gexpr(e.Value))
	}
	return gnode("map", parts...)
}

func gargs(named []*NamedArg, plain []Expr) []string {
	out := gexprs(plain)
	if len(named) > 0 {
		out = append([]string{gmap(named)}, out...)
	}
	return out
}

func gflags(safe, spread bool) string {
	out := ""
	if safe {
		out = "?"
	}
	if spread {
		out += "*"
	}
	return out
}

func gcall(c *Call) string {
	recv, name := "_", `"call"`
	if c.Recv != nil {
		recv = gexpr(c.Recv)
	}
	if !c.Direct {
		name = gexpr(c.Name)
	}
	return gnode("call"+gflags(c.Safe, c.Spread), append([]string{recv, name}, gargs(c.Named, c.Args)...)...)
}

func gexpr(x Expr) string {
	switch x := x.(type) {
	case *Lit:
		return glit(x)
	case *GString:
		var parts []string
		for i, s := range x.Strings {
			parts = append(parts, quoteJSON(s))
			if i < len(x.Exprs) {
				parts = append(parts, gexpr(x.Exprs[i]))
			}
		}
		return gnode("gstring", parts...)
	case *Ident:
		return x.Name
	case *Property:
		op := "."
		switch {
		case x.Field:
			op = ".@"
		case x.Method:
			return gnode(".&", gexpr(x.X), gexpr(x.Name))
		}
		return gnode(op+gflags(x.Safe, x.Spread), gexpr(x.X), gexpr(x.Name))
	case *Index:
		if len(x.Args) == 1 {
			return gnode("[", gexpr(x.X), gexpr(x.Args[0]))
		}
		return gnode("[", gexpr(x.X), gnode("list", gexprs(x.Args)...))
	case *Call:
		return gcall(x)
	case *Spread:
		return gnode("*", gexpr(x.X))
	case *New:
		if len(x.Dims) > 0 {
			return gnode("newarray", append(append([]string{x.Type.Name}, gexprs(x.Dims)...), slices.Repeat([]string{"#null"}, x.Type.Dims)...)...)
		}
		return gnode("new", append([]string{gtype(x.Type)}, gargs(x.Named, x.Args)...)...)
	case *Unary:
		return gunary(x)
	case *Binary:
		return gnode(x.Op, gexpr(x.X), gexpr(x.Y))
	case *Assign:
		if l, ok := x.X.(*List); ok && x.Multi {
			return gnode("=", gnode("vars", gexprs(l.Elems)...), gexpr(x.Y))
		}
		return gnode(x.Op, gexpr(x.X), gexpr(x.Y))
	case *InstanceOf:
		return gnode("instanceof", gexpr(x.X), "type:"+gtype(x.Type))
	case *Cast:
		return gnode("cast", gexpr(x.X), gtype(x.Type))
	case *As:
		return gnode("as", gexpr(x.X), gtype(x.Type))
	case *Ternary:
		if x.Then == nil {
			return gnode("?:", gexpr(x.Cond), gexpr(x.Else))
		}
		return gnode("?", gexpr(x.Cond), gexpr(x.Then), gexpr(x.Else))
	case *List:
		return gnode("list", gexprs(x.Elems)...)
	case *Map:
		return gmap(x.Entries)
	case *Closure:
		params := "it"
		if !x.NoParams {
			params = "none"
			if len(x.Params) > 0 {
				params = gparams(x.Params)
			}
		}
		return gnode("closure", append([]string{params}, gstmts(x.Body.Stmts)...)...)
	case *ClassLit:
		parts := strings.Split(x.Type.Name, ".")
		name := parts[0]
		for _, p := range parts[1:] {
			name = gnode(".", name, quoteJSON(p))
		}
		for range x.Type.Dims {
			name = gnode("[", name, gnode("list"))
		}
		return name
	case *Paren:
		return gexpr(x.X)
	}
	return fmt.Sprintf("?%T", x)
}

func gunary(x *Unary) string {
	switch {
	case x.Postfix:
		return gnode("u"+x.Op, gexpr(x.X))
	case x.Op == "!" || x.Op == "~":
		return gnode(x.Op, gexpr(x.X))
	}
	if l, ok := x.X.(*Lit); ok && l.Kind != String && l.Kind != Null && l.Kind != Bool {
		switch x.Op {
		case "-":
			return "#-" + glit(l)[1:]
		case "+":
			return glit(l)
		}
	}
	return gnode(x.Op+"u", gexpr(x.X))
}

func glit(x *Lit) string {
	switch v := x.Value.(type) {
	case nil:
		return "#null"
	case *big.Int:
		return "#" + v.String()
	case string:
		if x.Kind == String {
			return quoteJSON(v)
		}
		f, _ := strconv.ParseFloat(v, 64)
		return fmt.Sprintf("#%.6e", f)
	case float64:
		return fmt.Sprintf("#%.6e", v)
	}
	return fmt.Sprintf("#%v", x.Value)
}

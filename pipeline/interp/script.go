package interp

import (
	"fmt"
	"strings"

	jf "github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// script is one file: the Jenkinsfile, a loaded one, a variable of a library. It is `this` of its own code.
type script struct {
	p       *Program
	file    *jf.File
	name    string
	methods map[string][]*method
	classes map[string]*class
	imports map[string]string // simple name to full name
	statics map[string]string // imported static member to its class
	fields  *env              // @Field
}

// method is a method of a script or class, or a constructor.
type method struct {
	decl   *jf.MethodDecl
	script *script
	class  *class // nil in a script
	static bool
}

func (p *Program) newScript(f *jf.File) (*script, error) {
	s := &script{p: p, file: f, name: f.Name, methods: map[string][]*method{}, classes: map[string]*class{},
		imports: map[string]string{}, statics: map[string]string{}}
	if s.name == "" || s.name == "Jenkinsfile" {
		s.name = "WorkflowScript"
	}
	s.fields = newEnv(nil, &frame{script: s, this: s})
	for _, i := range f.Imports {
		s.addImport(i)
	}
	for _, st := range f.Body {
		switch x := st.(type) {
		case *jf.MethodDecl:
			s.methods[x.Name] = append(s.methods[x.Name], &method{decl: x, script: s})
		case *jf.ClassDecl:
			if err := s.addClass(x, nil); err != nil {
				return nil, err
			}
		}
	}
	return s, s.link()
}

func (s *script) addImport(i *jf.Import) {
	if i.Star {
		return
	}
	alias := i.Alias
	if alias == "" {
		alias = value.Simple(i.Name)
	}
	if i.Static {
		s.statics[alias] = strings.TrimSuffix(i.Name, "."+value.Simple(i.Name))
		return
	}
	s.imports[alias] = i.Name
}

// TypeName implements value.Object.
func (s *script) TypeName() string { return s.name }

// Property, SetProperty and Invoke implement value.Object for code that has no thread: the holder of the baton stands in.
func (s *script) Property(name string) (value.Value, bool, error) { return s.p.cur.tryGet(s, name) }

// SetProperty implements value.Object.
func (s *script) SetProperty(name string, v value.Value) error {
	return s.p.cur.setProperty(s, name, v, &frame{script: s, this: s})
}

// Invoke implements value.Object.
func (s *script) Invoke(name string, args []value.Value) (value.Value, bool, error) {
	return s.p.cur.invokeScript(s, name, args)
}

// invokeScript calls a method of a script object; ok false when it has none that fits.
func (t *Thread) invokeScript(s *script, name string, args []value.Value) (value.Value, bool, error) {
	if m := t.pick(s.methods[name], args); m != nil {
		v, err := t.runMethod(m, s, args)
		return v, true, err
	}
	if e, i := s.fields.own(name); e != nil && callable(e.vals[i]) {
		v, err := t.callValue(e.vals[i], args)
		return v, true, err
	}
	return nil, false, nil
}

// runScript evaluates the statements of a file.
func (t *Thread) runScript(s *script) (value.Value, error) {
	file, here := t.file, t.here
	t.file = s.name
	defer func() { t.file, t.here = file, here }()
	e := newEnv(nil, &frame{script: s, this: s})
	t.here = e
	return t.runBody(s.file.Body, e)
}

// binding is the variables that are assigned without being declared. All scripts of a program share them.
func (p *Program) binding() *value.Map {
	if p.vars == nil {
		p.vars = value.NewMap()
	}
	return p.vars
}

// pick chooses the overload whose parameters fit the arguments best; nil when none does.
func (t *Thread) pick(ms []*method, args []value.Value) *method {
	var best *method
	bestScore := -1
	for _, m := range ms {
		if score := t.fit(m, args); score > bestScore {
			best, bestScore = m, score
		}
	}
	return best
}

// fit is -1 when arguments cannot be those of the method; higher when the types match more exactly.
func (t *Thread) fit(m *method, args []value.Value) int {
	params := m.decl.Params
	given, ok := spreadVariadic(params, args)
	if !ok || len(given) > len(params) || len(given) < required(params) {
		return -1
	}
	score := 100
	if len(given) != len(params) {
		score = 50
	}
	if len(params) != len(args) || len(given) > 0 && len(args) > 0 && given[len(given)-1] != args[len(args)-1] && params[len(params)-1].Variadic {
		score -= 20
	}
	f := &frame{script: m.script, class: m.class}
	filled := filledBy(params, len(given))
	for i, a := range given {
		p := filled[i]
		switch {
		case p.Type == nil || p.Type.Name == "" || p.Type.Name == "Object" || p.Type.Name == "def":
			score++
		case a == nil:
		case t.isInstance(a, typeText(p.Type), f):
			score += 3
		case t.convertible(a, p.Type):
			score += 2
		default:
			return -1
		}
	}
	return score
}

// filledBy is the parameters that n arguments go to: those without default, and of the others as many as are left, from the left.
func filledBy(params []*jf.Param, n int) []*jf.Param {
	spare := n - required(params)
	out := make([]*jf.Param, 0, n)
	for _, p := range params {
		switch {
		case p.Default == nil:
			out = append(out, p)
		case spare > 0:
			out = append(out, p)
			spare--
		}
	}
	return out
}

// convertible reports arguments that a call converts by itself: numbers to wider ones, a GString to a String, a closure to an interface.
func (t *Thread) convertible(v value.Value, typ *jf.TypeRef) bool {
	if typ.Dims > 0 {
		_, ok := v.(*value.List)
		return ok
	}
	name, _ := value.ClassName(typ.Name)
	switch v.(type) {
	case *value.GString:
		return name == "java.lang.String"
	case *Closure:
		return !strings.HasPrefix(name, "java.lang.") && !strings.HasPrefix(name, "java.util.") || name == "java.lang.Runnable"
	}
	if value.IsNumber(v) {
		switch name {
		case "java.lang.Long", "java.lang.Double", "java.lang.Float", "java.math.BigDecimal", "java.math.BigInteger":
			return true
		case "java.lang.Integer", "java.lang.Short", "java.lang.Byte":
			return value.RankOf(v) <= value.IntRank
		}
	}
	return false
}

// runMethod calls a method on this (nil for a static one).
func (t *Thread) runMethod(m *method, this value.Value, args []value.Value) (value.Value, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	f := &frame{script: m.script, this: this, class: m.class}
	e := newEnv(nil, f)
	file, at := t.file, t.at
	t.file = m.script.name
	defer func() { t.file, t.at = file, at }()
	ok, err := t.bind(m.decl.Params, e, args)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, t.missingMethod(this, m.decl.Name, args)
	}
	if m.decl.Body == nil {
		return nil, t.throwf("java.lang.AbstractMethodError", "%s", m.decl.Name)
	}
	v, err := t.runBody(m.decl.Body.Stmts, e)
	if err != nil {
		return nil, err
	}
	if m.decl.Return != nil && m.decl.Return.Name == "void" && m.decl.Return.Dims == 0 {
		return nil, nil
	}
	return t.coerce(v, m.decl.Return)
}

// lookupClass is the class a name means in a script: its own, an imported or a built-in one; nil when none does.
func (t *Thread) lookupClass(name string, s *script) value.Value {
	if s != nil {
		if s.classes[name] != nil {
			return &value.Class{Name: name}
		}
		if full, ok := s.imports[name]; ok {
			if c, known := value.ClassName(full); known {
				return &value.Class{Name: c}
			}
			return &value.Class{Name: full}
		}
	}
	if t.classNamed(name) != nil {
		return &value.Class{Name: name}
	}
	if full, ok := value.ClassName(name); ok {
		return &value.Class{Name: full}
	}
	if strings.HasPrefix(name, "hudson.model.Result") {
		return &value.Class{Name: name}
	}
	return nil
}

func (t *Thread) classValue(name string, f *frame) value.Value {
	if c := t.lookupClass(name, f.script); c != nil {
		return c
	}
	return &value.Class{Name: name}
}

// classNamed finds a class of any script of the program; nil when there is none.
func (t *Thread) classNamed(name string) *class { return t.p.classes[name] }

func (s *script) addClass(d *jf.ClassDecl, outer *class) error {
	c := &class{name: d.Name, decl: d, script: s, methods: map[string][]*method{}, statics: newEnv(nil, nil), outer: outer}
	if s.file.Package != "" {
		c.name = s.file.Package + "." + d.Name
	}
	s.classes[d.Name] = c
	if s.p.classes == nil {
		s.p.classes = map[string]*class{}
	}
	s.p.classes[d.Name], s.p.classes[c.name] = c, c
	if outer != nil {
		s.p.classes[outer.decl.Name+"."+d.Name] = c
	}
	for _, m := range d.Members {
		switch x := m.(type) {
		case *jf.MethodDecl:
			mm := &method{decl: x, script: s, class: c, static: has(x.Modifiers, "static")}
			if x.Constructor {
				c.ctors = append(c.ctors, mm)
			} else {
				c.methods[x.Name] = append(c.methods[x.Name], mm)
			}
		case *jf.ClassDecl:
			if err := s.addClass(x, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// link finds the superclasses of the script's classes.
func (s *script) link() error {
	for _, st := range s.file.Body {
		if d, ok := st.(*jf.ClassDecl); ok {
			if err := s.linkClass(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *script) linkClass(d *jf.ClassDecl) error {
	for _, m := range d.Members {
		if inner, ok := m.(*jf.ClassDecl); ok {
			if err := s.linkClass(inner); err != nil {
				return err
			}
		}
	}
	if d.Extends == nil || d.Kind == "interface" {
		return nil
	}
	c := s.classes[d.Name]
	if super := s.p.classes[d.Extends.Name]; super != nil {
		c.super = super
	} else if full, ok := value.ClassName(d.Extends.Name); ok {
		c.builtin = full
	} else if full, ok := s.imports[d.Extends.Name]; ok {
		c.builtin = full
	} else {
		return fmt.Errorf("%s:%d: unable to resolve class %s", s.name, d.Where.Start.Line, d.Extends.Name)
	}
	seen := map[*class]bool{}
	for k := c; k != nil; k = k.super {
		if seen[k] {
			return fmt.Errorf("%s:%d: cyclic inheritance involving %s", s.name, d.Where.Start.Line, d.Name)
		}
		seen[k] = true
	}
	return nil
}

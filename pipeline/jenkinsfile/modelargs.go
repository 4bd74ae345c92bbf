package jenkinsfile

import (
	"slices"
	"strconv"
	"strings"
)

// checkArgs checks the arguments of a step: their names, their number, and the types of constants. bodyChecked says that the
// call stands where its body must be there.
func (m *modeler) checkArgs(c *Call, spec *StepSpec, bodyChecked bool) {
	if bodyChecked {
		m.checkBody(c, spec)
	}
	plain := c.Args
	if bodyOf(c) != nil && spec.Block {
		plain = plain[:len(plain)-1]
	}
	named, ok := namedArgs(c.Named, plain)
	switch {
	case !ok || spreads(plain):
		return
	case len(c.Named) > 0 && len(plain) > 0:
		m.errorf(c, "Cannot mix named and unnamed arguments")
	case len(named) > 0:
		m.checkNamed(c, spec, named)
	case len(plain) == 0:
		m.checkRequired(c, spec, nil)
	default:
		m.checkPlain(c, spec, plain)
	}
}

// namedArgs returns named arguments, or those of a lone map; ok is false when they cannot be known.
func namedArgs(named []*NamedArg, plain []Expr) (args []*NamedArg, ok bool) {
	args = named
	if len(named) == 0 && len(plain) == 1 {
		if x, isMap := plain[0].(*Map); isMap {
			args = x.Entries
		}
	}
	for _, a := range args {
		key, isText := stringOf(a.Key)
		if a.Spread || !isText || key == "$class" {
			return nil, false
		}
	}
	return args, true
}

func spreads(list []Expr) bool {
	for _, x := range list {
		if _, ok := x.(*Spread); ok {
			return true
		}
	}
	return false
}

func (m *modeler) checkBody(c *Call, spec *StepSpec) {
	body := bodyOf(c)
	if spec.Block && !spec.BodyOptional && body == nil {
		for _, x := range c.Args {
			if _, isName := x.(*Ident); isName {
				return // a variable may hold the block
			}
		}
		m.errorf(c, "Expected a block with the \"%s\" step", spec.Name)
	}
	if !spec.Block && c.Trailing > 0 && spec.Sole == "" {
		m.errorf(c, "The \"%s\" step takes no block", spec.Name)
	}
}

func (s *StepSpec) param(name string) *ParamSpec {
	for i := range s.Params {
		if s.Params[i].Name == name {
			return &s.Params[i]
		}
	}
	return nil
}

func (s *StepSpec) paramNames() []string {
	var names []string
	for _, p := range s.Params {
		names = append(names, p.Name)
	}
	return names
}

func (m *modeler) checkNamed(c *Call, spec *StepSpec, named []*NamedArg) {
	for _, a := range named {
		key, _ := stringOf(a.Key)
		p := spec.param(key)
		switch {
		case p != nil:
			m.checkType(a.Value, p, true)
		case spec.Rest != "":
		case len(spec.Params) == 0:
			m.errorf(a, "Invalid parameter \"%s\": the \"%s\" step takes none", key, spec.Name)
		default:
			m.errorf(a, "Invalid parameter \"%s\", did you mean \"%s\"?", key, closest(key, spec.paramNames()))
		}
	}
	m.checkRequired(c, spec, named)
}

func (m *modeler) checkRequired(c *Call, spec *StepSpec, named []*NamedArg) {
	for _, p := range spec.Params {
		if p.Required && argNamed(named, p.Name) == nil {
			m.errorf(c, "Missing required parameter: \"%s\"", p.Name)
		}
	}
}

func (m *modeler) checkPlain(c *Call, spec *StepSpec, plain []Expr) {
	switch {
	case len(spec.Params) == 0 && spec.Rest == "":
		m.errorf(c, "\"%s\" should have 0 arguments but has %d arguments instead.", spec.Name, len(plain))
		return
	case len(plain) > 1:
		m.errorf(c, "Arguments to \"%s\" must be explicitly named.", spec.Name)
		return
	case spec.Sole == "" && spec.Rest == "" && isConstant(plain[0]):
		m.errorf(c, "Step does not take a single required parameter - use named parameters instead")
		return
	case spec.Sole == "":
		return
	}
	if p := spec.param(spec.Sole); p != nil {
		m.checkType(plain[0], p, false)
	}
	if !isConstant(plain[0]) {
		return // it may be a map of all parameters
	}
	for _, p := range spec.Params {
		if p.Required && p.Name != spec.Sole {
			m.errorf(c, "Missing required parameter: \"%s\"", p.Name)
		}
	}
}

func isConstant(x Expr) bool {
	switch x.(type) {
	case *Lit, *GString:
		return true
	}
	return false
}

// checkType checks a constant against the type of a parameter, as far as it could not be converted either.
func (m *modeler) checkType(x Expr, p *ParamSpec, named bool) {
	lit, ok := x.(*Lit)
	if !ok {
		if _, isClosure := x.(*Closure); isClosure && p.Type != AnyParam && p.Type != "" {
			m.wrongType(x, p, named, "groovy.lang.Closure")
		}
		return
	}
	text, isText := stringOf(lit)
	switch {
	case lit.Kind == Null:
		return
	case p.Type == IntParam && isText:
		if _, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil {
			m.wrongType(x, p, named, "java.lang.String")
			return
		}
	case p.Type == IntParam && lit.Kind == Bool:
		m.wrongType(x, p, named, "java.lang.Boolean")
		return
	case p.Type == BooleanParam && lit.Kind != Bool:
		if isText && (text == "true" || text == "false") {
			return
		}
		m.wrongType(x, p, named, className(lit.Kind))
		return
	case p.Type == MapParam:
		m.wrongType(x, p, named, className(lit.Kind))
		return
	}
	if isText && len(p.Enum) > 0 && !slices.ContainsFunc(p.Enum, func(name string) bool { return strings.EqualFold(name, text) }) {
		m.errorf(x, "Invalid value \"%s\" for parameter \"%s\". Valid values are %s", text, p.Name, show(p.Enum))
	}
}

func className(k LitKind) string {
	switch k {
	case Bool:
		return "java.lang.Boolean"
	case Int:
		return "java.lang.Integer"
	case Long:
		return "java.lang.Long"
	case BigInt:
		return "java.math.BigInteger"
	case Decimal:
		return "java.math.BigDecimal"
	case Float:
		return "java.lang.Float"
	case Double:
		return "java.lang.Double"
	}
	return "java.lang.String"
}

func (m *modeler) wrongType(x Expr, p *ParamSpec, named bool, class string) {
	got := m.text(x)
	if text, ok := stringOf(x); ok {
		got = text
	}
	if named {
		m.errorf(x, "Expecting \"%s\" for parameter \"%s\" but got \"%s\" of type class %s instead", p.Type, p.Name, got, class)
		return
	}
	m.errorf(x, "Expecting \"%s\" but got \"%s\" of type class %s instead", p.Type, got, class)
}

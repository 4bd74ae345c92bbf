package jenkinsfile

import (
	"strings"

	"github.com/dlclark/regexp2"
)

// when reads the conditions of a stage.
func (m *modeler) when(c *Call, b *Closure) *When {
	w := &When{At: c.At}
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "Empty when closure, remove the property or add some content.")
		return w
	}
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if flag := w.flag(name); flag != nil {
			v, ok := false, false
			if len(call.Args) == 1 {
				v, ok = boolOf(call.Args[0])
			}
			if !ok {
				m.errorf(call, "Expected a boolean with %s", name)
			}
			*flag = v
			continue
		}
		if cond := m.condition(s); cond != nil {
			w.Conditions = append(w.Conditions, cond)
		}
	}
	return w
}

// flag returns the field that a before… entry sets, or nil.
func (w *When) flag(name string) *bool {
	switch name {
	case "beforeAgent":
		return &w.BeforeAgent
	case "beforeInput":
		return &w.BeforeInput
	case "beforeOptions":
		return &w.BeforeOptions
	}
	return nil
}

// condition reads one condition with those inside of it.
func (m *modeler) condition(s Stmt) *Condition {
	name, call := callOf(s)
	if call == nil {
		m.errorf(s, "Expected a when condition")
		return nil
	}
	spec, ok := conditionSpecOf(name)
	if !ok {
		m.errorf(call, "Unknown conditional %s. Valid conditionals are: %s", name, strings.Join(conditionNames(), ", "))
		return nil
	}
	c := &Condition{At: call.At, Name: name}
	switch {
	case spec.children != 0:
		m.nestedCondition(c, call, spec)
	case spec.body:
		c.Body = blockOf(call)
		if c.Body == nil {
			m.errorf(call, "Expected a block for %s", name)
			return nil
		}
		m.checkCode(c.Body)
	default:
		m.conditionArgs(c, call, spec)
	}
	return c
}

func (m *modeler) nestedCondition(c *Condition, call *Call, spec conditionSpec) {
	if len(call.Named) > 0 || len(plainArgs(call)) > 0 {
		m.errorf(call, "No additional arguments are allowed for children when condition \"%s\".", c.Name)
		return
	}
	n := 0
	if b := bodyOf(call); b != nil {
		n = len(b.Body.Stmts)
		for _, s := range b.Body.Stmts {
			if inner := m.condition(s); inner != nil {
				c.Children = append(c.Children, inner)
			}
		}
	}
	switch {
	case spec.children < 0 && n == 0:
		m.errorf(call, "Nested when condition \"%s\" requires at least one child condition.", c.Name)
	case spec.children > 0 && n != spec.children:
		m.errorf(call, "Nested when condition \"%s\" requires exactly %d child condition(s).", c.Name, spec.children)
	}
}

func (m *modeler) conditionArgs(c *Condition, call *Call, spec conditionSpec) {
	if bodyOf(call) != nil {
		m.errorf(call, "No children when conditions are allowed for when condition \"%s\".", c.Name)
		return
	}
	c.Args = call.Named
	switch {
	case len(call.Args) > 1:
		m.errorf(call, "Arguments to \"%s\" must be explicitly named.", c.Name)
	case len(call.Args) == 1 && len(call.Named) > 0:
		m.errorf(call, "Cannot mix named and unnamed arguments")
	case len(call.Args) == 1 && spec.sole == "" && len(spec.named) == 0:
		m.errorf(call, "\"%s\" should have 0 arguments but has 1 arguments instead.", c.Name)
	case len(call.Args) == 1 && spec.sole == "":
		m.errorf(call, "Arguments to \"%s\" must be explicitly named.", c.Name)
	case len(call.Args) == 1:
		x := call.Args[0]
		key := &Lit{At: At{x.Span()}, Kind: String, Value: spec.sole, Raw: spec.sole}
		c.Args = []*NamedArg{{At: key.At, Key: key, Value: x}}
	}
	for _, a := range call.Named {
		if key, ok := stringOf(a.Key); ok && !contains(spec.named, key) {
			m.errorf(a, "Invalid parameter \"%s\", did you mean \"%s\"?", key, closest(key, spec.named))
		}
	}
	if len(call.Args) == 0 {
		m.requiredArgs(c, call, spec)
	}
	m.conditionPattern(c)
}

func (m *modeler) requiredArgs(c *Condition, call *Call, spec conditionSpec) {
	for _, name := range spec.required {
		if c.Arg(name) != nil {
			continue
		}
		if c.Name == "changelog" {
			m.errorf(call, "Changelog is missing required parameter \"pattern\".")
			continue
		}
		m.errorf(call, "Missing required parameter: \"%s\"", name)
	}
}

// conditionPattern checks a constant comparator and a constant regular expression.
func (m *modeler) conditionPattern(c *Condition) {
	comparator, given := stringOf(c.Arg("comparator"))
	if given && comparator != "GLOB" && comparator != "REGEXP" && comparator != "EQUALS" {
		m.errorf(c.Arg("comparator"), "Invalid comparator \"%s\". Valid comparators are [EQUALS, GLOB, REGEXP]", comparator)
	}
	if c.Name != "changelog" && comparator != "REGEXP" {
		return
	}
	text, ok := stringOf(c.Arg("pattern"))
	if !ok {
		return
	}
	if _, err := regexp2.Compile(text, regexp2.None); err != nil {
		m.errorf(c.Arg("pattern"), "\"%s\" is not a valid regular expression. %v", text, err)
	}
}

package jenkinsfile

// environment reads NAME = value pairs.
func (m *modeler) environment(c *Call, b *Closure) []*EnvVar {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "No variables specified for environment")
	}
	var vars []*EnvVar
	seen := map[string]bool{}
	for _, s := range b.Body.Stmts {
		v := m.envVar(s)
		if v == nil {
			continue
		}
		if seen[v.Name] {
			m.errorf(s, "Duplicate environment variable name: \"%s\"", v.Name)
			continue
		}
		seen[v.Name] = true
		vars = append(vars, v)
	}
	return vars
}

func (m *modeler) envVar(s Stmt) *EnvVar {
	e, ok := s.(*ExprStmt)
	if !ok {
		m.errorf(s, "Expected name=value pairs")
		return nil
	}
	a, ok := e.X.(*Assign)
	if !ok || a.Op != "=" || a.Multi {
		m.errorf(s, "Expected name=value pairs")
		return nil
	}
	key, ok := a.X.(*Ident)
	if !ok {
		m.errorf(a.X, "\"%s\" is not a valid environment expression. Use \"key = value\" pairs with valid Java/shell keys.", m.text(a.X))
		return nil
	}
	if !validEnvName(key.Name) {
		m.errorf(key, "\"%s\" is not a valid identifier and cannot be used for an environment variable. Identifiers must start with a letter or underscore and can contain only letters, numbers or underscores.", key.Name)
		return nil
	}
	if !m.envValue(a.Y) {
		return nil
	}
	if len(m.steps) > 0 {
		m.checkValue(a.Y)
	}
	return &EnvVar{At: At{s.Span()}, Name: key.Name, Value: a.Y}
}

func validEnvName(name string) bool {
	for i := 0; i < len(name); i++ {
		if !isLetter(name[i]) && (i == 0 || !isDigit(name[i])) {
			return false
		}
	}
	return name != ""
}

// envValue checks the form of a variable's value.
func (m *modeler) envValue(x Expr) bool {
	switch x := x.(type) {
	case *List, *Map, *Closure, *Assign:
		m.errorf(x, "Environment variable values must either be single quoted, double quoted, or function calls.")
		return false
	case *Binary:
		if x.Op != "+" {
			m.errorf(x, "Environment variable values can only be joined together with ‘+’s.")
			return false
		}
	case *Call:
		if name, c := namedCall(x); name == "$" && blockOf(c) != nil {
			m.errorf(x, "%[1]s cannot be used as a value directly. Did you mean \"%[1]s\"?", m.text(x))
			return false
		}
	}
	return true
}

// libraries reads lib('name@version') entries.
func (m *modeler) libraries(c *Call, b *Closure) []Expr {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "libraries can not be empty")
	}
	var libs []Expr
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if name != "lib" || len(call.Args) != 1 {
			m.errorf(s, "Expected a \"lib(...)\" but got %s", m.text(s))
			continue
		}
		libs = append(libs, call.Args[0])
	}
	return libs
}

// tools reads `type 'name'` entries.
func (m *modeler) tools(c *Call, b *Closure) []*Tool {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "No tools specified")
	}
	var tools []*Tool
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		switch {
		case call == nil:
			m.errorf(s, "Expected to find ‘someTool \"someVersion\"’")
		case len(call.Args) == 0 || len(call.Named) > 0:
			m.errorf(s, "No argument for tool \"%s\"", name)
		case len(call.Args) > 1:
			m.errorf(s, "Too many arguments for tool \"%s\"", name)
		default:
			m.unknown(call, "tool", name, join(coreTools(), m.known.Tools))
			tools = append(tools, &Tool{At: At{s.Span()}, Type: name, Name: call.Args[0]})
		}
	}
	return tools
}

// unknown reports a name of a directive that nobody knows: as an error when strict, else as a warning.
func (m *modeler) unknown(n Node, what, name string, valid []string) bool {
	if contains(valid, name) {
		return false
	}
	if m.known.Strict {
		m.errorf(n, "Invalid %s type \"%s\". Valid %s types: %s", what, name, what, show(valid))
	} else {
		m.warnf(n, "unknown %s type \"%s\": accepted, no effect%s", what, name, didYouMean(name, valid))
	}
	return true
}

// directives reads entries of the form name(arguments).
func (m *modeler) directives(b *Closure, what, section string) []*Directive {
	var out []*Directive
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if call == nil {
			m.errorf(s, "Expected %s", what)
			continue
		}
		if bodyOf(call) != nil {
			m.errorf(s, "%s definitions cannot have blocks", section)
			continue
		}
		out = append(out, &Directive{At: At{s.Span()}, Name: name, Call: call})
	}
	return out
}

// options reads the options of a pipeline or stage.
func (m *modeler) options(c *Call, b *Closure, stage bool) []*Directive {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "options can not be empty")
	}
	valid := join(coreOptions(), m.known.Options)
	if stage {
		valid = join(coreStageOptions(), m.known.StageOptions)
	}
	for _, s := range m.known.Steps {
		if s.Option && !contains(valid, s.Name) {
			valid = append(valid, s.Name)
		}
	}
	list := m.directives(b, "an option", "Options")
	seen := map[string]bool{}
	for _, d := range list {
		switch {
		case d.Name == "parameters" || d.Name == "triggers" || d.Name == "pipelineTriggers":
			section := map[bool]string{true: "parameters", false: "triggers"}[d.Name == "parameters"]
			m.errorf(d, "The \"%[1]s\" job property can't be used in the \"options\" directive. Use the \"%[1]s {...}\" directive instead.", section)
			continue
		case seen[d.Name]:
			m.errorf(d, "Duplicate option name: \"%s\"", d.Name)
		case m.steps[d.Name] != nil && !m.steps[d.Name].Option && !contains(valid, d.Name):
			m.errorf(d, "Invalid option type \"%s\". Valid option types: %s", d.Name, show(valid))
		default:
			d.Unknown = m.unknown(d, "option", d.Name, valid)
		}
		seen[d.Name] = true
		if spec := m.steps[d.Name]; spec != nil && spec.Option {
			m.checkArgs(d.Call, spec, false)
		}
	}
	return list
}

func (m *modeler) triggers(c *Call, b *Closure) []*Directive {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "triggers can not be empty")
	}
	list := m.directives(b, "a trigger", "Triggers")
	seen := map[string]bool{}
	for _, d := range list {
		if seen[d.Name] {
			m.errorf(d, "Duplicate trigger name: \"%s\"", d.Name)
			continue
		}
		seen[d.Name] = true
		d.Unknown = m.unknown(d, "trigger", d.Name, join(coreTriggers(), m.known.Triggers))
	}
	return list
}

func (m *modeler) parameters(c *Call, b *Closure) []*Directive {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "parameters can not be empty")
	}
	list := m.directives(b, "a build parameter definition", "Build parameters")
	for _, d := range list {
		d.Unknown = m.unknown(d, "parameter", d.Name, join(coreParameters(), m.known.Parameters))
		if !d.Unknown && contains(coreParameters(), d.Name) && len(d.Call.Named) > 0 && argNamed(d.Call.Named, "name") == nil {
			m.errorf(d, "Missing required parameter: \"name\"")
		}
		if a := argNamed(d.Call.Named, "defaultValue"); a != nil && d.Name == "booleanParam" {
			m.checkType(a.Value, &ParamSpec{Name: "defaultValue", Type: BooleanParam}, true)
		}
	}
	return list
}

// argNamed returns a named argument; nil when it is not given.
func argNamed(args []*NamedArg, name string) *NamedArg {
	for _, a := range args {
		if s, ok := stringOf(a.Key); ok && s == name {
			return a
		}
	}
	return nil
}

package jenkinsfile

import "sort"

// agent reads agent any, agent none and agent { type … }.
func (m *modeler) agent(c *Call) *Agent {
	if len(c.Args) == 0 && len(c.Named) == 0 {
		m.errorf(c, "No argument for agent")
		return nil
	}
	if len(c.Args) != 1 || len(c.Named) > 0 {
		m.errorf(c, "Only \"agent none\", \"agent any\" or \"agent {...}\" are allowed.")
		return nil
	}
	if b := blockOf(c); b != nil {
		return m.agentBlock(c, b)
	}
	name, ok := stringOf(c.Args[0])
	if id, isName := c.Args[0].(*Ident); isName {
		name, ok = id.Name, true
	}
	if !ok {
		m.errorf(c, "Only \"agent none\", \"agent any\" or \"agent {...}\" are allowed.")
		return nil
	}
	if name != "any" && name != "none" {
		m.errorf(c, "Invalid argument for agent - \"%s\" - must be map of config options or bare [any, none].", name)
		return nil
	}
	return &Agent{At: c.At, Kind: name}
}

func (m *modeler) agentKinds() []string {
	kinds := join(coreAgents(), m.known.Agents)
	sort.Strings(kinds)
	return kinds
}

// agentBlock reads what stands in agent { … }: one type.
func (m *modeler) agentBlock(c *Call, b *Closure) *Agent {
	switch len(b.Body.Stmts) {
	case 0:
		m.errorf(c, "No agent type specified. Must be one of %s", show(m.agentKinds()))
		return nil
	case 1:
	default:
		m.errorf(c, "Only one agent type is allowed per agent section")
		return nil
	}
	s := b.Body.Stmts[0]
	if e, ok := s.(*ExprStmt); ok {
		if id, ok := e.X.(*Ident); ok && (id.Name == "any" || id.Name == "none") {
			return &Agent{At: c.At, Kind: id.Name}
		}
	}
	name, call := callOf(s)
	if call == nil {
		m.errorf(s, "Expected an agent")
		return nil
	}
	if !contains(m.agentKinds(), name) {
		m.errorf(call, "Invalid agent type \"%s\" specified. Must be one of %s", name, show(m.agentKinds()))
		return nil
	}
	return m.agentType(c, name, call)
}

func (m *modeler) agentType(c *Call, name string, call *Call) *Agent {
	a := &Agent{At: c.At, Kind: name}
	switch {
	case bodyOf(call) != nil && len(call.Args) == 1:
		a.Fields = m.fields(bodyOf(call))
	case len(call.Named) > 0:
		for _, n := range call.Named {
			key, _ := stringOf(n.Key)
			a.Fields = append(a.Fields, &Field{At: n.At, Name: key, Value: n.Value})
		}
	case len(call.Args) == 0 && name != "any" && name != "none":
		m.errorf(call, "No argument for agent key \"%s\"", name)
		return nil
	case len(call.Args) > 1:
		m.errorf(call, "Too many arguments for agent key \"%s\"", name)
		return nil
	case len(call.Args) == 1 && agentShort(name) != "":
		a.Fields = []*Field{{At: call.At, Name: agentShort(name), Value: call.Args[0]}}
	}
	m.checkAgent(a, call)
	return a
}

// fields reads `name value` and `name { … }` entries.
func (m *modeler) fields(b *Closure) []*Field {
	var out []*Field
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		switch {
		case call == nil:
			m.errorf(s, "Expected to find ‘key \"value\"’")
		case len(call.Args) == 0:
			m.errorf(s, "No argument for agent key \"%s\"", name)
		case len(call.Args) > 1:
			m.errorf(s, "Too many arguments for agent key \"%s\"", name)
		default:
			f := &Field{At: At{s.Span()}, Name: name, Value: call.Args[0]}
			if inner := blockOf(call); inner != nil {
				f.Value, f.Block = nil, inner
				f.Fields = m.fieldsIf(inner)
			}
			out = append(out, f)
		}
	}
	return out
}

// fieldsIf reads the entries of a block where other code may stand too.
func (m *modeler) fieldsIf(b *Closure) []*Field {
	var out []*Field
	for _, s := range b.Body.Stmts {
		if name, call := callOf(s); call != nil && len(call.Args) == 1 {
			f := &Field{At: At{s.Span()}, Name: name, Value: call.Args[0]}
			if inner := blockOf(call); inner != nil {
				f.Value, f.Block, f.Fields = nil, inner, m.fieldsIf(inner)
			}
			out = append(out, f)
		}
	}
	return out
}

// checkAgent checks the fields of a built-in type.
func (m *modeler) checkAgent(a *Agent, call *Call) {
	fields, required, ok := agentFields(a.Kind)
	if !ok {
		return
	}
	seen := map[string]bool{}
	for _, f := range a.Fields {
		if !contains(fields, f.Name) {
			m.errorf(f, "Invalid config option \"%s\" for agent type \"%s\". Valid config options are %s", f.Name, a.Kind, show(fields))
		}
		seen[f.Name] = true
		if s, ok := stringOf(f.Value); ok && a.Kind == "dockerfile" && f.Name == "filename" && hasSeparator(s) {
			m.errorf(f, "Dockerfile filename cannot contain directory separators.")
		}
	}
	for _, name := range required {
		if !seen[name] {
			m.errorf(call, "Missing required parameter for agent type \"%s\": %s", a.Kind, name)
		}
	}
}

func hasSeparator(s string) bool {
	for i := range len(s) {
		if s[i] == '/' || s[i] == '\\' {
			return true
		}
	}
	return false
}

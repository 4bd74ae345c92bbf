package jenkinsfile

// stages reads a list of stages. inside is "" or the construct (parallel, matrix) whose branches they belong to.
func (m *modeler) stages(c *Call, b *Closure, inside string) []*Stage {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "No stages specified")
	}
	var out []*Stage
	seen := map[string]bool{}
	for _, s := range b.Body.Stmts {
		st := m.stage(s, inside)
		if st == nil {
			continue
		}
		if seen[st.Name] && st.Name != "" {
			m.errorf(s, "Duplicate stage name: \"%s\"", st.Name)
		}
		seen[st.Name] = true
		out = append(out, st)
	}
	return out
}

func (m *modeler) stage(s Stmt, inside string) *Stage {
	name, c := callOf(s)
	if name != "stage" {
		m.errorf(s, "Expected a stage")
		return nil
	}
	b := bodyOf(c)
	args := c.Args
	if b != nil {
		args = args[:len(args)-1]
	}
	switch {
	case len(args) == 0:
		m.errorf(c, "Expected a stage name but did not find any")
		return nil
	case b == nil:
		m.errorf(c, "Stage does not have a block")
		return nil
	}
	st := &Stage{At: c.At}
	switch x := args[0].(type) {
	case *Lit:
		text, ok := stringOf(x)
		if !ok {
			m.errorf(x, "Expected string literal")
		} else if text == "" {
			m.errorf(x, "Stage does not have a name")
		}
		st.Name = text
	case *GString:
		st.Name = unquoted(m.text(x))
	default:
		m.errorf(x, "Expected string literal")
	}
	m.stageSections(st, c, b, inside)
	return st
}

func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// stageSections reads what stands in a stage and checks what goes together.
func (m *modeler) stageSections(st *Stage, c *Call, b *Closure, inside string) {
	seen := map[string]*Call{}
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if call == nil {
			m.errorf(s, "Not a valid stage section definition: \"%s\". Some extra configuration is required.", m.text(s))
			continue
		}
		if seen[name] != nil {
			m.errorf(call, "Multiple occurrences of the %s section", name)
			continue
		}
		seen[name] = call
		m.stageSection(st, name, call, inside)
	}
	kinds := 0
	for _, name := range []string{"steps", "stages", "parallel", "matrix"} {
		if seen[name] != nil {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		m.errorf(c, "Expected one of \"steps\", \"stages\", or \"parallel\" for stage \"%s\"", st.Name)
	case kinds > 1:
		m.errorf(c, "Only one of \"matrix\", \"parallel\", \"stages\", or \"steps\" allowed for stage \"%s\"", st.Name)
	}
	m.parallelRules(st, c, seen, inside)
}

// parallelRules checks what a stage with branches may have.
func (m *modeler) parallelRules(st *Stage, c *Call, seen map[string]*Call, inside string) {
	if seen["parallel"] == nil && seen["matrix"] == nil {
		return
	}
	if inside != "" {
		m.errorf(c, "\"matrix\" or \"parallel\" cannot be nested inside another \"matrix\" or \"parallel\".")
	}
	for _, name := range []string{"agent", "tools"} {
		if seen[name] != nil {
			m.errorf(seen[name], "\"%s\" is not allowed in stage \"%s\" as it contains parallel or matrix stages", name, st.Name)
		}
	}
}

func (m *modeler) stageSection(st *Stage, name string, c *Call, inside string) {
	switch name {
	case "agent":
		st.Agent = m.agent(c)
		return
	case "failFast":
		if len(c.Args) == 1 {
			if v, ok := boolOf(c.Args[0]); ok {
				st.FailFast = v
				return
			}
		}
		m.errorf(c, "Expected a boolean with failFast")
		return
	case "environment", "input", "matrix", "options", "parallel", "post", "stages", "steps", "tools", "when":
	default:
		m.errorf(c, "Unknown stage section \"%s\". Starting with version 0.5, steps in a stage must be in a ‘steps’ block.", name)
		return
	}
	b := blockOf(c)
	if b == nil {
		m.errorf(c, "Expected a block for %s", name)
		return
	}
	m.stageBlock(st, name, c, b, inside)
}

func (m *modeler) stageBlock(st *Stage, name string, c *Call, b *Closure, inside string) {
	switch name {
	case "environment":
		st.Environment = m.environment(c, b)
	case "input":
		st.Input = m.input(c, b)
	case "matrix":
		st.Matrix = m.matrix(c, b)
	case "options":
		st.Options = m.options(c, b, true)
	case "parallel":
		st.Parallel = m.stages(c, b, "parallel")
	case "post":
		st.Post = m.post(c, b)
	case "stages":
		st.Stages = m.stages(c, b, inside)
	case "steps":
		st.Steps = m.stepsBlock(c, b)
	case "tools":
		st.Tools = m.tools(c, b)
	case "when":
		st.When = m.when(c, b)
	}
}

// input reads the fields of input { … }.
func (m *modeler) input(c *Call, b *Closure) *Input {
	in := &Input{At: c.At}
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if call == nil {
			m.errorf(s, "Expected to find ‘someKey \"someValue\"’")
			continue
		}
		switch name {
		case "parameters":
			if inner := blockOf(call); inner != nil {
				in.Parameters = m.parameters(call, inner)
				continue
			}
			m.errorf(call, "Expected a block for parameters")
		case "message", "id", "ok", "submitter", "submitterParameter":
			switch {
			case len(call.Args) == 0:
				m.errorf(call, "No argument for field \"%s\"", name)
			case len(call.Args) > 1:
				m.errorf(call, "Too many arguments for field \"%s\"", name)
			default:
				in.Fields = append(in.Fields, &Field{At: call.At, Name: name, Value: call.Args[0]})
			}
		default:
			m.errorf(call, "Not a valid field for input: \"%s\"", name)
		}
	}
	if in.Field("message") == nil {
		m.errorf(c, "No message specified for input")
	}
	return in
}

// matrix reads axes, excludes and what every cell has.
func (m *modeler) matrix(c *Call, b *Closure) *Matrix {
	x := &Matrix{At: c.At, Cell: &Stage{At: c.At}}
	seen := map[string]bool{}
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if call == nil {
			m.errorf(s, "Not a valid stage section definition: \"%s\". Some extra configuration is required.", m.text(s))
			continue
		}
		if seen[name] {
			m.errorf(call, "Multiple occurrences of the %s section", name)
			continue
		}
		seen[name] = true
		m.matrixSection(x, name, call)
	}
	for _, name := range []string{"axes", "stages"} {
		if !seen[name] {
			m.errorf(c, "Missing required section \"%s\"", name)
		}
	}
	m.checkExcludes(x)
	return x
}

func (m *modeler) matrixSection(x *Matrix, name string, c *Call) {
	switch name {
	case "axes":
		if b := blockOf(c); b != nil {
			x.Axes = m.axes(c, b)
			return
		}
	case "excludes":
		if b := blockOf(c); b != nil {
			x.Excludes = m.excludes(b)
			return
		}
	case "agent", "environment", "input", "options", "post", "tools", "when":
		m.stageSection(x.Cell, name, c, "matrix")
		return
	case "stages":
		if b := blockOf(c); b != nil {
			x.Cell.Stages = m.stages(c, b, "matrix")
			return
		}
	default:
		m.errorf(c, "Undefined section \"%s\"", name)
		return
	}
	m.errorf(c, "Expected a block for %s", name)
}

func (m *modeler) axes(c *Call, b *Closure) []*Axis {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "axes can not be empty")
	}
	var out []*Axis
	seen := map[string]bool{}
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if name != "axis" || blockOf(call) == nil {
			m.errorf(s, "Expected an axis")
			continue
		}
		e := m.axis(call, false)
		if e == nil {
			continue
		}
		if seen[e.Name] {
			m.errorf(s, "Duplicate axis name: \"%s\"", e.Name)
		}
		seen[e.Name] = true
		out = append(out, &Axis{At: e.At, Name: e.Name, Values: e.Values})
	}
	return out
}

// axis reads name and values; notValues too, when negatable.
func (m *modeler) axis(c *Call, negatable bool) *ExcludeAxis {
	a := &ExcludeAxis{At: c.At}
	var values *Call
	for _, s := range blockOf(c).Body.Stmts {
		name, call := callOf(s)
		switch {
		case name == "name" && len(call.Args) == 1:
			text, ok := stringOf(call.Args[0])
			if !ok {
				m.errorf(call.Args[0], "Expected string literal")
			}
			a.Name = text
		case name == "values" || name == "notValues" && negatable:
			if values != nil {
				m.errorf(call, "Multiple occurrences of the %s section", name)
				continue
			}
			values = call
			a.Not = name == "notValues"
			a.Values = m.axisValues(call)
		default:
			m.errorf(s, "Expected \"name\" or \"values\" for axis")
		}
	}
	switch {
	case a.Name == "":
		m.errorf(c, "Missing required section \"name\"")
		return nil
	case values == nil:
		m.errorf(c, "Missing required section \"values\"")
		return nil
	}
	return a
}

func (m *modeler) axisValues(c *Call) []string {
	var out []string
	for _, x := range c.Args {
		lit, ok := x.(*Lit)
		if !ok || lit.Kind == Null {
			m.errorf(x, "Expected string literal but got %s", m.text(x))
			continue
		}
		if text, ok := stringOf(lit); ok {
			out = append(out, text)
			continue
		}
		out = append(out, lit.Raw)
	}
	if len(c.Args) == 0 {
		m.errorf(c, "values can not be empty")
	}
	return out
}

func (m *modeler) excludes(b *Closure) []*Exclude {
	var out []*Exclude
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if name != "exclude" || blockOf(call) == nil {
			m.errorf(s, "Expected an exclude")
			continue
		}
		e := &Exclude{At: call.At}
		for _, s := range blockOf(call).Body.Stmts {
			name, call := callOf(s)
			if name != "axis" || blockOf(call) == nil {
				m.errorf(s, "Expected an axis")
				continue
			}
			if a := m.axis(call, true); a != nil {
				e.Axes = append(e.Axes, a)
			}
		}
		out = append(out, e)
	}
	return out
}

// checkExcludes requires that excludes name axes of the matrix and values these have.
func (m *modeler) checkExcludes(x *Matrix) {
	values := map[string][]string{}
	var names []string
	for _, a := range x.Axes {
		if values[a.Name] == nil {
			names = append(names, a.Name)
		}
		values[a.Name] = a.Values
	}
	for _, e := range x.Excludes {
		for _, a := range e.Axes {
			have, ok := values[a.Name]
			if !ok {
				m.errorf(a, "Undefined axis \"%s\" in exclude. Valid axes are %s", a.Name, show(names))
				continue
			}
			for _, v := range a.Values {
				if !contains(have, v) {
					m.errorf(a, "Invalid value \"%s\" of axis \"%s\" in exclude. Valid values are %s", v, a.Name, show(have))
				}
			}
		}
	}
}

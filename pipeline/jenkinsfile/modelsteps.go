package jenkinsfile

// stepsBlock reads a block that may hold only calls of steps and must hold one.
func (m *modeler) stepsBlock(c *Call, b *Closure) *Block {
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "No steps specified for branch")
	}
	m.stepList(b)
	return b.Body
}

func (m *modeler) stepList(b *Closure) {
	for _, s := range b.Body.Stmts {
		m.step(s, len(b.Body.Stmts) == 1)
	}
}

// step checks one statement of a steps block; alone says that it is the only one.
func (m *modeler) step(s Stmt, alone bool) {
	name, c := callOf(s)
	if c == nil {
		if e, ok := s.(*ExprStmt); ok {
			if call, ok := e.X.(*Call); ok && call.Recv != nil && !call.Direct {
				m.errorf(s, "Method calls on objects not allowed outside \"script\" blocks.")
				return
			}
		}
		m.errorf(s, "Expected a step")
		return
	}
	body := bodyOf(c)
	if name == "script" && !m.names.methods[name] {
		if body == nil {
			m.errorf(c, "script step without a block")
			return
		}
		m.checkCode(body)
		return
	}
	if why := blockedStep(name); why != "" && !m.names.has(name) {
		m.errorf(c, "Invalid step \"%s\" used - not allowed in this context - %s", name, why)
		return
	}
	if !m.checkCall(name, c) {
		return
	}
	for _, a := range c.Named {
		m.checkCode(a.Value)
	}
	for _, x := range plainArgs(c) {
		m.checkCode(x)
	}
	if body != nil && c.Trailing > 0 {
		m.stepList(body)
	}
}

func blockedStep(name string) string {
	switch name {
	case "stage":
		return "The stage step cannot be used in Declarative Pipelines"
	case "properties":
		return "The properties step cannot be used in Declarative Pipelines"
	}
	return ""
}

// checkScripts checks the code outside of the declarative pipeline.
func (m *modeler) checkScripts() {
	for _, s := range m.file.Body {
		if e, ok := s.(*ExprStmt); ok && m.declarative != nil && e.X == Expr(m.declarative) {
			continue
		}
		m.checkCode(s)
	}
}

// checkCode looks for calls in free code that no step, method or variable can answer. It reports only what is certain: calls
// that stand as statements, and misspelled ones whose value is taken at once; nothing inside of classes or of blocks that
// objects get, which may answer themselves.
func (m *modeler) checkCode(n Node) {
	if len(m.steps) == 0 {
		return
	}
	Walk(n, func(n Node) bool {
		switch n := n.(type) {
		case *ClassDecl:
			return false
		case *ExprStmt:
			name, c := namedCall(n.X)
			if c == nil {
				return true
			}
			if name == "pipeline" && blockOf(c) != nil {
				return false // a pipeline in a method of a library; elsewhere it was reported
			}
			m.checkCallFree(name, c, false)
		case *Var:
			m.checkValue(n.Init)
		case *Assign:
			m.checkValue(n.Y)
		case *Return:
			m.checkValue(n.X)
		case *New:
			return n.Body == nil
		case *Call:
			return m.descend(n)
		}
		return true
	})
}

// checkValue looks at a call whose value is taken at once: it may make data of a kind unknown here, so only a name near a
// step's is taken for a misspelling.
func (m *modeler) checkValue(x Expr) {
	if x == nil {
		return
	}
	if name, c := namedCall(x); c != nil {
		m.checkCallFree(name, c, true)
	}
}

// descend reports whether the blocks of a call are ordinary code; if not, it looks only at the rest.
func (m *modeler) descend(c *Call) bool {
	name, _ := c.Name.(*Lit)
	if c.Recv == nil || c.Direct {
		if name != nil && (name.Value == "with" || name.Value == "use") {
			return false
		}
		s, text := stringOf(c.Name)
		return !text || m.answers(s) // what an unknown step's block means is not known either
	}
	if name != nil {
		if s, ok := name.Value.(string); ok && plainBlocks(s) {
			return true
		}
	}
	m.checkCode(c.Recv)
	for _, x := range c.Args {
		if _, block := x.(*Closure); !block {
			m.checkCode(x)
		}
	}
	return false
}

// plainBlocks reports whether a method leaves the meaning of names in its block alone.
func plainBlocks(method string) bool {
	switch method {
	case "each", "eachWithIndex", "eachLine", "collect", "collectEntries", "collectMany", "find", "findAll", "findIndexOf", "findResult",
		"any", "every", "sort", "sum", "max", "min", "count", "countBy", "groupBy", "inject", "times", "upto", "downto", "step", "unique",
		"toSorted", "removeAll", "retainAll", "withIndex", "replaceAll", "inside", "withRun", "withRegistry", "withServer", "withTool":
		return true
	}
	return false
}

// checkCallFree checks a call in free code.
func (m *modeler) checkCallFree(name string, c *Call, nearOnly bool) {
	if m.answers(name) {
		return
	}
	near := nearest(name, m.stepNames())
	if nearOnly && len(near) == 0 && !m.elsewhere(name) {
		return
	}
	m.unknownStep(name, c)
}

func (m *modeler) unknownStep(name string, c *Call) {
	if m.elsewhere(name) {
		m.errorf(c, "Unknown step \"%s\": Jenkins has it by a plugin, Outwork does not have it", name)
		return
	}
	if hint := didYouMean(name, m.callable()); hint != "" {
		m.errorf(c, "Unknown step \"%s\"%s", name, hint)
		return
	}
	m.errorf(c, "Unknown step \"%s\": no step, global or method of this script has that name", name)
}

// checkCall checks a call in a steps block: its name and its arguments. It returns false when nothing has the name.
func (m *modeler) checkCall(name string, c *Call) bool {
	if spec := m.steps[name]; spec != nil && !m.names.has(name) {
		m.checkArgs(c, spec, true)
		return true
	}
	if m.answers(name) {
		return true
	}
	m.unknownStep(name, c)
	return false
}

// answers reports whether something may answer a call by name.
func (m *modeler) answers(name string) bool {
	return len(m.steps) == 0 || m.uncertain() || m.steps[name] != nil || m.names.has(name) || m.isKnown(name) || scriptMethod(name)
}

func (m *modeler) isKnown(name string) bool {
	return contains(m.known.Globals, name) || contains(m.known.Symbols, name)
}

func (m *modeler) stepNames() []string {
	var names []string
	for _, s := range m.known.Steps {
		names = append(names, s.Name)
	}
	return names
}

// callable returns all names that may be called.
func (m *modeler) callable() []string {
	return join(m.stepNames(), m.known.Globals, m.names.methodList)
}

// uncertain reports whether names may be answered by what is not in the file.
func (m *modeler) uncertain() bool { return m.known.Libraries || m.names.dynamic }

// scriptMethod reports whether every script has a method of the name.
func scriptMethod(name string) bool {
	switch name {
	case "println", "print", "printf", "sprintf", "this", "super", "call", "run", "evaluate", "getBinding", "setBinding", "getProperty",
		"setProperty", "invokeMethod", "getMetaClass", "getClass", "toString", "equals", "hashCode", "hasProperty", "respondsTo",
		"with", "use", "identity", "dump", "inspect", "sleep", "wait", "notify", "each", "any", "every", "find", "findAll", "collect":
		return true
	}
	return false
}

// nameSet is the names a script defines, wherever it does.
type nameSet struct {
	methods    map[string]bool
	methodList []string
	vars       map[string]bool
	// dynamic says that the script loads code or binds names in ways that cannot be seen here.
	dynamic bool
}

func (s *nameSet) has(name string) bool { return s.methods[name] || s.vars[name] }

func (s *nameSet) method(name string) {
	if !s.methods[name] {
		s.methods[name] = true
		s.methodList = append(s.methodList, name)
	}
}

// prepare indexes the steps and the names of the file.
func (m *modeler) prepare() {
	m.steps = make(map[string]*StepSpec, len(m.known.Steps))
	for i := range m.known.Steps {
		m.steps[m.known.Steps[i].Name] = &m.known.Steps[i]
	}
	m.names = &nameSet{methods: map[string]bool{}, vars: map[string]bool{}}
	for _, i := range m.file.Imports {
		m.names.importName(i)
	}
	for _, s := range m.file.Body {
		Walk(s, m.names.collect)
	}
}

// importName takes what an import makes known.
func (s *nameSet) importName(i *Import) {
	for _, a := range i.Annotations {
		s.annotation(a)
	}
	switch {
	case !i.Static:
	case i.Star:
		s.dynamic = true
	case i.Alias != "":
		s.method(i.Alias)
	default:
		s.method(i.Name[lastDot(i.Name)+1:])
	}
}

func lastDot(name string) int {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return i
		}
	}
	return -1
}

func (s *nameSet) annotation(a *Annotation) {
	switch a.Name[lastDot(a.Name)+1:] {
	case "Library", "Grab", "Grapes", "BaseScript":
		s.dynamic = true
	}
}

// collect takes the names that a node defines.
func (s *nameSet) collect(n Node) bool {
	switch n := n.(type) {
	case *MethodDecl:
		s.method(n.Name)
	case *ClassDecl:
		s.method(n.Name)
		return false
	case *Var:
		s.vars[n.Name] = true
	case *Param:
		s.vars[n.Name] = true
	case *Catch:
		s.vars[n.Name] = true
	case *Assign:
		s.assigned(n.X)
	case *Annotation:
		s.annotation(n)
	case *Ident:
		s.mention(n.Name)
	case *Property:
		if name, ok := stringOf(n.Name); ok {
			s.mention(name)
		}
	case *Call:
		s.called(n)
	}
	return true
}

func (s *nameSet) assigned(x Expr) {
	switch x := x.(type) {
	case *Ident:
		s.vars[x.Name] = true
	case *List:
		for _, e := range x.Elems {
			s.assigned(e)
		}
	}
}

// mention notes words by which a script binds names of its own.
func (s *nameSet) mention(word string) {
	switch word {
	case "delegate", "metaClass", "resolveStrategy", "methodMissing", "propertyMissing", "binding":
		s.dynamic = true
	}
}

// called notes calls that load code.
func (s *nameSet) called(c *Call) {
	name, ok := stringOf(c.Name)
	if !ok {
		return
	}
	switch name {
	case "library", "libraries", "load", "evaluate", "invokeMethod", "setVariable", "setDelegate", "setBinding":
		s.dynamic = true
	}
}

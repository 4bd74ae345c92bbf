package jenkinsfile

import (
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Model reads the declarative pipeline of a file and checks it: its form, and by what is known the names and arguments of its
// steps. For a scripted file the pipeline is nil. All errors are collected into one Errors of kind fault.Invalid; on an
// error the pipeline is nil too.
//
// Model is pure: it changes neither the file nor known, and may be called concurrently.
func Model(f *File, known Known) (*Pipeline, error) { return ModelWith(f, known, nil) }

// ModelWith is Model with a check of the caller's, whose errors stand among the others. more is given the pipeline also when it
// is wrong: as far as it could be read. It is not called for a scripted file; nil checks nothing more.
func ModelWith(f *File, known Known, more func(*Pipeline) Errors) (*Pipeline, error) {
	m := &modeler{file: f, known: known}
	m.prepare()
	m.checkLibraries()
	p := m.pipeline()
	m.checkScripts()
	if p != nil && more != nil {
		m.errs = append(m.errs, more(p)...)
	}
	if len(m.errs) > 0 {
		return nil, fault.With(fault.Invalid, m.errs.sorted())
	}
	if p != nil {
		p.Warnings = m.warnings.sorted()
	}
	return p, nil
}

// modeler builds the model of one file.
type modeler struct {
	file     *File
	known    Known
	steps    map[string]*StepSpec
	names    *nameSet
	errs     Errors
	warnings Errors
	// declarative is the call of pipeline that was read; scripts are not looked for in it twice.
	declarative *Call
}

func (m *modeler) errorf(n Node, format string, args ...any) {
	m.errorAt(n.Span().Start, format, args...)
}

func (m *modeler) errorAt(pos Pos, format string, args ...any) {
	m.errs = append(m.errs, newError(m.file.Name, m.file.Source, pos, format, args...))
}

func (m *modeler) warnf(n Node, format string, args ...any) {
	m.warnings = append(m.warnings, newError(m.file.Name, m.file.Source, n.Span().Start, format, args...))
}

// text returns the source of a node on one line.
func (m *modeler) text(n Node) string {
	s := n.Span()
	return shorten(m.file.Source[s.Start.Offset:s.End.Offset])
}

// show renders names as Jenkins does: [a, b].
func show(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// callOf returns the call by name that a statement is, or nil.
func callOf(s Stmt) (name string, c *Call) {
	e, ok := s.(*ExprStmt)
	if !ok || len(e.Labels) > 0 {
		return "", nil
	}
	return namedCall(e.X)
}

// namedCall returns the call by a plain name that an expression is, or nil.
func namedCall(x Expr) (name string, c *Call) {
	c, ok := x.(*Call)
	if !ok || c.Recv != nil || c.Direct {
		return "", nil
	}
	lit, ok := c.Name.(*Lit)
	if !ok {
		return "", nil
	}
	name, ok = lit.Value.(string)
	if !ok {
		return "", nil
	}
	return name, c
}

// blockOf returns the block that is a call's only argument, or nil.
func blockOf(c *Call) *Closure {
	if len(c.Named) > 0 || len(c.Args) != 1 {
		return nil
	}
	b, _ := c.Args[0].(*Closure)
	return b
}

// bodyOf returns the block that is a call's last argument, or nil.
func bodyOf(c *Call) *Closure {
	if len(c.Args) == 0 {
		return nil
	}
	b, _ := c.Args[len(c.Args)-1].(*Closure)
	return b
}

// plainArgs returns the arguments before the body.
func plainArgs(c *Call) []Expr {
	if c.Trailing > len(c.Args) {
		return nil
	}
	return c.Args[:len(c.Args)-c.Trailing]
}

// stringOf returns the text of a constant string.
func stringOf(x Expr) (string, bool) {
	lit, ok := x.(*Lit)
	if !ok || lit.Kind != String {
		return "", false
	}
	s, ok := lit.Value.(string)
	return s, ok
}

// boolOf returns the value of a constant boolean.
func boolOf(x Expr) (value, ok bool) {
	lit, isLit := x.(*Lit)
	if !isLit || lit.Kind != Bool {
		return false, false
	}
	value, ok = lit.Value.(bool)
	return value, ok
}

// pipeline finds and reads the pipeline block.
func (m *modeler) pipeline() *Pipeline {
	var p *Pipeline
	for _, s := range m.file.Body {
		name, c := callOf(s)
		if name != "pipeline" {
			continue
		}
		block := blockOf(c)
		if block == nil {
			if bodyOf(c) != nil || len(c.Args) == 0 && len(c.Named) == 0 {
				m.errorf(c, "Expected a block for pipeline")
			}
			continue
		}
		if p != nil {
			m.errorf(c, "Only one pipeline { ... } block can be executed in a single run.")
			continue
		}
		m.declarative = c
		p = m.sections(c, block)
	}
	m.nestedPipelines()
	return p
}

// nestedPipelines reports pipeline blocks that do not stand at the top.
func (m *modeler) nestedPipelines() {
	if m.names.methods["pipeline"] {
		return
	}
	for _, s := range m.file.Body {
		if _, method := s.(*MethodDecl); method {
			continue // a method that holds a pipeline is one of a library
		}
		if _, class := s.(*ClassDecl); class {
			continue
		}
		Walk(s, func(n Node) bool {
			c, ok := n.(*Call)
			if !ok || c == m.declarative {
				return !ok
			}
			if name, _ := namedCall(c); name != "pipeline" || blockOf(c) == nil {
				return true
			}
			if s, top := s.(*ExprStmt); !top || s.X != c {
				m.errorf(c, "pipeline block must be at the top-level, not within another block.")
			}
			return false
		})
	}
}

// sections reads what stands in pipeline { … }.
func (m *modeler) sections(c *Call, block *Closure) *Pipeline {
	p := &Pipeline{At: c.At, Call: c}
	seen := map[string]bool{}
	for _, s := range block.Body.Stmts {
		name, call := callOf(s)
		if call == nil {
			m.errorf(s, "Not a valid section definition: \"%s\". Some extra configuration is required.", m.text(s))
			continue
		}
		if seen[name] {
			m.errorf(call, "Multiple occurrences of the %s section", name)
			continue
		}
		seen[name] = true
		m.section(p, name, call)
	}
	for _, name := range []string{"agent", "stages"} {
		if !seen[name] {
			m.errorf(c, "Missing required section \"%s\"", name)
		}
	}
	return p
}

func (m *modeler) section(p *Pipeline, name string, c *Call) {
	if name == "agent" {
		p.Agent = m.agent(c)
		return
	}
	renamed := map[string]string{
		"notifications": "The ‘notifications’ section has been removed as of version 0.6. Use ‘post’ for all post-build actions.",
		"postBuild":     "The ‘postBuild’ section has been renamed as of version 0.6. Use ‘post’ for all post-build actions.",
		"jobProperties": "The ‘jobProperties’ section has been renamed as of version 0.7. Use ‘properties’ instead.",
		"properties":    "The ‘properties’ section has been renamed as of version 0.8. Use ‘options’ instead.",
	}
	if text := renamed[name]; text != "" {
		m.errorf(c, "%s", text)
		return
	}
	known := []string{"agent", "environment", "libraries", "options", "parameters", "post", "stages", "tools", "triggers"}
	if !contains(known, name) {
		m.errorf(c, "Undefined section \"%s\"%s", name, didYouMean(name, known))
		return
	}
	b := blockOf(c)
	if b == nil {
		m.errorf(c, "Expected a block for %s", name)
		return
	}
	switch name {
	case "environment":
		p.Environment = m.environment(c, b)
	case "libraries":
		p.Libraries = m.libraries(c, b)
	case "options":
		p.Options = m.options(c, b, false)
	case "parameters":
		p.Parameters = m.parameters(c, b)
	case "post":
		p.Post = m.post(c, b)
	case "stages":
		p.Stages = m.stages(c, b, "")
	case "tools":
		p.Tools = m.tools(c, b)
	case "triggers":
		p.Triggers = m.triggers(c, b)
	}
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// post reads the conditions after a stage or pipeline.
func (m *modeler) post(c *Call, b *Closure) *Post {
	p := &Post{At: c.At}
	if len(b.Body.Stmts) == 0 {
		m.errorf(c, "post can not be empty")
	}
	found := map[string]*PostBlock{}
	for _, s := range b.Body.Stmts {
		name, call := callOf(s)
		if call == nil || blockOf(call) == nil {
			m.errorf(s, "The ‘post’ section can only contain build condition names with code blocks. Valid condition names are %s", show(PostOrder()))
			continue
		}
		if !contains(PostOrder(), name) {
			m.errorf(s, "Invalid condition \"%s\" - valid conditions are %s", name, show(PostOrder()))
			continue
		}
		if found[name] != nil {
			m.errorf(s, "Duplicate build condition name: \"%s\"", name)
			continue
		}
		found[name] = &PostBlock{At: At{s.Span()}, Condition: name, Steps: m.stepsBlock(call, blockOf(call))}
	}
	for _, name := range PostOrder() {
		if found[name] != nil {
			p.Blocks = append(p.Blocks, found[name])
		}
	}
	return p
}

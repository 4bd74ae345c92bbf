package jenkinsfile

// The declarative model: what stands in pipeline { … }, typed. Values stay expressions and code stays blocks; whoever runs
// the pipeline evaluates them.
type (
	// Pipeline is pipeline { … }.
	Pipeline struct {
		At
		// Call is the call of `pipeline` in the file's body that this is the model of.
		Call        *Call
		Agent       *Agent
		Libraries   []Expr
		Environment []*EnvVar // in order
		Options     []*Directive
		Parameters  []*Directive
		Triggers    []*Directive
		Tools       []*Tool
		Stages      []*Stage
		Post        *Post // nil when none
		// Warnings are not errors: names that are accepted and have no effect.
		Warnings Errors
	}

	// Agent says where something runs. Kind is any, none, label, node, docker, dockerfile, kubernetes or a name of
	// Known.Agents. The short forms are turned into fields: label 'x' has the field label, docker 'x' the field image.
	Agent struct {
		At
		Kind   string
		Fields []*Field
	}

	// Field is `name value` or `name { … }`.
	Field struct {
		At
		Name   string
		Value  Expr     // nil with a block
		Fields []*Field // of the block
		Block  *Closure // nil without a block
	}

	// EnvVar is NAME = value.
	EnvVar struct {
		At
		Name  string
		Value Expr
	}

	// Directive is an entry of options, parameters or triggers: name(arguments).
	Directive struct {
		At
		Name string
		Call *Call
		// Unknown says that nobody here knows the name: it has no effect.
		Unknown bool
	}

	// Tool is `type 'name'`.
	Tool struct {
		At
		Type string
		Name Expr
	}

	// Stage is stage('Name') { … }. Exactly one of Steps, Stages, Parallel and Matrix is set.
	Stage struct {
		At
		Name        string
		Agent       *Agent // nil: as the stage around it
		When        *When
		Environment []*EnvVar
		Options     []*Directive
		Tools       []*Tool
		Input       *Input
		Steps       *Block
		Stages      []*Stage
		Parallel    []*Stage
		Matrix      *Matrix
		FailFast    bool
		Post        *Post
	}

	// Matrix is the cells of a stage. Cell has what every cell has; its Name is empty and its Stages are the cell's.
	Matrix struct {
		At
		Axes     []*Axis
		Excludes []*Exclude
		Cell     *Stage
	}

	// Axis is a name and the values it goes through.
	Axis struct {
		At
		Name   string
		Values []string
	}

	// Exclude takes out the cells that all of its axes match.
	Exclude struct {
		At
		Axes []*ExcludeAxis
	}

	// ExcludeAxis matches the values listed or, with Not, all others.
	ExcludeAxis struct {
		At
		Name   string
		Values []string
		Not    bool
	}

	// When is the conditions of a stage, all of which must hold.
	When struct {
		At
		Conditions                              []*Condition
		BeforeAgent, BeforeInput, BeforeOptions bool
	}

	// Condition is one condition. allOf, anyOf and not have Children; expression has Body; others have Args.
	Condition struct {
		At
		Name     string
		Args     []*NamedArg // an unnamed value stands under the name it is for: pattern, glob, cause
		Body     *Closure
		Children []*Condition
	}

	// Input asks a person before the stage goes on.
	Input struct {
		At
		Fields     []*Field // message, id, ok, submitter, submitterParameter
		Parameters []*Directive
	}

	// Post is what follows a stage or pipeline, in the order of PostOrder.
	Post struct {
		At
		Blocks []*PostBlock
	}

	// PostBlock is the steps of one condition.
	PostBlock struct {
		At
		Condition string
		Steps     *Block
	}
)

// Field returns the value of a field; nil when it is not set.
func (a *Agent) Field(name string) Expr { return fieldValue(a.Fields, name) }

// Field returns the value of a field; nil when it is not set.
func (i *Input) Field(name string) Expr { return fieldValue(i.Fields, name) }

func fieldValue(fields []*Field, name string) Expr {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// Arg returns an argument; nil when it is not given.
func (c *Condition) Arg(name string) Expr {
	for _, a := range c.Args {
		if key, ok := a.Key.(*Lit); ok && key.Value == name {
			return a.Value
		}
	}
	return nil
}

// Option returns the last entry of a name; nil when there is none.
func Option(list []*Directive, name string) *Directive {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Name == name {
			return list[i]
		}
	}
	return nil
}

// Children returns the stages inside of a stage, in whatever form they stand there.
func (s *Stage) Children() []*Stage {
	switch {
	case s.Parallel != nil:
		return s.Parallel
	case s.Matrix != nil:
		return s.Matrix.Cell.Stages
	}
	return s.Stages
}

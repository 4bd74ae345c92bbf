package jenkinsfile

// Known is what a caller knows of the farm a script is checked for. Its zero value knows Jenkins' own directives and no
// steps: then steps are not checked.
type Known struct {
	// Steps that may be called. Empty: calls of steps are not checked.
	Steps []StepSpec
	// Globals are other names that may be called or begin an expression: docker, the vars of libraries.
	Globals []string
	// Symbols are the data makers that stand as arguments of steps: logRotator, string.
	Symbols []string
	// Options, StageOptions, Triggers, Parameters, Tools and Agents are the names allowed in the directives, beside Jenkins'
	// own. Steps with Option set are options too.
	Options, StageOptions, Triggers, Parameters, Tools, Agents []string
	// Libraries says that libraries are loaded which the script does not name: whether a step exists is then not certain.
	Libraries bool
	// NoLibraries says that there is no way to load any: asking for one is an error.
	NoLibraries bool
	// Elsewhere are names of steps that Jenkins has by its plugins. One that is not in Steps, and that the script does not
	// define itself, is an error that says so, wherever it is called.
	Elsewhere []string
	// Strict makes errors of the warnings about options, triggers, parameters and tools that nobody here knows.
	Strict bool
}

// StepSpec is what the validator has to know of a step.
type StepSpec struct {
	Name   string
	Params []ParamSpec // in documented order
	Sole   string      // the parameter that one unnamed argument sets; "" when there is none
	Rest   string      // the parameter that takes named arguments of other names; "" when these are errors
	Block  bool        // takes a body
	// BodyOptional says that a body may be left out, though Block is set.
	BodyOptional bool
	Option       bool // allowed in options{}
}

// ParamSpec is one parameter of a step.
type ParamSpec struct {
	Name     string
	Type     ParamType
	Required bool
	Enum     []string // the values allowed; empty: any
}

// ParamType is the type of a parameter. The zero value, like AnyParam, takes everything.
type ParamType string

const (
	AnyParam     ParamType = "any"
	StringParam  ParamType = "string"
	IntParam     ParamType = "int"
	BooleanParam ParamType = "boolean"
	ListParam    ParamType = "list"
	MapParam     ParamType = "map"
)

// PostOrder returns the conditions of post{} in the order in which they are looked at.
func PostOrder() []string {
	return []string{"always", "changed", "fixed", "regression", "aborted", "success", "unsuccessful", "unstable", "failure", "notBuilt", "cleanup"}
}

// The names Declarative itself knows.

func coreAgents() []string {
	return []string{"any", "docker", "dockerfile", "kubernetes", "label", "node", "none"}
}

func coreOptions() []string {
	return []string{"buildDiscarder", "checkoutToSubdirectory", "disableConcurrentBuilds", "disableRestartFromStage", "disableResume",
		"durabilityHint", "newContainerPerStage", "overrideIndexTriggers", "parallelsAlwaysFailFast", "preserveStashes", "quietPeriod",
		"rateLimitBuilds", "retry", "skipDefaultCheckout", "skipStagesAfterUnstable", "timeout", "timestamps"}
}

func coreStageOptions() []string {
	return []string{"checkoutToSubdirectory", "retry", "skipDefaultCheckout", "timeout", "timestamps"}
}

func coreTriggers() []string { return []string{"cron", "pollSCM", "upstream"} }

func coreParameters() []string {
	return []string{"booleanParam", "choice", "credentials", "file", "password", "run", "string", "text"}
}

func coreTools() []string { return []string{"ant", "git", "gradle", "jdk", "maven", "nodejs"} }

// agentFields returns the fields of a built-in agent type and those of them it cannot do without; ok is false for others.
func agentFields(kind string) (fields, required []string, ok bool) {
	docker := []string{"label", "args", "registryUrl", "registryCredentialsId", "customWorkspace", "reuseNode", "alwaysPull", "containerPerStageRoot", "retries"}
	switch kind {
	case "label":
		return []string{"label", "customWorkspace", "retries"}, []string{"label"}, true
	case "node":
		return []string{"label", "customWorkspace", "retries"}, []string{"label"}, true
	case "docker":
		return append([]string{"image"}, docker...), []string{"image"}, true
	case "dockerfile":
		return append([]string{"filename", "dir", "additionalBuildArgs"}, docker...), nil, true
	}
	return nil, nil, false
}

// agentShort returns the field that the short form `type value` sets.
func agentShort(kind string) string {
	switch kind {
	case "docker":
		return "image"
	case "dockerfile":
		return ""
	}
	return "label"
}

// conditionSpec says what a when condition takes.
type conditionSpec struct {
	named    []string // named arguments
	required []string
	sole     string // the argument one unnamed value sets
	body     bool   // a block of code
	children int    // -1: at least one; 0: none; else exactly so many
}

func conditionSpecOf(name string) (conditionSpec, bool) {
	comparing := func(more ...string) []string { return append(more, "comparator") }
	switch name {
	case "allOf", "anyOf":
		return conditionSpec{children: -1}, true
	case "not":
		return conditionSpec{children: 1}, true
	case "branch", "tag":
		return conditionSpec{named: comparing("pattern"), sole: "pattern", required: requiredIf(name == "branch", "pattern")}, true
	case "buildingTag", "isRestartedRun":
		return conditionSpec{}, true
	case "changeRequest":
		return conditionSpec{named: comparing("id", "target", "branch", "fork", "url", "title", "author", "authorDisplayName", "authorEmail")}, true
	case "changelog":
		return conditionSpec{named: comparing("pattern"), sole: "pattern", required: []string{"pattern"}}, true
	case "changeset":
		return conditionSpec{named: comparing("glob", "pattern", "caseSensitive"), sole: "glob"}, true
	case "environment":
		return conditionSpec{named: []string{"name", "value", "ignoreCase"}, required: []string{"name", "value"}}, true
	case "equals":
		return conditionSpec{named: []string{"actual", "expected"}, required: []string{"expected", "actual"}}, true
	case "expression":
		return conditionSpec{body: true}, true
	case "triggeredBy":
		return conditionSpec{named: []string{"cause", "detail"}, sole: "cause", required: []string{"cause"}}, true
	}
	return conditionSpec{}, false
}

func requiredIf(cond bool, name string) []string {
	if cond {
		return []string{name}
	}
	return nil
}

func conditionNames() []string {
	return []string{"allOf", "anyOf", "branch", "buildingTag", "changeRequest", "changelog", "changeset", "environment", "equals",
		"expression", "isRestartedRun", "not", "tag", "triggeredBy"}
}

package declarative_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/pipeline/declarative"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/step/shell"
)

// known is what a controller with the steps of this test knows.
func known() jenkinsfile.Known {
	k := jenkinsfile.Known{Symbols: []string{"booleanParam", "string", "logRotator"}}
	for _, s := range slices.Concat(flow.Steps(), shell.Steps()) {
		spec := s.Spec()
		js := jenkinsfile.StepSpec{Name: spec.Name, Sole: spec.Sole, Rest: spec.Rest, Block: spec.Block, BodyOptional: spec.BodyOptional, Option: spec.Option}
		for _, p := range spec.Params {
			js.Params = append(js.Params, jenkinsfile.ParamSpec{Name: p.Name, Type: jenkinsfile.ParamType(p.Type), Required: p.Required, Enum: p.Enum})
		}
		k.Steps = append(k.Steps, js)
	}
	return k
}

// found returns what Model says against a script, each as "line:column message".
func found(t *testing.T, script string) []string {
	t.Helper()
	f, err := jenkinsfile.Parse("WorkflowScript", script)
	if err != nil {
		t.Fatal(err)
	}
	p, err := declarative.Model(f, known())
	if err == nil {
		if p == nil {
			t.Fatal("no pipeline was found")
		}
		return nil
	}
	var errs jenkinsfile.Errors
	if !errors.As(err, &errs) || p != nil {
		t.Fatalf("%v with the error %T %v", p, err, err)
	}
	var out []string
	for _, e := range errs {
		out = append(out, e.Message)
	}
	return out
}

// What is wrong with a pipeline is said in Jenkins' words, all of it at once, before anything runs.
func TestModelErrors(t *testing.T) {
	stages := "stages { stage('A') { steps { echo 'x' } } }"
	in := func(stage string) string { return "pipeline { agent any; stages { stage('A') { " + stage + " } } }" }
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"right", "pipeline { agent any; " + stages + " }", nil},
		{"no agent", "pipeline { " + stages + " }", []string{`Missing required section "agent"`}},
		{"no stages", "pipeline { agent any }", []string{`Missing required section "stages"`}},
		{"empty stages", "pipeline { agent any; stages { } }", []string{"No stages specified"}},
		{"unknown section", "pipeline { agent any; stags { }; " + stages + " }", []string{`Undefined section "stags" … did you mean "stages"?`}},
		{"section twice", "pipeline { agent any; agent none; " + stages + " }", []string{"Multiple occurrences of the agent section"}},
		{"unknown agent", "pipeline { agent { lable 'x' }; " + stages + " }", []string{`Invalid agent type "lable" specified. Must be one of [any, docker, dockerfile, kubernetes, label, node, none]`}},
		{"agent by name", "pipeline { agent 'linux'; " + stages + " }", []string{`Invalid argument for agent - "linux" - must be map of config options or bare [any, none].`}},
		{"stage twice", "pipeline { agent any; stages { stage('A') { steps { echo 'x' } }; stage('A') { steps { echo 'y' } } } }", []string{`Duplicate stage name: "A"`}},
		{"stage without a name", "pipeline { agent any; stages { stage('') { steps { echo 'x' } } } }", []string{"Stage does not have a name"}},
		{"stage of nothing", in(""), []string{`Expected one of "steps", "stages", or "parallel" for stage "A"`}},
		{"stage of two things", in("steps { echo 'x' }; parallel { stage('B') { steps { echo 'x' } } }"), []string{`Only one of "matrix", "parallel", "stages", or "steps" allowed for stage "A"`}},
		{"steps outside of steps", in("echo 'x'; steps { echo 'x' }"), []string{`Unknown stage section "echo". Starting with version 0.5, steps in a stage must be in a ‘steps’ block.`}},
		{"parallel in parallel", in("parallel { stage('B') { parallel { stage('C') { steps { echo 'x' } } } } }"), []string{`"matrix" or "parallel" cannot be nested inside another "matrix" or "parallel".`}},
		{"agent over branches", in("agent any; parallel { stage('B') { steps { echo 'x' } } }"), []string{`"agent" is not allowed in stage "A" as it contains parallel or matrix stages`}},
		{"failFast", in("failFast 'yes'; parallel { stage('B') { steps { echo 'x' } } }"), []string{"Expected a boolean with failFast"}},
		{"unknown step", in("steps { ecko 'x' }"), []string{`Unknown step "ecko" … did you mean "echo"?`}},
		{"wrong type", in("steps { sleep 'long' }"), []string{`Expecting "int" but got "long" of type class java.lang.String instead`}},
		{"wrong named type", in("steps { timeout(time: true) { echo 'x' } }"), []string{`Expecting "int" for parameter "time" but got "true" of type class java.lang.Boolean instead`}},
		{"wrong value", in("steps { sleep(time: 1, unit: 'WEEKS') }"), []string{`Invalid value "WEEKS" for parameter "unit". Valid values are [NANOSECONDS, MICROSECONDS, MILLISECONDS, SECONDS, MINUTES, HOURS, DAYS]`}},
		{"no parameter", in("steps { timeout(unit: 'HOURS') { echo 'x' } }"), []string{`Missing required parameter: "time"`}},
		{"unknown parameter", in("steps { sleep(time: 1, units: 'HOURS') }"), []string{`Invalid parameter "units", did you mean "unit"?`}},
		{"no body", in("steps { timeout(5) }"), []string{`Expected a block with the "timeout" step`}},
		{"step as option", "pipeline { agent any; options { echo('x') }; " + stages + " }", []string{`Invalid option type "echo". Valid option types: [buildDiscarder, checkoutToSubdirectory, disableConcurrentBuilds, disableRestartFromStage, disableResume, durabilityHint, newContainerPerStage, overrideIndexTriggers, parallelsAlwaysFailFast, preserveStashes, quietPeriod, rateLimitBuilds, retry, skipDefaultCheckout, skipStagesAfterUnstable, timeout, timestamps, withEnv]`}},
		{"option twice", "pipeline { agent any; options { timestamps(); timestamps() }; " + stages + " }", []string{`Duplicate option name: "timestamps"`}},
		{"no options", "pipeline { agent any; options { }; " + stages + " }", []string{"options can not be empty"}},
		{"post condition", "pipeline { agent any; " + stages + "; post { allways { echo 'x' } } }", []string{`Invalid condition "allways" - valid conditions are [always, changed, fixed, regression, aborted, success, unsuccessful, unstable, failure, notBuilt, cleanup]`}},
		{"post condition twice", "pipeline { agent any; " + stages + "; post { always { echo 'x' }; always { echo 'x' } } }", []string{`Duplicate build condition name: "always"`}},
		{"empty post", "pipeline { agent any; " + stages + "; post { } }", []string{"post can not be empty"}},
		{"empty when", in("when { }; steps { echo 'x' }"), []string{"Empty when closure, remove the property or add some content."}},
		{"unknown when", in("when { brunch 'x' }; steps { echo 'x' }"), []string{"Unknown conditional brunch. Valid conditionals are: allOf, anyOf, branch, buildingTag, changeRequest, changelog, changeset, environment, equals, expression, isRestartedRun, not, tag, triggeredBy"}},
		{"not of two", in("when { not { branch 'a'; branch 'b' } }; steps { echo 'x' }"), []string{`Nested when condition "not" requires exactly 1 child condition(s).`}},
		{"allOf of nothing", in("when { allOf { } }; steps { echo 'x' }"), []string{`Nested when condition "allOf" requires at least one child condition.`}},
		{"environment value", "pipeline { agent any; environment { A = [1] }; " + stages + " }", []string{"Environment variable values must either be single quoted, double quoted, or function calls."}},
		{"environment name", "pipeline { agent any; environment { A = 'x'; A = 'y' }; " + stages + " }", []string{`Duplicate environment variable name: "A"`}},
		{"boolean parameter", "pipeline { agent any; parameters { booleanParam(name: 'A', defaultValue: 'maybe') }; " + stages + " }",
			[]string{`Expecting "boolean" for parameter "defaultValue" but got "maybe" of type class java.lang.String instead`}},
		{"boolean parameter of a number", "pipeline { agent any; parameters { booleanParam(name: 'A', defaultValue: 1) }; " + stages + " }",
			[]string{`Expecting "boolean" for parameter "defaultValue" but got "1" of type class java.lang.Integer instead`}},
		{"boolean parameters", "pipeline { agent any; parameters { booleanParam(name: 'A', defaultValue: true); booleanParam(name: 'B', defaultValue: 'false'); booleanParam(name: 'C') }; " + stages + " }", nil},
		{"parameter without a name", "pipeline { agent any; parameters { string(defaultValue: 'x') }; " + stages + " }", []string{`Missing required parameter: "name"`}},
		{"a label and others", "pipeline { agent { label 'linux &&' }; stages { stage('A') { agent { label 'a b' }; steps { ecko 'x' } } } }", []string{
			`Invalid label expression "linux &&": expected a label after && at column 9`,
			`Invalid label expression "a b": expected &&, ||, -> or <-> between a and b at column 3`, `Unknown step "ecko" … did you mean "echo"?`}},
		{"what is not there and others", "pipeline { agent { docker 'x' }; stages { stage('A') { input { message 'go?' }; steps { ecko 'x' } }; stage('A') { steps { echo 'x' } } } }", []string{
			"agent docker is not supported", `input in stage "A" is not supported`, `Unknown step "ecko" … did you mean "echo"?`, `Duplicate stage name: "A"`}},
		{"in a matrix", in("matrix { axes { axis { name 'X'; values '1', '2' } }; agent { label '||' }; stages { stage('B') { agent { docker 'x' }; steps { echo 'x' } } } }"), []string{
			`Invalid label expression "||": expected a label, found || at column 1`, "agent docker is not supported"}},
		{"computed", `pipeline { agent { label "${env.X} &&" }; ` + stages + " }", nil},
	} {
		if got := found(t, c.script); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// Errors are reported by place, with the line they stand in.
func TestModelErrorsAreInOrder(t *testing.T) {
	f, err := jenkinsfile.Parse("WorkflowScript", "pipeline {\n    agent { label 'linux &&' }\n    stages {\n        stage('A') {\n            steps { ecko 'x' }\n        }\n    }\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	_, err = declarative.Model(f, known())
	const want = `WorkflowScript: 2: Invalid label expression "linux &&": expected a label after && at column 9 @ line 2, column 19.
       agent { label 'linux &&' }
                     ^
WorkflowScript: 5: Unknown step "ecko" … did you mean "echo"? @ line 5, column 21.
               steps { ecko 'x' }
                       ^`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant:\n%s", err, want)
	}
}

// A scripted file has no model, and nothing is checked in it but its steps.
func TestModelOfAScript(t *testing.T) {
	f, err := jenkinsfile.Parse("WorkflowScript", "node('a b') { echo 'x' }")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := declarative.Model(f, known()); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}

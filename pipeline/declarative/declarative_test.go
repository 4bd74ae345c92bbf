package declarative_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/declarative"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
)

// later is a run that has one before it.
type later struct {
	*steptest.World
	last  build.Result
	asked *int
}

// LastCompleted implements declarative.History.
func (l later) LastCompleted(context.Context) (build.Result, error) {
	*l.asked++
	return l.last, nil
}

// ran is how a pipeline ended and what it echoed: the lines that begin with "- ", in their order.
type ran struct {
	result  build.Result
	echoed  []string
	console string
	asked   int // how often the build before was looked up
}

// evaluate runs a pipeline whose build before ended as last; "" is none.
func evaluate(t *testing.T, script string, last build.Result) ran {
	t.Helper()
	f, err := jenkinsfile.Parse("WorkflowScript", script)
	if err != nil {
		t.Fatal(err)
	}
	model, err := declarative.Model(f, known())
	if err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	steps := map[string]step.Step{}
	for _, s := range flow.Steps() {
		steps[s.Spec().Name] = s
	}
	w, r := steptest.New(t), ran{}
	p, err := interp.New(interp.Config{File: f, Steps: steps, Symbols: flow.Symbols(), Run: later{w, last, &r.asked},
		Forms: map[string]interp.Form{"pipeline": declarative.Form(model, steps, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(t.Context())
	r.result, r.console = build.Worst(build.Worst(w.Result(), step.ResultOf(err)), build.Success), w.Console()
	for _, m := range regexp.MustCompile(`(?m)^- (.*)$`).FindAllStringSubmatch(r.console, -1) {
		r.echoed = append(r.echoed, m[1])
	}
	return r
}

// Post conditions run in Jenkins' order, wherever they stand, when they hold for what the build is now and was before.
func TestPostOrder(t *testing.T) {
	var post strings.Builder
	for _, name := range slices.Backward(jenkinsfile.PostOrder()) {
		post.WriteString(name + " { echo '- " + name + "' }\n")
	}
	const (
		unstable = "unstable 'so so'"
		fails    = "error 'no'"
		notBuilt = "catchError(buildResult: 'NOT_BUILT', stageResult: 'NOT_BUILT') { error 'no' }"
		aborted  = "timeout(time: 1, unit: 'MILLISECONDS') { sleep 600 }"
	)
	for _, c := range []struct {
		steps string
		last  build.Result
		now   build.Result
		want  string
	}{
		{"echo 'x'", "", build.Success, "always changed success cleanup"},
		{"echo 'x'", build.Success, build.Success, "always success cleanup"},
		{"echo 'x'", build.Unstable, build.Success, "always changed fixed success cleanup"},
		{"echo 'x'", build.Failure, build.Success, "always changed fixed success cleanup"},
		{"echo 'x'", build.Aborted, build.Success, "always changed success cleanup"},
		{unstable, build.Success, build.Unstable, "always changed regression unsuccessful unstable cleanup"},
		{unstable, build.Failure, build.Unstable, "always changed unsuccessful unstable cleanup"},
		{unstable, build.Unstable, build.Unstable, "always unsuccessful unstable cleanup"},
		{fails, "", build.Failure, "always changed unsuccessful failure cleanup"},
		{fails, build.Success, build.Failure, "always changed regression unsuccessful failure cleanup"},
		{fails, build.Failure, build.Failure, "always unsuccessful failure cleanup"},
		{notBuilt, build.NotBuilt, build.NotBuilt, "always unsuccessful notBuilt cleanup"},
		{aborted, build.Aborted, build.Aborted, "always aborted unsuccessful cleanup"},
	} {
		body := "stage('A') { steps { " + c.steps + " } }"
		for where, script := range map[string]string{
			"pipeline": "pipeline { agent none\n stages { " + body + " }\n post {\n" + post.String() + "} }",
			"stage":    "pipeline { agent none\n stages { stage('A') { steps { " + c.steps + " }\n post {\n" + post.String() + "} } } }",
			"outer":    "pipeline { agent none\n stages { stage('O') { stages { " + body + " }\n post {\n" + post.String() + "} } } }",
		} {
			r := evaluate(t, script, c.last)
			if got := strings.Join(r.echoed, " "); got != c.want || r.result != c.now {
				t.Errorf("%s of %s after %q: %s, %s, want %s, %s\n%s", where, c.steps, c.last, r.result, got, c.now, c.want, r.console)
			}
			if r.asked > 1 {
				t.Errorf("the build before was looked up %d times", r.asked)
			}
		}
	}
}

// An error in a post block is printed, counts, and ends nothing else.
func TestErrorInPost(t *testing.T) {
	r := evaluate(t, `pipeline { agent none
stages { stage('A') { steps { echo 'x' }
    post { always { error 'no' }; success { echo '- success' }; failure { echo '- failure' }; cleanup { echo '- cleanup' } } }
  stage('B') { steps { echo '- next' } } }
post { failure { echo '- in the end' } } }`, "")
	if want := []string{"failure", "cleanup", "in the end"}; !slices.Equal(r.echoed, want) || r.result != build.Failure ||
		!strings.Contains(r.console, "Error when executing always post condition:\nERROR: no\n") || !strings.Contains(r.console, `Stage "B" skipped due to earlier failure(s)`) {
		t.Errorf("%s %q\n%s", r.result, r.echoed, r.console)
	}
}

// Stages run inside out: the post of a stage before that of the one around it, the pipeline's last.
func TestPostOfNestedStages(t *testing.T) {
	r := evaluate(t, `pipeline { agent none
stages { stage('O') { stages { stage('I') { steps { echo '- steps' }; post { always { echo '- inner' } } } }; post { always { echo '- outer' } } } }
post { always { echo '- pipeline' } } }`, "")
	if want := []string{"steps", "inner", "outer", "pipeline"}; !slices.Equal(r.echoed, want) {
		t.Errorf("%q\n%s", r.echoed, r.console)
	}
}

// Conditions nest, and nothing is evaluated that does not matter any more.
func TestWhen(t *testing.T) {
	const (
		yes, no = "expression { true }", "expression { false }"
		never   = "expression { error 'evaluated' }"
	)
	for when, want := range map[string]bool{
		yes:                           true,
		no:                            false,
		yes + "; " + yes:              true,
		yes + "; " + no:               false,
		no + "; " + never:             false,
		"not { " + no + "}":           true,
		"not { " + yes + "}":          false,
		"not { not { " + yes + " } }": true,
		"not { allOf { " + yes + "; " + no + " } }":                                               true,
		"not { anyOf { " + no + "; " + yes + " } }":                                               false,
		"allOf { anyOf { " + no + "; " + yes + " }; not { " + no + " } }":                         true,
		"allOf { anyOf { " + no + "; " + no + " }; " + never + " }":                               false,
		"anyOf { allOf { " + yes + "; " + no + " }; not { anyOf { " + no + "; " + no + " } } }":   true,
		"anyOf { allOf { " + yes + "; " + no + " }; not { allOf { " + yes + "; " + yes + " } } }": false,
		"anyOf { " + yes + "; " + never + " }":                                                    true,
		"allOf { " + no + "; " + never + " }":                                                     false,
		"anyOf { " + no + " }; not { " + no + " }":                                                false,
		"equals expected: 2, actual: 1 + 1":                                                       true,
		"not { equals expected: 2, actual: 1 }":                                                   true,
	} {
		r := evaluate(t, "pipeline { agent none; stages { stage('A') { when { "+when+" }; steps { echo '- ran' } } } }", "")
		if got := slices.Equal(r.echoed, []string{"ran"}); got != want || r.result != build.Success || !want && !strings.Contains(r.console, `Stage "A" skipped due to when conditional`) {
			t.Errorf("when { %s }: ran %v, %s\n%s", when, got, r.result, r.console)
		}
	}
}

// The first branch that fails ends the others, where the stage or the pipeline says so; without, they go on.
func TestFailFast(t *testing.T) {
	branch := func(pause string) string {
		return "stage('slow') { steps { " + pause + "; echo '- went on' }; post { aborted { echo '- ended' } } }"
	}
	const fails, short, long = "stage('fails') { steps { error 'no' } }", "sleep(time: 5, unit: 'MILLISECONDS')", "sleep 6000"
	for name, c := range map[string]struct{ script, want string }{
		"of the stage":    {"stages { stage('P') { failFast true; parallel { " + branch(long) + "; " + fails + " } } }", "ended"},
		"of the pipeline": {"options { parallelsAlwaysFailFast() }; stages { stage('P') { parallel { " + branch(long) + "; " + fails + " } } }", "ended"},
		"of none":         {"stages { stage('P') { parallel { " + branch(short) + "; " + fails + " } } }", "went on"},
		"not":             {"stages { stage('P') { failFast false; parallel { " + branch(short) + "; " + fails + " } } }", "went on"},
		"of a matrix": {"stages { stage('P') { failFast true; matrix { axes { axis { name 'X'; values 'slow', 'fails' } }; stages { stage('S') { steps { script { if (env.X == 'fails') { error 'no' }; " + long +
			"; echo '- went on' } }; post { aborted { echo '- ended' } } } } } } }", "ended"},
	} {
		r := evaluate(t, "pipeline { agent none; "+c.script+"; post { failure { echo '- failed' } } }", "")
		if want := []string{c.want, "failed"}; !slices.Equal(r.echoed, want) || r.result != build.Failure {
			t.Errorf("%s: %s %q, want %q\n%s", name, r.result, r.echoed, want, r.console)
		}
	}
}

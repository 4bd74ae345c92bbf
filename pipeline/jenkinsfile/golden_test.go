package jenkinsfile

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with the file beside a case, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func eachCase(t *testing.T, pattern string, f func(t *testing.T, path, source string)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatal("no cases: ", err)
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".groovy"), func(t *testing.T) { f(t, path, string(src)) })
	}
}

// console renders an error of the package and checks what every such error promises.
func console(t *testing.T, err error) string {
	t.Helper()
	var es Errors
	if !errors.As(err, &es) || len(es) == 0 || !fault.Is(err, fault.Invalid) {
		t.Fatalf("not an invalid Errors: %v", err)
	}
	return es.Console()
}

// TestParse keeps the trees and the errors of the parser: beside each case x.groovy stands x.golden.
func TestParse(t *testing.T) {
	eachCase(t, "testdata/parse/*.groovy", func(t *testing.T, path, source string) {
		f, err := Parse("WorkflowScript", source)
		out := strings.TrimSuffix(path, ".groovy") + ".golden"
		if err != nil {
			golden(t, out, console(t, err))
			return
		}
		golden(t, out, dump(f))
	})
}

// TestModel keeps the models and the validator's errors. A case whose first line is // strict is checked strictly,
// one with // alone where there are neither libraries nor plugins.
func TestModel(t *testing.T) {
	eachCase(t, "testdata/model/*.groovy", func(t *testing.T, path, source string) {
		f, err := Parse("WorkflowScript", source)
		if err != nil {
			t.Fatal(err)
		}
		known := testKnown()
		known.Strict = strings.HasPrefix(source, "// strict")
		if strings.HasPrefix(source, "// alone") {
			known.NoLibraries, known.Elsewhere = true, PluginSteps()
		}
		p, err := Model(f, known)
		out := strings.TrimSuffix(path, ".groovy") + ".golden"
		if err != nil {
			golden(t, out, console(t, err))
			return
		}
		golden(t, out, dump(p))
	})
}

// testKnown knows a handful of steps in every shape.
func testKnown() Known {
	text := func(name string, required bool) ParamSpec {
		return ParamSpec{Name: name, Type: StringParam, Required: required}
	}
	flag := func(name string) ParamSpec { return ParamSpec{Name: name, Type: BooleanParam} }
	return Known{
		Steps: []StepSpec{
			{Name: "sh", Sole: "script", Params: []ParamSpec{text("script", true), flag("returnStdout"), flag("returnStatus"), text("label", false)}},
			{Name: "bat", Sole: "script", Params: []ParamSpec{text("script", true), flag("returnStdout")}},
			{Name: "echo", Sole: "message", Params: []ParamSpec{text("message", true)}},
			{Name: "error", Sole: "message", Params: []ParamSpec{text("message", true)}},
			{Name: "dir", Sole: "path", Block: true, Params: []ParamSpec{text("path", true)}},
			{Name: "node", Sole: "label", Block: true, Params: []ParamSpec{text("label", false)}},
			{Name: "stage", Sole: "name", Block: true, Params: []ParamSpec{text("name", true)}},
			{Name: "retry", Sole: "count", Block: true, Option: true, Params: []ParamSpec{{Name: "count", Type: IntParam, Required: true}, {Name: "conditions", Type: ListParam}}},
			{Name: "timeout", Sole: "time", Block: true, Option: true, Params: []ParamSpec{{Name: "time", Type: IntParam, Required: true}, {Name: "unit", Type: StringParam, Enum: []string{"SECONDS", "MINUTES", "HOURS", "DAYS"}}, flag("activity")}},
			{Name: "timestamps", Block: true, Option: true},
			{Name: "withEnv", Sole: "overrides", Block: true, Params: []ParamSpec{{Name: "overrides", Type: ListParam, Required: true}}},
			{Name: "withCredentials", Sole: "bindings", Block: true, Params: []ParamSpec{{Name: "bindings", Type: ListParam, Required: true}}},
			{Name: "parallel", Rest: "branches", Params: []ParamSpec{flag("failFast")}},
			{Name: "checkout", Sole: "scm", Params: []ParamSpec{{Name: "scm", Type: AnyParam, Required: true}}},
			{Name: "git", Sole: "url", Params: []ParamSpec{text("url", true), text("branch", false), text("credentialsId", false)}},
			{Name: "stash", Sole: "name", Params: []ParamSpec{text("name", true), text("includes", false), flag("allowEmpty"), flag("useDefaultExcludes")}},
			{Name: "unstash", Sole: "name", Params: []ParamSpec{text("name", true)}},
			{Name: "archiveArtifacts", Sole: "artifacts", Params: []ParamSpec{text("artifacts", true), flag("allowEmptyArchive"), flag("fingerprint")}},
			{Name: "junit", Sole: "testResults", Params: []ParamSpec{text("testResults", true), flag("allowEmptyResults")}},
			{Name: "readFile", Sole: "file", Params: []ParamSpec{text("file", true)}},
			{Name: "writeFile", Params: []ParamSpec{text("file", true), text("text", true)}},
			{Name: "deleteDir"}, {Name: "isUnix"},
			{Name: "catchError", Sole: "message", Block: true, Params: []ParamSpec{text("message", false), text("buildResult", false), text("stageResult", false)}},
			{Name: "unstable", Sole: "message", Params: []ParamSpec{text("message", true)}},
			{Name: "input", Sole: "message", Params: []ParamSpec{text("message", true), text("ok", false), {Name: "parameters", Type: ListParam}}},
			{Name: "build", Sole: "job", Params: []ParamSpec{text("job", true), {Name: "parameters", Type: ListParam}, flag("wait"), flag("propagate")}},
			{Name: "properties", Sole: "properties", Params: []ParamSpec{{Name: "properties", Type: ListParam, Required: true}}},
			{Name: "script", Block: true},
			{Name: "sleep", Sole: "time", Params: []ParamSpec{{Name: "time", Type: IntParam, Required: true}, text("unit", false)}},
			{Name: "mail", Params: []ParamSpec{text("to", false), text("subject", false), text("body", false)}},
			{Name: "container", Sole: "name", Block: true, Params: []ParamSpec{text("name", true)}},
			{Name: "cleanWs"}, {Name: "milestone", Sole: "ordinal", Params: []ParamSpec{{Name: "ordinal", Type: IntParam}}},
			{Name: "lock", Sole: "resource", Block: true, Params: []ParamSpec{text("resource", false), text("label", false)}},
			{Name: "waitUntil", Block: true}, {Name: "pwd"}, {Name: "fileExists", Sole: "file", Params: []ParamSpec{text("file", true)}},
		},
		Globals: []string{"docker"},
		Symbols: []string{"string", "logRotator", "usernamePassword", "cron", "booleanParam", "choice"},
	}
}

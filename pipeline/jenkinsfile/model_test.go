package jenkinsfile

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t *testing.T, source string) *File {
	t.Helper()
	f, err := Parse("WorkflowScript", source)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestCorpusIsValid checks that realistic scripts pass the validator of a farm that knows nothing of steps.
func TestCorpusIsValid(t *testing.T) {
	for _, path := range corpus(t) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Model(mustParse(t, string(src)), Known{})
		if err != nil {
			t.Errorf("%s:\n%v", path, err)
			continue
		}
		top := strings.Contains("\n"+string(src), "\npipeline")
		if (p != nil) != top {
			t.Errorf("%s: declarative %v, want %v", path, p != nil, top)
		}
	}
}

func TestModelAccessors(t *testing.T) {
	p, err := Model(mustParse(t, `
pipeline {
    agent { docker { image 'a:1'; args '-v' } }
    options { retry(2); timestamps() }
    stages {
        stage('A') {
            when { branch 'main'; environment name: 'X', value: 'y' }
            input { message 'go?' }
            stages { stage('B') { steps { echo 'x' } } }
        }
        stage('C') { parallel { stage('D') { steps { echo 'x' } }; stage('E') { steps { echo 'x' } } } }
        stage('F') { matrix { axes { axis { name 'N'; values 1, 'two' } }; stages { stage('G') { steps { echo 'x' } } } } }
    }
}`), testKnown())
	if err != nil {
		t.Fatal(err)
	}
	text := func(x Expr) string { s, _ := stringOf(x); return s }
	var names []string
	for _, s := range p.Stages {
		for _, c := range s.Children() {
			names = append(names, s.Name+"/"+c.Name)
		}
	}
	if diff := cmp.Diff([]string{"A/B", "C/D", "C/E", "F/G"}, names); diff != "" {
		t.Error(diff)
	}
	a := p.Stages[0]
	got := []string{
		p.Agent.Kind, text(p.Agent.Field("image")), text(a.Input.Field("message")), text(a.When.Conditions[0].Arg("pattern")),
		text(a.When.Conditions[1].Arg("value")), strings.Join(p.Stages[2].Matrix.Axes[0].Values, ","),
	}
	if diff := cmp.Diff([]string{"docker", "a:1", "go?", "main", "y", "1,two"}, got); diff != "" {
		t.Error(diff)
	}
	if p.Agent.Field("label") != nil || a.When.Conditions[0].Arg("comparator") != nil {
		t.Error("a field that is not there has a value")
	}
	if o := Option(p.Options, "retry"); o == nil || len(o.Call.Args) != 1 || Option(p.Options, "timeout") != nil {
		t.Errorf("options: %v", p.Options)
	}
}

// TestModelIsPure checks that a file can be modelled twice, with other knowledge.
func TestModelIsPure(t *testing.T) {
	f := mustParse(t, "pipeline { agent any; stages { stage('A') { steps { shh 'x' } } } }")
	before := dump(f)
	if _, err := Model(f, testKnown()); err == nil {
		t.Error("an unknown step passed")
	}
	if _, err := Model(f, Known{}); err != nil {
		t.Error(err)
	}
	known := testKnown()
	known.Libraries = true
	if _, err := Model(f, known); err != nil {
		t.Error(err)
	}
	if dump(f) != before {
		t.Error("the file was changed")
	}
}

func TestNearest(t *testing.T) {
	names := []string{"sh", "echo", "stash", "unstash", "readFile", "withCredentials", "node"}
	for word, want := range map[string]string{
		"shh": "sh", "hs": "sh", "ecoh": "echo", "Echo": "echo", "raedFile": "readFile", "withCredential": "withCredentials", "stahs": "stash", "x": "", "frobnicate": "",
	} {
		if got := strings.Join(nearest(word, names), ","); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestTooBig(t *testing.T) {
	if _, err := Parse("WorkflowScript", strings.Repeat(" ", MaxSize)); err != nil {
		t.Error(err)
	}
	_, err := Parse("WorkflowScript", strings.Repeat(" ", MaxSize+1))
	if err == nil || !strings.Contains(err.Error(), "at most 1048576 are allowed") {
		t.Errorf("err = %v", err)
	}
}

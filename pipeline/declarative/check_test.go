package declarative_test

import (
	"strings"
	"testing"

	"github.com/outwork-build/outwork/pipeline/declarative"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
)

func TestCheckFindsEverythingBeforeAnythingRuns(t *testing.T) {
	f, err := jenkinsfile.Parse("WorkflowScript", `pipeline {
    agent { label 'linux &&' }
    stages {
        stage('A') {
            agent { node { label "a b" } }
            steps { echo 'x' }
        }
        stage('B') {
            agent { docker { image 'x' } }
            steps { echo 'x' }
        }
        stage('C') {
            agent { label "${env.WHERE} &&" }
            steps { echo 'x' }
        }
        stage('D') {
            input { message 'go?' }
            steps { echo 'x' }
        }
    }
}`)
	if err != nil {
		t.Fatal(err)
	}
	model, err := jenkinsfile.Model(f, jenkinsfile.Known{})
	if err != nil {
		t.Fatal(err)
	}
	err = declarative.Check(f, model)
	if err == nil {
		t.Fatal("nothing was found")
	}
	got := err.Error()
	for _, want := range []string{
		`WorkflowScript: 2: Invalid label expression "linux &&": expected a label after && at column 9`, "agent { label 'linux &&' }\n",
		`WorkflowScript: 5: Invalid label expression "a b"`, "agent docker is not supported", `input in stage "D" is not supported`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in:\n%s", want, got)
		}
	}
	if n := len(err.(jenkinsfile.Errors)); n != 4 {
		t.Errorf("%d errors, expected 4: what is computed is checked when it runs\n%s", n, got)
	}
}

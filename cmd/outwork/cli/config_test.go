package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/server/servertest"
)

func TestTheFarmIsKeptAsAFile(t *testing.T) {
	f := servertest.New(t)
	s := newShell(t)
	s.fed(f.Password()+"\n", "as admin", "login", "--url", f.URL(), "--user", "admin", "--password-stdin")
	file := filepath.Join(t.TempDir(), "farm.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.ok("No file was applied.", "config", "show")
	write("version: 1\nnodes:\n  - {name: a, labels: linux}\njobs:\n  - name: hello\n    script: |\n      node {\n        echo 'hi'\n      }\n")
	s.ok("is in order", "config", "validate", file)
	s.ok("+ create node a\n+ create job hello\n", "config", "plan", file)
	s.ok("+ create node a\n", "config", "apply", file)
	s.ok("No changes.\n", "config", "plan", file)
	exported := s.ok("  - name: a\n", "config", "export")
	s.fed(exported, "No changes.\n", "config", "apply", "-")
	write("version: 1\nnodes:\n  - {name: a, labels: linux, executors: 4}\njobs:\n  - name: hello\n    script: node { echo 'ho' }\n")
	s.ok("~ change node a: executors\n", "config", "plan", file)
	diff := s.ok("~ change node a\n    - executors: 1\n    + executors: 4\n", "config", "diff", file)
	if !strings.Contains(diff, "    - script: node {\n    -   echo 'hi'\n    - }\n    + script: node { echo 'ho' }\n") {
		t.Errorf("the job's difference reads\n%s", diff)
	}
	s.ok("~ change node a", "config", "apply", file)
	s.ok("node a", "config", "show")
	s.ok("~ change node a: executors", "config", "undo")
	s.fails(exitConflict, "no apply to undo", "config", "undo")
	s.fails(exitConflict, "without --config", "config", "reload")

	write("version: 1\nnodes:\n  - {name: a, mode: lazy}\nuser: []\n")
	for _, verb := range []string{"validate", "plan", "diff", "apply"} {
		s.fails(exitUsage, "farm.yaml:4:1: user: there is no key \"user\" here: did you mean users?\n    4 | user: []\n      | ^\n2 problems", "config", verb, file)
	}
	s.fails(exitUsage, "no-such-file", "config", "plan", "no-such-file")

	s.fed("jenkins: {systemMessage: x, nodes: [{permanent: {name: j, remoteFS: /j, launcher: inbound}}]}", "- name: j\n    executors: 1\n    remoteRoot: /j\n", "config", "import-jcasc", "-")
	_, _, left := s.try("jenkins: {systemMessage: x}", "config", "import-jcasc", "-")
	if !strings.Contains(left, "standard input:1:11: jenkins.systemMessage: left out") {
		t.Errorf("what is left out: %q", left)
	}
}

package stash_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor/hosttest"
	"github.com/outwork-build/outwork/pipeline/step/stash"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

func TestStashAndUnstash(t *testing.T) {
	a := hosttest.New(t)
	th := a.Node()
	ws := th.Scope().Node.Workspace.Path
	hosttest.Sh(t, ws, "mkdir -p bin src .git; echo one > bin/tool; chmod 755 bin/tool; ln -s tool bin/link; echo c > src/x.c; echo o > src/x.o; touch .git/HEAD")
	a.Must(th, stash.Stash{}, steptest.Args{"name": "bin", "includes": "bin/, src/**", "excludes": "**/*.o"})
	a.Must(th, stash.Stash{}, steptest.Args{"name": "all"})
	a.Must(th, stash.Stash{}, steptest.Args{"name": "git", "useDefaultExcludes": false})
	a.Must(th, stash.Stash{}, steptest.Args{"name": "none", "includes": "*.x", "allowEmpty": true})
	got := strings.Join(strings.Split(a.Console(), "[Pipeline] stash\n"), "")
	if got != "Stashed 3 file(s)\nStashed 4 file(s)\nStashed 5 file(s)\nStashed 0 file(s)\n" {
		t.Errorf("console %q", got)
	}
	other, err := a.Machine.Open(t.Context(), agent.OpenRequest{Lease: agent.Lease{Item: "other", Epoch: 1}, Job: "other"})
	if err != nil {
		t.Fatal(err)
	}
	on := th.Scoped(func(s *step.Scope) {
		n := *s.Node
		n.Workspace, n.Grant.Item, n.Grant.Epoch = other, "other", 1
		s.Node, s.Dir = &n, other.Path+"/sub"
	})
	a.Must(on, stash.Unstash{}, steptest.Args{"name": "bin"})
	if out := hosttest.Sh(t, filepath.Join(other.Path, "sub"), "find . -type f -o -type l | sort; cat bin/link; test -x bin/tool; readlink bin/link"); out != "./bin/link\n./bin/tool\n./src/x.c\none\ntool\n" {
		t.Errorf("unstashed:\n%s", out)
	}
	for _, c := range []struct {
		step step.Step
		args steptest.Args
		want string
	}{
		{stash.Stash{}, steptest.Args{"name": "x", "includes": "*.x"}, "No files included in stash ‘x’"},
		{stash.Unstash{}, steptest.Args{"name": "never"}, "No such saved stash ‘never’"},
		{stash.Stash{}, steptest.Args{"name": "a/b"}, `stash name "a/b": expected a file name`},
	} {
		if _, err := th.Step(c.step, c.args, nil); err == nil || err.Error() != c.want {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
	if _, err := th.Step(stash.Unstash{}, steptest.Args{"name": "x"}, nil); err == nil {
		t.Error("a stash that was refused is there")
	}
}

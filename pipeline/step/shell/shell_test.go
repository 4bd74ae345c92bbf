package shell_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor/hosttest"
	"github.com/outwork-build/outwork/pipeline/step/shell"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/pipeline/value"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

func sh() step.Step { return shell.Script{Interpreter: "sh"} }

func TestConsole(t *testing.T) {
	w := hosttest.New(t)
	th := w.Node()
	w.Must(th, sh(), steptest.Args{"script": "echo hello\nprintf 'no newline'"})
	w.Must(th, sh(), steptest.Args{"script": "echo again >&2", "label": "say it"})
	want := "[Pipeline] sh\n+ echo hello\nhello\n+ printf no newline\nno newline\n[Pipeline] sh\n+ echo again\nagain\n"
	if got := w.Console(); got != want {
		t.Errorf("console:\n%s\nwant:\n%s", got, want)
	}
}

func TestResults(t *testing.T) {
	w := hosttest.New(t)
	th := w.Node()
	if v := w.Must(th, sh(), steptest.Args{"script": "echo out; echo err >&2", "returnStdout": true}); v != "out\n" {
		t.Errorf("stdout %q", v)
	}
	if got := w.Console(); !strings.Contains(got, "err\n") || strings.Contains(got, "\nout\n") {
		t.Errorf("console %q", got)
	}
	if v := w.Must(th, sh(), steptest.Args{"script": "exit 7", "returnStatus": true}); v != int64(7) {
		t.Errorf("status %v", v)
	}
	if v := w.Must(th, sh(), steptest.Args{"script": "printf '\\377x'", "returnStdout": true}); v != "\uFFFDx" {
		t.Errorf("bytes that are no text: %q", v)
	}
	for _, c := range []struct {
		args steptest.Args
		want string
	}{
		{steptest.Args{"script": "exit 3"}, "script returned exit code 3"},
		{steptest.Args{"script": "false | true; false; true"}, "script returned exit code 1"},
		{steptest.Args{"script": "echo x; exit 2", "returnStdout": true}, "script returned exit code 2"},
		{steptest.Args{"script": "#!/bin/sh\nkill -9 $$"}, "script returned exit code 137"},
		{steptest.Args{"script": "true", "returnStdout": true, "returnStatus": true}, "sh: returnStdout and returnStatus cannot both be set"},
		{steptest.Args{"script": "true", "encoding": "EBCDIC"}, `sh: encoding "EBCDIC" is not supported: expected UTF-8`},
	} {
		_, err := th.Step(sh(), c.args, nil)
		var e *value.Exception
		if !errors.As(err, &e) || e.Message != c.want {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
	if _, err := th.Step(shell.Script{Interpreter: "bat"}, steptest.Args{"script": "dir"}, nil); err == nil || err.Error() != "Batch scripts can only be run on Windows nodes" {
		t.Errorf("bat: %v", err)
	}
	if _, err := th.Step(shell.Script{Interpreter: "powershell"}, steptest.Args{"script": "dir"}, nil); err == nil {
		t.Error("powershell on a machine without")
	} else if e := new(value.Exception); !errors.As(err, &e) || e.Class != value.AbortException {
		t.Errorf("powershell on a machine without: %#v", err)
	}
}

func TestEnvironmentAndFolder(t *testing.T) {
	w := hosttest.New(t)
	w.Env = []string{"BUILD_NUMBER=1", "WHO=base"}
	th := w.Node().Scoped(func(s *step.Scope) {
		s.Env = []string{"WHO=scope", "PATH+MINE=/my/bin", "PATH+MINE=/more/bin", "QUOTES=a'b\"c $HOME"}
		s.Dir = s.Node.Workspace.Path + "/deep/er"
	})
	v := w.Must(th, sh(), steptest.Args{"script": `echo "$WHO $BUILD_NUMBER $QUOTES"; echo "$PATH"; pwd`, "returnStdout": true}).(string)
	got := strings.Split(v, "\n")
	if got[0] != "scope 1 a'b\"c $HOME" || !strings.HasPrefix(got[1], "/more/bin:/my/bin:") || !strings.HasSuffix(got[1], os.Getenv("PATH")) || got[2] != th.Scope().Dir {
		t.Errorf("%q", got)
	}
}

// A program that is run again from its top does not run its scripts again, nor print what they printed.
func TestReplay(t *testing.T) {
	w := hosttest.New(t)
	program := func() (value.Value, error) {
		th := w.Node()
		w.Must(th, sh(), steptest.Args{"script": "echo x >> runs"})
		return th.Step(sh(), steptest.Args{"script": "wc -l < runs", "returnStdout": true}, nil)
	}
	first, err := program()
	if err != nil {
		t.Fatal(err)
	}
	console := w.Console()
	again, err := program()
	if err != nil || again != first || w.Console() != console || w.Started("sh") != 2 {
		t.Errorf("again: %q after %q, %v; %d scripts; console %q", again, first, err, w.Started("sh"), w.Console())
	}
}

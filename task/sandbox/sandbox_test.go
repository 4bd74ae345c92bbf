//go:build linux

package sandbox_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/task/sandbox"
)

// each runs a test in every kind of sandbox. Only what isolates is asked to isolate.
func each(t *testing.T, hide []string, test func(t *testing.T, s *sandbox.Sandbox, isolates bool)) {
	for _, kind := range []sandbox.Kind{sandbox.Bubblewrap, sandbox.Namespaces, sandbox.Folder} {
		t.Run(string(kind), func(t *testing.T) {
			s, err := sandbox.New(sandbox.Config{Kind: kind, Hide: hide})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Kind(t.Context()); err != nil || got != kind {
				need.Lack(t, "no sandbox %s here (%v): apt-get install bubblewrap util-linux", kind, err)
			}
			test(t, s, kind != sandbox.Folder)
		})
	}
}

// outside is a folder that no fresh /tmp hides.
func outside(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "outwork-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func scratch(t *testing.T) sandbox.Scratch {
	t.Helper()
	s, err := sandbox.NewScratch(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, s *sandbox.Sandbox, in sandbox.Scratch, script string, env ...string) (string, int) {
	t.Helper()
	var out strings.Builder
	code, err := s.Run(t.Context(), sandbox.Spec{Scratch: in, Argv: []string{"/bin/sh", "-c", script}, Env: append([]string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, env...), Output: &out})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), code
}

func TestCommandsSeeWhatTheyDeclared(t *testing.T) {
	hidden := outside(t)
	if err := os.WriteFile(filepath.Join(hidden, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OUTWORK_TEST_LEAK", "leaked")
	each(t, []string{hidden, os.TempDir()}, func(t *testing.T, s *sandbox.Sandbox, isolates bool) {
		in := scratch(t)
		if err := os.WriteFile(filepath.Join(in.Work(), "input"), []byte("given\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		out, code := run(t, s, in, `cat input; echo made > output; echo "[$OUTWORK_TEST_LEAK] $V"; ls "$HOME" "$TMPDIR" | grep -v -e : -e outwork -e '^$'; touch "$HOME/x" "$TMPDIR/y"`, "V=v")
		if want := "given\n[] v\n"; out != want || code != 0 {
			t.Errorf("%q, exit %d; want %q", out, code, want)
		}
		if b, err := os.ReadFile(filepath.Join(in.Work(), "output")); err != nil || string(b) != "made\n" {
			t.Errorf("output %q, %v", b, err)
		}
		if !isolates {
			return
		}
		out, _ = run(t, s, in, `pwd; cat `+hidden+`/secret 2>/dev/null; touch /usr/share/outwork-test 2>/dev/null && echo wrote; touch `+hidden+`/mark; ls /proc | grep -c '^[0-9]*$'`)
		lines := strings.Fields(out)
		if len(lines) != 2 || lines[0] != "/tmp/outwork/root" || len(lines[1]) > 1 {
			t.Errorf("%q: expected the usual folder, nothing hidden, nothing written, fewer than ten processes", out)
		}
		if _, err := os.Stat(filepath.Join(hidden, "mark")); err == nil {
			t.Error("a hidden folder was written to")
		}
	})
}

func TestExitCodes(t *testing.T) {
	each(t, nil, func(t *testing.T, s *sandbox.Sandbox, isolates bool) {
		for script, want := range map[string]int{"true": 0, "exit 7": 7, "kill -TERM $$": 143} {
			if _, code := run(t, s, scratch(t), script); code != want {
				t.Errorf("%s: exit %d, want %d", script, code, want)
			}
		}
	})
}

// A run that is given up ends with all that it started, also with what ignores to be asked.
func TestTheWholeTreeEnds(t *testing.T) {
	cause := errors.New("given up")
	each(t, nil, func(t *testing.T, s *sandbox.Sandbox, isolates bool) {
		in := scratch(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		started := &firstWrite{do: func() { cancel(cause) }}
		// All that is started holds the pipe's end: it is at its end when all of them are.
		pipe := filepath.Join(in.Work(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := os.ReadFile(pipe)
			ended <- err
		}()
		script := `exec 3> pipe; trap '' TERM INT HUP; (trap '' TERM; while :; do read x < pipe; done) & echo up; wait`
		_, err := s.Run(ctx, sandbox.Spec{Scratch: in, Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Output: started})
		if !errors.Is(err, cause) {
			t.Fatalf("ended with %v", err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

// firstWrite does something when something is first written to it.
type firstWrite struct{ do func() }

func (w *firstWrite) Write(p []byte) (int, error) {
	w.do()
	return len(p), nil
}

func TestDecoysTellWhoReadsThem(t *testing.T) {
	each(t, nil, func(t *testing.T, s *sandbox.Sandbox, isolates bool) {
		in := scratch(t)
		if err := os.MkdirAll(filepath.Join(in.Work(), "ws"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(in.Work(), "ws/declared"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		w, err := sandbox.StartWatch(in, []string{"ws/declared", "ws/read", "ws/sub/mapped", "ws/alone", "ws/made", "ws/removed", "ws/tested"})
		if err != nil {
			t.Fatal(err)
		}
		out, code := run(t, s, in, `cd ws; cat declared read; : < sub/mapped; echo new > made; rm removed; test -e tested; ls > /dev/null`)
		if got, want := w.Stop(), []string{"ws/read", "ws/sub/mapped"}; !cmp.Equal(got, want) || code != 0 {
			t.Errorf("read %v, want %v; exit %d, %s", got, want, code, out)
		}
		var left []string
		filepath.WalkDir(in.Work(), func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				left = append(left, filepath.Base(p))
			}
			return err
		})
		if want := []string{"declared", "made"}; !cmp.Equal(left, want) {
			t.Errorf("left are %v, want %v", left, want)
		}
	})
}

func TestWhatCannotBe(t *testing.T) {
	for _, c := range []sandbox.Config{{Kind: "castle"}, {Hide: []string{"here"}}} {
		if _, err := sandbox.New(c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

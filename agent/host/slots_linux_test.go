package host_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

// forgotten runs a script to its end and forgets it.
func forgotten(t *testing.T, m agent.Machine, l agent.Lease, s agent.StepID, text string) string {
	t.Helper()
	script(t, m, l, s, text)
	out, e := follow(t, m, l, s)
	if e.Code != 0 {
		t.Errorf("%s: %+v", s, e)
	}
	if err := m.Forget(soon(t), l, s); err != nil {
		t.Fatal(err)
	}
	return out
}

// A step that has another's files from before is its own: in what it runs, prints and leaves, also for the next agent.
func TestFilesAreUsedAgain(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir()})
	l := agent.Lease{Item: "i", Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	for i := range 20 {
		id := agent.StepID(fmt.Sprint(i))
		// Longer, then shorter than the one before.
		text := fmt.Sprintf("#!/bin/sh\n%s\nprintf '%s%d'", strings.Repeat(":\n", 100-5*i), strings.Repeat("x", 100-5*i), i)
		if out, want := forgotten(t, p, l, id, text), strings.Repeat("x", 100-5*i)+fmt.Sprint(i); out != want {
			t.Errorf("step %d: %q, want %q", i, out, want)
		}
	}
	files, err := filepath.Glob(filepath.Join(p.cfg.Root, ".outwork/lease/*/*.step"))
	if err != nil || len(files) != 1 {
		t.Errorf("files of steps: %q, %v", files, err)
	}
	s := newSign(t)
	script(t, p, l, "long", "#!/bin/sh\necho first\necho up > "+s.path+"\nread x < "+s.path+".go\necho last")
	if err := unix.Mkfifo(s.path+".go", 0o600); err != nil {
		t.Fatal(err)
	}
	s.await(t, "up")
	p = p.restart(t)
	if err := p.Start(soon(t), agent.StartRequest{Lease: l, Step: "3", Argv: []string{"true"}}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a forgotten step was started by the next agent: %v", err)
	}
	if out := forgotten(t, p, l, "beside", "#!/bin/sh\nprintf beside"); out != "beside" {
		t.Errorf("a step beside one of the agent before: %q", out)
	}
	if err := os.WriteFile(s.path+".go", []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, p, l, "long"); out != "first\nlast\n" || e.Code != 0 {
		t.Errorf("%q, %+v", out, e)
	}
	closeLease(t, p, l)
	again := agent.Lease{Item: "another", Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: again})
	if out := forgotten(t, p, again, "3", "#!/bin/sh\nprintf again"); out != "again" {
		t.Errorf("in the next lease: %q", out)
	}
	closeLease(t, p, again)
}

// Whatever a step makes of its script's file, the next one's is a file of its own.
func TestScriptsFileIsReplaced(t *testing.T) {
	for name, deed := range map[string]string{
		"link":      `ln -sf "$PWD/victim" "$0"`,
		"removed":   `rm "$0"`,
		"folder":    `rm "$0"; mkdir -p "$0/sub"`,
		"pipe":      `rm "$0"; mkfifo "$0"`,
		"two names": `ln "$0" "$PWD/second"`,
		"mode":      `chmod 0400 "$0"`,
		"no folder": `rm -r "$(dirname "$0")"`,
	} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, host.Config{Root: t.TempDir()})
			l := agent.Lease{Item: "i", Epoch: 1}
			w := open(t, p, agent.OpenRequest{Lease: l})
			victim := filepath.Join(w.Path, "victim")
			if err := os.WriteFile(victim, []byte("as it was"), 0o600); err != nil {
				t.Fatal(err)
			}
			forgotten(t, p, l, "deed", "#!/bin/sh\n"+deed)
			if out := forgotten(t, p, l, "next", "#!/bin/sh\nprintf next"); out != "next" {
				t.Errorf("the next step: %q", out)
			}
			if text, err := os.ReadFile(victim); err != nil || string(text) != "as it was" {
				t.Errorf("a link was followed: %q, %v", text, err)
			}
			if text, err := os.ReadFile(filepath.Join(w.Path, "second")); err == nil && strings.Contains(string(text), "next") || err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file with another name was used again: %q, %v", text, err)
			}
			closeLease(t, p, l)
		})
	}
}

// What steps share is made once; what is a step's own comes over it, with the agent that opened the lease and with the next.
func TestEnvironmentOverTheLeases(t *testing.T) {
	for name, own := range map[string]map[string]string{"shared": {"NODE": "n"}, "made of PWD": {"NODE": "n", "WHERE": "w", "PWD+X": "odd"}} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, host.Config{Root: t.TempDir(), Env: own})
			l := agent.Lease{Item: "i", Epoch: 1}
			w := open(t, p, agent.OpenRequest{Lease: l, Env: map[string]string{"A": "lease", "B": "lease", "PATH+TOOLS": "/lease"}})
			look := func(s agent.StepID) {
				t.Helper()
				err := p.Start(soon(t), agent.StartRequest{Lease: l, Step: s, Dir: "sub",
					Script: []byte("#!/bin/sh\necho $NODE $A $B $C $HOME ${PATH%%:/usr*}; pwd; env | cut -d= -f1 | sort | uniq -d"),
					Env:    map[string]string{"A": "step", "C+X": "c", "PATH+X": "/step", "HOME+X": "h"}})
				if err != nil {
					t.Fatal(err)
				}
				want := "n step lease c h:" + w.Home + " /step:/lease:/bin\n" + filepath.Join(w.Path, "sub") + "\n"
				if out, _ := follow(t, p, l, s); out != want {
					t.Errorf("%s: %q, want %q", s, out, want)
				}
			}
			p.cfg.Environ = []string{"PATH=/bin:/usr/bin"}
			p = p.restart(t)
			look("adopted")
			closeLease(t, p, l)
			l.Epoch++
			w = open(t, p, agent.OpenRequest{Lease: l, Env: map[string]string{"A": "lease", "B": "lease", "PATH+TOOLS": "/lease"}})
			look("first")
			look("second")
			closeLease(t, p, l)
		})
	}
}

// The shim's timers may be late, the steps' are as they are for the agent.
func TestStepsKeepTheAgentsSlack(t *testing.T) {
	want, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		need.Lack(t, "this kernel does not show a process's timer slack: %v", err)
	}
	p := launch(t, host.Config{Root: t.TempDir()})
	l := agent.Lease{Item: "i", Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	out := forgotten(t, p, l, "s", "#!/bin/sh\ncat /proc/self/timerslack_ns; echo $PPID")
	slack, parent, _ := strings.Cut(out, "\n")
	if slack+"\n" != string(want) {
		t.Errorf("the slack of a step is %q, the agent's %q", slack, want)
	}
	// Another process's slack is for privileged eyes only.
	if of, err := os.ReadFile("/proc/" + strings.TrimSpace(parent) + "/timerslack_ns"); err == nil && string(of) != "1000000\n" {
		t.Errorf("the slack of the shim is %q", of)
	}
	closeLease(t, p, l)
}

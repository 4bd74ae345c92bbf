//go:build unix

package setup_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/setup"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

// log is a node's log.
type log struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

// rig is a machine, and how often it was visited.
type rig struct {
	t      *testing.T
	m      *host.Host
	root   string
	visits int
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, root: t.TempDir()}
	m, err := host.New(host.Config{Root: r.root})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r.m = m
	return r
}

// visit sets the machine up.
func (r *rig) visit(s fleet.Setup) (said string, err error) {
	r.t.Helper()
	r.visits++
	out := &log{}
	err = setup.Prepare(r.t.Context(), fleet.Preparation{Node: fleet.Node{Name: "box", Setup: &s}, Labels: []string{"box", "linux"}, Machine: r.m,
		System: agent.Description{OS: "linux"}, Lease: agent.Lease{Item: fmt.Sprintf("visit %d", r.visits), Epoch: 1}, Log: out})
	open, _, _, rerr := r.m.Renew(r.t.Context(), nil, 0)
	if rerr != nil || len(open) > 0 {
		r.t.Errorf("left open: %v, %v", open, rerr)
	}
	return out.String(), err
}

func (r *rig) holds(want ...string) {
	r.t.Helper()
	var have []string
	dir := filepath.Join(r.root, "setup")
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".outwork-setup" {
			rel, _ := filepath.Rel(dir, path)
			b, rerr := os.ReadFile(path)
			if rerr != nil {
				return rerr
			}
			have = append(have, rel+"="+strings.TrimSpace(string(b)))
		}
		return err
	})
	if err != nil || strings.Join(have, " ") != strings.Join(want, " ") {
		r.t.Errorf("there is %q (%v), want %q", have, err, want)
	}
}

// S1-20: files are copied and scripts run before a machine is used, with the node's name and labels; again when any of it changes, or the
// machine is a new one; and not otherwise.
func TestSetup(t *testing.T) {
	r := newRig(t)
	files := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(files, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	put("conf/settings.xml", "<settings/>", 0o644)
	put("tool", "#!/bin/sh\necho tool of $NODE_TO_SETUP_NAME\n", 0o755)
	s := fleet.Setup{Files: files, Prepare: "echo prepared for $NODE_TO_SETUP_NAME > made; echo on the controller", Command: "./tool > said; echo $NODE_TO_SETUP_LABELS > labels; echo on the machine"}
	said, err := r.visit(s)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, line := range []string{"on the controller\n", "on the machine\n", "Setup: copied 3 files", "Setup: done"} {
		if !strings.Contains(said, line) {
			t.Errorf("no %q in\n%s", line, said)
		}
	}
	all := []string{"conf/settings.xml=<settings/>", "labels=box linux", "made=prepared for box", "said=tool of box", "tool=#!/bin/sh\necho tool of $NODE_TO_SETUP_NAME"}
	r.holds(all...)

	again := func(about string, want bool) string {
		t.Helper()
		said, err := r.visit(s)
		if err != nil || strings.Contains(said, "Setup: done") != want {
			t.Errorf("%s: %v\n%s", about, err, said)
		}
		return said
	}
	again("nothing has changed", false)
	put("conf/settings.xml", "<settings>2</settings>", 0o644)
	again("a file", true)
	again("nothing has changed", false)
	if err := os.Chmod(filepath.Join(files, "conf/settings.xml"), 0o600); err != nil {
		t.Fatal(err)
	}
	again("a mode", true)
	s.Command = "true"
	again("the command", true)
	r.holds("conf/settings.xml=<settings>2</settings>", "made=prepared for box", all[4])
	if err := os.Remove(filepath.Join(files, "tool")); err != nil {
		t.Fatal(err)
	}
	again("a file is gone", true)
	r.holds("conf/settings.xml=<settings>2</settings>", "made=prepared for box")
	if err := os.RemoveAll(filepath.Join(r.root, "setup")); err != nil {
		t.Fatal(err)
	}
	again("a new machine", true)
	again("nothing has changed", false)
}

// S1-20: a setup that fails says which part, and how; what it wrote is in the log. It is tried anew.
func TestSetupFails(t *testing.T) {
	r := newRig(t)
	files := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(files, "leads out")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		setup fleet.Setup
		says  string
		log   string
	}{
		{fleet.Setup{Command: "echo no room >&2; exit 3"}, "exit 3", "no room"},
		{fleet.Setup{Prepare: "echo no licence; exit 4", Command: "true"}, "prepare: exit 4", "no licence"},
		{fleet.Setup{Files: files}, "files: ", ""},
		{fleet.Setup{Files: filepath.Join(files, "nothing")}, "no such file", ""},
		{fleet.Setup{Command: "echo slow; sleep 60", Timeout: 2 * time.Second}, "took longer than 2s", "slow"},
	} {
		said, err := r.visit(c.setup)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(said, c.log) {
			t.Errorf("%+v: %v\n%s", c.setup, err, said)
		}
	}
	if said, err := r.visit(fleet.Setup{Command: "true"}); err != nil || !strings.Contains(said, "done") {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestCheck(t *testing.T) {
	for _, s := range []fleet.Setup{{}, {Files: "relative"}, {Command: "a", Timeout: -1}, {Command: "a\x00"}, {Prepare: "x"}} {
		if err := setup.Check(&s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []*fleet.Setup{nil, {Files: "/srv/x"}, {Command: "a", Timeout: time.Hour}} {
		if err := setup.Check(s); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

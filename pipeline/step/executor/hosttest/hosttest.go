// Package hosttest lets tests of steps run on this computer for real: a steptest.World whose machine is an agent/host.
package hosttest

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Patience bounds the waits of tests.
const Patience = time.Minute

// World is a run on one machine: this computer.
type World struct {
	*steptest.World
	Blobs cas.Store
	t     testing.TB
}

// New returns a world. The test's TestMain must call host.MaybeShim first.
func New(t testing.TB) World {
	t.Helper()
	blobs := memory.New(memory.Config{})
	h, err := host.New(host.Config{Root: t.TempDir(), CAS: blobs, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Environ: []string{"PATH=" + os.Getenv("PATH"), "LANG=C", "GIT_CONFIG_NOSYSTEM=1"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	w := World{steptest.New(t), blobs, t}
	w.Machine = h
	t.Cleanup(func() {
		open, _, _, err := h.Renew(context.Background(), nil, 0)
		if err != nil {
			t.Error(err)
		}
		for _, l := range open {
			if err := h.Close(context.Background(), l); err != nil {
				t.Error(err)
			}
		}
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("host: %v", err)
			}
		case <-time.After(Patience):
			t.Error("the host did not end")
		}
	})
	return w
}

// Node returns a thread on an executor of the machine.
func (w World) Node() *steptest.Thread { return w.OnNode(w.Thread(), "agent-1") }

// Must runs a step that has to succeed.
func (w World) Must(th *steptest.Thread, s step.Step, args steptest.Args) value.Value {
	w.t.Helper()
	v, err := th.Step(s, args, nil)
	if err != nil {
		w.t.Fatalf("%s %v: %v\n%s", s.Spec().Name, args, err, w.Console())
	}
	return v
}

// Sh runs a command of a test's own, outside of the world, and returns what it printed.
func Sh(t testing.TB, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+t.TempDir(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=init.defaultBranch", "GIT_CONFIG_VALUE_0=main")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

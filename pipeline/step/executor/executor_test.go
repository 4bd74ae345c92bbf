package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor"
	"github.com/outwork-build/outwork/pipeline/step/executor/hosttest"
	"github.com/outwork-build/outwork/pipeline/value"
	"github.com/outwork-build/outwork/queue"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

// process returns a script on the world's machine and a function that waits until its output has a text.
func process(w hosttest.World, script string) (executor.Process, *step.Node) {
	n := w.Node().Scope().Node
	return executor.Process{Run: w.World, Node: n, Address: "1", Grace: time.Second, Request: agent.StartRequest{Interpreter: "sh", Script: []byte(script)}}, n
}

// awaitFile waits for a file that a script makes.
func awaitFile(t *testing.T, m agent.Machine, n *step.Node, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
	defer cancel()
	p := agent.StartRequest{Lease: n.Grant.Lease(), Step: agent.StepID("await " + name), Argv: []string{"sh", "-c", "until [ -e " + name + " ]; do sleep 0.02; done"}}
	if err := m.Start(ctx, p); err != nil {
		t.Fatal(err)
	}
	if exit, err := m.Follow(ctx, p.Lease, p.Step, 0, func(agent.Output) error { return nil }); err != nil || exit.Code != 0 {
		t.Fatalf("%s did not appear: %v %v", name, exit, err)
	}
}

// The controller stops in the middle of a script and starts again: the script runs once, its output comes once.
// The shell does not trace: it writes a trace in pieces, and a stop within a line ends that line.
func TestControllerRestartsDuringAScript(t *testing.T) {
	w := hosttest.New(t)
	p, n := process(w, "#!/bin/sh\necho begin >> starts; echo one; touch ready; until [ -e go ]; do sleep 0.02; done; echo two; cat starts")
	ctx, stop := context.WithCancelCause(t.Context())
	stopped := errors.New("the controller stops")
	go func() {
		awaitFile(t, w.Machine, n, "ready")
		stop(stopped)
	}()
	if _, err := p.Do(ctx); !errors.Is(err, stopped) {
		t.Fatalf("ended with %v", err)
	}
	if err := w.Machine.WriteFile(t.Context(), n.Grant.Lease(), "go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	exit, err := p.Do(t.Context())
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v %v", exit, err)
	}
	out := lines(w.Console())
	if got := strings.Join(out, " "); got != "one two begin" {
		t.Errorf("console %q", got)
	}
}

// lines are the console's without the shell's trace.
func lines(console string) []string {
	var out []string
	for line := range strings.Lines(console) {
		if !strings.HasPrefix(line, "+ ") && !strings.HasPrefix(line, "[Pipeline]") {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}

// flaky breaks every second call, and every follow after some output, as a link does that goes up and down.
type flaky struct {
	agent.Machine
	calls atomic.Int64
}

func (f *flaky) broken() error {
	if f.calls.Add(1)%2 == 1 {
		return fault.New(fault.Unavailable, "the link broke")
	}
	return nil
}

func (f *flaky) Start(ctx context.Context, r agent.StartRequest) error {
	err := f.Machine.Start(ctx, r)
	return errors.Join(err, f.broken()) // it may have been done although the answer got lost
}

func (f *flaky) Follow(ctx context.Context, l agent.Lease, s agent.StepID, off int64, sink func(agent.Output) error) (agent.Exit, error) {
	n := 0
	return f.Machine.Follow(ctx, l, s, off, func(o agent.Output) error {
		piece := o
		piece.Data = o.Data[:min(len(o.Data), 1500)]
		if err := sink(piece); err != nil {
			return err
		}
		if n += len(piece.Data); n > 4000 || len(piece.Data) < len(o.Data) {
			return fault.New(fault.Unavailable, "the link broke")
		}
		return nil
	})
}

func TestLinkBreaks(t *testing.T) {
	w := hosttest.New(t)
	w.Machine = &flaky{Machine: w.Machine}
	p, _ := process(w, "#!/bin/sh\necho x >> starts; i=0; while [ $i -lt 400 ]; do echo line $i is somewhat long; i=$((i+1)); [ $((i%100)) = 0 ] && sleep 0.01; done; wc -l < starts")
	exit, err := p.Do(t.Context())
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v %v", exit, err)
	}
	got := lines(w.Console())
	if len(got) != 401 || got[0] != "line 0 is somewhat long" || got[399] != "line 399 is somewhat long" || strings.TrimSpace(got[400]) != "1" {
		t.Errorf("%d lines, the last: %q", len(got), got[max(0, len(got)-2):])
	}
}

func TestInterruption(t *testing.T) {
	w := hosttest.New(t)
	p, n := process(w, "#!/bin/sh\ntrap 'echo asked to end; exit 3' TERM; touch ready; while :; do sleep 0.05; done")
	ctx, stop := context.WithCancelCause(t.Context())
	abort := &value.Exception{Class: value.FlowInterrupted, Result: "ABORTED", Causes: []string{"Aborted by alice"}}
	go func() {
		awaitFile(t, w.Machine, n, "ready")
		stop(abort)
	}()
	_, err := p.Do(ctx)
	if !errors.Is(err, error(abort)) {
		t.Fatalf("ended with %v", err)
	}
	if got := w.Console(); strings.Count(got, "Sending interrupt signal to process\n") != 1 || strings.Count(got, "asked to end\n") != 1 {
		t.Errorf("console %q", got)
	}
	// Run again with the interruption in place, as after a restart: nothing is started, nothing said twice.
	console := w.Console()
	if _, err := p.Do(ctx); !errors.Is(err, error(abort)) || w.Console() != console {
		t.Errorf("again: %v, console %q", err, w.Console())
	}
	never := p
	never.Address = "never started"
	if _, err := never.Do(ctx); !errors.Is(err, error(abort)) || w.Console() != console {
		t.Errorf("never started: %v, console %q", err, w.Console())
	}
}

func TestInterruptionOfAStubbornProcess(t *testing.T) {
	w := hosttest.New(t)
	p, n := process(w, "#!/bin/sh\ntrap '' TERM; echo $$ > pid; touch ready; while :; do sleep 0.05; done")
	p.Grace = 50 * time.Millisecond
	ctx, stop := context.WithCancelCause(t.Context())
	abort := &value.Exception{Class: value.FlowInterrupted, Result: "ABORTED"}
	go func() {
		awaitFile(t, w.Machine, n, "ready")
		stop(abort)
	}()
	if _, err := p.Do(ctx); !errors.Is(err, error(abort)) {
		t.Fatalf("ended with %v", err)
	}
	pid, err := os.ReadFile(filepath.Join(n.Workspace.Path, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err == nil {
		t.Errorf("process %s lives", pid)
	}
}

func TestLostAgents(t *testing.T) {
	w := hosttest.New(t)
	p, n := process(w, "true")
	isLost := func(err error) bool {
		var e *value.Exception
		return errors.As(err, &e) && e.Tags != nil && e.Tags[0] == "agent"
	}
	stale := *n
	stale.Grant.Epoch = 9
	if _, err := w.Machine.Open(t.Context(), agent.OpenRequest{Lease: stale.Grant.Lease(), Job: "job"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Do(t.Context()); !isLost(err) {
		t.Errorf("with an old epoch: %v", err)
	}
	gone := *n
	gone.Machine = func(context.Context) (agent.Machine, error) { return nil, queue.ErrLost }
	p.Node = &gone
	if _, err := p.Do(t.Context()); !errors.Is(err, queue.ErrLost) {
		t.Errorf("with a lost lease: %v", err)
	}
	fate := hosttest.New(t)
	p, n = process(fate, "true")
	n.Machine = func(context.Context) (agent.Machine, error) { return rebooted{fate.Machine}, nil }
	if _, err := p.Do(t.Context()); !isLost(err) || !strings.Contains(err.Error(), "power failed") {
		t.Errorf("of unknown fate: %v", err)
	}
}

// A machine that has lost what the controller started there, without a restart that would show it, is asked for it: by the
// controller that started it, or by the next one. The fate is unknown then; nothing is started again.
func TestMachineHasLostTheLease(t *testing.T) {
	for name, again := range map[string]bool{"while it is followed": false, "while the controller was away": true} {
		t.Run(name, func(t *testing.T) {
			w := hosttest.New(t)
			starts := filepath.Join(t.TempDir(), "starts")
			p, n := process(w, "echo x >> '"+starts+"'; touch ready; sleep 600")
			m := &counting{Machine: w.Machine}
			w.Machine = m
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			stopped := errors.New("the controller stops")
			go func() {
				awaitFile(t, m.Machine, n, "ready")
				if again {
					stop(stopped)
				} else {
					m.forgetful.Store(true)
					_ = m.Machine.Close(ctx, n.Grant.Lease())
				}
			}()
			_, err := p.Do(ctx)
			if again {
				if !errors.Is(err, stopped) {
					t.Fatalf("ended with %v", err)
				}
				if err := m.Machine.Close(t.Context(), n.Grant.Lease()); err != nil {
					t.Fatal(err)
				}
				_, err = p.Do(t.Context())
			}
			var e *value.Exception
			if err = executor.Refused(err); !errors.As(err, &e) || !slices.Equal(e.Tags, []string{"agent", "lost"}) {
				t.Errorf("ended with %v, want the agent lost", err)
			}
			if got, err := os.ReadFile(starts); err != nil || string(got) != "x\n" {
				t.Errorf("started as %q, %v", got, err)
			}
			if want := map[bool]int64{false: 1, true: 2}[again]; m.starts.Load() != want {
				t.Errorf("start was asked for %d times, want %d", m.starts.Load(), want)
			}
		})
	}
}

// counting counts starts and can be made not to know the end of what it closed.
type counting struct {
	agent.Machine
	starts    atomic.Int64
	forgetful atomic.Bool
}

func (c *counting) Start(ctx context.Context, r agent.StartRequest) error {
	c.starts.Add(1)
	return c.Machine.Start(ctx, r)
}

func (c *counting) Follow(ctx context.Context, l agent.Lease, s agent.StepID, off int64, sink func(agent.Output) error) (agent.Exit, error) {
	exit, err := c.Machine.Follow(ctx, l, s, off, sink)
	if err == nil && c.forgetful.Load() {
		return c.Machine.Follow(ctx, l, "another", 0, sink) // as if the link had broken, and the lease was gone then
	}
	return exit, err
}

// rebooted cannot say how processes ended.
type rebooted struct{ agent.Machine }

func (rebooted) Follow(context.Context, agent.Lease, agent.StepID, int64, func(agent.Output) error) (agent.Exit, error) {
	return agent.Exit{Code: -1, Lost: true, Reason: "power failed"}, nil
}

// What the author can mend is the build's failure; what only the farm's owner can mend is not.
func TestRefused(t *testing.T) {
	for kind, authors := range map[fault.Kind]bool{
		fault.Invalid: true, fault.NotFound: true, fault.Denied: true, fault.Exhausted: false, fault.Unavailable: false, fault.Internal: false, fault.Incompatible: false,
	} {
		var e *value.Exception
		if got := errors.As(executor.Refused(fault.New(kind, "x")), &e); got != authors {
			t.Errorf("%s became an exception: %v", kind, got)
		}
	}
	if executor.Refused(nil) != nil {
		t.Error("no error became one")
	}
}

func TestLocate(t *testing.T) {
	n := &step.Node{OS: "linux", Workspace: agent.Workspace{Path: "/w/job"}}
	win := &step.Node{OS: "windows", Workspace: agent.Workspace{Path: `C:\w\job`}}
	for _, c := range []struct {
		node            *step.Node
		dir, path       string
		wantAbs, wantIn string
	}{
		{n, "", "", "/w/job", ""},
		{n, "", "a/b", "/w/job/a/b", "a/b"},
		{n, "", "./a/../b", "/w/job/b", "b"},
		{n, "/w/job/sub", "x", "/w/job/sub/x", "sub/x"},
		{n, "/w/job/sub", "../..", "/w", "/w"},
		{n, "", "../jobs/x", "/w/jobs/x", "/w/jobs/x"},
		{n, "", "/etc/hosts", "/etc/hosts", "/etc/hosts"},
		{n, "/tmp/x", "y", "/tmp/x/y", "/tmp/x/y"},
		{win, "", `a\b`, `C:\w\job\a\b`, "a/b"},
		{win, `C:\w\job\sub`, `..\x`, `C:\w\job\x`, "x"},
		{win, "", `D:\x`, `D:\x`, `D:\x`},
	} {
		abs, local := executor.Locate(&step.Scope{Node: c.node, Dir: c.dir}, c.path)
		if abs != c.wantAbs || local != c.wantIn {
			t.Errorf("%q in %q: %q %q, want %q %q", c.path, c.dir, abs, local, c.wantAbs, c.wantIn)
		}
	}
}

func TestEnv(t *testing.T) {
	w := hosttest.New(t)
	w.Env = []string{"A=base", "PATH+TOOLS=/tools", "B=1"}
	th := w.Node().Scoped(func(s *step.Scope) {
		s.Env = []string{"A=scope", "PATH+X=/first", "PATH+X=/second", "C=c", "C+D=d", "E+=e=f", "EMPTY="}
	})
	got := executor.Env(w, th.Scope())
	for k, want := range map[string]string{"A": "scope", "B": "1", "PATH+OUTWORK": "/second:/first:/tools", "C": "d:c", "E+OUTWORK": "e=f", "EMPTY": ""} {
		if have, ok := got[k]; !ok || have != want {
			t.Errorf("%s is %q, want %q", k, have, want)
		}
	}
}

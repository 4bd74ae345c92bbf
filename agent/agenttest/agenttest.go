// Package agenttest is the conformance suite of agent.Machine: what every Machine promises, with real processes and files.
//
// An implementation's test calls Run. The suite speaks sh, and batch files to a machine that has no sh. It leaves to the
// implementation's own tests what only they can see: processes left over, crashes at chosen points, limits.
package agenttest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

// Options says what a Machine under test can do beyond the interface.
type Options struct {
	// Restart makes the program behind m go away without warning and come back over the same folder, and returns the
	// Machine that reaches it then (m itself when it reconnects by itself). Nil leaves the restart tests out.
	Restart func(t *testing.T, m agent.Machine) agent.Machine
	// Tool is the program whose main calls MaybeTool, for batch files, which can neither wait nor count. "" leaves out machines
	// without sh.
	Tool string
	// NoTerm says why a step cannot be asked to end on the machine, only be killed. "" is that it can.
	NoTerm string
	// Patience bounds the wait for one event; 0 is 30 s.
	Patience time.Duration
}

// Run runs the suite. open returns a Machine with an empty folder and no leases; what it must undo it registers with t.Cleanup.
// The suite closes the leases it opened before those clean-ups run.
func Run(t *testing.T, open func(t *testing.T) agent.Machine, o Options) {
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	tests := []struct {
		name string
		run  func(*bench)
	}{
		{"Describe", describe},
		{"OpenTwice", openTwice},
		{"WorkspaceSuffix", workspaceSuffix},
		{"WorkspaceCustom", workspaceCustom},
		{"WorkspaceHostileNames", workspaceHostileNames},
		{"OpenRefusesBadRequests", openRefusesBadRequests},
		{"Fencing", fencing},
		{"CloseTwiceAndUnknown", closeTwiceAndUnknown},
		{"RenewListsOpenLeases", renewLists},
		{"RenewSaysHowItFeels", vitals},
		{"KillPolicyEndsSteps", killPolicy},
		{"LateRenewsProlongNothing", lateRenews},
		{"HoldPolicyKeepsSteps", holdPolicy},

		{"StepOutputAndCode", stepOutputAndCode},
		{"StepShellFlags", stepShellFlags},
		{"StepShebang", stepShebang},
		{"StepArgv", stepArgv},
		{"StepRefusesBadRequests", stepRefusesBadRequests},
		{"StepProgramMissing", stepProgramMissing},
		{"StepEnvironment", stepEnvironment},
		{"StepDir", stepDir},
		{"StepCapture", stepCapture},
		{"StepSignal", stepSignal},
		{"StepStartTwiceRunsOnce", stepStartTwice},
		{"StepForget", stepForget},
		{"StepUnknown", stepUnknown},
		{"RunIsStartAndFollow", runIsStartAndFollow},
		{"StepBackgroundProcessDoesNotHoldExit", stepBackground},
		{"StepMaxOutput", stepMaxOutput},
		{"StepWritesToDevStderr", stepDevStderr},
		{"StopTerm", stopTerm},
		{"StopKillsAfterGrace", stopKillsAfterGrace},
		{"StopTwiceAndAfterEnd", stopTwice},
		{"CloseEndsFollowers", closeEndsFollowers},

		{"FollowFromOffset", followFromOffset},
		{"FollowLive", followLive},
		{"FollowLarge", followLarge},
		{"FollowManyReaders", followManyReaders},
		{"FollowSinkError", followSinkError},
		{"FollowCanceled", followCanceled},
		{"SlowFollowerDoesNotBlockStep", slowFollower},

		{"FilesReadWrite", filesReadWrite},
		{"FilesStayInside", filesStayInside},
		{"FilesAbsolute", filesAbsolute},
		{"FilesRemove", filesRemove},
		{"Glob", glob},
		{"PackUnpack", packUnpack},

		{"RestartInAStep", restartInAStep},
		{"RestartAfterTheEnd", restartAfterTheEnd},
		{"RestartKeepsFences", restartKeepsFences},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := open(t)
			b := &bench{T: t, m: m, o: o}
			d, err := m.Describe(b.ctx())
			if err != nil {
				t.Fatalf("Describe: %v", err)
			}
			b.bat = !has(d.Shells, "sh")
			if b.bat && (o.Tool == "" || !has(d.Shells, "bat")) {
				t.Skip("the machine has no sh, and there is no Tool for batch files")
			}
			b.root = d.Root
			t.Cleanup(b.closeAll)
			tt.run(b)
		})
	}
}

func has(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}

// bench is one test's Machine with the shorthand the tests are written in.
type bench struct {
	*testing.T
	m      agent.Machine
	o      Options
	root   string
	bat    bool // scripts are batch files
	leases []agent.Lease
}

// ctx returns a context that ends when patience does.
func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), b.o.Patience)
	b.Cleanup(cancel)
	return ctx
}

func (b *bench) closeAll() {
	ctx, cancel := context.WithTimeout(context.Background(), b.o.Patience)
	defer cancel()
	for _, l := range b.leases {
		if err := b.m.Close(ctx, l); err != nil && !fault.Is(err, fault.Stale) {
			b.Errorf("Close %v at the end: %v", l, err)
		}
	}
	b.leases = nil
}

// open opens a lease of its own item and fails the test when that fails.
func (b *bench) open(r agent.OpenRequest) (agent.Lease, agent.Workspace) {
	b.Helper()
	if r.Lease.Item == "" {
		r.Lease = agent.Lease{Item: fmt.Sprintf("%s/%d", b.Name(), len(b.leases)), Epoch: 1}
	}
	if r.Job == "" && r.Workspace == "" {
		r.Job = "job"
	}
	b.leases = append(b.leases, r.Lease)
	w, err := b.m.Open(b.ctx(), r)
	if err != nil {
		b.Fatalf("Open %v: %v", r.Lease, err)
	}
	return r.Lease, w
}

func (b *bench) start(r agent.StartRequest) {
	b.Helper()
	if err := b.m.Start(b.ctx(), r); err != nil {
		b.Fatalf("Start %q: %v", r.Step, err)
	}
}

// script starts a script as a step.
func (b *bench) script(l agent.Lease, s agent.StepID, t text) {
	b.Helper()
	b.start(b.with(t, agent.StartRequest{Lease: l, Step: s}))
}

// wait follows a step to its end and returns its output. It checks that offsets have no gap.
func (b *bench) wait(l agent.Lease, s agent.StepID) (string, agent.Exit) {
	b.Helper()
	return b.waitFrom(l, s, 0)
}

func (b *bench) waitFrom(l agent.Lease, s agent.StepID, offset int64) (string, agent.Exit) {
	b.Helper()
	var buf bytes.Buffer
	next := offset
	e, err := b.m.Follow(b.ctx(), l, s, offset, func(o agent.Output) error {
		if o.Offset != next {
			b.Errorf("step %q: output at %d, want %d", s, o.Offset, next)
		}
		if len(o.Data) == 0 || len(o.Data) > 64<<10 {
			b.Errorf("step %q: a piece of %d bytes", s, len(o.Data))
		}
		next = o.Offset + int64(len(o.Data))
		buf.Write(o.Data)
		return nil
	})
	if err != nil {
		b.Fatalf("Follow %q: %v", s, err)
	}
	if !e.Lost && e.Output != next && offset <= e.Output {
		b.Errorf("step %q: Exit.Output is %d, but %d bytes were handed out", s, e.Output, next)
	}
	return b.plain(buf.Bytes()), e
}

// run is script and wait, of a step that must end with code 0.
func (b *bench) run(l agent.Lease, s agent.StepID, t text) string {
	b.Helper()
	b.script(l, s, text{"#!/bin/sh\n" + t.sh, t.bat})
	out, e := b.wait(l, s)
	if e.Code != 0 || e.Lost {
		b.Fatalf("step %q ended with %+v and printed %q", s, e, out)
	}
	return out
}

// tail follows a step in the background.
type tail struct {
	b    *bench
	mu   sync.Mutex
	buf  bytes.Buffer
	grew chan struct{} // a token after each piece
	done chan struct{}
	exit agent.Exit
	err  error
}

func (b *bench) tail(l agent.Lease, s agent.StepID) *tail {
	t := &tail{b: b, grew: make(chan struct{}, 1), done: make(chan struct{})}
	ctx, m := b.ctx(), b.m
	go func() {
		defer close(t.done)
		t.exit, t.err = m.Follow(ctx, l, s, 0, func(o agent.Output) error {
			t.mu.Lock()
			t.buf.Write(o.Data)
			t.mu.Unlock()
			select {
			case t.grew <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	return t
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.plain(t.buf.Bytes())
}

// until waits until the step has printed want.
func (b *bench) until(t *tail, want string) {
	b.Helper()
	timeout := time.After(b.o.Patience)
	for !bytes.Contains([]byte(t.text()), []byte(want)) {
		select {
		case <-t.grew:
		case <-t.done:
			if !bytes.Contains([]byte(t.text()), []byte(want)) {
				b.Fatalf("the step ended (%+v, %v) before it printed %q: %q", t.exit, t.err, want, t.text())
			}
		case <-timeout:
			b.Fatalf("the step did not print %q in time: %q", want, t.text())
		}
	}
}

// end waits for the end of a followed step.
func (b *bench) end(t *tail) agent.Exit {
	b.Helper()
	select {
	case <-t.done:
	case <-time.After(b.o.Patience):
		b.Fatalf("the step did not end in time; output %q", t.text())
	}
	if t.err != nil {
		b.Fatalf("Follow: %v", t.err)
	}
	return t.exit
}

// wantKind fails the test unless err is of kind k.
func (b *bench) wantKind(what string, err error, k fault.Kind) {
	b.Helper()
	if !fault.Is(err, k) {
		b.Errorf("%s: %v (%v), want %v", what, err, fault.Of(err), k)
	}
}

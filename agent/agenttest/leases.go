package agenttest

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

func describe(b *bench) {
	d, err := b.m.Describe(b.ctx())
	if err != nil {
		b.Fatal(err)
	}
	if d.OS == "" || d.Arch == "" || d.CPUs < 1 || d.PID == 0 || d.Boot == "" || d.Hostname == "" {
		b.Errorf("Describe left something empty: %+v", d)
	}
	if !filepath.IsAbs(d.Root) {
		b.Errorf("Root %q is not absolute", d.Root)
	}
}

func openTwice(b *bench) {
	l, w := b.open(agent.OpenRequest{Job: "team/app"})
	_, again := b.open(agent.OpenRequest{Lease: l, Job: "team/app"})
	if w != again {
		b.Errorf("the second Open gave %+v, the first %+v", again, w)
	}
	if want := filepath.Join(b.root, "workspace", "team", "app"); w.Path != want {
		b.Errorf("workspace %q, want %q", w.Path, want)
	}
	if w.Tmp != w.Path+"@tmp" {
		b.Errorf("tmp %q, want %q", w.Tmp, w.Path+"@tmp")
	}
	if w.Home == "" || strings.HasPrefix(w.Home, w.Path+string(filepath.Separator)) {
		b.Errorf("home %q is not apart from the workspace", w.Home)
	}
}

func workspaceSuffix(b *bench) {
	l1, w1 := b.open(agent.OpenRequest{Job: "app"})
	l2, w2 := b.open(agent.OpenRequest{Job: "app"})
	_, w3 := b.open(agent.OpenRequest{Job: "app"})
	if w2.Path != w1.Path+"@2" || w3.Path != w1.Path+"@3" {
		b.Errorf("workspaces %q, %q, %q: want suffixes @2 and @3", w1.Path, w2.Path, w3.Path)
	}
	if w1.Home == w2.Home {
		b.Error("two leases share a home")
	}
	b.run(l2, "mark", text{"echo two > mark", "echo two> mark"})
	for _, l := range []agent.Lease{l2, l1} {
		if err := b.m.Close(b.ctx(), l); err != nil {
			b.Fatal(err)
		}
	}
	_, w4 := b.open(agent.OpenRequest{Job: "app"})
	l5, w5 := b.open(agent.OpenRequest{Job: "app"})
	if w4.Path != w1.Path || w5.Path != w2.Path {
		b.Errorf("freed workspaces were not taken lowest first: %q, %q", w4.Path, w5.Path)
	}
	if got, err := b.m.ReadFile(b.ctx(), l5, "mark", 0); err != nil || b.plain(got) != "two\n" {
		b.Errorf("the workspace did not keep its files: %q, %v", got, err)
	}
}

func workspaceCustom(b *bench) {
	_, rel := b.open(agent.OpenRequest{Workspace: "custom/place"})
	if want := filepath.Join(b.root, "custom", "place"); rel.Path != want {
		b.Errorf("relative custom workspace %q, want %q", rel.Path, want)
	}
	abs := filepath.Join(b.TempDir(), "ws")
	l, w := b.open(agent.OpenRequest{Workspace: abs})
	if w.Path != abs {
		b.Errorf("absolute custom workspace %q, want %q", w.Path, abs)
	}
	if got := b.run(l, "pwd", text{"pwd -P", "cd"}); strings.TrimSpace(got) != realpath(abs) {
		b.Errorf("the step ran in %q", got)
	}
	_, w2 := b.open(agent.OpenRequest{Workspace: abs})
	if w2.Path != abs+"@2" {
		b.Errorf("second use of a custom workspace: %q, want %q", w2.Path, abs+"@2")
	}
}

func realpath(p string) string {
	if r, err := filepath.EvalSymlinks(p); err == nil {
		return r
	}
	return p
}

func workspaceHostileNames(b *bench) {
	seen := map[string]string{}
	for _, job := range []string{"../up", "a/../../b", "/abs", "a//b", ".", "nul\x00byte", "sp ace", "app@tmp", "app@2", "app",
		strings.Repeat("x", 400), "a:b*c?", "new\nline", "ünï", "CON", "dot."} {
		_, w := b.open(agent.OpenRequest{Job: job})
		if !strings.HasPrefix(w.Path, filepath.Join(b.root, "workspace")+string(filepath.Separator)) {
			b.Errorf("job %q has its workspace outside: %q", job, w.Path)
		}
		if other, dup := seen[w.Path]; dup {
			b.Errorf("jobs %q and %q share %q", job, other, w.Path)
		}
		seen[w.Path] = job
		if strings.ContainsAny(w.Path[len(b.root):], "\x00\n*?:") {
			b.Errorf("job %q: awkward path %q", job, w.Path)
		}
	}
}

func openRefusesBadRequests(b *bench) {
	for what, r := range map[string]agent.OpenRequest{
		"no item":         {Lease: agent.Lease{Epoch: 1}, Job: "a"},
		"epoch 0":         {Lease: agent.Lease{Item: "i"}, Job: "a"},
		"long item":       {Lease: agent.Lease{Item: strings.Repeat("i", 513), Epoch: 1}, Job: "a"},
		"no job":          {Lease: agent.Lease{Item: "i", Epoch: 1}},
		"unknown policy":  {Lease: agent.Lease{Item: "i", Epoch: 1}, Job: "a", Policy: "maybe"},
		"workspace above": {Lease: agent.Lease{Item: "i", Epoch: 1}, Workspace: "../out"},
		"the root itself": {Lease: agent.Lease{Item: "i", Epoch: 1}, Workspace: "."},
	} {
		_, err := b.m.Open(b.ctx(), r)
		b.wantKind("Open with "+what, err, fault.Invalid)
	}
}

func fencing(b *bench) {
	one := agent.Lease{Item: b.Name(), Epoch: 1}
	two := agent.Lease{Item: b.Name(), Epoch: 2}
	_, w1 := b.open(agent.OpenRequest{Lease: one, Job: "app"})
	b.script(one, "s", text{"trap '' TERM; echo up; sleep 600 & wait; wait; sleep 600", stubborn().bat})
	f := b.tail(one, "s")
	b.until(f, "up")
	_, w2 := b.open(agent.OpenRequest{Lease: two, Job: "app"})
	if e := b.end(f); !e.Stopped {
		b.Errorf("the lower epoch's step ended with %+v, want Stopped", e)
	}
	if w1.Path != w2.Path {
		b.Errorf("the higher epoch got %q: the lower one still holds %q", w2.Path, w1.Path)
	}
	_, err := b.m.Open(b.ctx(), agent.OpenRequest{Lease: one, Job: "app"})
	b.wantKind("Open with a lower epoch", err, fault.Stale)
	b.wantKind("Start with a lower epoch", b.m.Start(b.ctx(), agent.StartRequest{Lease: one, Step: "t", Script: []byte("touch stale")}), fault.Stale)
	_, err = b.m.Follow(b.ctx(), one, "s", 0, func(agent.Output) error { return nil })
	b.wantKind("Follow with a lower epoch", err, fault.Stale)
	b.wantKind("Stop with a lower epoch", b.m.Stop(b.ctx(), agent.StopRequest{Lease: one, Step: "s"}), fault.Stale)
	b.wantKind("Forget with a lower epoch", b.m.Forget(b.ctx(), one, "s"), fault.Stale)
	b.wantKind("WriteFile with a lower epoch", b.m.WriteFile(b.ctx(), one, "stale", []byte("x"), 0o644), fault.Stale)
	b.wantKind("Close with a lower epoch", b.m.Close(b.ctx(), one), fault.Stale)
	_, err = b.m.Stat(b.ctx(), two, "stale")
	b.wantKind("what a stale call would have written", err, fault.NotFound)
	b.run(two, "s", both("echo the lease of epoch 2 lives"))
}

func closeTwiceAndUnknown(b *bench) {
	l, w := b.open(agent.OpenRequest{})
	b.run(l, "s", text{"echo x > \"$TMPDIR/left\"; echo y > \"$HOME/left\"", "echo x> \"%TMPDIR%\\left\"\necho y> \"%HOME%\\left\""})
	for range 2 {
		if err := b.m.Close(b.ctx(), l); err != nil {
			b.Errorf("Close: %v", err)
		}
	}
	if err := b.m.Close(b.ctx(), agent.Lease{Item: "never opened", Epoch: 7}); err != nil {
		b.Errorf("Close of an unknown lease: %v", err)
	}
	_, err := b.m.Follow(b.ctx(), l, "s", 0, func(agent.Output) error { return nil })
	b.wantKind("Follow after Close", err, fault.NotFound)
	b.wantKind("Start after Close", b.m.Start(b.ctx(), agent.StartRequest{Lease: l, Step: "t", Script: []byte("true")}), fault.NotFound)
	_, err = b.m.Open(b.ctx(), agent.OpenRequest{Lease: l, Job: "job"})
	b.wantKind("Open of a closed lease", err, fault.Conflict)
	l2, w2 := b.open(agent.OpenRequest{})
	if w2.Path != w.Path {
		b.Errorf("the freed workspace is %q, the next lease got %q", w.Path, w2.Path)
	}
	if out := b.run(l2, "s", text{`ls -A "$TMPDIR" "$HOME" | grep left || true`, `for %%f in ("%TMPDIR%\left" "%HOME%\left") do if exist %%f echo %%f`}); out != "" {
		b.Errorf("the next lease finds %q in its HOME or TMPDIR", out)
	}
}

func renewLists(b *bench) {
	l1, _ := b.open(agent.OpenRequest{Job: "a"})
	l2, _ := b.open(agent.OpenRequest{Job: "b"})
	got, _, _, err := b.m.Renew(b.ctx(), []agent.Lease{l1, {Item: "unknown", Epoch: 3}}, 0)
	if err != nil {
		b.Fatal(err)
	}
	if len(got) != 2 || got[0] == got[1] || (got[0] != l1 && got[0] != l2) || (got[1] != l1 && got[1] != l2) {
		b.Errorf("Renew listed %v, want %v and %v", got, l1, l2)
	}
	if err := b.m.Close(b.ctx(), l1); err != nil {
		b.Fatal(err)
	}
	if got, _, _, err = b.m.Renew(b.ctx(), nil, 0); err != nil || len(got) != 1 || got[0] != l2 {
		b.Errorf("Renew after Close listed %v, %v; want %v", got, err, l2)
	}
}

func vitals(b *bench) {
	ctx := b.ctx()
	var v agent.Vitals
	var before time.Time
	for v.Disk.Total <= 0 || v.Temp.Total <= 0 || v.MemoryAll <= 0 { // what takes longer than a heartbeat may wait comes with a later one
		var err error
		before = time.Now()
		if _, _, v, err = b.m.Renew(ctx, nil, 0); err != nil {
			b.Fatal(err)
		}
		if v.Clock.IsZero() {
			b.Fatal("no vitals")
		}
	}
	if v.Clock.Before(before.Add(-time.Second)) || v.Clock.After(time.Now().Add(time.Second)) {
		b.Errorf("the machine's clock says %v, ours %v", v.Clock, before)
	}
	for what, s := range map[string]agent.Space{"disk": v.Disk, "temp": v.Temp} {
		if !filepath.IsAbs(s.Path) || s.Free < 0 || s.Total < s.Free || s.Total == 0 || s.Age < 0 || s.Age > time.Minute {
			b.Errorf("%s: %+v", what, s)
		}
	}
	if v.CPUs < 1 || v.MemoryAll <= 0 || v.Memory > v.MemoryAll || v.Swap > v.SwapAll {
		b.Errorf("the machine feels %+v", v)
	}
}

func killPolicy(b *bench) {
	const ttl = 1500 * time.Millisecond
	l, _ := b.open(agent.OpenRequest{Policy: agent.Kill, TTL: ttl})
	b.script(l, "s", sleeper())
	f := b.tail(l, "s")
	b.until(f, "up")
	begun, answered := time.Now(), b.renew(l, 0)
	for time.Since(begun) < 2*ttl {
		<-time.After(ttl / 5)
		answered = b.renew(l, answered)
	}
	select {
	case <-f.done:
		b.Fatal("the step ended although its lease was renewed")
	default:
	}
	counts := time.Now()
	answered = b.renew(l, 0)
	if b.renew(l, answered) < answered {
		b.Error("a Renew was heard before the one before it")
	}
	e := b.end(f)
	if lived := e.Ended.Sub(counts); lived < ttl-200*time.Millisecond {
		b.Errorf("the step ended %v after the last Renew that was acknowledged, before its TTL of %v", lived, ttl)
	}
	if !e.Stopped || e.Reason == "" || e.Code == 0 {
		b.Errorf("exit %+v, want Stopped with a reason", e)
	}
	b.wantKind("Start in a lease that ran out", b.m.Start(b.ctx(), agent.StartRequest{Lease: l, Step: "t", Script: []byte("true")}), fault.Stale)
	if got, _, _, err := b.m.Renew(b.ctx(), []agent.Lease{l}, 0); err != nil || len(got) != 1 {
		b.Errorf("Renew lists %v, %v; a lease that ran out is there until it is closed", got, err)
	}
}

func (b *bench) renew(l agent.Lease, answered agent.Heard) agent.Heard {
	b.Helper()
	_, heard, _, err := b.m.Renew(b.ctx(), []agent.Lease{l}, answered)
	if err != nil {
		b.Fatal(err)
	}
	if heard <= 0 {
		b.Fatalf("Renew was heard at %d", heard)
	}
	return heard
}

// lateRenews has Renews come until the step has ended that are as good as late ones: none says that the controller has an answer
// to a newer one.
func lateRenews(b *bench) {
	for name, from := range map[string]func(agent.Heard) agent.Heard{
		"without an answer": func(agent.Heard) agent.Heard { return 0 },
		"with an old one":   func(h agent.Heard) agent.Heard { return h },
		"of another clock":  func(h agent.Heard) agent.Heard { return h + agent.Heard(time.Hour) },
		"before any":        func(agent.Heard) agent.Heard { return -1 },
	} {
		b.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bench{T: t, m: b.m, o: b.o, root: b.root, bat: b.bat}
			t.Cleanup(b.closeAll)
			l, _ := b.open(agent.OpenRequest{Policy: agent.Kill, TTL: time.Second})
			b.script(l, "s", sleeper())
			f := b.tail(l, "s")
			b.until(f, "up")
			answered := from(b.renew(l, 0))
			for again := time.NewTicker(50 * time.Millisecond); ; {
				select {
				case <-again.C:
					b.renew(l, answered)
					continue
				case <-f.done:
				case <-b.ctx().Done():
					b.Error("late Renews keep a step alive")
				}
				again.Stop()
				break
			}
			if e := b.end(f); !e.Stopped {
				b.Errorf("exit %+v, want Stopped", e)
			}
		})
	}
}

func holdPolicy(b *bench) {
	l, _ := b.open(agent.OpenRequest{Policy: agent.Hold, TTL: 50 * time.Millisecond})
	b.script(l, "s", text{"#!/bin/sh\nsleep 1; echo lived", "TOOL sleep 1\necho lived"})
	if out, e := b.wait(l, "s"); e.Code != 0 || out != "lived\n" {
		b.Errorf("a Hold lease without Renew: %q, %+v", out, e)
	}
}

package agenttest

import (
	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

// restart replaces the Machine, or skips the test when it cannot.
func (b *bench) restart() {
	b.Helper()
	b.m = b.o.Restart(b.T, b.m)
	b.Cleanup(b.closeAll) // before the clean-ups that Restart registered
}

func (b *bench) needRestart() {
	b.Helper()
	if b.o.Restart == nil {
		b.Skip("no Restart in Options")
	}
}

func restartInAStep(b *bench) {
	b.needRestart()
	l, w := b.open(agent.OpenRequest{Job: "app"})
	r := b.with(text{"#!/bin/sh\necho ran >> runs; for i in $(seq 1 500); do echo $i; test $i != 250 || while ! test -e go; do sleep 0.02; done; done",
		"echo ran>> runs\nTOOL lines 1 250\nTOOL until go\nTOOL lines 251 500"}, agent.StartRequest{Lease: l, Step: "s"})
	b.start(r)
	f := b.tail(l, "s")
	b.until(f, "\n250\n")
	b.restart()
	if held, _, _, err := b.m.Renew(b.ctx(), []agent.Lease{l}, 0); err != nil || len(held) != 1 || held[0] != l {
		b.Fatalf("after the restart the machine holds %v, %v", held, err)
	}
	b.start(r)
	if _, again := b.open(agent.OpenRequest{Lease: l, Job: "app"}); again != w {
		b.Errorf("the lease's workspace was %+v and is %+v", w, again)
	}
	if _, other := b.open(agent.OpenRequest{Job: "app"}); other.Path != w.Path+"@2" {
		b.Errorf("the workspace was given out again: %q", other.Path)
	}
	if err := b.m.WriteFile(b.ctx(), l, "go", nil, 0); err != nil {
		b.Fatal(err)
	}
	out, e := b.wait(l, "s")
	if out != numbered(1, 500) || e.Code != 0 || e.Lost {
		b.Errorf("%d bytes, %+v; want lines 1 to 500 once, in order", len(out), e)
	}
	if runs, err := b.m.ReadFile(b.ctx(), l, "runs", 0); err != nil || b.plain(runs) != "ran\n" {
		b.Errorf("the step ran as %q, %v", runs, err)
	}
}

func restartAfterTheEnd(b *bench) {
	b.needRestart()
	l, _ := b.open(agent.OpenRequest{})
	b.start(b.with(text{"#!/bin/sh\necho kept; echo out >&2; exit 5", "echo kept\n>&2 echo out\nexit /b 5"}, agent.StartRequest{Lease: l, Step: "s", Capture: true}))
	b.wait(l, "s")
	b.run(l, "gone", text{"true", "rem"})
	if err := b.m.Forget(b.ctx(), l, "gone"); err != nil {
		b.Fatal(err)
	}
	b.restart()
	out, e := b.wait(l, "s")
	if out != "out\n" || e.Code != 5 || e.Lost || b.plain(e.Stdout) != "kept\n" {
		b.Errorf("%q, %+v", out, e)
	}
	b.wantKind("Start of a step forgotten before the restart", b.m.Start(b.ctx(), agent.StartRequest{Lease: l, Step: "gone", Argv: []string{"true"}}), fault.Conflict)
	b.run(l, "next", both("echo the lease goes on"))
}

func restartKeepsFences(b *bench) {
	b.needRestart()
	two := agent.Lease{Item: b.Name(), Epoch: 2}
	b.open(agent.OpenRequest{Lease: two})
	if err := b.m.Close(b.ctx(), two); err != nil {
		b.Fatal(err)
	}
	b.restart()
	_, err := b.m.Open(b.ctx(), agent.OpenRequest{Lease: agent.Lease{Item: b.Name(), Epoch: 1}, Job: "job"})
	b.wantKind("a lower epoch after the restart", err, fault.Stale)
	_, err = b.m.Open(b.ctx(), agent.OpenRequest{Lease: two, Job: "job"})
	b.wantKind("the closed lease after the restart", err, fault.Conflict)
}

package agenttest

import (
	"sync"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

func runIsStartAndFollow(b *bench) {
	r, ok := b.m.(agent.Runner)
	if !ok {
		b.Skip("the machine is no agent.Runner")
	}
	l, _ := b.open(agent.OpenRequest{})
	run := func(s agent.StepID, offset int64, t text) (string, agent.Exit, error) {
		b.Helper()
		started, out := 0, ""
		e, err := r.Run(b.ctx(), b.with(t, agent.StartRequest{Lease: l, Step: s}), offset, func() { started++ }, func(o agent.Output) error {
			if started != 1 || o.Offset != offset+int64(len(out)) {
				b.Errorf("step %q: output at %d after %d bytes from %d on and %d notices of its start", s, o.Offset, len(out), offset, started)
			}
			out += string(o.Data)
			return nil
		})
		if want := map[bool]int{true: 1}[err == nil]; started != want {
			b.Errorf("step %q: %d notices of its start, %v", s, started, err)
		}
		return b.plain([]byte(out)), e, err
	}
	once := text{"#!/bin/sh\necho once >> runs\necho some output\nexit 3", "echo once>> runs\necho some output\nexit /b 3"}
	for offset, want := range []string{"some output\n", "ome output\n", "me output\n"} {
		if out, e, err := run("s", int64(offset), once); err != nil || out != want || e.Code != 3 {
			b.Errorf("from %d: %q, %+v, %v", offset, out, e, err)
		}
	}
	if err := b.m.Forget(b.ctx(), l, "s"); err != nil {
		b.Error(err)
	}
	_, _, err := run("s", 0, once)
	b.wantKind("Run of a forgotten step", err, fault.Conflict)
	if got, err := b.m.ReadFile(b.ctx(), l, "runs", 0); err != nil || b.plain(got) != "once\n" {
		b.Errorf("runs: %q, %v", got, err)
	}
	_, err = r.Run(b.ctx(), agent.StartRequest{Lease: l, Step: "bad"}, 0, func() { b.Error("a Run of nothing was started") }, func(agent.Output) error { return nil })
	b.wantKind("Run of nothing", err, fault.Invalid)
	// The start of a step that says nothing is told while it runs.
	var stop sync.WaitGroup
	e, err := r.Run(b.ctx(), b.with(text{"#!/bin/sh\nexec sleep 600", "TOOL sleep 600"}, agent.StartRequest{Lease: l, Step: "silent"}), 0, func() {
		stop.Go(func() {
			if err := b.m.Stop(b.ctx(), agent.StopRequest{Lease: l, Step: "silent", Grace: -1}); err != nil {
				b.Error(err)
			}
		})
	}, func(agent.Output) error { return nil })
	stop.Wait()
	if err != nil || !e.Stopped {
		b.Errorf("%+v, %v", e, err)
	}
}

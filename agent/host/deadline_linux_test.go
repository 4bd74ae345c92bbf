package host_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/internal/fault"
)

// I3: an agent that starts again goes by the deadline that the shim keeps, not by one of its own.
func TestARestartProlongsNothing(t *testing.T) {
	const ttl = 3 * time.Second
	p := launch(t, host.Config{Root: t.TempDir()})
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l, Policy: agent.Kill, TTL: ttl})
	script(t, p, l, "s", "exec sleep 600")
	_, answered, _, err := p.Renew(soon(t), []agent.Lease{l}, 0)
	if err != nil {
		t.Fatal(err)
	}
	counts := time.Now()
	<-time.After(ttl * 2 / 3)
	p = p.restart(t)
	defer closeAll(t, p)
	if _, _, _, err := p.Renew(soon(t), []agent.Lease{l}, answered); err != nil {
		t.Fatal(err)
	}
	_, e := follow(t, p, l, "s")
	if lived := e.Ended.Sub(counts); !e.Stopped || lived > ttl+ttl/3 {
		t.Errorf("the step lived for %v, %+v; want it stopped after %v", lived, e, ttl)
	}
}

// I3: a lease that ran out while it had no shim starts nothing with the next one.
func TestNothingStartsAfterTheDeadline(t *testing.T) {
	const ttl = time.Second
	p := launch(t, host.Config{Root: t.TempDir()})
	defer closeAll(t, p)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	w := open(t, p, agent.OpenRequest{Lease: l, Policy: agent.Kill, TTL: ttl})
	opened := time.Now()
	script(t, p, l, "s", "echo shim=$PPID; exec sleep 600")
	kill9(t, shimOf(t, p, l, "s"))
	if _, e := follow(t, p, l, "s"); !e.Lost {
		t.Fatalf("%+v", e)
	}
	<-time.After(time.Until(opened.Add(ttl)))
	for _, s := range []agent.StepID{"t", "u"} {
		err := p.Start(soon(t), agent.StartRequest{Lease: l, Step: s, Script: []byte("#!/bin/sh\n: > ran; exec sleep 600")})
		if err == nil {
			if _, e := follow(t, p, l, s); !e.Stopped {
				t.Errorf("%+v", e)
			}
		} else if !fault.Is(err, fault.Stale) {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(w.Path, "ran")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a step was started after the deadline: %v", err)
	}
}

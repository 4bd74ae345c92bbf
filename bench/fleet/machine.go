package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
)

// machines remembers when builds came to any of the machines.
type machines struct {
	start time.Time

	mu     sync.Mutex
	opened map[string]time.Time // by build; guarded by mu
	came   chan struct{}        // closed and replaced when one comes; guarded by mu
}

func newMachines() *machines {
	return &machines{start: time.Now(), opened: map[string]time.Time{}, came: make(chan struct{})}
}

func (m *machines) note(build string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened[build] = time.Now()
	close(m.came)
	m.came = make(chan struct{})
}

// await waits until a build has come to a machine.
func (m *machines) await(ctx context.Context, build string) (time.Time, error) {
	for {
		m.mu.Lock()
		at, ok := m.opened[build]
		came := m.came
		m.mu.Unlock()
		if ok {
			return at, nil
		}
		select {
		case <-came:
		case <-time.After(time.Minute):
			return at, fmt.Errorf("%s found no agent within a minute", build)
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}

// machine is a machine that keeps leases and runs nothing: who asks for a step or a file has mistaken it.
type machine struct {
	agent.Steps
	agent.Files
	agent.Trees
	name string
	all  *machines

	mu   sync.Mutex
	open []agent.Lease // guarded by mu
}

func (m *machines) machine(name string) *machine { return &machine{name: name, all: m} }

func (m *machine) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (m *machine) Describe(context.Context) (agent.Description, error) {
	return agent.Description{Version: "bench", OS: runtime.GOOS, Arch: runtime.GOARCH, Hostname: m.name, CPUs: 1, Root: "/bench/" + m.name, Boot: "bench", PID: os.Getpid()}, nil
}

func (m *machine) Open(_ context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	m.all.note(r.Build)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.open, r.Lease) {
		m.open = append(m.open, r.Lease)
	}
	at := "/bench/" + m.name + "/" + r.Job
	return agent.Workspace{Path: at, Tmp: at + "@tmp", Home: at}, nil
}

func (m *machine) Renew(context.Context, []agent.Lease, agent.Heard) ([]agent.Lease, agent.Heard, agent.Vitals, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.open), agent.Heard(time.Since(m.all.start)), agent.Vitals{}, nil
}

func (m *machine) Close(_ context.Context, l agent.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = slices.DeleteFunc(m.open, func(o agent.Lease) bool { return o == l })
	return nil
}

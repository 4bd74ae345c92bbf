package serve_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/cas"
)

// talker is a Machine whose only step says n bytes from memory: what is measured is the wire.
type talker struct {
	agent.Machine
	n int64
}

func (talker) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (talker) Describe(context.Context) (agent.Description, error) { return agent.Description{}, nil }

func (m talker) Follow(_ context.Context, _ agent.Lease, _ agent.StepID, offset int64, sink func(agent.Output) error) (agent.Exit, error) {
	p := make([]byte, 64<<10)
	for offset < m.n {
		n := min(int64(len(p)), m.n-offset)
		if err := sink(agent.Output{Offset: offset, Data: p[:n]}); err != nil {
			return agent.Exit{}, err
		}
		offset += n
	}
	return agent.Exit{Output: m.n}, nil
}

func dialled(b *testing.B, machine func(serve.Config, cas.Store) (serve.Machine, error)) agent.Machine {
	c := newController(b, false)
	startHere(b, serve.Config{URL: c.URL, Token: "owj_good", Name: "n", Root: b.TempDir(), Machine: machine})
	return c.next(b).Machine()
}

func follow(b *testing.B, m agent.Machine, size int64) {
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		var got int64
		_, err := m.Follow(b.Context(), agent.Lease{Item: "i", Epoch: 1}, "s", 0, func(o agent.Output) error { got += int64(len(o.Data)); return nil })
		if err != nil || got != size {
			b.Fatalf("%d bytes, %v", got, err)
		}
	}
}

// BenchmarkFollow is bytes a second through a WebSocket, mux, gRPC and the checks, both ends in this process.
func BenchmarkFollow(b *testing.B) {
	const size = 64 << 20
	follow(b, dialled(b, func(serve.Config, cas.Store) (serve.Machine, error) { return talker{n: size}, nil }), size)
}

// BenchmarkFollowStep is the same with the spool of a real step.
func BenchmarkFollowStep(b *testing.B) {
	const size = 64 << 20
	m := dialled(b, nil)
	l := agent.Lease{Item: "i", Epoch: 1}
	if _, err := m.Open(b.Context(), agent.OpenRequest{Lease: l, Job: "j"}); err != nil {
		b.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec head -c %d /dev/zero", size)
	if err := m.Start(b.Context(), agent.StartRequest{Lease: l, Step: "s", Script: []byte(script)}); err != nil {
		b.Fatal(err)
	}
	follow(b, m, size)
	if err := m.Close(b.Context(), l); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCall is one call and its answer.
func BenchmarkCall(b *testing.B) {
	m := dialled(b, func(serve.Config, cas.Store) (serve.Machine, error) { return talker{}, nil })
	for b.Loop() {
		if _, err := m.Describe(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

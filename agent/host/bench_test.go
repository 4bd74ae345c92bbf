package host_test

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
)

func ready(b *testing.B, leases int) (*program, []agent.Lease) {
	b.Helper()
	p := launch(b, host.Config{Root: b.TempDir(), Log: nil})
	b.Cleanup(func() { closeAll(b, p) })
	var ls []agent.Lease
	for i := range leases {
		l := agent.Lease{Item: fmt.Sprint("bench", i), Epoch: 1}
		open(b, p, agent.OpenRequest{Lease: l})
		noop(b, p, l, "warm")
		ls = append(ls, l)
	}
	return p, ls
}

// noop runs a step that does nothing, to its end, and returns its exit.
func noop(b *testing.B, p *program, l agent.Lease, id agent.StepID) agent.Exit {
	if err := p.Start(context.Background(), agent.StartRequest{Lease: l, Step: id, Argv: []string{"/bin/true"}}); err != nil {
		b.Error(err)
	}
	e, err := p.Follow(context.Background(), l, id, 0, func(agent.Output) error { return nil })
	if err != nil || e.Code != 0 {
		b.Errorf("%+v, %v", e, err)
	}
	if err := p.Forget(context.Background(), l, id); err != nil {
		b.Error(err)
	}
	return e
}

// From the call of Start to the start of the process, one step after the other.
func BenchmarkStartLatency(b *testing.B) {
	p, ls := ready(b, 1)
	var took []time.Duration
	b.ResetTimer()
	for i := range b.N {
		begun := time.Now()
		e := noop(b, p, ls[0], agent.StepID(fmt.Sprint(i)))
		took = append(took, e.Started.Sub(begun))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// Steps that do nothing, 16 at once, in 16 leases.
func BenchmarkNoopSteps(b *testing.B) {
	p, ls := ready(b, 16)
	b.ResetTimer()
	spread(b, 16, func(worker, n int) { noop(b, p, ls[worker], agent.StepID(fmt.Sprint(n))) })
}

// Leases of one step that does nothing, 16 at once: what a build of one step costs.
func BenchmarkNoopLeases(b *testing.B) {
	p, _ := ready(b, 16)
	closeAll(b, p)
	b.ResetTimer()
	spread(b, 16, func(_, n int) {
		l := agent.Lease{Item: fmt.Sprint("one", n), Epoch: 1}
		open(b, p, agent.OpenRequest{Lease: l, Job: fmt.Sprint("job", n%16)})
		noop(b, p, l, "s")
		closeLease(b, p, l)
	})
}

// The floor: fork and exec of the same program with nothing around it.
func BenchmarkForkExec(b *testing.B) {
	spread(b, 16, func(_, _ int) {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Error(err)
		}
	})
}

// spread does b.N pieces of work on so many goroutines.
func spread(b *testing.B, workers int, work func(worker, n int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for w := range workers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				work(w, int(n))
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "steps/s")
}

// A step's output through the pipe, the spool and a follower.
func BenchmarkOutput(b *testing.B) {
	p, ls := ready(b, 1)
	const size = 64 << 20
	b.SetBytes(size)
	for i := range b.N {
		id := agent.StepID(fmt.Sprint(i))
		if err := p.Start(context.Background(), agent.StartRequest{Lease: ls[0], Step: id, Argv: []string{"head", "-c", fmt.Sprint(size), "/dev/zero"}}); err != nil {
			b.Fatal(err)
		}
		e, err := p.Follow(context.Background(), ls[0], id, 0, func(agent.Output) error { return nil })
		if err != nil || e.Output != size {
			b.Fatalf("%+v, %v", e, err)
		}
		if err := p.Forget(context.Background(), ls[0], id); err != nil {
			b.Fatal(err)
		}
	}
}

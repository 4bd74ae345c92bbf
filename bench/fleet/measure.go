package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/bench/proc"
)

// watchIdle says what agents cost that do nothing but live.
func (f *farm) watchIdle(ctx context.Context) error {
	before := f.cpu()
	select {
	case <-time.After(f.idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	used := f.cpu() - before
	memory := f.memory()
	fmt.Println()
	line("idle: memory of the controller", mib(memory), float64(memory)/aimMemory)
	line("idle: CPU time of the controller", fmt.Sprintf("%.1f %% of one", 100*used.Seconds()/f.idle.Seconds()), 0)
	return nil
}

// storm kills the controller, twice: agents find it again at once, and after an outage.
func (f *farm) storm(ctx context.Context) (err error) {
	for _, outage := range []time.Duration{0, f.outage} {
		f.ctl.kill()
		select {
		case <-time.After(outage):
		case <-ctx.Done():
			return ctx.Err()
		}
		if f.ctl, err = f.start(); err != nil {
			return err
		}
		start := time.Now()
		page, err := f.online(ctx)
		if err != nil {
			return err
		}
		took := time.Since(start)
		fmt.Println()
		line(fmt.Sprintf("killed, away for %v: all agents are back after", outage), took.Round(10*time.Millisecond).String(), float64(took)/float64(aimBack))
		line("  the page answered within", page.Round(time.Millisecond).String(), 0)
		line("  CPU time of the controller until then", f.cpu().Round(10*time.Millisecond).String(), 0)
		peak := proc.Memory(f.ctl.pid(), "VmHWM")
		line("  memory of the controller, at most", mib(peak), float64(peak)/aimMemory)
	}
	return nil
}

// clients is how many submit builds at once.
const clients = 8

// queue lets builds wait, and measures how fast others find an agent.
func (f *farm) queue(ctx context.Context) error {
	idle, err := f.probe(ctx, "alone", f.probes)
	if err != nil {
		return err
	}
	for i := range f.labels {
		if _, err := f.client.CreateJob(ctx, api.JobCreate{Name: waiting(i), Source: api.Source{Script: patient(i)}}); err != nil {
			return err
		}
	}
	start := time.Now()
	submit, err := f.submit(ctx)
	if err != nil {
		return err
	}
	fmt.Println()
	line(fmt.Sprintf("%d builds of %d branches each accepted, %d clients", f.queued/branches, branches, clients), time.Since(start).Round(10*time.Millisecond).String(), 0)
	p99 := percentile(submit, 99)
	line("  submit, p99", p99.Round(100*time.Microsecond).String(), p99.Seconds()/0.05)
	if err := f.awaitQueued(ctx); err != nil {
		return err
	}
	line(fmt.Sprintf("  %d items of %d label expressions wait after", f.queued/branches*branches, f.labels), time.Since(start).Round(10*time.Millisecond).String(), 0)
	before, err := f.waits(ctx)
	if err != nil {
		return err
	}
	times, err := f.probe(ctx, "beside", f.probes)
	if err != nil {
		return err
	}
	after, err := f.waits(ctx)
	if err != nil {
		return err
	}
	for _, share := range []float64{50, 99} {
		bound := within(before, after, share/100)
		line(fmt.Sprintf("  place: submission → durable lease, p%.0f, at most", share), fmt.Sprintf("%g ms", bound*1000), 0)
	}
	for _, p := range []int{50, 99} {
		got, bare := percentile(times, p), percentile(idle, p)
		line(fmt.Sprintf("  accepted → at its agent, p%d (without the queue %v)", p, bare.Round(100*time.Microsecond)), got.Round(100*time.Microsecond).String(), 0)
	}
	memory := f.memory()
	line("  memory of the controller", mib(memory), float64(memory)/aimMemory)
	return nil
}

// branches of each build that waits.
const branches = 10

// patient is a pipeline whose branches wait for an agent that does not come.
func patient(label int) string {
	var all []string
	for b := range branches {
		all = append(all, fmt.Sprintf("b%d: { node('linux && g%d && !(windows || mac) && never') { echo 'here' } }", b, label))
	}
	return "parallel(" + strings.Join(all, ", ") + ")"
}

func waiting(i int) string { return fmt.Sprintf("waiting-%d", i) }

// submit starts the builds that will wait, and returns how long each took to be accepted.
func (f *farm) submit(ctx context.Context) ([]time.Duration, error) {
	times, errs := make([]time.Duration, f.queued/branches), make([]error, clients)
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for i := c; i < len(times) && errs[c] == nil; i += clients {
				start := time.Now()
				_, errs[c] = f.client.StartBuild(ctx, waiting(i%f.labels), api.BuildCreate{})
				times[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return times, nil
}

func (f *farm) awaitQueued(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := f.metric(ctx, "outwork_queue_waiting")
		if err != nil || int(waiting) >= f.queued/branches*branches {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// probe runs builds one after the other, and returns how long each took from its acceptance to its agent.
func (f *farm) probe(ctx context.Context, job string, n int) ([]time.Duration, error) {
	if _, err := f.client.CreateJob(ctx, api.JobCreate{Name: job, Source: api.Source{Script: "node('linux && g7') { echo 'here' }"}}); err != nil {
		return nil, err
	}
	times := make([]time.Duration, n)
	for i := range times {
		b, err := f.client.StartBuild(ctx, job, api.BuildCreate{})
		if err != nil {
			return nil, err
		}
		accepted := time.Now()
		at, err := f.machines.await(ctx, fmt.Sprintf("%s#%d", job, b.Number))
		if err != nil {
			return nil, err
		}
		times[i] = max(0, at.Sub(accepted))
	}
	return times, nil
}

// Command dispatch measures what the farm itself costs, on loopback, beside what the operating system costs.
//
// In one run it prints: the time from an accepted build to its started process on an idle agent, p50 and p99 over builds in
// sequence; no-op steps a second over two agents with eight executors each; and beside them the time of one fsync and the
// rate of bare fork+exec of /bin/true. Controller and agents are the real ones, the agents as processes of their own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/bench/proc"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server"
)

func main() {
	host.MaybeShim()
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		host.Relax()
		os.Exit(serve.Main(os.Args[2:], os.Getenv, os.Stdout, os.Stderr))
	}
	builds := flag.Int("builds", 1000, "builds in sequence")
	steps := flag.Int("steps", 200, "no-op steps of each executor")
	data := flag.String("data", "", "folder for the data (default: a temporary one); its disk decides what an fsync costs")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the controller's process to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "dispatch:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	if err := run(*builds, *steps, *data); err != nil {
		fmt.Fprintln(os.Stderr, "dispatch:", err)
		os.Exit(1)
	}
}

const (
	agents    = 2
	executors = 8
)

func run(builds, steps int, data string) error {
	dir, err := os.MkdirTemp(data, "outwork-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s, %d CPUs, %s\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	fsync, err := fsyncs(filepath.Join(dir, "fsync"), 200)
	if err != nil {
		return err
	}
	one, err := forks(300, 1)
	if err != nil {
		return err
	}
	many, err := forks(2000, agents*executors)
	if err != nil {
		return err
	}
	fmt.Printf("one fsync of 4 KiB                       p50 %8s   p99 %8s\n", fsync.p(50), fsync.p(99))
	fmt.Printf("bare fork+exec of /bin/true, one by one  p50 %8s   p99 %8s\n", one.times.p(50), one.times.p(99))
	fmt.Printf("bare fork+exec of /bin/true, %2d at once  %8.0f/s\n\n", agents*executors, many.rate)

	var nodes []server.Local
	for i := range agents {
		nodes = append(nodes, server.Local{Name: nodeName(i), Labels: []string{"bench"}, Executors: executors})
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", Nodes: nodes, Agent: []string{self, "agent"}})
	if err != nil {
		stop()
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); <-ended }()
	if err := online(ctx, s); err != nil {
		return err
	}
	latency, err := sequence(ctx, s, builds)
	if err != nil {
		return err
	}
	fmt.Printf("accepted → process started, idle agent   p50 %8s   p99 %8s   (%d builds in sequence)\n", latency.p(50), latency.p(99), builds)
	fmt.Printf("  less one fsync                         p50 %8s\n", (latency.p(50) - fsync.p(50)).Round(10*time.Microsecond))
	before := spent()
	rate, err := throughput(ctx, s, steps)
	if err != nil {
		return err
	}
	fmt.Printf("no-op steps, %d agents × %d executors      %8.0f/s   = %.2f of bare fork+exec\n", agents, executors, rate, rate/many.rate)
	spent().less(before).print(steps*agents*executors, many.cpu)
	return nil
}

// costs is CPU time by who spent it.
type costs struct{ controller, agents, shims, steps time.Duration }

// spent reads what the farm has spent so far. Shims reap the steps' processes, agents reap shims that have ended.
func spent() (c costs) {
	for _, p := range proc.Tree() {
		switch {
		case p.PID == os.Getpid():
			c.controller += p.CPU
		case p.Parent == os.Getpid():
			c.agents += p.CPU
			c.shims += p.Reaped
		default:
			c.shims += p.CPU
			c.steps += p.Reaped
		}
	}
	return c
}

func (c costs) less(o costs) costs {
	return costs{c.controller - o.controller, c.agents - o.agents, c.shims - o.shims, c.steps - o.steps}
}

func (c costs) print(n int, bare time.Duration) {
	all := c.controller + c.agents + c.shims + c.steps
	if all <= 0 {
		return
	}
	each := func(d time.Duration) time.Duration { return (d / time.Duration(n)).Round(10 * time.Microsecond) }
	fmt.Printf("  CPU of a step                          %8s   = %.1f of a bare fork+exec's %s\n", each(all), float64(each(all))/float64(bare), bare.Round(10*time.Microsecond))
	fmt.Printf("  of it: controller %s, agents %s, shims %s, the step's own sh %s\n", each(c.controller), each(c.agents), each(c.shims), each(c.steps))
}

type durations []time.Duration

func (d durations) p(percent int) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[min(len(s)-1, len(s)*percent/100)].Round(10 * time.Microsecond)
}

func fsyncs(file string, n int) (durations, error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	block := make([]byte, 4096)
	var out durations
	for range n {
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		t := time.Now()
		if err := f.Sync(); err != nil {
			return nil, err
		}
		out = append(out, time.Since(t))
	}
	return out, nil
}

type forked struct {
	times durations
	rate  float64       // a second
	cpu   time.Duration // of one, that of the parent included; 0 is unknown
}

func forks(n, at int) (forked, error) {
	var mu sync.Mutex
	var f forked
	var failed error
	var wg sync.WaitGroup
	start, before := time.Now(), used()
	for range at {
		wg.Go(func() {
			for range n / at {
				t := time.Now()
				err := exec.Command("/bin/true").Run()
				mu.Lock()
				f.times = append(f.times, time.Since(t))
				if err != nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	f.rate = float64(len(f.times)) / time.Since(start).Seconds()
	f.cpu = (used() - before) / time.Duration(len(f.times))
	return f, failed
}

// used is the CPU time of this process and of its children that have ended.
func used() (d time.Duration) {
	for _, p := range proc.Tree() {
		if p.PID == os.Getpid() {
			d = p.CPU + p.Reaped
		}
	}
	return d
}

// online waits until every agent is.
func online(ctx context.Context, s *server.Server) error {
	for i := range agents {
		changed, cancel := s.Roster().Subscribe()
		for {
			if _, ok := s.Roster().Node(nodeName(i)); ok {
				break
			}
			<-changed
		}
		cancel()
		if _, _, err := s.Roster().WaitMachine(ctx, nodeName(i)); err != nil {
			return err
		}
	}
	return nil
}

// finished waits for a build and fails when it did not succeed.
func finished(ctx context.Context, s *server.Server, id build.ID) (string, error) {
	b, err := s.Runner().Wait(ctx, id)
	if err != nil {
		return "", err
	}
	l, err := s.Logs().Build(id)
	if err != nil {
		return "", err
	}
	defer l.Release()
	text := make([]byte, l.Size())
	if _, err := l.ReadAt(text, 0); err != nil && len(text) > 0 && err.Error() != "EOF" {
		return "", err
	}
	if b.Result != build.Success {
		return "", fmt.Errorf("%s ended %s:\n%s", id, b.Result, text)
	}
	return string(text), nil
}

func job(ctx context.Context, s *server.Server, name build.JobName, script string) error {
	return s.Ledger().Builds.PutJob(ctx, build.Job{Name: name, Source: build.Source{Script: script}, Created: time.Now()}, true)
}

// sequence measures from the answer "accepted" to the first thing the process does: bash says the time.
func sequence(ctx context.Context, s *server.Server, n int) (durations, error) {
	if err := job(ctx, s, "latency", "node('bench') { sh '''#!/bin/bash\necho started=$EPOCHREALTIME''' }"); err != nil {
		return nil, err
	}
	var out durations
	for range n {
		id, err := s.Runner().Trigger(ctx, "latency", nil, build.Cause{Kind: "system"})
		if err != nil {
			return nil, err
		}
		accepted := time.Now()
		text, err := finished(ctx, s, id)
		if err != nil {
			return nil, err
		}
		_, after, ok := strings.Cut(text, "started=")
		line, _, _ := strings.Cut(after, "\n")
		secs, micros, dot := strings.Cut(line, ".")
		sec, err1 := strconv.ParseInt(secs, 10, 64)
		mic, err2 := strconv.ParseInt(micros, 10, 64)
		if !ok || !dot || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("no time in the log of %s:\n%s", id, text)
		}
		out = append(out, time.Unix(sec, mic*1000).Sub(accepted))
	}
	return out, nil
}

// throughput runs one build for each executor, each a loop of no-op steps, and counts steps a second.
func throughput(ctx context.Context, s *server.Server, steps int) (float64, error) {
	if err := job(ctx, s, "noop", fmt.Sprintf("node('bench') { for (int i = 0; i < %d; i++) { sh 'true' } }", steps)); err != nil {
		return 0, err
	}
	start := time.Now()
	var ids []build.ID
	for range agents * executors {
		id, err := s.Runner().Trigger(ctx, "noop", nil, build.Cause{Kind: "system"})
		if err != nil {
			return 0, err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if _, err := finished(ctx, s, id); err != nil {
			return 0, err
		}
	}
	return float64(steps*len(ids)) / time.Since(start).Seconds(), nil
}

func nodeName(i int) fleet.NodeName { return fleet.NodeName(fmt.Sprintf("bench-%d", i+1)) }

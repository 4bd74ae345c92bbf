// Command fleet measures a controller that looks after many agents: its memory and its CPU time while nothing happens, how long all agents
// take to come back when it was killed, and how fast a build finds its agent while thousands wait.
//
// The controller is the real one in a process of its own. The agents are real up to the machine they serve: they share one process
// and run no steps. They dial over TLS, half of them to the port for agents, half by WebSocket.
//
//	go run ./bench/fleet -agents 1000 -queued 10000
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// plan is what to measure.
type plan struct {
	agents, queued, labels, probes int
	idle, outage                   time.Duration
	data, pprof                    string
}

// The aims of promise F12 and F13.
const (
	aimMemory = 300 << 20
	aimBack   = 30 * time.Second
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "controller" {
		exit(controller(os.Args[2:]))
	}
	var p plan
	flag.IntVar(&p.agents, "agents", 1000, "connected agents")
	flag.IntVar(&p.queued, "queued", 10000, "items that wait for an agent that does not come")
	flag.IntVar(&p.labels, "labels", 50, "label expressions among them")
	flag.IntVar(&p.probes, "probes", 500, "builds that find an agent meanwhile")
	flag.DurationVar(&p.idle, "idle", 30*time.Second, "time over which the idle controller is watched")
	flag.DurationVar(&p.outage, "outage", 45*time.Second, "time without a controller; agents dial ever more seldom meanwhile")
	flag.StringVar(&p.data, "data", "", "folder for the data (default: a temporary one)")
	flag.StringVar(&p.pprof, "pprof", "", "address at which the controller serves its profiles (net/http/pprof)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, p))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, p plan) error {
	fmt.Printf("%s/%s, %d CPUs, %s; %d agents over TLS\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), p.agents)
	f, err := open(ctx, p)
	if err != nil {
		return err
	}
	defer f.close()
	for _, measure := range []func(context.Context) error{f.join, f.watchIdle, f.storm, f.queue} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// line prints one figure, and what it is of its aim.
func line(what, figure string, of float64) {
	if of == 0 {
		fmt.Printf("%-58s %12s\n", what, figure)
		return
	}
	fmt.Printf("%-58s %12s   %.2f of the aim\n", what, figure, of)
}

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

// percentile of times, which it sorts.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, len(times)*p/100)]
}

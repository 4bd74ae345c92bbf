// Command logs measures how fast a step's output reaches somebody who watches, on loopback, beside a plain pipe.
//
// A step on a real agent process prints; a follower reads the console over the HTTP API while it grows. In one run it prints the
// MB/s from the step's start to the follower's last byte, the MB/s of the same program through a pipe, the CPU time that
// each process took, and its memory: before the step, and the most while it ran. The follower is in the controller's process.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/bench/proc"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/server"
)

func main() {
	host.MaybeShim()
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		host.Relax()
		os.Exit(serve.Main(os.Args[2:], os.Getenv, os.Stdout, os.Stderr))
	}
	size := flag.Int("mb", 400, "MB that the step prints")
	data := flag.String("data", "", "folder for the data (default: a temporary one)")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the controller's process to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "logs:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	if err := run(*size, *data); err != nil {
		fmt.Fprintln(os.Stderr, "logs:", err)
		os.Exit(1)
	}
}

const line = "0123456789 the quick brown fox jumps over the lazy dog, and the log has every byte of it, once"

// printer prints n MB of lines, as fast as coreutils can.
func printer(mb int) string { return fmt.Sprintf("yes '%s' | head -c %dM", line, mb) }

func run(mb int, data string) error {
	dir, err := os.MkdirTemp(data, "outwork-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	pipe, err := piped(mb)
	if err != nil {
		return err
	}
	file, err := written(mb, filepath.Join(dir, "plain"))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", Agent: []string{self, "agent"},
		Nodes: []server.Local{{Name: "bench", Labels: []string{"bench"}, Executors: 1}}})
	if err != nil {
		stop()
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); <-ended }()
	rate, bytes, err := followed(ctx, s, mb)
	if err != nil {
		return err
	}
	fmt.Printf("the same program into a pipe             %8.0f MB/s\n", pipe)
	fmt.Printf("the same program into a file, fsynced    %8.0f MB/s\n", file)
	fmt.Printf("step → agent → controller → follower     %8.0f MB/s   = %.2f of the pipe   (%d MB)\n", rate, rate/pipe, bytes>>20)
	for _, p := range proc.Tree() {
		b, known := before[p.PID]
		if !known {
			continue
		}
		fmt.Printf("%-22s  CPU %5.2f s   memory before %3d MB, at most %3d MB\n", role(p), (p.CPU - b.cpu).Seconds(), b.memory>>20, proc.Memory(p.PID, "VmHWM")>>20)
	}
	return nil
}

// usage is what a process had used when the step began.
type usage struct {
	cpu    time.Duration
	memory int64 // bytes
}

// before has every process of the farm when the step began. Peaks count from then.
var before = map[int]usage{}

func measure() {
	debug.FreeOSMemory() // the password of the login took 64 MB, once
	for _, p := range proc.Tree() {
		proc.ResetPeak(p.PID)
		before[p.PID] = usage{p.CPU, proc.Memory(p.PID, "VmRSS")}
	}
}

func role(p proc.Process) string {
	switch {
	case p.PID == os.Getpid():
		return "controller + follower"
	case p.Parent == os.Getpid():
		return "agent"
	}
	return "shim"
}

func piped(mb int) (float64, error) {
	cmd := exec.Command("sh", "-c", printer(mb))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, out)
	if err != nil {
		return 0, err
	}
	took := time.Since(start)
	return float64(n) / 1e6 / took.Seconds(), cmd.Wait()
}

func written(mb int, file string) (float64, error) {
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	defer os.Remove(file)
	defer f.Close()
	cmd := exec.Command("sh", "-c", printer(mb))
	cmd.Stdout = f
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return float64(mb<<20) / 1e6 / time.Since(start).Seconds(), nil
}

// followed runs the step and follows its log over the API.
func followed(ctx context.Context, s *server.Server, mb int) (rate float64, bytes int64, err error) {
	c, err := login(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	script := "node('bench') { sh '''#!/bin/sh\n" + strings.ReplaceAll(printer(mb), "'", `"`) + "\n''' }"
	if err := s.Ledger().Builds.PutJob(ctx, build.Job{Name: "logs", Source: build.Source{Script: script}, Created: time.Now()}, true); err != nil {
		return 0, 0, err
	}
	if _, _, err := s.Roster().WaitMachine(ctx, "bench"); err != nil {
		return 0, 0, err
	}
	measure()
	start := time.Now()
	id, err := s.Runner().Trigger(ctx, "logs", nil, build.Cause{Kind: "system"})
	if err != nil {
		return 0, 0, err
	}
	r, err := c.Log(ctx, string(id.Job), id.Number, 0, true)
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	if bytes, err = io.Copy(io.Discard, r); err != nil {
		return 0, 0, err
	}
	took := time.Since(start)
	b, err := s.Runner().Wait(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	if b.Result != build.Success || bytes < int64(mb)<<20 {
		return 0, 0, fmt.Errorf("the build ended %s and the follower got %d bytes of %d MB: %s", b.Result, bytes, mb, b.Message)
	}
	return float64(bytes) / 1e6 / took.Seconds(), bytes, nil
}

func login(ctx context.Context, s *server.Server) (*client.Client, error) {
	c, err := client.New(s.URL(), "", nil)
	if err != nil {
		return nil, err
	}
	t, err := c.Login(ctx, api.Login{User: "admin", Password: s.FirstPassword()})
	if err != nil {
		return nil, err
	}
	return client.New(s.URL(), t.Secret, nil)
}

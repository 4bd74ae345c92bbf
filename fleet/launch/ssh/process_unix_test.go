//go:build unix

package ssh_test

import (
	"context"
	"errors"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent/dist"
)

func selfOnly(file string) *dist.Dist { return dist.New(dist.Config{Self: file}) }

// awaitDeath waits for the end of a process that is not our child.
func awaitDeath(t testing.TB, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("process %d lives on", pid)
		}
	}
}

func goarch() string { return runtime.GOARCH }

func kill(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitDeath(t, pid)
}

// Package hook runs command lines that an administrator has set, on this machine: what a controller does before it sets a node up, or to
// wake one. They run by the system's shell, in a process group of their own which ends with them.
package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// Hook is one run of a command line.
type Hook struct {
	Command string
	Dir     string    // "" is where this process is
	Env     []string  // NAME=value, besides this process' own, of which OUTWORK_ variables are left out: tokens are among them
	Output  io.Writer // hears stdout and stderr; nil hears nothing
}

// patience is how long output may come after the command has ended or was ended.
const patience = 5 * time.Second

// Run runs the command to its end. fault.Unavailable: it ended with another exit code than 0, which the text says. When ctx ends the command
// and what it started are killed, and the cause is returned.
func (h Hook) Run(ctx context.Context) error {
	cmd := shell(h.Command)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = h.Dir, h.Output, h.Output, patience
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OUTWORK_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, h.Env...)
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := cmd.Start(); err != nil {
		return fault.New(fault.Unavailable, "start %q: %w", h.Command, err)
	}
	stop := context.AfterFunc(ctx, func() { killGroup(cmd.Process.Pid) })
	err := cmd.Wait()
	if !stop() {
		return context.Cause(ctx)
	}
	killGroup(cmd.Process.Pid) // what it left behind
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return fault.New(fault.Unavailable, "exit %d", exit.ExitCode())
	}
	return fault.With(fault.Unavailable, fmt.Errorf("run %q: %w", h.Command, err))
}

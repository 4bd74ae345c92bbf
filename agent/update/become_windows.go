package update

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Become runs the new program with the same arguments and returns its exit code: this system cannot exchange a process's program. What
// started this process goes on knowing it, so it stays and waits, and starts the file again whenever the new program asks. A program
// that is waited for itself asks its parent. When ctx ends the new program is ended; its steps run on.
func (u *Updater) Become(ctx context.Context) (code int, err error) {
	if os.Getenv(childEnv) != "" {
		return Again, nil
	}
	for {
		cmd := exec.CommandContext(ctx, u.file, u.cfg.Argv[1:]...)
		cmd.Env = append(environ(), childEnv+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil || err == nil:
			return 0, nil
		case !errors.As(err, &exit):
			return 0, fmt.Errorf("start %s: %w", u.file, err)
		case exit.ExitCode() != Again:
			return exit.ExitCode(), nil
		}
	}
}

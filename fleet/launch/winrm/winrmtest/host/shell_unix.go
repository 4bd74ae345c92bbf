//go:build unix

package main

import (
	"context"
	"os/exec"
)

// shell is for machines that have another.
func shell(ctx context.Context, line string) *exec.Cmd {
	return exec.CommandContext(ctx, "/bin/sh", "-c", line)
}

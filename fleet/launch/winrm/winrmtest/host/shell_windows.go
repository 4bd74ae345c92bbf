package main

import (
	"context"
	"os/exec"
	"syscall"
)

// shell gives the line to cmd.exe as it is.
func shell(ctx context.Context, line string) *exec.Cmd {
	c := exec.CommandContext(ctx, "cmd.exe")
	c.SysProcAttr = &syscall.SysProcAttr{CmdLine: "cmd.exe /C " + line}
	return c
}

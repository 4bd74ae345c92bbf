//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

func shell(command string) *exec.Cmd { return exec.Command("/bin/sh", "-c", command) }

// apart gives the command a process group of its own.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup: an error says that nothing is left.
func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) }

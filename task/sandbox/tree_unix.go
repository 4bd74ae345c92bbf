//go:build !windows

package sandbox

import (
	"errors"
	"os/exec"
	"syscall"
)

// ownTree makes a command the leader of a group of processes, and its end theirs.
func ownTree(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		endTree(cmd)
		return nil
	}
}

// endTree kills what is left of a command's group.
func endTree(cmd *exec.Cmd) {
	if cmd.Process != nil {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); errors.Is(err, syscall.EPERM) {
			_ = cmd.Process.Kill() // a group with processes of others in it: what can be reached must do
		}
	}
}

func exitCode(e *exec.ExitError) int {
	if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return e.ExitCode()
}

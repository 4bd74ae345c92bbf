//go:build unix

package hook

import (
	"os/exec"
	"syscall"
)

func shell(command string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// killGroup: an error says that nothing is left.
func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) }

//go:build unix

package local

import (
	"os/exec"
	"syscall"
)

// apart keeps Ctrl-C in the controller's terminal from the agent: the controller ends it when it has finished with it.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

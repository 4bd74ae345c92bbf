package local

import (
	"os/exec"
	"syscall"
)

// apart keeps Ctrl-C in the controller's console from the agent: the controller ends it when it has finished with it.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

package hook

import (
	"os/exec"
	"strconv"
	"syscall"
)

// shell: cmd.exe takes its command line as it is, quotes and all.
func shell(command string) *exec.Cmd {
	cmd := exec.Command("cmd.exe", "/d", "/s", "/c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /d /s /c "` + command + `"`, CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	return cmd
}

// killGroup ends the process and what it has started; an error says that nothing is left.
func killGroup(leader int) {
	_ = exec.Command("taskkill.exe", "/t", "/f", "/pid", strconv.Itoa(leader)).Run()
}

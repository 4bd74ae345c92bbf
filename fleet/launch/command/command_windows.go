package command

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/outwork-build/outwork/internal/fault"
)

// shell: cmd.exe takes its command line as it is, quotes and all.
func shell(command string) *exec.Cmd {
	cmd := exec.Command("cmd.exe", "/d", "/s", "/c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /d /s /c "` + command + `"`}
	return cmd
}

// apart keeps Ctrl-C in the controller's console from the command.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr.CreationFlags = syscall.CREATE_NEW_PROCESS_GROUP }

// killGroup ends the process and what it has started; an error says that nothing is left.
func killGroup(leader int) {
	_ = exec.Command("taskkill.exe", "/t", "/f", "/pid", strconv.Itoa(leader)).Run()
}

// builtins are what cmd.exe does by itself.
const builtins = " assoc call cd chdir cls copy date del dir echo endlocal erase exit for ftype goto if md mkdir move path pause popd pushd rd ren rename rmdir set setlocal shift start time title type ver verify vol "

// lookUp asks the system what it would run for a name.
func lookUp(ctx context.Context, name string, env []string) (string, error) {
	if strings.Contains(builtins, " "+strings.ToLower(name)+" ") {
		return name, nil
	}
	if strings.ContainsAny(name, `/\`) {
		return exec.LookPath(name)
	}
	cmd := exec.CommandContext(ctx, "where.exe", name)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		return "", fault.New(fault.NotFound, "%s: there is no such program", name)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first), nil
}

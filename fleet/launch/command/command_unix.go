//go:build unix

package command

import (
	"context"
	"os/exec"
	"strings"
	"syscall"

	"github.com/outwork-build/outwork/internal/fault"
)

func shell(command string) *exec.Cmd { return exec.Command("/bin/sh", "-c", command) }

// apart gives the command a process group of its own.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup: an error says that nothing is left.
func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) }

// lookUp asks the shell what it would run for a name.
func lookUp(ctx context.Context, name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return exec.LookPath(name)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `command -v "$1"`, "sh", name)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		return "", fault.New(fault.NotFound, "%s: there is no such program", name)
	}
	return strings.TrimSpace(string(out)), nil
}

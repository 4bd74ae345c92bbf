package shim

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// Spawn starts a shim apart from the agent's console. The caller waits for the process. log takes what the shim prints
// when it fails.
func Spawn(prefix []string, socket string, log *os.File) (*os.Process, error) {
	argv, env := command(prefix, socket)
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Env: env, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_BREAKAWAY_FROM_JOB}}
	if err := cmd.Start(); err != nil {
		cmd = &exec.Cmd{Path: argv[0], Args: argv, Env: env, Stderr: log, // the agent's own job may forbid to leave it
			SysProcAttr: &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
	}
	for range 200 {
		if _, err := os.Lstat(socket); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return cmd.Process, nil
}

func listener(socket string) (net.Listener, error) { return net.Listen("unix", socket) }

func dial(socket string) (net.Conn, error) { return net.Dial("unix", socket) }

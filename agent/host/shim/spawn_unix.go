//go:build unix

package shim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxSocket is the longest path that fits into a socket address on every unix.
const maxSocket = 100

// address returns a name of socket that fits into an address, and what must be closed after its use.
func address(socket string) (string, func(), error) {
	if len(socket) <= maxSocket {
		return socket, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return "", nil, err
	}
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(socket))
	if _, err := os.Stat(filepath.Dir(short)); err != nil {
		_ = dir.Close()
		return "", nil, fmt.Errorf("the path of the socket %s is too long: choose a shorter agent folder", socket)
	}
	return short, func() { _ = dir.Close() }, nil
}

// Spawn starts a shim in a session of its own. The socket is there when Spawn returns, so Dial and the first messages need
// not wait until the shim is up. The caller waits for the process. log takes what the shim prints when it fails.
func Spawn(prefix []string, socket string, log *os.File) (*os.Process, error) {
	addr, done, err := address(socket)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: addr, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	argv, env := command(prefix, socket)
	path := argv[0]
	argv[0] = os.Args[0] // what ps shows; the path may be that of /proc
	cmd := &exec.Cmd{Path: path, Args: argv, Env: env, Dir: "/", Stderr: log, ExtraFiles: []*os.File{f},
		SysProcAttr: &unix.SysProcAttr{Setsid: true}}
	if err := startSlack(cmd); err != nil {
		return nil, errors.Join(err, os.Remove(socket))
	}
	return cmd.Process, nil
}

// listener takes over the socket that Spawn opened.
func listener(string) (net.Listener, error) {
	f := os.NewFile(3, "socket")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the socket from the agent: %w", err)
	}
	return l, nil
}

func dial(socket string) (net.Conn, error) {
	addr, done, err := address(socket)
	if err != nil {
		return nil, err
	}
	defer done()
	return net.Dial("unix", addr)
}

package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// envSocket, in a process's environment, says that it is a shim and where it listens.
const envSocket = "OUTWORK_SHIM"

// patience is how long a shim waits for its first connection, and how long an agent may be away from a shim that has
// nothing left to watch.
const (
	patience = 30 * time.Second
	linger   = 24 * time.Hour
)

// Main runs the shim and ends the process when it was started as one; otherwise it returns at once. It must come before
// anything else a program does.
func Main() {
	socket := os.Getenv(envSocket)
	if socket == "" {
		return
	}
	if err := run(socket); err != nil {
		fmt.Fprintln(os.Stderr, "outwork shim:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(socket string) error {
	// A shim mostly waits. With one processor its few goroutines wake each other without system calls, and no idle thread looks
	// for work to steal: a third of what a short step costs it.
	runtime.GOMAXPROCS(1)
	l, err := listener(socket)
	if err != nil {
		return err
	}
	defer os.Remove(socket)
	s, err := newServer()
	if err != nil {
		return err
	}
	go s.accept(l)
	return s.untilLeft()
}

// untilLeft waits for the end, and brings it about when no agent can want anything any more: none ever came, none has come
// back for a day although nothing runs, or the lease's folder was removed from the disk.
func (s *server) untilLeft() error {
	var alone time.Duration
	const look = 5 * time.Second
	for {
		select {
		case <-s.quit:
			return nil
		case <-time.After(look):
		}
		s.mu.Lock()
		leased, away, busy := s.lease != "", s.peer == nil, len(s.steps) > 0 || s.closing
		lease, folder := s.lease, s.folder
		s.mu.Unlock()
		alone += look
		if !away {
			alone = 0
		}
		switch {
		case !away:
		case leased && missing(folder):
			s.endAll(lease, 0, "the agent's folder was removed")
			return nil
		case !leased && alone >= patience:
			return nil
		case leased && !busy && alone >= linger && s.family.empty():
			return nil
		}
	}
}

func missing(folder string) bool {
	_, err := os.Stat(folder)
	return errors.Is(err, fs.ErrNotExist)
}

// command returns the argv and the environment that start a shim which will listen at socket.
func command(prefix []string, socket string) (argv, env []string) {
	argv = append(append(argv, prefix...), "shim", filepath.Base(socket))
	env = []string{envSocket + "=" + socket}
	for _, name := range []string{"SystemRoot", "TEMP", "GOCOVERDIR", "GOTRACEBACK"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return argv, env
}

// Dial connects to the shim at socket. It fails at once when no shim is there.
func Dial(socket string) (net.Conn, error) { return dial(socket) }

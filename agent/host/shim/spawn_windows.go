package shim

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// contact is what the shim's file holds: where it listens, and the seed of the key that both sides prove to hold. The system
// removes the file with the shim. A Unix socket would do on Windows too, but not on all that runs Windows' programs.
type contact struct {
	Addr string `json:"addr"`
	Seed []byte `json:"seed"`
}

// Spawn starts a shim in a hidden console of its own, so that it outlives the agent's, and returns when it can be reached. The
// caller waits for the process. log takes what the shim prints when it fails.
func Spawn(prefix []string, socket string, log *os.File) (*os.Process, error) {
	ready, up, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	proc, err := spawn(prefix, socket, up, log, windows.CREATE_BREAKAWAY_FROM_JOB)
	if err != nil { // the agent's own job may forbid to leave it
		proc, err = spawn(prefix, socket, up, log, 0)
	}
	err = errors.Join(err, up.Close())
	if proc == nil {
		return nil, err
	}
	late := time.AfterFunc(patience, func() { _ = proc.Kill() })
	defer late.Stop()
	if n, err := ready.Read(make([]byte, 1)); n == 0 {
		_ = proc.Kill()
		_, _ = proc.Wait()
		return nil, fmt.Errorf("the shim ended before it listened: %w", err)
	}
	return proc, nil
}

func spawn(prefix []string, socket string, up, log *os.File, flag uint32) (*os.Process, error) {
	argv, env := command(prefix, socket)
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Env: env, Dir: os.Getenv("SystemRoot"), Stdout: up, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{CreationFlags: windows.CREATE_NO_WINDOW | windows.CREATE_NEW_PROCESS_GROUP | flag}}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd.Process, nil
}

// listener opens the gate, writes its contact to the file named and tells Spawn.
func listener(socket string) (net.Listener, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g, err := newGate(l, key)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	text, err := json.Marshal(contact{l.Addr().String(), key.Seed()})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	f, err := makeFleeting(socket)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if _, err := f.Write(text); err != nil {
		return nil, errors.Join(err, f.Close(), l.Close())
	}
	_, err = os.Stdout.Write([]byte{'\n'})
	return &kept{g, f}, errors.Join(err, os.Stdout.Close())
}

// kept is a gate and the file that leads to it, which is there as long as it is open.
type kept struct {
	*gate
	file *os.File
}

func dial(socket string) (net.Conn, error) {
	f, err := OpenShared(socket, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var c contact
	if err := json.NewDecoder(f).Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %v", socket, err)
	}
	if len(c.Seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s: a key of %d bytes", socket, len(c.Seed))
	}
	return enter(c.Addr, ed25519.NewKeyFromSeed(c.Seed))
}

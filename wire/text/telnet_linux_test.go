package text_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/wire/stdio"
)

// A real telnet server and a real telnet client, with a terminal between them that changes line ends. S1-108, S1-26
func TestTelnet(t *testing.T) {
	server := need.Program(t, "inetutils-telnetd", "telnetd", "/usr/sbin/telnetd")
	client := need.Program(t, "inetutils-telnet", "inetutils-telnet", "telnet")
	relays, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer relays.Close()
	login := filepath.Join(t.TempDir(), "login")
	script := fmt.Sprintf("#!/bin/sh\nstty -echo\necho 'Last login: never'\n%s=%s exec '%s'\n", roleEnv, relays.Addr(), os.Args[0])
	if err := os.WriteFile(login, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	port := inetd(t, server, "--exec-login="+login)
	cmd := exec.Command(client, "-E", "127.0.0.1", port)
	channel, err := stdio.Start(cmd, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	joined(t, relays, channel, nil)
}

// inetd serves one connection by a program whose stdin and stdout are the connection, and returns its port.
func inetd(t *testing.T, argv ...string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		f, err := c.(*net.TCPConn).File()
		c.Close()
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return
		}
		kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		defer kill.Stop()
		cmd.Wait()
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

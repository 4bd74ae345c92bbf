//go:build unix

package cli

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/server/servertest"
)

// TestAHangupReadsTheFileAnew: the real program, a real signal; a wrong file changes nothing and ends nothing.
func TestAHangupReadsTheFileAnew(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "farm.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte("version: 1\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("nodes: [{name: a}]")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "server", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--config", file)
	c.Env = append(os.Environ(), asProgram+"=1")
	c.Stdout = io.Discard
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			lines <- s.Text()
		}
	}()
	deadline := time.After(servertest.Patience)
	until := func(what string) {
		t.Helper()
		for {
			select {
			case l, open := <-lines:
				if !open {
					t.Fatalf("it ended before it said %q", what)
				}
				if strings.Contains(l, what) {
					return
				}
			case <-deadline:
				c.Process.Kill()
				t.Fatalf("it does not say %q", what)
			}
		}
	}
	hangup := func() {
		if err := c.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	until("changes=1")
	write("nodes: [{name: a}, {name: b}, {name: c}]")
	hangup()
	until("changes=2")
	write("nodes: [{nam: a}]")
	hangup()
	until("the configuration was not applied")
	write("nodes: []")
	hangup()
	until("changes=3")
	c.Process.Signal(syscall.SIGTERM)
	for range lines { // until its end
	}
	if err := c.Wait(); err != nil && c.ProcessState.ExitCode() != exitInterrupted {
		t.Error(err)
	}
}

package cli

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server/servertest"
)

// sshd runs a real one on loopback and returns its port, its key's fingerprint, and a key that is let in.
func sshd(t *testing.T) (port int, fingerprint, key string) {
	t.Helper()
	program := need.Program(t, "openssh-server", "/usr/sbin/sshd")
	need.Program(t, "openssh-client", "ssh-keygen")
	dir := t.TempDir()
	key = filepath.Join(dir, "id")
	run := func(args ...string) string {
		out, err := exec.Command("ssh-keygen", args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	run("-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "host"))
	run("-q", "-t", "ed25519", "-N", "", "-f", key)
	fingerprint = strings.Fields(run("-lf", filepath.Join(dir, "host.pub")))[1]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := filepath.Join(dir, "conf")
	text := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nPidFile none\nAuthorizedKeysFile %s.pub\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n", port, filepath.Join(dir, "host"), key)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-D", "-e", "-f", conf)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, listens := bufio.NewScanner(said), false
	for !listens && lines.Scan() {
		listens = strings.Contains(lines.Text(), "Server listening")
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		stop()
		<-drained
		_ = cmd.Wait() // killed
	})
	if !listens {
		t.Fatal("sshd does not listen")
	}
	return port, fingerprint, key
}

// S3-19: from a machine with nothing but sshd to a node that works, in one command and less than a minute. S1-105: every command line that
// brought it up is in its log. A wrong key is told as the hop that fails.
func TestAddingAMachineBySSH(t *testing.T) {
	port, fingerprint, key := sshd(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	f := servertest.New(t)
	s, _ := nodeShell(t, f)
	target := fmt.Sprintf("%s@127.0.0.1:%d", me.Username, port)
	start := time.Now()
	code, out, errw := s.try("", "node", "add", "far", "--ssh", target, "--key", key, "--host-key", fingerprint, "--remote-root", filepath.Join(t.TempDir(), "far"), "--yes")
	t.Logf("%v\n%s%s", time.Since(start), out, errw)
	if code != exitOK || time.Since(start) > time.Minute {
		t.Fatalf("exit %d after %v", code, time.Since(start))
	}
	for _, says := range []string{"Made node far, launcher ssh.", "Node far is online", "Hello from", "Took --labels linux", "Node far works"} {
		if !strings.Contains(out+errw, says) {
			t.Errorf("no %q", says)
		}
	}
	if log := s.ok("--stdio", "node", "log", "far"); strings.Contains(log, "BEGIN OPENSSH") {
		t.Error("a secret in the log")
	}
	s.ok("agent", "node", "doctor", "far")
	s.fails(exitUnavailable, "far2", "node", "add", "far2", "--ssh", target, "--key", key, "--host-key", "SHA256:"+strings.Repeat("A", 43))
	if code, out, errw := s.try("", "node", "doctor", "far2"); code != exitUnavailable || !strings.Contains(errw, "FAIL") || !strings.Contains(errw, "key") {
		t.Errorf("%d\n%s%s", code, out, errw)
	}
}

//go:build unix

package ssh_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	xssh "golang.org/x/crypto/ssh"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/fault"
)

// foreign is an sshd in this process, for what a real one cannot be here: one that takes passwords, one on Windows.
type foreign struct {
	t      testing.TB
	port   int
	config *xssh.ServerConfig
	// exec runs a command and returns its exit code.
	exec func(command string, in io.Reader, out, stderr io.Writer) int
	sftp sftp.Handlers

	mu   sync.Mutex
	seen []string // commands, in order; guarded by mu
	wg   sync.WaitGroup
}

func newForeign(t testing.TB, config *xssh.ServerConfig) *foreign {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config.AddHostKey(signer)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &foreign{t: t, port: ln.Addr().(*net.TCPAddr).Port, config: config, exec: shellHere}
	f.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); f.wg.Wait() })
	return f
}

func (f *foreign) serve(conn net.Conn) {
	c, channels, requests, err := xssh.NewServerConn(conn, f.config)
	if err != nil {
		conn.Close()
		return
	}
	go xssh.DiscardRequests(requests)
	for n := range channels {
		ch, reqs, err := n.Accept()
		if err != nil {
			break
		}
		f.wg.Go(func() { f.session(ch, reqs) })
	}
	c.Close()
}

func (f *foreign) session(ch xssh.Channel, reqs <-chan *xssh.Request) {
	defer ch.Close()
	for r := range reqs {
		var text struct{ Text string }
		_ = xssh.Unmarshal(r.Payload, &text)
		switch {
		case r.Type == "exec":
			r.Reply(true, nil)
			f.mu.Lock()
			f.seen = append(f.seen, text.Text)
			f.mu.Unlock()
			go xssh.DiscardRequests(reqs)
			code := f.exec(text.Text, ch, ch, ch.Stderr())
			ch.SendRequest("exit-status", false, xssh.Marshal(struct{ Code uint32 }{uint32(code)}))
			return
		case r.Type == "subsystem" && text.Text == "sftp" && f.sftp.FileGet != nil:
			r.Reply(true, nil)
			go xssh.DiscardRequests(reqs)
			sftp.NewRequestServer(ch, f.sftp).Serve()
			return
		default:
			r.Reply(false, nil)
		}
	}
}

// shellHere runs a command as sshd does.
func shellHere(command string, in io.Reader, out, stderr io.Writer) int {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Stdout, cmd.Stderr = out, stderr
	stdin, err := cmd.StdinPipe() // Wait is not to wait for the peer to close its side
	if err != nil || cmd.Start() != nil {
		return 255
	}
	go func() { io.Copy(stdin, in); stdin.Close() }()
	cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

func (f *foreign) node(settings ...string) fleet.Node {
	c := map[string]string{"host": "127.0.0.1", "port": fmt.Sprint(f.port), "user": "alice", "hostKey": "none", "prefix": roleEnv + "=agent", "timeout": "20s"}
	for i := 0; i < len(settings); i += 2 {
		c[settings[i]] = settings[i+1]
	}
	return fleet.Node{Name: "n", RemoteRoot: filepath.Join(f.t.TempDir(), "root"), Launcher: fleet.LauncherSpec{Kind: ssh.Kind, Config: c}}
}

// S1-16: passwords, asked for in either way.
func TestPassword(t *testing.T) {
	t.Setenv("SSH_TEST_PASSWORD", "correct horse")
	check := func(c xssh.ConnMetadata, password string) (*xssh.Permissions, error) {
		if c.User() == "alice" && password == "correct horse" {
			return nil, nil
		}
		return nil, errors.New("wrong")
	}
	for name, config := range map[string]*xssh.ServerConfig{
		"password": {PasswordCallback: func(c xssh.ConnMetadata, p []byte) (*xssh.Permissions, error) { return check(c, string(p)) }},
		"keyboard-interactive": {KeyboardInteractiveCallback: func(c xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
			answers, err := ask("", "", []string{"Name: ", "Password: "}, []bool{true, false})
			if err != nil || answers[0] != "" {
				return nil, errors.New("no")
			}
			return check(c, answers[1])
		}},
	} {
		f := newForeign(t, config)
		l := launcher(t, ssh.Config{})
		log := &buffer{}
		conn := connect(t, l, f.node("password", "env:SSH_TEST_PASSWORD"), log)
		describe(t, conn)
		conn.Close()
		if strings.Contains(log.String(), "correct horse") {
			t.Errorf("%s", log)
		}
		wrong := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(wrong, []byte("wrong\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := l.Launch(t.Context(), f.node("password", "file:"+wrong), log)
		if !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%v", err)
		}
		wants(t, "error", says{err}, "it takes "+name, `user "alice"`)
	}
}

// S1-22: Cygwin's sshd: a Unix shell, and a program of Windows that is told its folder in Windows' words. uname and cygpath are stand-ins.
func TestCygwin(t *testing.T) {
	for _, system := range []string{"CYGWIN_NT-10.0-19045", "MINGW64_NT-10.0", "MSYS_NT-10.0"} {
		s := newSSHD(t, options{})
		s.shadow(options{}, map[string]string{"uname": "[ \"$1\" = -s ] && echo " + system + " || echo x86_64", "cygpath": "echo \"$2/../root\""})
		l := launcher(t, ssh.Config{Agents: agents(t, "windows-amd64.exe")})
		log := &buffer{}
		conn := connect(t, l, s.node(), log)
		describe(t, conn)
		conn.Close()
		root := filepath.Join(s.dir, "root")
		wants(t, system, log, "windows/amd64", "cd "+root+" && ", root+"/bin/outwork-agent.exe --stdio", "--root "+root+"/../root")
	}
}

// Windows' own sshd, with cmd.exe or PowerShell behind it. Both are stand-ins that answer as the real ones do; the agent is a real one.
func TestWindows(t *testing.T) {
	for shell, want := range map[string]string{
		"cmd":        `"C:\Users\Al Ice\.outwork\nodes\n\bin\outwork-agent.exe" --stdio --name n --root "C:\Users\Al Ice\.outwork\nodes\n"`,
		"powershell": `& 'C:\Users\Al Ice\.outwork\nodes\n\bin\outwork-agent.exe' --stdio --name n --root 'C:\Users\Al Ice\.outwork\nodes\n'`,
	} {
		f := newForeign(t, &xssh.ServerConfig{NoClientAuth: true})
		f.sftp = sftp.InMemHandler()
		root := t.TempDir()
		f.exec = func(command string, in io.Reader, out, stderr io.Writer) int {
			switch {
			case strings.HasPrefix(command, "sh "):
				fmt.Fprint(stderr, "'sh' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n")
				return 1
			case strings.HasPrefix(command, "cmd.exe "):
				fmt.Fprint(out, "OUTWORK-BEGIN\r\nsystem=windows\r\nmachine=AMD64\r\nhome=C:\\Users\\Al Ice\r\nuser=alice\r\nOUTWORK-END\r\n")
				return 0
			case strings.HasPrefix(command, "echo version="):
				if shell == "cmd" {
					fmt.Fprint(out, "version=$PSVersionTable.PSVersion.Major\r\n")
				} else {
					fmt.Fprint(out, "version=5\r\n")
				}
				return 0
			}
			self, _ := os.Executable()
			return shellHere(roleEnv+"=agent exec "+self+" --stdio --name n --root "+root, in, out, stderr)
		}
		l := launcher(t, ssh.Config{Agents: agents(t, "windows-amd64.exe")})
		n := f.node("prefix", "", "key", "file:"+keyFile(t))
		n.RemoteRoot = ""
		log := &buffer{}
		conn := connect(t, l, n, log)
		describe(t, conn)
		conn.Close()
		wants(t, shell, log, "Copied the agent", `C:\Users\Al Ice\.outwork\nodes\n\bin\outwork-agent.exe by sftp`)
		f.mu.Lock()
		if last := f.seen[len(f.seen)-1]; last != want {
			t.Errorf("%s: %s, want %s", shell, last, want)
		}
		f.mu.Unlock()
		log = &buffer{}
		connect(t, l, n, log).Close()
		wants(t, shell, log, "nothing is copied")
		if hops := examine(t, l, n); names(hops) != allGood {
			t.Errorf("%+v", hops)
		}
	}
}

// keyFile is a key that is of no importance.
func keyFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "id")
	command(t, "ssh-keygen", "-q", "-f", file, "-t", "ed25519", "-N", "")
	return file
}

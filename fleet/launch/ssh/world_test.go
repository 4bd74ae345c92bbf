//go:build unix

package ssh_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/reapi"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/need"
)

// roleEnv makes the test binary something else: an agent, a controller.
const roleEnv = "SSH_TEST_ROLE"

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	host.MaybeShim()
	switch os.Getenv(roleEnv) {
	case "agent":
		os.Exit(serve.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	case "controller":
		os.Exit(controllerProcess())
	case "relay":
		os.Exit(relay())
	}
	goleak.VerifyTestMain(m)
}

// programs finds the programs that a test stands on.
func programs(t testing.TB, names ...string) {
	t.Helper()
	for _, p := range names {
		if path(p) == "" {
			need.Lack(t, "%s is not installed", p)
		}
	}
}

// long leaves a test out of short runs: those under the race detector.
func long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("long")
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		need.Lack(t, "needs root, for namespaces and mounts")
	}
}

func path(program string) string {
	if p, err := exec.LookPath(program); err == nil {
		return p
	}
	p := "/usr/sbin/" + program
	if _, err := os.Stat(p); err == nil {
		return p
	}
	return ""
}

// sshd is a real one on a port of 127.0.0.1, with folders of its own.
type sshd struct {
	t    testing.TB
	dir  string
	host string // "127.0.0.1"
	port int
	home string // HOME of those who log in
	log  *buffer
	cmd  *exec.Cmd
	ends chan struct{}
}

// options of an sshd. The zero value has sftp and takes the key of keyFile.
type options struct {
	conf    string // more lines of sshd_config; the first value of a keyword counts
	noSFTP  bool
	netns   string // runs in it
	mount   string // options of a tmpfs on DIR/small disk, in a mount namespace of its own
	address string // instead of 127.0.0.1
	port    int    // instead of a free one
}

// newSSHD starts an sshd. It is stopped with the test.
func newSSHD(t testing.TB, o options) *sshd {
	t.Helper()
	programs(t, "sshd", "ssh-keygen")
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &sshd{t: t, dir: t.TempDir(), host: "127.0.0.1", port: o.port, log: &buffer{}}
	if o.address != "" {
		s.host = o.address
	}
	s.home = filepath.Join(s.dir, "home")
	if err := os.Mkdir(s.home, 0o755); err != nil {
		t.Fatal(err)
	}
	s.keygen("host", "-t", "ed25519", "-N", "")
	s.keygen("id", "-t", "ed25519", "-N", "")
	s.authorize("id.pub")
	if s.port == 0 {
		s.port = freePort(t)
	}
	subsystem := "Subsystem sftp internal-sftp\n"
	if o.noSFTP {
		subsystem = ""
	}
	s.put("sshd_config", fmt.Sprintf(`%s
Port %d
ListenAddress %s
HostKey %s/host
PidFile none
AuthorizedKeysFile %s/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100:30:200
LogLevel VERBOSE
SetEnv HOME=%s
%s`, o.conf, s.port, s.host, s.dir, s.dir, s.home, subsystem))
	s.start(o)
	return s
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *sshd) start(o options) {
	s.t.Helper()
	argv := []string{path("sshd"), "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config")}
	if o.netns != "" {
		argv = append([]string{path("ip"), "netns", "exec", o.netns}, argv...)
	}
	if o.mount != "" {
		small := filepath.Join(s.dir, "small disk")
		if err := os.Mkdir(small, 0o755); err != nil {
			s.t.Fatal(err)
		}
		script := `d=$1; shift; mount -t tmpfs -o ` + o.mount + ` tmpfs "$d" && exec "$@"`
		argv = append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", small}, argv...)
	}
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Stderr, s.cmd.WaitDelay = s.log, time.Second
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ends = make(chan struct{})
	go func(cmd *exec.Cmd, ends chan struct{}) { cmd.Wait(); close(ends) }(s.cmd, s.ends)
	s.t.Cleanup(s.stop)
	s.log.await(s.t, fmt.Sprintf("Server listening on %s port %d", s.host, s.port))
}

// shadow starts sshd again with programs that stand before those of the machine.
func (s *sshd) shadow(o options, programs map[string]string) {
	s.t.Helper()
	s.stop()
	bin := filepath.Join(s.dir, "shadow")
	if err := os.Mkdir(bin, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	s.put("sshd_config", strings.Replace(s.read("sshd_config"), "SetEnv HOME=", "SetEnv PATH="+bin+":"+os.Getenv("PATH")+" HOME=", 1))
	s.log = &buffer{}
	s.start(o)
}

// stop ends sshd, not the sessions it has.
func (s *sshd) stop() {
	s.cmd.Process.Kill()
	<-s.ends
}

// keygen makes a key pair in the folder.
func (s *sshd) keygen(name string, args ...string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	command(s.t, "ssh-keygen", append([]string{"-q", "-f", file, "-C", name}, args...)...)
	return file
}

// authorize lets the public keys in the folder in, and no others.
func (s *sshd) authorize(names ...string) {
	s.t.Helper()
	var all []byte
	for _, n := range names {
		all = append(all, s.read(n)...)
	}
	s.put("authorized_keys", string(all))
}

func (s *sshd) put(name, text string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

func (s *sshd) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// node is a machine behind this sshd. Settings come in pairs and win.
func (s *sshd) node(settings ...string) fleet.Node {
	u, err := user.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	c := map[string]string{
		"host": s.host, "port": fmt.Sprint(s.port), "user": u.Username, "key": "file:" + filepath.Join(s.dir, "id"),
		"hostKey": "pinned", "pinnedKey": s.read("host.pub"), "prefix": roleEnv + "=agent", "timeout": "20s",
	}
	for i := 0; i < len(settings); i += 2 {
		c[settings[i]] = settings[i+1]
		if settings[i+1] == "" {
			delete(c, settings[i])
		}
	}
	return fleet.Node{Name: "n", RemoteRoot: filepath.Join(s.dir, "root"), Launcher: fleet.LauncherSpec{Kind: ssh.Kind, Config: c}}
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// agents is a folder with the test binary as the agent of this kind of machine, and others as asked.
func agents(t testing.TB, kinds ...string) *dist.Dist {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range append(kinds, runtime.GOOS+"-"+runtime.GOARCH) {
		if err := os.Symlink(self, filepath.Join(dir, "outwork-agent-"+k)); err != nil {
			t.Fatal(err)
		}
	}
	return dist.New(dist.Config{Folder: dir})
}

func launcher(t testing.TB, c ssh.Config) *ssh.Launcher {
	t.Helper()
	if c.Agents == nil {
		c.Agents = agents(t)
	}
	if c.Home == "" {
		c.Home = t.TempDir()
	}
	if c.AgentSocket == "" {
		c.AgentSocket = filepath.Join(c.Home, "no-agent")
	}
	l, err := ssh.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// connect launches and greets. The connection is closed with the test.
func connect(t testing.TB, l *ssh.Launcher, n fleet.Node, log io.Writer) *remote.Conn {
	t.Helper()
	conn, err := tryConnect(t.Context(), l, n, log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func tryConnect(ctx context.Context, l *ssh.Launcher, n fleet.Node, log io.Writer) (*remote.Conn, error) {
	link, err := l.Launch(ctx, n, log)
	if err != nil {
		return nil, err
	}
	store := memory.New(memory.Config{})
	return remote.Connect(ctx, link, remote.Options{Name: "controller", Register: func(r grpc.ServiceRegistrar) {
		reapi.New(reapi.Config{Store: store}).Register(r)
	}})
}

// buffer is a log that can be waited for.
type buffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	grown chan struct{} // closed and dropped when buf grows; nil while nobody waits
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown != nil {
		close(b.grown)
		b.grown = nil
	}
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *buffer) await(t testing.TB, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		if strings.Contains(b.buf.String(), text) {
			b.mu.Unlock()
			return
		}
		if b.grown == nil {
			b.grown = make(chan struct{})
		}
		grown := b.grown
		b.mu.Unlock()
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("%q was never said:\n%s", text, b)
		}
	}
}

// wants checks that a text says all of these.
func wants(t testing.TB, what string, text fmt.Stringer, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text.String(), p) {
			t.Errorf("%s: %q is missing in:\n%s", what, p, text)
		}
	}
}

// says makes an error a text.
type says struct{ error }

func (s says) String() string { return fmt.Sprint(s.error) }

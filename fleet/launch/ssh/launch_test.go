//go:build unix

package ssh_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/fault"
)

// S1-11, S1-16, S1-18, S1-30, S1-105: the controller logs in with its own client, puts the agent there once, and writes down each command line.
func TestLaunch(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	log := &buffer{}
	conn := connect(t, l, s.node(), log)
	d, err := conn.Machine().Describe(t.Context())
	if err != nil || d.Root != filepath.Join(s.dir, "root") || d.PID == os.Getpid() {
		t.Errorf("%+v, %v", d, err)
	}
	binary := filepath.Join(s.dir, "root", "bin", "outwork-agent")
	st, err := os.Stat(binary)
	if err != nil || st.Mode().Perm() != 0o755 {
		t.Fatalf("%v, %v", st, err)
	}
	wants(t, "log", log, "[SSH] Host key of 127.0.0.1:", "(pinned)", "by sftp", "[SSH] $ cd "+filepath.Join(s.dir, "root")+" && SSH_TEST_ROLE=agent "+binary+" --stdio --name n --root ", "msg=connected")
	conn.Close()

	before := log.String()
	conn = connect(t, l, s.node(), log)
	defer conn.Close()
	again := strings.TrimPrefix(log.String(), before)
	if st2, err := os.Stat(binary); err != nil || !st2.ModTime().Equal(st.ModTime()) || !os.SameFile(st, st2) {
		t.Errorf("the same binary was copied again: %v, %v", st2, err)
	}
	if !strings.Contains(again, "nothing is copied") || strings.Contains(again, "Copied") {
		t.Errorf("%s", again)
	}
	// Another binary there is replaced.
	conn.Close()
	if err := os.WriteFile(binary+".new", []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(binary+".new", binary); err != nil {
		t.Fatal(err)
	}
	connect(t, l, s.node(), log).Close()
	left, err := filepath.Glob(filepath.Join(s.dir, "root", "bin", "*"))
	if err != nil || len(left) != 2 { // the binary and its stamp
		t.Errorf("%v, %v", left, err)
	}
}

func openStep(t testing.TB, m agent.Machine, script string) agent.Lease {
	t.Helper()
	lease := agent.Lease{Item: rand.Text(), Epoch: 1}
	if _, err := m.Open(t.Context(), agent.OpenRequest{Lease: lease, Job: "job"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), agent.StartRequest{Lease: lease, Step: "s", Script: []byte("#!/bin/sh\n" + script)}); err != nil {
		t.Fatal(err)
	}
	return lease
}

func finishStep(t testing.TB, m agent.Machine, lease agent.Lease) {
	t.Helper()
	if err := m.WriteFile(t.Context(), lease, "go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out string
	e, err := m.Follow(t.Context(), lease, "s", 0, func(o agent.Output) error { out += string(o.Data); return nil })
	if err != nil || e.Code != 0 || out != "one\ntwo\n" {
		t.Errorf("%q, %+v, %v", out, e, err)
	}
	if err := m.Close(t.Context(), lease); err != nil {
		t.Error(err)
	}
}

const waitingStep = "echo one; while ! test -e go; do sleep 0.02; done; echo two"

// S1-19: when the link ends the agent ends; its steps do not, and the next launch finds them.
func TestAgentEndsWithItsLink(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{Grace: 2 * patience})
	conn := connect(t, l, s.node(), &buffer{})
	d := describe(t, conn)
	lease := openStep(t, conn.Machine(), waitingStep)
	start := time.Now()
	conn.Close()
	if took := time.Since(start); took > patience {
		t.Errorf("the agent took %v to end", took)
	}
	awaitDeath(t, d.PID)
	conn = connect(t, l, s.node(), &buffer{})
	if again := describe(t, conn); again.PID == d.PID {
		t.Errorf("%+v", again)
	}
	finishStep(t, conn.Machine(), lease)
}

func describe(t testing.TB, conn *remote.Conn) agent.Description {
	t.Helper()
	d, err := conn.Machine().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// An agent that dies ends the link with the reason, and the next launch goes on.
func TestAgentKilled(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	conn := connect(t, l, s.node(), &buffer{})
	d := describe(t, conn)
	lease := openStep(t, conn.Machine(), waitingStep)
	p, err := os.FindProcess(d.PID)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	select {
	case <-conn.Done():
	case <-time.After(patience):
		t.Fatal("the death was not noticed")
	}
	if err := conn.Err(); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "killed by signal") {
		t.Errorf("%v", err)
	}
	conn.Close()
	conn = connect(t, l, s.node(), &buffer{})
	finishStep(t, conn.Machine(), lease)
}

// S1-22 aside, the agent's folder may be anywhere the user can write, also with blanks and quotes in its name, and below the home folder.
func TestRemoteRoot(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	for root, want := range map[string]string{
		"":                                     filepath.Join(s.home, ".outwork/nodes/n o'de"),
		"~/a b":                                filepath.Join(s.home, "a b"),
		"rel/ative":                            filepath.Join(s.home, "rel/ative"),
		filepath.Join(s.dir, `it's "$HOME" ü`): filepath.Join(s.dir, `it's "$HOME" ü`),
	} {
		n := s.node()
		n.Name, n.RemoteRoot = "n o'de", root
		log := &buffer{}
		conn := connect(t, l, n, log)
		if d := describe(t, conn); d.Root != want {
			t.Errorf("root %q: %q, want %q", root, d.Root, want)
		}
		conn.Close()
	}
}

// S1-60, S1-61: what stands before and after the agent in the start command; the steps see its environment.
func TestPrefixAndSuffix(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	for _, c := range []struct{ prefix, suffix string }{
		{"COLOUR=blue " + roleEnv + "=agent nice -n 1", ""},
		{"export COLOUR=blue " + roleEnv + "=agent;", ""},
		{"sh -c 'COLOUR=blue " + roleEnv + "=agent exec ", "'"},
		{"env COLOUR=blue " + roleEnv + "=agent", "2>" + filepath.Join(s.dir, "stderr")},
		{s.wrapper("wrapper", "#!/bin/sh\nexport COLOUR=blue "+roleEnv+"=agent\nexec \"$@\"\n"), ""},
	} {
		log := &buffer{}
		conn := connect(t, l, s.node("prefix", c.prefix, "suffix", c.suffix), log)
		m := conn.Machine()
		lease := openStep(t, m, `echo "colour $COLOUR"`)
		var out string
		if _, err := m.Follow(t.Context(), lease, "s", 0, func(o agent.Output) error { out += string(o.Data); return nil }); err != nil || out != "colour blue\n" {
			t.Errorf("prefix %q: %q, %v", c.prefix, out, err)
		}
		if err := m.Close(t.Context(), lease); err != nil {
			t.Error(err)
		}
		wants(t, "log", log, "&& "+c.prefix, c.suffix)
		conn.Close()
	}
	if b := s.read("stderr"); !strings.Contains(b, "msg=connected") {
		t.Errorf("the suffix led stderr elsewhere, and there is %q", b)
	}
}

func (s *sshd) wrapper(name, text string) string {
	file := s.put(name, text)
	if err := os.Chmod(file, 0o755); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// S1-18: without sftp the agent is copied through a shell.
func TestNoSFTP(t *testing.T) {
	s := newSSHD(t, options{noSFTP: true})
	l := launcher(t, ssh.Config{})
	log := &buffer{}
	connect(t, l, s.node(), log).Close()
	wants(t, "log", log, "There is no sftp", "by cat")
	connect(t, l, s.node(), log).Close()
	wants(t, "log", log, "nothing is copied")
}

// A login shell that greets everybody does not confuse anything: not the answers, not sftp, not the link.
func TestNoisyLoginShell(t *testing.T) {
	programs(t, "bash")
	noise := strings.Repeat("Welcome to the machine!\nAll activity is monitored.\n", 100)
	for _, sftp := range []string{"internal-sftp", "/usr/lib/openssh/sftp-server"} {
		s := newSSHD(t, options{noSFTP: true, conf: "Subsystem sftp " + sftp})
		motd := s.put("motd", noise)
		s.put("noisy", "#!/bin/bash\ncat "+motd+"\nif [ \"$SSH_ORIGINAL_COMMAND\" = internal-sftp ]; then exec /usr/lib/openssh/sftp-server; fi\neval \"$SSH_ORIGINAL_COMMAND\"\necho Goodbye\n")
		s.put("authorized_keys", `command="/bin/bash `+filepath.Join(s.dir, "noisy")+`" `+s.read("id.pub"))
		log := &buffer{}
		conn := connect(t, launcher(t, ssh.Config{}), s.node(), log)
		finishStep(t, conn.Machine(), openStep(t, conn.Machine(), waitingStep))
		conn.Close()
		wants(t, "log", log, "by cat") // sftp does not survive noise, OpenSSH's own neither
	}
}

// A shell that says nothing useful is told as what it is.
func TestUselessShell(t *testing.T) {
	s := newSSHD(t, options{conf: "ForceCommand echo This account is not available."})
	_, err := launcher(t, ssh.Config{}).Launch(t.Context(), s.node(), &buffer{})
	wants(t, "error", says{err}, "neither sh nor cmd.exe", "This account is not available.", "ForceCommand")
}

// A login that never answers is given up.
func TestHangingShell(t *testing.T) {
	s := newSSHD(t, options{conf: "ForceCommand exec sleep 100"})
	_, err := launcher(t, ssh.Config{}).Launch(t.Context(), s.node("timeout", "700ms"), &buffer{})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	wants(t, "error", says{err}, "no answer within 700ms")
}

// S1-106, S1-107: a program that is no agent says why, in the error and in the log.
func TestNoAgent(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	for _, c := range []struct {
		settings []string
		want     []string
	}{
		{[]string{"prefix", "/nonexistent/wrapper"}, []string{"exit status 127", "/nonexistent/wrapper", "check prefix"}},
		{[]string{"prefix", "echo trouble >&2; exit 64;"}, []string{"exit status 64: trouble"}},
		{[]string{"copy", "false", "agentPath", s.put("not-executable", "#!/bin/sh\n")}, []string{"exit status 126", "noexec"}},
		{[]string{"copy", "false", "agentPath", s.wrapper("elf", "\x7fELF of some other machine")}, []string{"Exec format error", "not for this machine, which is linux/"}},
		{[]string{"copy", "false", "agentPath", filepath.Join(s.dir, "nothing")}, []string{"exit status 127", "agentPath"}},
	} {
		log := &buffer{}
		_, err := tryConnect(t.Context(), l, s.node(c.settings...), log)
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%v: %v", c.settings, err)
		}
		wants(t, fmt.Sprint(c.settings), says{err}, c.want...)
	}
}

// An agent that is already there is used as it is.
func TestAgentIsThere(t *testing.T) {
	s := newSSHD(t, options{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, launcher(t, ssh.Config{}), s.node("copy", "false", "agentPath", self), &buffer{})
	describe(t, conn)
	if _, err := os.Stat(filepath.Join(s.dir, "root", "bin")); !os.IsNotExist(err) {
		t.Errorf("something was copied: %v", err)
	}
}

// The whole of outwork serves as an agent for machines like the controller's.
func TestSelfAsAgent(t *testing.T) {
	s := newSSHD(t, options{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "outwork")
	if err := os.Symlink(self, file); err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	connect(t, launcher(t, ssh.Config{Agents: selfOnly(file)}), s.node(), log).Close()
	wants(t, "log", log, "/bin/outwork-agent agent --stdio --name n")
}

// No binary for that machine: the error says how to get one.
func TestNoBinary(t *testing.T) {
	s := newSSHD(t, options{})
	_, err := launcher(t, ssh.Config{Agents: selfOnly("")}).Launch(t.Context(), s.node(), &buffer{})
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	wants(t, "error", says{err}, "no agent for linux/", "make agents")
}

// Launching and closing again and again leaves nothing behind, on neither side.
func TestStartAndStop(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	var last int
	for range 10 {
		conn := connect(t, l, s.node(), &buffer{})
		last = describe(t, conn).PID
		conn.Close()
	}
	awaitDeath(t, last)
}

// A launch that is given up ends soon.
func TestLaunchCanceled(t *testing.T) {
	s := newSSHD(t, options{conf: "ForceCommand exec sleep 100"})
	ctx, cancel := context.WithCancel(t.Context())
	log := &buffer{}
	done := make(chan error, 1)
	go func() { _, err := launcher(t, ssh.Config{}).Launch(ctx, s.node(), log); done <- err }()
	log.await(t, "[SSH] $ sh -c")
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("launched")
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}

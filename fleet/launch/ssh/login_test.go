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
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/fault"
)

// examine runs an examination and returns what it found, hop by hop.
func examine(t testing.TB, l *ssh.Launcher, n fleet.Node) (hops []fleet.Hop) {
	t.Helper()
	l.Examine(t.Context(), n, func(h fleet.Hop) { hops = append(hops, h) })
	return hops
}

// names writes hops as "dns tcp !login": a ! stands before the one that failed.
func names(hops []fleet.Hop) string {
	var out []string
	for _, h := range hops {
		if !h.OK {
			h.Name = "!" + h.Name
		}
		out = append(out, h.Name)
	}
	return strings.Join(out, " ")
}

const allGood = "dns tcp key login shell disk agent clock"

// login checks that a node lets us in.
func login(t testing.TB, what string, l *ssh.Launcher, n fleet.Node) {
	t.Helper()
	if hops := examine(t, l, n); names(hops) != allGood {
		t.Errorf("%s: %s: %+v", what, names(hops), hops[len(hops)-1])
	}
}

// S1-16: keys of all types and file formats, made by the tools that people make them with, at a real sshd.
func TestKeyFormats(t *testing.T) {
	long(t)
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	pass := "file:" + s.put("passphrase", "correct horse\n")
	for name, args := range map[string]string{
		"ed25519":     "-t ed25519 -N |",
		"rsa":         "-t rsa -b 2048 -N |", // rsa-sha2: sshd takes no SHA-1 any more
		"rsa-pem":     "-t rsa -b 2048 -m PEM -N |",
		"rsa-pkcs8":   "-t rsa -b 2048 -m PKCS8 -N |",
		"ecdsa":       "-t ecdsa -b 256 -N |",
		"ecdsa-pem":   "-t ecdsa -b 384 -m PEM -N |",
		"ecdsa-pkcs8": "-t ecdsa -b 521 -m PKCS8 -N |",
		"ed25519-pw":  "-t ed25519 -N |correct horse",
		"rsa-pem-pw":  "-t rsa -b 2048 -m PEM -N |correct horse",
	} {
		flags, passphrase, _ := strings.Cut(args, "|")
		file := s.keygen(name, append(strings.Fields(flags), passphrase)...)
		s.authorize(name + ".pub")
		settings := []string{"key", "file:" + file}
		if passphrase != "" {
			if _, err := l.Launch(t.Context(), s.node(settings...), &buffer{}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "set passphrase") {
				t.Errorf("%s without its passphrase: %v", name, err)
			}
			wrong := s.node(append(settings, "passphrase", "file:"+s.put("wrong", "wrong"))...)
			if err := l.Check(wrong); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "passphrase is wrong") {
				t.Errorf("%s with a wrong passphrase: %v", name, err)
			}
			settings = append(settings, "passphrase", pass)
		}
		if err := l.Check(s.node(settings...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		login(t, name, l, s.node(settings...))
	}
}

// S1-21: PuTTY's keys, version 2 and 3, with and without passphrase.
func TestPuTTYKeys(t *testing.T) {
	long(t)
	programs(t, "puttygen")
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	passFile := s.put("passphrase", "correct horse")
	empty := s.put("empty", "")
	for _, kind := range []string{"ed25519", "rsa -b 2048", "ecdsa -b 256", "ecdsa -b 521"} {
		for _, params := range []string{"version=2", "version=3,kdf=argon2id,memory=1024", "version=3,kdf=argon2i,memory=1024"} {
			for _, pass := range []string{empty, passFile} {
				name := "ppk" + strings.NewReplacer(" ", "", ",", "", "=", "").Replace(kind+params) + filepath.Base(pass)
				file := filepath.Join(s.dir, name)
				args := append([]string{"-q", "-t"}, strings.Fields(kind)...)
				command(t, "puttygen", append(args, "--new-passphrase", pass, "--ppk-param", params, "-O", "private", "-C", "müller@pc", "-o", file)...)
				pub := []string{file, "-O", "public-openssh", "-o", file + ".pub"}
				settings := []string{"key", "file:" + file}
				if pass == passFile {
					pub = append(pub, "--old-passphrase", pass)
					if err := l.Check(s.node(settings...)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "set passphrase") {
						t.Errorf("%s: %v", name, err)
					}
					bad := s.node(append(settings, "passphrase", "file:"+s.put("wrong", "wrong"))...)
					if err := l.Check(bad); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "passphrase is wrong") {
						t.Errorf("%s: %v", name, err)
					}
					settings = append(settings, "passphrase", "file:"+pass)
				}
				command(t, "puttygen", pub...)
				s.authorize(name + ".pub")
				login(t, name, l, s.node(settings...))
			}
		}
	}
	damaged := strings.Replace(s.read("ppked25519version2empty"), "Private-MAC: ", "Private-MAC: 00", 1)
	if err := l.Check(s.node("key", "file:"+s.put("damaged", damaged))); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
}

// S1-16: user certificates, beside the key file or named.
func TestCertificate(t *testing.T) {
	s := newSSHD(t, options{})
	ca, id := s.keygen("ca", "-t", "ed25519", "-N", ""), s.keygen("signed", "-t", "ed25519", "-N", "")
	n := s.node("key", "file:"+id)
	command(t, "ssh-keygen", "-q", "-s", ca, "-I", "outwork", "-n", n.Launcher.Config["user"], id+".pub")
	s.put("authorized_keys", "cert-authority "+s.read("ca.pub"))
	l := launcher(t, ssh.Config{})
	login(t, "beside the key", l, n)
	if err := os.Rename(id+"-cert.pub", id+".certificate"); err != nil {
		t.Fatal(err)
	}
	if hops := examine(t, l, n); names(hops) != "dns tcp key !login" {
		t.Errorf("%+v", hops)
	}
	login(t, "named", l, s.node("key", "file:"+id, "certificate", "file:"+id+".certificate"))
	if err := l.Check(s.node("certificate", "file:"+id+".certificate")); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "not of this key") {
		t.Errorf("%v", err)
	}
}

// S1-16: keys of an ssh agent.
func TestSSHAgent(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{AgentSocket: sshAgent(t, s)})
	login(t, "agent", l, s.node("key", "", "agent", "true"))
	n := s.node("key", "", "agent", "true")
	_, err := launcher(t, ssh.Config{}).Launch(t.Context(), n, &buffer{})
	wants(t, "no agent", says{err}, "ssh agent")
}

// sshAgent serves the key of keyFile from memory.
func sshAgent(t testing.TB, s *sshd) string {
	t.Helper()
	raw, err := xssh.ParseRawPrivateKey([]byte(s.read("id")))
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []any{other, raw} {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "agent")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(ring, conn)
		}
	}()
	return socket
}

// S1-17: a key that the machine does not take: the error says which line to add where, and with that line it is taken.
func TestWrongKey(t *testing.T) {
	s := newSSHD(t, options{})
	s.keygen("other", "-t", "ed25519", "-N", "")
	s.authorize("other.pub")
	l := launcher(t, ssh.Config{})
	_, err := l.Launch(t.Context(), s.node(), &buffer{})
	if !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("%v", err)
	}
	key, perr := ssh.ParseKey([]byte(s.read("id")), nil)
	if perr != nil {
		t.Fatal(perr)
	}
	line := ssh.AuthorizedLine(key)
	if !strings.HasPrefix(line, "restrict ssh-ed25519 AAAA") {
		t.Errorf("%q", line)
	}
	wants(t, "error", says{err}, line, "authorized_keys", "it takes publickey")
	if to, err := l.Logins(t.Context(), s.node("jump", "ops@bastion:2222")); err != nil || len(to) != 2 || len(to[1].Lines) != 1 || to[1].Lines[0] != line ||
		to[0].Lines[0] != "restrict,port-forwarding"+strings.TrimPrefix(line, "restrict") || to[0].User != "ops" || to[0].Address != "bastion:2222" || to[0].Hop != "jump 1" {
		t.Errorf("%+v, %v", to, err)
	}
	s.put("authorized_keys", line+"\n")
	connect(t, l, s.node(), &buffer{}).Close()
	hops := examine(t, l, s.node("user", "nobody-of-that-name"))
	if names(hops) != "dns tcp key !login" || !strings.Contains(hops[3].Hint, line) {
		t.Errorf("%+v", hops)
	}
}

// S1-105: secrets do not show in the log, wherever somebody has put them.
func TestSecretsAreMasked(t *testing.T) {
	s := newSSHD(t, options{})
	file := s.keygen("locked", "-t", "ed25519", "-N", "correct horse")
	s.authorize("locked.pub")
	log := &buffer{}
	n := s.node("key", "file:"+file, "passphrase", "file:"+s.put("passphrase", "correct horse"), "prefix", roleEnv+"=agent X='correct horse'")
	conn := connect(t, launcher(t, ssh.Config{}), n, log)
	conn.Close()
	if strings.Contains(log.String(), "correct horse") {
		t.Errorf("%s", log)
	}
	wants(t, "log", log, "X='****'")
}

// S1-105: a command line of the log does the same when it is pasted.
func TestLoggedCommandsCanBeRun(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	n := s.node()
	n.RemoteRoot = filepath.Join(s.dir, "a 'quoted' root")
	log := &buffer{}
	connect(t, l, n, log).Close()
	ran := 0
	for line := range strings.Lines(log.String()) {
		_, text, ok := strings.Cut(line, "[SSH] $ ")
		if !ok {
			continue
		}
		if want, got := map[bool]string{true: "OUTWORK-LINK", false: "OUTWORK-BEGIN"}[strings.Contains(text, "--stdio")], s.paste(text); got != want {
			t.Errorf("%s: %q", text, got)
		}
		ran++
	}
	if ran != 3 {
		t.Errorf("%d command lines:\n%s", ran, log)
	}
}

// paste runs a line in a shell and returns the first word it says.
func (s *sshd) paste(line string) string {
	s.t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = append(os.Environ(), "HOME="+s.home)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		s.t.Fatal(err)
	}
	var word string
	fmt.Fscan(out, &word)
	in.Close()
	io.Copy(io.Discard, out)
	cmd.Wait()
	return word
}

// What does not work is told with what to do. S1-107.
func TestUnreachable(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	for _, c := range []struct {
		settings []string
		hops     string
		hint     string
	}{
		{[]string{"host", "no.such.host.invalid"}, "!dns", "check the host's name"},
		{[]string{"port", fmt.Sprint(freePort(t))}, "dns !tcp", "no sshd listens"},
		{[]string{"port", fmt.Sprint(deaf.Addr().(*net.TCPAddr).Port), "timeout", "300ms"}, "dns tcp !key", "check that an sshd"},
	} {
		n := s.node(c.settings...)
		hops := examine(t, l, n)
		if names(hops) != c.hops || !strings.Contains(hops[len(hops)-1].Hint, c.hint) {
			t.Errorf("%v: %+v", c.settings, hops)
		}
		if _, err := l.Launch(t.Context(), n, &buffer{}); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%v: %v", c.settings, err)
		}
	}
}

// Attempts are repeated as the settings say, and the error that is told is the true last one; what only a person can change is not tried again.
func TestRetries(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	log := &buffer{}
	n := s.node("port", fmt.Sprint(freePort(t)), "retries", "2", "retryWait", "20ms")
	_, err := l.Launch(t.Context(), n, log)
	wants(t, "error", says{err}, "connection refused")
	wants(t, "log", log, "Attempt 1 of 3 failed", "Attempt 2 of 3 failed", "again in 20ms")
	log = &buffer{}
	s.put("authorized_keys", "")
	if _, err := l.Launch(t.Context(), s.node("retries", "2", "retryWait", "1h"), log); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("%v", err)
	}
	if strings.Contains(log.String(), "Attempt") {
		t.Errorf("%s", log)
	}
}

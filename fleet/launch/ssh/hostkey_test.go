//go:build unix

package ssh_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/fault"
)

// S1-16: a known_hosts file, with [host]:port, hashed names and authorities; also when the file knows another of the host's keys than
// the one that would be shown first.
func TestKnownHosts(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{Home: s.home})
	name := fmt.Sprintf("[127.0.0.1]:%d", s.port)
	n := s.node("hostKey", "", "pinnedKey", "")

	_, err := l.Launch(t.Context(), n, &buffer{})
	if !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	wants(t, "unknown host", says{err}, "is not known", "SHA256:", name+" "+strings.Join(strings.Fields(s.read("host.pub"))[:2], " "))

	if err := os.Mkdir(filepath.Join(s.home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(s.home, ".ssh", "known_hosts")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(known, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(name + " " + s.read("host.pub"))
	login(t, "[host]:port", l, n)
	command(t, "ssh-keygen", "-q", "-H", "-f", known)
	if b, _ := os.ReadFile(known); !bytes.HasPrefix(b, []byte("|1|")) {
		t.Fatalf("not hashed: %s", b)
	}
	login(t, "hashed", l, n)

	s.keygen("impostor", "-t", "ed25519", "-N", "")
	write(name + " " + s.read("impostor.pub"))
	log := &buffer{}
	_, err = l.Launch(t.Context(), n, log)
	if !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	wants(t, "changed", says{err}, "HAS CHANGED", known+":1", "somebody may be in between", "ssh-keygen -R '"+name+"'")
	if strings.Contains(log.String(), "Logged in") {
		t.Errorf("%s", log)
	}
	if hops := examine(t, l, n); names(hops) != "dns tcp !key" {
		t.Errorf("%+v", hops)
	}
	write("this is no key\n")
	_, err = l.Launch(t.Context(), n, &buffer{})
	wants(t, "damaged file", says{err}, known+":1")
}

// A host with several keys shows the one that is known, as with OpenSSH's own client.
func TestKnownKeyIsAskedFor(t *testing.T) {
	for _, known := range []string{"ed25519", "ecdsa", "rsa"} {
		dir := t.TempDir()
		var conf string
		for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
			file := filepath.Join(dir, kind)
			command(t, "ssh-keygen", "-q", "-f", file, "-t", kind, "-N", "")
			conf += "HostKey " + file + "\n"
		}
		pub, err := os.ReadFile(filepath.Join(dir, known+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		s := newSSHD(t, options{conf: conf})
		l := launcher(t, ssh.Config{})
		file := s.put("known", fmt.Sprintf("[127.0.0.1]:%d %s", s.port, pub))
		login(t, known, l, s.node("hostKey", "known-hosts", "knownHosts", file, "pinnedKey", ""))
		login(t, known+" pinned", l, s.node("pinnedKey", string(pub)))
		_, err = l.Launch(t.Context(), s.node("hostKey", "known-hosts", "knownHosts", s.put("none", ""), "pinnedKey", ""), &buffer{})
		wants(t, "one that is not known shows its shortest", says{err}, "it shows ssh-ed25519 SHA256:")
	}
}

// A host with a certificate of an authority that is known, and one with a certificate of an authority that is not.
func TestHostCertificate(t *testing.T) {
	dir := t.TempDir()
	host, ca := filepath.Join(dir, "host"), filepath.Join(dir, "ca")
	for _, f := range []string{host, ca} {
		programs(t, "ssh-keygen")
		command(t, "ssh-keygen", "-q", "-f", f, "-t", "ed25519", "-N", "")
	}
	command(t, "ssh-keygen", "-q", "-s", ca, "-I", "host", "-h", "-n", "127.0.0.1", host+".pub")
	s := newSSHD(t, options{conf: "HostKey " + host + "\nHostCertificate " + host + "-cert.pub"})
	l := launcher(t, ssh.Config{})
	authority, err := os.ReadFile(ca + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	file := s.put("known", fmt.Sprintf("@cert-authority [127.0.0.1]:%d %s", s.port, authority))
	n := s.node("hostKey", "known-hosts", "knownHosts", file, "pinnedKey", "")
	hops := examine(t, l, n)
	if names(hops) != allGood || !strings.Contains(hops[2].Text, "cert") {
		t.Errorf("%+v", hops)
	}
	plain, err := os.ReadFile(host + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	s.put("known", fmt.Sprintf("[127.0.0.1]:%d %s", s.port, plain))
	login(t, "the plain key is known", l, n)
}

func TestPinned(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	print := strings.Fields(command(t, "ssh-keygen", "-l", "-f", filepath.Join(s.dir, "host.pub")))[1]
	login(t, "fingerprint", l, s.node("pinnedKey", print))
	s.keygen("new", "-t", "ed25519", "-N", "")
	login(t, "two", l, s.node("pinnedKey", s.read("new.pub")+"\n"+s.read("host.pub")))
	_, err := l.Launch(t.Context(), s.node("pinnedKey", s.read("new.pub")), &buffer{})
	if !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	wants(t, "error", says{err}, "HAS CHANGED", print)
	if err := l.Check(s.node("pinnedKey", "nonsense")); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

// The first key is believed and kept, over restarts; another one later is refused.
func TestFirstUse(t *testing.T) {
	s := newSSHD(t, options{})
	file := filepath.Join(t.TempDir(), "host-keys.json")
	open := func() (*ssh.Launcher, *ssh.HostKeyFile) {
		keys, err := ssh.NewHostKeyFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return launcher(t, ssh.Config{HostKeys: keys}), keys
	}
	l, _ := open()
	n := s.node("hostKey", "first-use", "pinnedKey", "")
	log := &buffer{}
	connect(t, l, n, log).Close()
	wants(t, "log", log, "seen for the first time")
	l, _ = open()
	connect(t, l, n, log).Close()
	wants(t, "log", log, "seen first at")

	s.exchangeHostKey()
	_, err := l.Launch(t.Context(), n, &buffer{})
	if !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	wants(t, "changed", says{err}, "HAS CHANGED", "pinnedKey=SHA256:")
}

// exchangeHostKey starts sshd again with another key.
func (s *sshd) exchangeHostKey() {
	s.t.Helper()
	s.stop()
	for _, f := range []string{"host", "host.pub"} {
		if err := os.Remove(filepath.Join(s.dir, f)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.keygen("host", "-t", "ed25519", "-N", "")
	s.log = &buffer{}
	s.start(options{})
}

// With approve=true a key waits until somebody has looked at it; another one in the meantime cannot be approved in its place.
func TestFirstUseAwaitsApproval(t *testing.T) {
	s := newSSHD(t, options{})
	keys, err := ssh.NewHostKeyFile("")
	if err != nil {
		t.Fatal(err)
	}
	l := launcher(t, ssh.Config{HostKeys: keys})
	n := s.node("hostKey", "first-use", "pinnedKey", "", "approve", "true")
	for range 2 {
		_, err = l.Launch(t.Context(), n, &buffer{})
		if !fault.Is(err, fault.Denied) {
			t.Fatalf("%v", err)
		}
		wants(t, "error", says{err}, "awaits approval: SHA256:", "ssh-keygen -lf")
	}
	address := fmt.Sprintf("127.0.0.1:%d", s.port)
	first, err := keys.HostKey(t.Context(), address)
	if err != nil || first.Approved {
		t.Fatalf("%+v, %v", first, err)
	}
	s.exchangeHostKey()
	if _, err = l.Launch(t.Context(), n, &buffer{}); !fault.Is(err, fault.Denied) {
		t.Fatalf("%v", err)
	}
	if err := ssh.Approve(t.Context(), keys, address, first.Fingerprint); !fault.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	second, err := keys.HostKey(t.Context(), address)
	if err != nil || second.Fingerprint == first.Fingerprint {
		t.Fatalf("%+v, %v", second, err)
	}
	if err := ssh.Approve(t.Context(), keys, address, second.Fingerprint); err != nil {
		t.Fatal(err)
	}
	connect(t, l, n, &buffer{}).Close()
	if err := ssh.Approve(t.Context(), keys, "127.0.0.1:1", second.Fingerprint); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

// Without a check it works, loudly.
func TestNoCheck(t *testing.T) {
	s := newSSHD(t, options{})
	var log bytes.Buffer
	l := launcher(t, ssh.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	nodeLog := &buffer{}
	connect(t, l, s.node("hostKey", "none", "pinnedKey", ""), nodeLog).Close()
	wants(t, "the node's log", nodeLog, "WARNING", "NOT CHECKED")
	wants(t, "the controller's log", &log, "level=WARN", "host key not checked")
}

//go:build unix

package ssh_test

import (
	"os"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/fault"
)

// Each setting that is wrong is named, with what was expected.
func TestCheck(t *testing.T) {
	programs(t, "ssh-keygen")
	key := "file:" + keyFile(t)
	l := launcher(t, ssh.Config{})
	node := func(settings ...string) fleet.Node {
		c := map[string]string{"user": "u", "key": key}
		for i := 0; i < len(settings); i += 2 {
			c[settings[i]] = settings[i+1]
		}
		return fleet.Node{Name: "n", Launcher: fleet.LauncherSpec{Kind: ssh.Kind, Config: c}}
	}
	for _, good := range [][]string{
		nil, {"port", "2222", "retries", "3", "retryWait", "1s"}, {"jump", "a, b@c:22 [::1]:2222"}, {"host", "fe80::1"}, {"proxyCommand", "nc %h %p"},
		{"hostKey", "pinned", "pinnedKey", "SHA256:x"}, {"hostKey", "none"}, {"copy", "false", "agentPath", "/usr/bin/outwork-agent"},
	} {
		if err := l.Check(node(good...)); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, c := range []struct {
		settings []string
		want     string
	}{
		{[]string{"prot", "22"}, `launcher.config.prot: is not a setting`},
		{[]string{"port", "70000"}, `launcher.config.port: "70000": expected a number from 1 to 65535`},
		{[]string{"host", "a b"}, `launcher.config.host: "a b": expected a host`},
		{[]string{"host", "-oProxyCommand=x"}, `launcher.config.host`},
		{[]string{"host", "$(reboot)"}, `launcher.config.host`},
		{[]string{"user", "-x"}, `launcher.config.user`},
		{[]string{"key", ""}, `launcher.config.key: is missing: expected key, password or agent=true`},
		{[]string{"key", "my secret"}, `launcher.config.key: a secret's reference has no scheme`},
		{[]string{"key", "vault:x"}, `knows no vault: secrets`},
		{[]string{"key", "file:/nonexistent"}, `no such file`},
		{[]string{"hostKey", "yes"}, `launcher.config.hostKey: "yes": expected known-hosts, pinned, first-use or none`},
		{[]string{"hostKey", "pinned"}, `launcher.config.pinnedKey: is missing`},
		{[]string{"hostKey", "first-use"}, `this controller keeps no host keys`},
		{[]string{"agent", "maybe"}, `launcher.config.agent: "maybe": expected true or false`},
		{[]string{"timeout", "5"}, `launcher.config.timeout: "5": expected a time like 30s`},
		{[]string{"jump", "a:x"}, `launcher.config.jump: "a:x"`},
		{[]string{"jump", "a", "jump.2.key", key}, `launcher.config.jump.2.key: is not a setting`},
		{[]string{"jump", "a", "jump.1.hostKey", "odd"}, `launcher.config.jump.1.hostKey: "odd"`},
		{[]string{"jump", "a", "proxyCommand", "nc %h %p"}, `launcher.config.proxyCommand: is set beside jump`},
		{[]string{"copy", "false"}, `launcher.config.agentPath: is missing`},
		{[]string{"port", "x", "timeout", "y"}, `timeout: "y"`},
	} {
		err := l.Check(node(c.settings...))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.settings, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "my secret") {
			t.Errorf("the error repeats what may be a secret: %v", err)
		}
		if _, err := l.Launch(t.Context(), node(c.settings...), &buffer{}); err == nil {
			t.Errorf("%v: launched", c.settings)
		}
	}
	if _, err := ssh.New(ssh.Config{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

// S1-24: a node without a host is its own address.
func TestNodeNameIsTheAddress(t *testing.T) {
	s := newSSHD(t, options{})
	n := s.node("host", "")
	n.Name = "localhost"
	login(t, "localhost", launcher(t, ssh.Config{}), n)
	n.Name = "no-such-host.invalid"
	if hops := examine(t, launcher(t, ssh.Config{}), n); names(hops) != "!dns" || !strings.Contains(hops[0].Text, "no-such-host.invalid") {
		t.Errorf("%+v", hops)
	}
}

func TestParseKey(t *testing.T) {
	programs(t, "ssh-keygen")
	file := keyFile(t)
	public, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		string(public):                         "this is a public key",
		"":                                     "not a private key",
		"PuTTY-User-Key-File-1: ssh-rsa\n":     "version 1",
		"PuTTY-User-Key-File-3: ssh-ed25519\n": "damaged",
	} {
		if _, err := ssh.ParseKey([]byte(text), nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte("PuTTY-User-Key-File-2: ssh-ed25519\nEncryption: none\nComment: c\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 1\nAAAA\nPrivate-MAC: 00\n"))
	f.Add([]byte("PuTTY-User-Key-File-3: ssh-rsa\nEncryption: aes256-cbc\nKey-Derivation: Argon2id\nArgon2-Memory: 8\nArgon2-Passes: 1\nArgon2-Parallelism: 1\nArgon2-Salt: 00\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 1\nAAAA\nPrivate-MAC: 00\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := ssh.ParseKey(text, []byte("x")); err == nil && s.PublicKey() == nil {
			t.Error("a signer without a key")
		}
	})
}

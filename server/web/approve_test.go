package web_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server/servertest"
)

// door is an sshd that shows its key and lets nobody in.
type door struct {
	port string
	key  atomic.Pointer[ssh.Signer]
}

// lock gives it a new key, whose fingerprint it returns.
func (d *door) lock(t testing.TB) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	d.key.Store(&key)
	return ssh.FingerprintSHA256(key.PublicKey())
}

func newDoor(t testing.TB) (d *door, fingerprint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d = &door{port: port}
	fingerprint = d.lock(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			config := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errors.New("nobody is let in") }}
			config.AddHostKey(*d.key.Load())
			go func() {
				defer c.Close()
				ssh.NewServerConn(c, config)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return d, fingerprint
}

// S1-16: a key that a machine shows first is let in on its node's page, which shows its fingerprint; and so is another one later,
// beside the one that it had before.
func TestAHostKeyIsApproved(t *testing.T) {
	t.Setenv("NODE_PASSWORD", "secret")
	d, first := newDoor(t)
	f := servertest.New(t, "linux")
	b := newBrowser(t, f).login("admin", f.Password())
	b.post("/new-node", 200, url.Values{"name": {"m"}, "executors": {"1"}, "launcher": {"ssh"}, "launcher.ssh.host": {"127.0.0.1"}, "launcher.ssh.port": {d.port}, "launcher.ssh.user": {"ci"},
		"launcher.ssh.password": {"env:NODE_PASSWORD"}, "launcher.ssh.hostKey": {"first-use"}, "launcher.ssh.approve": {"true"}})
	shows := func(fingerprint string) func() bool {
		return func() bool {
			keys, err := f.Roster().HostKeys(f.Context(), "m")
			return err == nil && len(keys) == 1 && keys[0].Fingerprint == fingerprint
		}
	}
	f.Await("the key", shows(first))
	page := b.get("/nodes/m")
	has(t, "its page", page, "127.0.0.1:"+d.port, "is not let in yet", inHTML(first), "Approve this key")
	b.post("/nodes/m/approve", http.StatusConflict, url.Values{"fingerprint": {"SHA256:another"}})
	page = b.post("/nodes/m/approve", 200, url.Values{"fingerprint": {first}})
	if !regexp.MustCompile(`<dt>Host key</dt><dd><code>SHA256:`).MatchString(page) || regexp.MustCompile(`Approve this key`).MatchString(page) {
		t.Errorf("approved, its page is\n%s", page)
	}
	has(t, "its history", page, "approved by admin")

	second := d.lock(t)
	b.post("/nodes/m/reconnect", 200, nil)
	f.Await("the other key", shows(second))
	has(t, "its page", b.get("/nodes/m"), "Before, another key was approved", inHTML(first), inHTML(second))
	has(t, "the way to it", b.post("/nodes/m/examine", 200, nil), "The way to m", ">tcp<", "s-failure", "What to do:")
	if err := f.Roster().Put(f.Context(), fleet.Node{Name: "dials", Launcher: fleet.LauncherSpec{Kind: "inbound"}}); err != nil {
		t.Fatal(err)
	}
	has(t, "the way to one that dials", b.post("/nodes/dials/examine", 200, nil), "The way to dials")
	b.post("/nodes/n1/examine", http.StatusConflict, nil)
	b.post("/nodes/dials/approve", http.StatusConflict, url.Values{"fingerprint": {first}})
}

// inHTML is a fingerprint as html/template writes it.
func inHTML(fingerprint string) string {
	return regexp.MustCompile(`\+`).ReplaceAllString(fingerprint, "&#43;")
}

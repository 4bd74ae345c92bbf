//go:build unix

package winrm_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/winrm"
	"github.com/outwork-build/outwork/fleet/launch/winrm/winrmtest"
	"github.com/outwork-build/outwork/internal/fault"
)

// S1-23: each way to log in and to know the machine leads to an agent. Neither the password nor the credential is in the log, or on any
// command line.
func TestWaysIn(t *testing.T) {
	basic := func(c *winrmtest.Config) { c.NoBasic = false }
	clear := func(c *winrmtest.Config) { c.NoBasic, c.AllowUnencrypted = false, true }
	slow := func(c *winrmtest.Config) { c.Slow = time.Millisecond } // every command outlasts a request for its output
	for name, x := range map[string]struct {
		tls    bool
		server func(*winrmtest.Config)
		config []string
		says   string
	}{
		"ntlm, encrypted":              {false, nil, nil, "(ntlm)"},
		"ntlm, user of a domain":       {false, nil, []string{"user", `CORP\` + testUser}, `as CORP\` + testUser},
		"ntlm, requests that run out":  {false, slow, nil, "(ntlm)"},
		"ntlm over TLS":                {true, nil, []string{"https", "true", "insecure", "true"}, "WARNING: insecure=true"},
		"basic over TLS, a CA":         {true, basic, []string{"https", "true", "auth", "basic", "ca", "CA"}, "(basic)"},
		"basic over TLS, pinned":       {true, basic, []string{"https", "true", "auth", "basic", "pinned", "PIN"}, "(basic)"},
		"basic, allowed in the clear":  {false, clear, []string{"auth", "basic", "allowUnencrypted", "true"}, "WARNING: allowUnencrypted=true"},
		"ntlm over TLS that is pinned": {true, nil, []string{"https", "true", "pinned", "PIN"}, "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			change := []func(*winrmtest.Config){func(*winrmtest.Config) {}}
			if x.server != nil {
				change[0] = x.server
			}
			w := newWorld(t, x.tls, change...)
			n := node(t, w.address, x.config...)
			w.trust(t, n)
			log := &launchtest.Log{}
			l := w.launcher(t)
			conn := connect(t, l, n, log)
			if d := describe(t, conn); d.PID == 0 {
				t.Errorf("the machine says %+v", d)
			}
			if st := w.state(serviceID); st != "running" {
				t.Errorf("the service is %s", st)
			}
			conn.Close()
			if st := w.state(serviceID); st != "stopped" {
				t.Errorf("the service is %s after the link was closed", st)
			}
			contains(t, "the log", log.String(), x.says)
			lacks(t, "the log", log.String(), w.secretOf(), testPassword)
			lacks(t, "what was run", w.commands(), w.secretOf(), testPassword)
			if open, opened := w.server.Shells(); open != 0 || opened != 2 {
				t.Errorf("%d shells are open, of %d", open, opened)
			}
		})
	}
}

// trust fills in what is only known when the machine has its certificate.
func (w *world) trust(t testing.TB, n fleet.Node) {
	if w.cert == nil {
		return
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.cert.Certificate().Raw})))
	sum := sha256.Sum256(w.cert.Certificate().Raw)
	for k, v := range n.Launcher.Config {
		switch v {
		case "CA":
			n.Launcher.Config[k] = ca
		case "PIN":
			n.Launcher.Config[k] = strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintf("SHA256:% X", sum), " ", ":"), ":")
		}
	}
}

// wiretap hears all that goes over a network.
type wiretap struct {
	net.Listener
	mu    sync.Mutex
	heard []byte // guarded by mu
}

type tapped struct {
	net.Conn
	tap *wiretap
}

func (w *wiretap) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return &tapped{c, w}, err
}

func (c *tapped) hear(p []byte) {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.heard = append(c.tap.heard, p...)
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.hear(p[:n])
	return n, err
}

func (c *tapped) Write(p []byte) (int, error) {
	c.hear(p)
	return c.Conn.Write(p)
}

// With NTLM nothing of what is said can be read on the way, and nothing that is not encrypted is taken.
func TestNothingInTheClear(t *testing.T) {
	w := newWorld(t, false)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tap := &wiretap{Listener: l}
	s := &http.Server{Handler: w.server, ConnContext: w.server.ConnContext}
	go s.Serve(tap)
	t.Cleanup(func() { s.Close() })
	connect(t, w.launcher(t), node(t, l.Addr().String()), &launchtest.Log{}).Close()
	tap.mu.Lock()
	defer tap.mu.Unlock()
	heard := string(tap.heard)
	contains(t, "the network", heard, "Encrypted Boundary")
	for _, secret := range []string{testPassword, w.secretOf(), base64.StdEncoding.EncodeToString([]byte(w.secretOf()))[:20], "certutil", "Envelope"} {
		if len(heard) < 5000 || strings.Contains(heard, secret) {
			t.Errorf("%q was on the network, of %d bytes", secret, len(heard))
		}
	}
}

// A connection that is another than the one that has logged in logs in too, and what was said is said again.
func TestLoggedOut(t *testing.T) {
	for _, tls := range []bool{false, true} {
		w := newWorld(t, tls)
		var config []string
		if tls {
			config = []string{"https", "true", "insecure", "true"}
		}
		forgotten := 0
		l := w.launcher(t, func(c *winrm.Config) {
			c.Credential = func(ctx context.Context, n fleet.NodeName) (string, error) {
				forgotten++
				w.server.Forget()
				return w.credential(ctx, n)
			}
		})
		connect(t, l, node(t, w.address, config...), &launchtest.Log{}).Close()
		if st := w.state(serviceID); forgotten != 1 || st != "stopped" {
			t.Errorf("logged out %d times, the service is %s", forgotten, st)
		}
	}
}

// An answer that somebody on the way has made is not taken.
func TestForgedAnswer(t *testing.T) {
	w := newWorld(t, false)
	n := 0
	s := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/encrypted") {
			n++
			rw.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
			fmt.Fprint(rw, "<Envelope/>")
			return
		}
		w.server.ServeHTTP(rw, r)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: s, ConnContext: w.server.ConnContext}
	go h.Serve(l)
	t.Cleanup(func() { h.Close() })
	_, err = w.launcher(t).Launch(t.Context(), node(t, l.Addr().String()), &launchtest.Log{})
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "not encrypted") || n != 1 {
		t.Errorf("%v, after %d messages", err, n)
	}
}

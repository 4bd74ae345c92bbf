package tcp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/tcp"
	"github.com/outwork-build/outwork/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// port is a controller's port for agents.
type port struct {
	address string
	pin     tcp.Pin
	cert    tls.Certificate
	links   chan wire.Link
	callers chan tcp.Caller
}

func (p *port) admit(_ context.Context, c tcp.Caller) (string, error) {
	p.callers <- c
	switch c.Credential {
	case "good":
		return "n", nil
	case "later":
		return "", &tcp.Refusal{Kind: fault.Unavailable, RetryAfter: 7 * time.Second, Text: "the controller starts"}
	}
	return "", fault.New(fault.Unauthenticated, "the credential was revoked")
}

// listen starts a port. It ends with the test.
func listen(t testing.TB, secure bool, change func(*tcp.Config)) *port {
	t.Helper()
	p := &port{links: make(chan wire.Link, 16), callers: make(chan tcp.Caller, 1024)}
	c := tcp.Config{Admit: p.admit, Deliver: func(_ context.Context, _ string, l wire.Link) error { p.links <- l; return nil }}
	if secure {
		var err error
		if p.cert, p.pin, err = tcp.Identity(t.TempDir()); err != nil {
			t.Fatal(err)
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{p.cert}}
	}
	if change != nil {
		change(&c)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- tcp.NewServer(c).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return p
}

func (p *port) config() tcp.DialConfig {
	return tcp.DialConfig{Address: p.address, Pin: p.pin, Plain: p.pin == "", Caller: tcp.Caller{Credential: "good", Instance: "boot/host/1", Version: "1"}}
}

func pair(t testing.TB, secure bool, change func(*tcp.DialConfig)) (near, far wire.Link) {
	p := listen(t, secure, nil)
	c := p.config()
	if change != nil {
		change(&c)
	}
	near, err := tcp.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	far = <-p.links
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// S1-06: the same suite as every other link.
func TestPlain(t *testing.T) {
	wiretest.Run(t, func(t testing.TB) (wire.Link, wire.Link) { return pair(t, false, nil) })
}

func TestTLS(t *testing.T) {
	wiretest.Run(t, func(t testing.TB) (wire.Link, wire.Link) { return pair(t, true, nil) })
}

func TestThroughProxy(t *testing.T) {
	wiretest.Run(t, func(t testing.TB) (wire.Link, wire.Link) {
		address, used := proxy(t)
		near, far := pair(t, true, func(c *tcp.DialConfig) { c.Proxy = http.ProxyURL(address) })
		if used.Load() != 1 {
			t.Fatalf("the proxy was used %d times", used.Load())
		}
		return near, far
	})
}

func BenchmarkPlain(b *testing.B) {
	wiretest.Benchmark(b, func(t testing.TB) (wire.Link, wire.Link) { return pair(t, false, nil) })
}

func BenchmarkTLS(b *testing.B) {
	wiretest.Benchmark(b, func(t testing.TB) (wire.Link, wire.Link) { return pair(t, true, nil) })
}

// proxy is an HTTP proxy that knows CONNECT.
func proxy(t testing.TB) (*url.URL, *atomic.Int64) {
	used := &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up, err := net.Dial("tcp", r.Host)
		if err != nil || r.Method != http.MethodConnect {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		down, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			up.Close()
			return
		}
		used.Add(1)
		io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
		done := make(chan struct{})
		go func() { io.Copy(up, rw.Reader); up.(*net.TCPConn).CloseWrite(); close(done) }()
		io.Copy(down, up)
		down.(*net.TCPConn).CloseWrite()
		<-done
		up.Close()
		down.Close()
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u, used
}

// Who calls is known to the one who admits, and to the link.
func TestCaller(t *testing.T) {
	p := listen(t, true, nil)
	near, err := tcp.Dial(t.Context(), p.config())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	c, far := <-p.callers, <-p.links
	defer far.Close()
	if c.Credential != "good" || c.Instance != "boot/host/1" || c.Version != "1" || c.Peer != far.Peer() {
		t.Errorf("caller %+v, link from %s", c, far.Peer())
	}
	if i, ok := far.(interface{ Instance() string }); !ok || i.Instance() != "boot/host/1" {
		t.Error("the link does not know its agent's process")
	}
	if near.Peer() != p.address {
		t.Errorf("the agent's peer is %q", near.Peer())
	}
}

func TestRefusals(t *testing.T) {
	p := listen(t, true, nil)
	plain := listen(t, false, nil)
	other, _, err := tcp.Identity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		change func(*tcp.DialConfig)
		kind   fault.Kind
		says   string
		after  time.Duration
	}{
		"wrong credential": {func(c *tcp.DialConfig) { c.Caller.Credential = "bad" }, fault.Unauthenticated, "revoked", 0},
		"not now":          {func(c *tcp.DialConfig) { c.Caller.Credential = "later" }, fault.Unavailable, "the controller starts", 7 * time.Second},
		"wrong pin":        {func(c *tcp.DialConfig) { c.Pin = tcp.PinOf(other.Leaf) }, fault.Denied, "somebody stands in between", 0},
		"no pin":           {func(c *tcp.DialConfig) { c.Pin = "" }, fault.Denied, "--pin sha256:", 0},
		"no TLS":           {func(c *tcp.DialConfig) { c.Plain = true }, fault.Denied, "speaks TLS", 0},
		"no TLS there":     {func(c *tcp.DialConfig) { c.Address = plain.address }, fault.Incompatible, "does not speak TLS", 0},
		"nobody there":     {func(c *tcp.DialConfig) { c.Address = closedPort(t) }, fault.Unavailable, "refused", 0},
		"no address":       {func(c *tcp.DialConfig) { c.Address = "host" }, fault.Invalid, "HOST:PORT", 0},
		"long instance":    {func(c *tcp.DialConfig) { c.Caller.Instance = strings.Repeat("x", 300) }, fault.Invalid, "instance of 300 bytes", 0},
		"long line":        {func(c *tcp.DialConfig) { c.Caller.Credential = strings.Repeat("x", 9000) }, fault.Invalid, "expected at most", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conf := p.config()
			c.change(&conf)
			l, err := tcp.Dial(t.Context(), conf)
			if err == nil {
				l.Close()
			}
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (%v): expected %v and %q", err, fault.Of(err), c.kind, c.says)
			}
			if r, ok := errors.AsType[*tcp.Refusal](err); c.after > 0 && (!ok || r.RetryAfter != c.after) {
				t.Errorf("refusal %+v: expected to come again after %v", r, c.after)
			}
		})
	}
}

func closedPort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A certificate that a CA vouches for needs no pin, and the name must be the one dialled.
func TestCertificateOfACA(t *testing.T) {
	ca := httptest.NewUnstartedServer(nil)
	ca.StartTLS()
	defer ca.Close()
	p := listen(t, true, func(c *tcp.Config) { c.TLS = &tls.Config{Certificates: ca.TLS.Certificates} })
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	c := p.config()
	c.Pin, c.TLS = "", &tls.Config{RootCAs: roots}
	l, err := tcp.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	(<-p.links).Close()
	c.TLS.ServerName = "elsewhere.test"
	if _, err := tcp.Dial(t.Context(), c); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "elsewhere.test") {
		t.Errorf("another name: %v", err)
	}
}

// A pin beside a CA: either is good enough, a stranger is neither.
func TestPinOrCertificate(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	_, stranger, err := tcp.Identity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pin  tcp.Pin
		base *tls.Config
		good bool
	}{
		{tcp.PinOf(s.Certificate()), nil, true},
		{stranger, &tls.Config{RootCAs: roots}, true},
		{stranger, nil, false},
		{"", nil, false},
	} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c.pin.Or(c.base), DisableKeepAlives: true}}
		resp, err := client.Get(s.URL)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != c.good {
			t.Errorf("pin %q: %v, expected good: %v", c.pin, err, c.good)
		}
	}
}

// A person with curl, by http and https alike, and a health check.
func TestPlainRequest(t *testing.T) {
	p := listen(t, true, nil)
	for _, scheme := range []string{"http", "https"} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: p.pin.Only(nil), DisableKeepAlives: true}}
		resp, err := client.Get(scheme + "://" + p.address + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(b), "port for agents of an Outwork controller") {
			t.Errorf("%s: %s, %q, %v", scheme, resp.Status, b, err)
		}
	}
	if len(p.callers) > 0 {
		t.Error("a browser was taken for an agent")
	}
}

// Strangers are told what they are not, in time, and hold up nobody.
func TestStrangers(t *testing.T) {
	p := listen(t, false, func(c *tcp.Config) { c.Greeting = 50 * time.Millisecond })
	for name, says := range map[string]string{
		"silent":         "",
		"half a line":    "OUTWORK-AGENT 1 {",
		"no agent":       "SSH-2.0-OpenSSH_9.2\r\n",
		"no JSON":        "OUTWORK-AGENT 1 credential\n",
		"another age":    "OUTWORK-AGENT 2 {}\n",
		"an endless one": strings.Repeat("x", 100<<10),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", p.address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			io.WriteString(c, says)
			line, err := bufio.NewReader(c).ReadString('\n')
			if errors.Is(err, context.DeadlineExceeded) || err != nil && line != "" || strings.Contains(line, `"ok":true`) {
				t.Errorf("it was answered %q, %v", line, err)
			}
		})
	}
	if len(p.links) > 0 {
		t.Error("a stranger got a link")
	}
}

// Clients that say nothing are bounded in number; who is connected does not count.
func TestCrowdOfSilentClients(t *testing.T) {
	const most = 4
	p := listen(t, false, func(c *tcp.Config) { c.MaxGreeting, c.Greeting = most, time.Minute })
	for range most + 2 { // connected ones
		l, err := tcp.Dial(t.Context(), p.config())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		defer (<-p.links).Close()
	}
	var silent []net.Conn
	for range most {
		c, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	// All four are accepted before this one is.
	if l, err := tcp.Dial(t.Context(), p.config()); !fault.Is(err, fault.Unavailable) {
		if err == nil {
			l.Close()
		}
		t.Errorf("one too many: %v", err)
	}
	silent[0].Close()
	for attempt := 0; ; attempt++ { // until the server has heard of it
		l, err := tcp.Dial(t.Context(), p.config())
		if err == nil {
			l.Close()
			(<-p.links).Close()
			return
		}
		if attempt == 1000 {
			t.Fatal(err)
		}
	}
}

// The controller's end leaves no client half greeted.
func TestServeEnds(t *testing.T) {
	for i := range 50 {
		p := listen(t, i%2 == 0, nil)
		c, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
}

func TestIdentityStays(t *testing.T) {
	dir := t.TempDir()
	first, pin, err := tcp.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, again, err := tcp.Identity(dir)
	if err != nil || again != pin || !first.Leaf.Equal(second.Leaf) {
		t.Errorf("%v after %v, %v", again, pin, err)
	}
	if p, err := tcp.ParsePin(string(pin)); err != nil || p != pin {
		t.Errorf("%v, %v", p, err)
	}
	checkIdentityFile(t, dir)
}

func TestParsePin(t *testing.T) {
	sum := "8f14e45fceea167a5a36dedd4bea2543f5a4e4fb0e1e4f2e6b1a7b8c9d0e1f2a"
	want := tcp.Pin("sha256:" + sum)
	colons := "sha256:"
	for i := 0; i < len(sum); i += 2 {
		colons += strings.ToUpper(sum[i:i+2]) + ":"
	}
	for _, s := range []string{string(want), strings.TrimSuffix(colons, ":"), "sha256//jxTkX87qFnpaNt7dS+olQ/Wk5PsOHk8uaxp7jJ0OHyo="} {
		if p, err := tcp.ParsePin(s); err != nil || p != want {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	for _, s := range []string{"sha256:", sum, "md5:" + sum, "sha256:" + sum[2:], "sha256:" + sum + "00", "sha256:zz"} {
		if p, err := tcp.ParsePin(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	if p, err := tcp.ParsePin(""); p != "" || err != nil {
		t.Errorf("nothing: %v, %v", p, err)
	}
}

// S1-38: the three forms, and the tutorial's mistake.
func TestTunnel(t *testing.T) {
	for s, want := range map[string]string{
		"":             "ci.test:50000",
		"gate.test:7":  "gate.test:7",
		"gate.test:":   "gate.test:50000",
		":7":           "ci.test:7",
		"[::1]:7":      "[::1]:7",
		"10.0.0.1:443": "10.0.0.1:443",
	} {
		tunnel, err := tcp.ParseTunnel(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
		} else if got := tunnel.Address("ci.test", 50000); got != want {
			t.Errorf("%s: %s, expected %s", s, got, want)
		}
	}
	for s, says := range map[string]string{
		"gate.test,7":        `did you mean "gate.test:7"?`,
		"gate.test":          `did you mean "gate.test:"?`,
		":":                  "both halves are missing",
		"http://gate.test:7": "leave http:// out",
		"gate.test:0":        "no port",
		"gate.test:http":     "no port",
		"gate.test:70000":    "no port",
	} {
		if _, err := tcp.ParseTunnel(s); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected %q", s, err, says)
		}
	}
}

func TestEndpoint(t *testing.T) {
	want := tcp.Endpoint{Port: 50000, Pin: "sha256:8f14e45fceea167a5a36dedd4bea2543f5a4e4fb0e1e4f2e6b1a7b8c9d0e1f2a"}
	mux := http.NewServeMux()
	mux.Handle("GET /ci"+tcp.EndpointPath, want)
	mux.Handle("GET /without"+tcp.EndpointPath, tcp.Endpoint{})
	mux.HandleFunc("GET /page/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	mux.HandleFunc("GET /pin"+tcp.EndpointPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"port":1,"pin":"x"}`) })
	s := httptest.NewServer(mux)
	defer s.Close()
	defer s.Client().CloseIdleConnections()
	if got, err := tcp.Ask(t.Context(), s.Client(), s.URL+"/ci"); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for path, kind := range map[string]fault.Kind{"/without": fault.Denied, "": fault.Denied, "/page": fault.Incompatible, "/pin": fault.Incompatible} {
		if _, err := tcp.Ask(t.Context(), s.Client(), s.URL+path); !fault.Is(err, kind) {
			t.Errorf("%s: %v, expected %v", path, err, kind)
		}
	}
	if _, err := tcp.Ask(t.Context(), http.DefaultClient, "http://"+closedPort(t)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

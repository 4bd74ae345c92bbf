package websocket_test

import (
	"bufio"
	"context"
	"errors"
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
	"github.com/outwork-build/outwork/wire/websocket"
	"github.com/outwork-build/outwork/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server accepts links and hands them out.
func server(t testing.TB, tls bool) (*httptest.Server, <-chan wire.Link) {
	links := make(chan wire.Link, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l, err := websocket.Accept(w, r); err == nil {
			links <- l
		}
	})
	s := httptest.NewUnstartedServer(h)
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, links
}

func pair(t testing.TB, tls bool, proxy func(*http.Request) (*url.URL, error)) (wire.Link, wire.Link) {
	s, links := server(t, tls)
	c := websocket.DialConfig{URL: s.URL, Proxy: proxy}
	if tls {
		c.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
	}
	near, err := websocket.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	far := <-links
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestLink(t *testing.T) {
	wiretest.Run(t, func(t testing.TB) (wire.Link, wire.Link) { return pair(t, false, nil) })
}

func TestLinkTLS(t *testing.T) {
	wiretest.Run(t, func(t testing.TB) (wire.Link, wire.Link) { return pair(t, true, nil) })
}

func TestLinkThroughProxy(t *testing.T) {
	wiretest.Run(t, func(t testing.TB) (wire.Link, wire.Link) {
		p := startProxy(t)
		near, far := pair(t, true, http.ProxyURL(p.url))
		if p.used.Load() == 0 {
			t.Fatal("the proxy was not used")
		}
		return near, far
	})
}

func TestPlainLinkThroughProxy(t *testing.T) {
	p := startProxy(t)
	near, far := pair(t, false, http.ProxyURL(p.url))
	go near.Write([]byte("through"))
	got := make([]byte, 7)
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "through" {
		t.Errorf("%q, %v", got, err)
	}
	if p.used.Load() != 1 {
		t.Errorf("the proxy was used %d times", p.used.Load())
	}
}

func TestProxyRefuses(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := parseProxyAuth(r); !ok || user != "me" || password != "secret" {
			t.Errorf("the proxy was given %q, %q", user, password)
		}
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("me", "secret")
	_, err = websocket.Dial(t.Context(), websocket.DialConfig{URL: "http://controller.test:80", Proxy: http.ProxyURL(u)})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func parseProxyAuth(r *http.Request) (string, string, bool) {
	as := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	return as.BasicAuth()
}

func BenchmarkLink(b *testing.B) {
	wiretest.Benchmark(b, func(t testing.TB) (wire.Link, wire.Link) { return pair(t, false, nil) })
}

// proxy is an HTTP proxy that knows CONNECT.
type proxy struct {
	url  *url.URL
	used atomic.Int64
}

func startProxy(t testing.TB) *proxy {
	p := &proxy{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		p.used.Add(1)
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		down, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			up.Close()
			return
		}
		io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
		done := make(chan struct{})
		go func() { copyAndShut(up, rw.Reader); close(done) }()
		copyAndShut(down, bufio.NewReader(up))
		<-done
		up.Close()
		down.Close()
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	p.url = u
	return p
}

// copyAndShut passes the end of one direction on.
func copyAndShut(to net.Conn, from io.Reader) {
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}

func TestRefusal(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"title":"Unauthorized","status":401,"detail":"the credential was revoked"}`)
		case "later":
			w.Header().Set("Retry-After", "7")
			http.Error(w, "starting up", http.StatusServiceUnavailable)
		case "elsewhere":
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		default:
			io.WriteString(w, "a page")
		}
	}))
	defer s.Close()
	dial := func(auth string) error {
		_, err := websocket.Dial(t.Context(), websocket.DialConfig{URL: s.URL, Header: http.Header{"Authorization": {auth}}})
		if err == nil {
			t.Fatalf("%q: dialled", auth)
		}
		return err
	}
	err := dial("")
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "the credential was revoked") {
		t.Errorf("401: %v (%v)", err, fault.Of(err))
	}
	err = dial("later")
	var refusal *websocket.Refusal
	if !errors.As(err, &refusal) || refusal.RetryAfter != 7*time.Second || !fault.Is(err, fault.Unavailable) {
		t.Errorf("503: %v, %+v", err, refusal)
	}
	if err := dial("elsewhere"); !strings.Contains(err.Error(), "redirects to http://127.0.0.1:1/") {
		t.Errorf("302: %v", err)
	}
	if err := dial("page"); !strings.Contains(err.Error(), "200") {
		t.Errorf("200: %v", err)
	}
}

func TestDialNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := websocket.Dial(t.Context(), websocket.DialConfig{URL: "http://" + l.Addr().String()}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("no server: %v", err)
	}
	if _, err := websocket.Dial(t.Context(), websocket.DialConfig{URL: "nowhere"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no address: %v", err)
	}
}

func TestAcceptRefusesOthers(t *testing.T) {
	s, _ := server(t, false)
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a plain GET got %d", resp.StatusCode)
	}
	h := http.Header{websocket.InstanceHeader: {strings.Repeat("x", 300)}}
	if _, err := websocket.Dial(t.Context(), websocket.DialConfig{URL: s.URL, Header: h}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a long instance: %v", err)
	}
}

func TestRefuse(t *testing.T) {
	near, far := pair(t, false, nil)
	go io.Copy(io.Discard, far)
	go far.(wire.Refuser).Refuse(fault.New(fault.Conflict, "node %s is already connected", strings.Repeat("é", 200)))
	_, err := wire.Handshake(t.Context(), near, wire.Hello{})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "node éé") {
		t.Errorf("%v (%v)", err, fault.Of(err))
	}
}

func TestProbeAndInstance(t *testing.T) {
	s, links := server(t, false)
	near, err := websocket.Dial(t.Context(), websocket.DialConfig{URL: s.URL, Header: http.Header{websocket.InstanceHeader: {"boot/host/7"}}})
	if err != nil {
		t.Fatal(err)
	}
	far := <-links
	defer far.Close()
	defer near.Close()
	if got := far.(interface{ Instance() string }).Instance(); got != "boot/host/7" {
		t.Errorf("instance %q", got)
	}
	go io.Copy(io.Discard, far)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	if err := far.(wire.Prober).Probe(ctx); err == nil {
		t.Error("a peer that does not read answered a probe")
	}
	cancel()
	go io.Copy(io.Discard, near)
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := far.(wire.Prober).Probe(ctx); err != nil {
		t.Error(err)
	}
}

// A peer that neither reads nor answers must not hold up Close.
func TestCloseOfDeadPeer(t *testing.T) {
	near, far := pair(t, true, nil)
	_ = far
	start := time.Now()
	near.Close()
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("close took %v", d)
	}
}

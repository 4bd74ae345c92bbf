package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/outwork-build/outwork/internal/connect"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// dialTimeout bounds each of connecting, the TLS handshake and the server's answer.
const dialTimeout = 10 * time.Second

// DialConfig says where to dial and how. URL must be set.
type DialConfig struct {
	URL    string      // http, https, ws or wss
	Header http.Header // sent with the request: Authorization, InstanceHeader
	TLS    *tls.Config // nil is the system's roots
	// Proxy chooses the proxy; nil is HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment.
	Proxy func(*http.Request) (*url.URL, error)
}

// Transport makes the HTTP transport that Dial uses, for the requests an agent makes beside the link. One connection is used
// once: close idle ones when done.
func (c DialConfig) Transport() *http.Transport {
	proxy := c.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       c.TLS.Clone(),
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: dialTimeout,
		DisableCompression:    true,
		DisableKeepAlives:     true,
		TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{}, // a WebSocket needs HTTP/1.1
	}
}

// Dial connects to the controller. ctx ends the attempt, not the link. A server that refuses yields an error in which
// errors.As finds a *Refusal, of the fault kind its status means; one that is not reached, fault.Unavailable.
func Dial(ctx context.Context, c DialConfig) (wire.Link, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return nil, fault.New(fault.Invalid, "address %q: expected http://HOST or https://HOST", c.URL)
	}
	last := &lastConn{}
	t := c.Transport()
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return last.keep(conn), err
	}
	if err := throughTunnel(t, u); err != nil {
		return nil, err
	}
	conn, resp, err := websocket.Dial(ctx, c.URL, &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: t, CheckRedirect: NoRedirect},
		HTTPHeader:      c.Header,
		Subprotocols:    []string{Subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		t.CloseIdleConnections()
		return nil, dialError(ctx, u, resp, err)
	}
	l := newLink(conn, last.get(), u.Host, "")
	if conn.Subprotocol() != Subprotocol {
		l.Close()
		return nil, fault.New(fault.Incompatible, "dial %s: the server does not speak %s: is it an outwork controller?", u.Redacted(), Subprotocol)
	}
	return l, nil
}

// throughTunnel makes t use CONNECT where it would not by itself.
func throughTunnel(t *http.Transport, u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "ws" {
		return nil
	}
	proxy, err := t.Proxy(&http.Request{URL: &url.URL{Scheme: "http", Host: u.Host}})
	if err != nil {
		return fault.New(fault.Invalid, "proxy for %s: %w", u.Redacted(), err)
	}
	if proxy != nil && (proxy.Scheme == "http" || proxy.Scheme == "https") {
		// RFC 6455 §4.1 wants CONNECT for every WebSocket. net/http would use it only for https, and many proxies do not pass
		// an Upgrade on otherwise.
		t.DialContext = connect.Through(proxy, t.DialContext, t.TLSClientConfig, dialTimeout)
		t.Proxy = nil
	}
	return nil
}

func dialError(ctx context.Context, u *url.URL, resp *http.Response, err error) error {
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("dial %s: %w", u.Redacted(), NewRefusal(resp).Err())
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fault.New(fault.Unavailable, "dial %s: %w", u.Redacted(), err)
}

// NoRedirect is a http.Client.CheckRedirect: a credential goes only where its owner said.
func NoRedirect(req *http.Request, _ []*http.Request) error {
	return errors.New("the server redirects to " + req.URL.Redacted() + ": use that address")
}

// lastConn keeps the connection that the transport dialled.
type lastConn struct {
	mu   sync.Mutex
	conn net.Conn // guarded by mu
}

func (l *lastConn) keep(c net.Conn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c != nil {
		l.conn = c
	}
	return c
}

func (l *lastConn) get() net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// splitList splits a header's comma-separated list.
func splitList(line string) []string {
	parts := strings.Split(line, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

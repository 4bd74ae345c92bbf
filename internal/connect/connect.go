// Package connect reaches an address through an HTTP proxy by CONNECT. All functions may be called concurrently.
package connect

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Dialer reaches an address.
type Dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// Through returns a dialler that reaches its target through proxy, which it reaches with dial. conf is for a proxy with scheme
// https; nil is the system's roots. The proxy may take timeout to answer.
func Through(proxy *url.URL, dial Dialer, conf *tls.Config, timeout time.Duration) Dialer {
	return func(ctx context.Context, network, target string) (net.Conn, error) {
		conn, err := dial(ctx, network, withPort(proxy))
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", proxy.Redacted(), err)
		}
		through := conn
		if proxy.Scheme == "https" {
			c := conf.Clone()
			if c == nil {
				c = &tls.Config{}
			}
			c.ServerName = proxy.Hostname()
			through = tls.Client(conn, c)
		}
		if err := ask(ctx, through, proxy, target, timeout); err != nil {
			conn.Close()
			return nil, fmt.Errorf("proxy %s: %w", proxy.Redacted(), err)
		}
		return through, nil
	}
}

// ask asks the proxy at the other end of conn for target.
func ask(ctx context.Context, conn net.Conn, proxy *url.URL, target string, timeout time.Duration) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	// The target speaks only after it was spoken to, so nothing of it can be in this buffer.
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("CONNECT %s: %s", target, resp.Status)
	}
	return conn.SetDeadline(time.Time{})
}

func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

package websocket

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

// tunnel returns a dialler that reaches the target of a plain http address through a proxy by CONNECT, as RFC 6455 §4.1 wants it
// for every WebSocket. net/http would do so only for https, and many proxies do not pass an Upgrade on otherwise.
func tunnel(proxy *url.URL, dial dialFunc, conf *tls.Config) dialFunc {
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
		if err := connect(ctx, through, proxy, target); err != nil {
			conn.Close()
			return nil, fmt.Errorf("proxy %s: %w", proxy.Redacted(), err)
		}
		return through, nil
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// connect asks the proxy at the other end of conn for target.
func connect(ctx context.Context, conn net.Conn, proxy *url.URL, target string) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
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

package tcp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/outwork-build/outwork/internal/connect"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// DialConfig says where to dial and who calls. Address must be set.
type DialConfig struct {
	Address string // HOST:PORT
	Caller  Caller
	// Pin is the controller's key; "" takes a certificate that TLS's roots vouch for.
	Pin   Pin
	TLS   *tls.Config // nil is the system's roots and Address' host
	Plain bool        // no TLS: on a way that is safe already. The credential is sent as it is
	// Proxy chooses the proxy for the address of a https request; nil is HTTPS_PROXY and NO_PROXY of the environment.
	Proxy func(*http.Request) (*url.URL, error)
}

// Dial connects to the controller. ctx ends the attempt, not the link. A server that refuses yields an error in which
// errors.As finds a *Refusal, of its kind; a key that is not the pin's, fault.Denied; one that is not reached, fault.Unavailable.
func Dial(ctx context.Context, c DialConfig) (wire.Link, error) {
	l, err := dial(ctx, c)
	if err == nil {
		return l, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if fault.Of(err) == fault.Internal {
		err = fault.With(fault.Unavailable, err)
	}
	return nil, fmt.Errorf("dial %s: %w", c.Address, err)
}

func dial(ctx context.Context, c DialConfig) (_ wire.Link, err error) {
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil || host == "" || port == "" {
		return nil, fault.New(fault.Invalid, "expected HOST:PORT")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 3*timeout, fault.New(fault.Unavailable, "no answer within %v", 3*timeout))
	defer cancel()
	raw, err := c.reach(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			raw.Close()
		}
	}()
	conn := raw
	if !c.Plain {
		t := tls.Client(raw, c.config(host))
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, notTLS(err)
		}
		conn = t
	}
	return c.greet(conn, raw)
}

// reach connects, through a proxy if there is one for the address.
func (c DialConfig) reach(ctx context.Context) (net.Conn, error) {
	proxyOf := c.Proxy
	if proxyOf == nil {
		proxyOf = http.ProxyFromEnvironment
	}
	proxy, err := proxyOf(&http.Request{URL: &url.URL{Scheme: "https", Host: c.Address}})
	if err != nil {
		return nil, fault.New(fault.Invalid, "proxy: %w", err)
	}
	reach := (&net.Dialer{Timeout: timeout}).DialContext
	switch {
	case proxy == nil:
	case proxy.Scheme == "http" || proxy.Scheme == "https":
		reach = connect.Through(proxy, reach, nil, timeout)
	default:
		return nil, fault.New(fault.Invalid, "proxy %s: expected one with http or https", proxy.Redacted())
	}
	return reach(ctx, "tcp", c.Address)
}

func (c DialConfig) config(host string) *tls.Config {
	if c.Pin != "" {
		return c.Pin.Only(c.TLS)
	}
	conf := c.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{}
	}
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	return conf
}

// notTLS explains what people meet first: another service behind the port, or a certificate of the controller's own.
func notTLS(err error) error {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fault.New(fault.Incompatible, "the port does not speak TLS: is it the controller's port for agents? (%w)", err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.New(fault.Denied, "%w; a controller with a key of its own is known by its pin: --pin sha256:…", err)
	}
	return fmt.Errorf("TLS: %w", err)
}

func (c DialConfig) greet(conn, raw net.Conn) (wire.Link, error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if err := writeLine(conn, c.Caller); err != nil {
		return nil, fmt.Errorf("say who calls: %w", err)
	}
	in := bufio.NewReaderSize(conn, buffer)
	line, err := readLine(in)
	if err != nil {
		return nil, fmt.Errorf("the controller's answer: %w", err)
	}
	var a answer
	if err := parseLine(line, &a); err != nil {
		return nil, fmt.Errorf("the controller's answer: %w; is it the controller's port for agents?", err)
	}
	if err := a.err(); err != nil {
		return nil, err
	}
	return newLink(conn, raw, in, c.Address, ""), conn.SetDeadline(time.Time{})
}

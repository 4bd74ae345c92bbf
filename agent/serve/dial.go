package serve

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/tcp"
	"github.com/outwork-build/outwork/wire/websocket"
)

// usesTCP reports whether the agent dials the controller's port for agents instead of its HTTP port.
func (c *Config) usesTCP() bool { return c.TCP || c.Tunnel != "" || c.Direct != "" }

// fillDial checks the settings of dialling.
func (c *Config) fillDial() error {
	if _, err := tcp.ParseTunnel(c.Tunnel); err != nil {
		return fault.New(fault.Invalid, "--tunnel: %w", err)
	}
	pin, err := tcp.ParsePin(c.Pin)
	if err != nil {
		return fault.New(fault.Invalid, "--pin: %w", err)
	}
	c.Pin, c.TLS = string(pin), pin.Or(c.TLS)
	if c.Token, err = readSecret("--token", c.Token); err != nil {
		return err
	}
	if c.Secret, err = readSecret("--secret", c.Secret); err != nil {
		return err
	}
	if strings.HasPrefix(c.Secret, "owj_") { // a join token: Jenkins' people know one word for both
		c.Token, c.Secret = cmp.Or(c.Token, c.Secret), ""
	}
	if c.URL == "" && c.Secret == "" && !c.Stdio {
		return fault.New(fault.Invalid, "--direct without --url: expected the agent's credential as --secret")
	}
	return nil
}

// readSecret reads the file of a secret that is given as @FILE.
func readSecret(flag, value string) (string, error) {
	path, ok := strings.CutPrefix(value, "@")
	if !ok {
		return value, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fault.New(fault.Invalid, "%s: %w", flag, err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fault.New(fault.Invalid, "%s: %s is empty", flag, path)
	}
	return s, nil
}

// client makes the client for the requests beside the link. A connection is used once.
func (c *Config) client() *http.Client {
	t := websocket.DialConfig{TLS: c.TLS, Proxy: c.Proxy}.Transport()
	return &http.Client{Transport: &withHeader{t, c.Header}, CheckRedirect: websocket.NoRedirect}
}

// withHeader adds what a reverse proxy wants to see.
type withHeader struct {
	http.RoundTripper
	header http.Header
}

func (w *withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	if len(w.header) > 0 {
		r = r.Clone(r.Context())
		for name, values := range w.header {
			r.Header[name] = values
		}
	}
	return w.RoundTripper.RoundTrip(r)
}

// dial joins if need be, and dials.
func (a *program) dial(ctx context.Context) (link wire.Link, err error) {
	if err := a.obtain(ctx); err != nil {
		return nil, err
	}
	if a.cfg.usesTCP() {
		link, err = a.dialTCP(ctx)
	} else {
		link, err = a.dialWebSocket(ctx)
	}
	if fault.Is(err, fault.Unauthenticated) {
		return nil, a.revoked(err)
	}
	return link, err
}

func (a *program) dialWebSocket(ctx context.Context) (wire.Link, error) {
	header := http.Header{}
	for name, values := range a.cfg.Header {
		header[name] = values
	}
	header.Set("Authorization", "Bearer "+a.cred.Credential)
	header.Set(websocket.InstanceHeader, a.instance)
	return websocket.Dial(ctx, websocket.DialConfig{URL: a.cfg.URL + "/api/v1/agents/connect", TLS: a.cfg.TLS, Proxy: a.cfg.Proxy, Header: header})
}

// dialTCP dials the port for agents, of which the HTTP port tells, unless the agent was told itself.
func (a *program) dialTCP(ctx context.Context) (wire.Link, error) {
	endpoint, address := tcp.Endpoint{}, a.cfg.Direct
	if address == "" {
		u, err := url.Parse(a.cfg.URL)
		if err != nil {
			return nil, fault.New(fault.Invalid, "--url %q: %w", a.cfg.URL, err)
		}
		client := a.cfg.client()
		defer client.CloseIdleConnections()
		if endpoint, err = tcp.Ask(ctx, client, a.cfg.URL); err != nil {
			return nil, err
		}
		address = tcp.Tunnel(a.cfg.Tunnel).Address(u.Hostname(), endpoint.Port)
	}
	pin := cmp.Or(tcp.Pin(a.cfg.Pin), a.cred.Pin, endpoint.Pin)
	link, err := tcp.Dial(ctx, tcp.DialConfig{Address: address, Pin: pin, TLS: a.cfg.TLS, Plain: endpoint.Plain && pin == "", Proxy: a.cfg.Proxy,
		Caller: tcp.Caller{Credential: a.cred.Credential, Instance: a.instance, Version: a.cfg.Version}})
	if err != nil {
		return nil, err
	}
	if err := a.remember(pin); err != nil {
		link.Close()
		return nil, err
	}
	return link, nil
}

// remember keeps the controller's key with the credential: from now on no other is taken.
func (a *program) remember(pin tcp.Pin) error {
	if a.cred.Pin != "" || pin == "" {
		return nil
	}
	if a.cfg.Pin == "" && !strings.HasPrefix(a.cfg.URL, "https://") {
		a.cfg.Logger.Warn("the controller's key is taken on trust, because --url is not https: compare it, or give it as --pin", "pin", pin)
	}
	a.cred.Pin = pin
	if a.cfg.Secret != "" {
		return nil // it is in no file
	}
	if err := a.cred.save(a.cfg.Root); err != nil {
		return fmt.Errorf("keep the controller's key: %w", err)
	}
	return nil
}

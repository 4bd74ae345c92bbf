package winrm

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	wsman "github.com/masterzen/winrm"

	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

const (
	// envelope is the size of messages that every WinRM takes, in bytes.
	envelope = 153600
	// operation is how long the machine may keep a request open that waits for output.
	operation = "PT20S"
	// patience is what an answer may take beyond timeout when the machine keeps the request open.
	patience = 30 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 8 << 20

	soapType = "application/soap+xml;charset=UTF-8"
)

// client speaks WS-Management with a machine. The library's messages are used, and its transport is not: that falls back to sending in the
// clear, ignores certificates' settings when it encrypts, and cannot be cancelled.
type client struct {
	s        *settings
	password string
	url      string
	params   *wsman.Parameters
	http     *http.Client

	mu   sync.Mutex // one request at a time: what is sealed has an order
	seal *sealer    // of the connection there is; nil before the login; guarded by mu
}

func (s *settings) client(k keys) *client {
	return &client{
		s: s, password: string(k.password), url: s.scheme() + "://" + s.address() + "/wsman",
		params: wsman.NewParameters(operation, "en-US", envelope),
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:     (&net.Dialer{Timeout: s.timeout}).DialContext,
				TLSClientConfig: s.tls(k), TLSHandshakeTimeout: s.timeout, ForceAttemptHTTP2: false,
				MaxConnsPerHost: 1, ResponseHeaderTimeout: s.timeout + patience,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// tls says which certificates are trusted.
func (s *settings) tls(k keys) *tls.Config {
	c := &tls.Config{RootCAs: k.roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.insecure || s.pinned != ""}
	if s.pinned != "" {
		c.VerifyConnection = func(st tls.ConnectionState) error { return s.isPinned(st.PeerCertificates) }
	}
	return c
}

func (s *settings) isPinned(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("the machine shows no certificate")
	}
	if sum := sha256.Sum256(chain[0].Raw); hex.EncodeToString(sum[:]) != s.pinned {
		return kit.Trouble(fault.Unauthenticated, "if the machine has a new certificate, set pinned to its SHA-256; if it has not, somebody else answers",
			"%s shows the certificate %x, and %s is pinned", s.address(), sum, s.pinned)
	}
	return nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// post sends a message and returns the answer, if that is no fault.
func (c *client) post(ctx context.Context, message string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer, status, err := c.exchange(ctx, message)
	if err != nil {
		c.seal = nil
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", c.s.unreachable(err)
	}
	if status != http.StatusOK {
		return "", faultOf(answer, status)
	}
	return answer, nil
}

// exchange logs in when the connection is not the one that did. A message that met one of these was not obeyed: it is sent again.
func (c *client) exchange(ctx context.Context, message string) (answer string, status int, err error) {
	if c.s.auth == authBasic {
		return c.send(ctx, message, func(r *http.Request) { r.SetBasicAuth(c.s.user, c.password) })
	}
	for again := c.seal != nil; ; again = false {
		if c.seal == nil {
			if c.seal, err = c.handshake(ctx); err != nil {
				return "", 0, err
			}
		}
		answer, status, err = c.send(ctx, message, nil)
		if !again || !fault.Is(err, fault.Unauthenticated) {
			return answer, status, err
		}
		c.seal = nil
	}
}

func (c *client) send(ctx context.Context, message string, prepare func(*http.Request)) (answer string, status int, err error) {
	contentType := soapType
	if c.s.sealed() {
		if message, contentType, err = c.seal.wrap(message); err != nil {
			return "", 0, err
		}
	}
	resp, body, err := c.raw(ctx, message, contentType, prepare)
	if err != nil {
		return "", 0, err
	}
	kind := resp.Header.Get("Content-Type")
	switch {
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusInternalServerError:
		return "", 0, c.s.refused(resp)
	case c.s.sealed():
		answer, err = c.seal.unwrap(kind, body)
		return answer, resp.StatusCode, err
	case !strings.HasPrefix(kind, "application/soap+xml"):
		return "", 0, fault.New(fault.Unavailable, "%s answers %s with %q: it is not WinRM that listens there", c.s.address(), resp.Status, kind)
	}
	return string(body), resp.StatusCode, nil
}

// raw sends a request and reads the answer whole: so the next goes by the same connection.
func (c *client) raw(ctx context.Context, body, contentType string, prepare func(*http.Request)) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		return nil, nil, fault.With(fault.Invalid, err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "Outwork")
	if prepare != nil {
		prepare(req)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp, b, err
}

package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/version"
)

// Headers of a delivery.
const (
	HeaderDelivery  = "X-Outwork-Delivery"  // Message.ID: who has seen it drops the delivery
	HeaderEvent     = "X-Outwork-Event"     // Message.Event
	HeaderTimestamp = "X-Outwork-Timestamp" // seconds since 1970: of this attempt
	HeaderSignature = "X-Outwork-Signature" // "sha256=" and Sign's answer, when the webhook has a secret
)

// Sign is the signature of a delivery: HMAC-SHA256, in hex, of the timestamp, a dot, and the body.
func Sign(secret []byte, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// permanent is an error that a further attempt would not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// post delivers m once.
func (s *Service) post(ctx context.Context, w Webhook, m Message) error {
	var allowed []netip.Prefix
	for _, p := range w.AllowPrivate {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return permanent{err}
		}
		allowed = append(allowed, prefix)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return permanent{err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return permanent{fmt.Errorf("webhook %s: its URL cannot be read", w.Name)}
	}
	stamp := strconv.FormatInt(s.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "outwork/"+version.String())
	req.Header.Set(HeaderDelivery, m.ID)
	req.Header.Set(HeaderEvent, m.Event)
	req.Header.Set(HeaderTimestamp, stamp)
	if w.Secret != "" {
		key, err := s.cfg.Secrets.Resolve(ctx, w.Secret)
		if err != nil {
			return err
		}
		req.Header.Set(HeaderSignature, "sha256="+Sign(bytes.TrimRight(key.Reveal(), "\r\n"), stamp, body))
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: guard(allowed)}
	// No proxy: it would dial in our place, where nothing is checked.
	t := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: 20 * time.Second, MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: s.tls("")}
	defer t.CloseIdleConnections()
	client := http.Client{Transport: t, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fault.With(fault.Unavailable, fmt.Errorf("webhook %s: %w", w.Name, hideURL(err)))
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return answer(w.Name, resp)
}

// answer says what a response means for the delivery.
func answer(name string, resp *http.Response) error {
	switch c := resp.StatusCode; {
	case c >= 200 && c < 300:
		return nil
	case c >= 300 && c < 400:
		return permanent{fmt.Errorf("webhook %s: it answered %s: redirects are not followed, name the address itself", name, resp.Status)}
	case c == http.StatusRequestTimeout, c == http.StatusTooEarly, c == http.StatusTooManyRequests, c >= 500:
		return fmt.Errorf("webhook %s: it answered %s", name, resp.Status)
	}
	return permanent{fmt.Errorf("webhook %s: it answered %s", name, resp.Status)}
}

// hideURL takes the URL out of a client's error: those of chat systems are secrets.
func hideURL(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok && u.Unwrap() != nil {
		return u.Unwrap()
	}
	return err
}

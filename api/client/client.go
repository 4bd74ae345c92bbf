// Package client is the Go client of Outwork's HTTP API: all that the command line uses.
//
// A Client is made with New and may be used concurrently. Every method returns errors that carry the server's fault kind;
// a server that cannot be reached is fault.Unavailable.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/version"
)

// Client speaks to one controller.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New returns a client of the controller at address ("https://ci.example.org", with a path prefix if it has one). token may be
// empty for what needs none. h nil is a client of its own that honours the proxy variables of the environment.
func New(address, token string, h *http.Client) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fault.New(fault.Invalid, "controller address %q: expected http://HOST:PORT or https://HOST", address)
	}
	if h == nil {
		h = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: 2 * time.Minute,
		}}
	}
	return &Client{base: u, token: token, http: h}, nil
}

// Address returns the controller's address as New was given it.
func (c *Client) Address() string { return c.base.String() }

// path joins segments, escaping each: a job's name may hold slashes.
func path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/api/v1")
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

func (c *Client) request(ctx context.Context, method, p string, query url.Values, body any) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	target := c.base.String() + p
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "outwork/"+version.String())
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fault.New(fault.Unavailable, "cannot reach the controller at %s: %w", c.base, err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, failure(resp)
	}
	return resp, nil
}

// failure turns an answer that is not a success into an error of the server's kind.
func failure(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var e api.Failure
	if json.Unmarshal(b, &e) != nil || e.Message == "" {
		k := fault.Internal
		switch resp.StatusCode {
		case http.StatusUnauthorized:
			k = fault.Unauthenticated
		case http.StatusForbidden:
			k = fault.Denied
		case http.StatusNotFound:
			k = fault.NotFound
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			k = fault.Unavailable
		}
		return fault.New(k, "the controller answered %s: is this address an Outwork controller?", resp.Status)
	}
	msg := e.Message
	for _, f := range e.Fields {
		msg += fmt.Sprintf("\n  %s: %s", f.Field, f.Message)
	}
	return fault.New(fault.Parse(e.Kind), "%s", msg)
}

func call[T any](ctx context.Context, c *Client, method, p string, query url.Values, body any) (T, error) {
	var out T
	resp, err := c.request(ctx, method, p, query, body)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fault.New(fault.Unavailable, "%s %s: the answer broke off: %w", method, p, err)
	}
	return out, nil
}

type none struct{}

func (c *Client) do(ctx context.Context, method, p string, body any) error {
	_, err := call[none](ctx, c, method, p, nil, body)
	return err
}

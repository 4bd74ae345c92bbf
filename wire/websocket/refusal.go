package websocket

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// maxRetryAfter bounds what a server can dictate.
const maxRetryAfter = time.Hour

// Refusal is a server's answer that is not yes.
type Refusal struct {
	Status     int
	Kind       fault.Kind    // as the body says, else what the status means
	RetryAfter time.Duration // 0 when the server says nothing
	Text       string        // what it said, for people
}

// NewRefusal reads the refusal out of an answer, at most 1 KiB of its body. It does not close the body.
func NewRefusal(resp *http.Response) *Refusal {
	r := &Refusal{Status: resp.StatusCode, Kind: kindOf(resp.StatusCode), RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	if resp.Body != nil {
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if err == nil || len(b) > 0 {
			r.read(b)
		}
	}
	return r
}

// Err gives the refusal its kind.
func (r *Refusal) Err() error { return fault.With(r.Kind, r) }

func (r *Refusal) Error() string {
	s := fmt.Sprintf("the server answered %d %s", r.Status, http.StatusText(r.Status))
	if r.Text != "" {
		s += ": " + r.Text
	}
	return s
}

// read finds what a person wants to read in a body, the controller's own form or a problem document, else its first line.
func (r *Refusal) read(body []byte) {
	var known struct{ Kind, Message, Detail, Title string }
	if json.Unmarshal(body, &known) != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
		r.Text = strings.TrimSpace(strings.ToValidUTF8(line, "�"))
		return
	}
	r.Text = cmp.Or(known.Message, known.Detail, known.Title)
	if known.Kind != "" {
		r.Kind = fault.Parse(known.Kind)
	}
}

// retryAfter understands both forms of RFC 9110 §10.2.3.
func retryAfter(h string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseInt(h, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(h); err == nil {
		d = at.Sub(now)
	}
	return max(0, min(d, maxRetryAfter))
}

func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return fault.Invalid
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusUpgradeRequired:
		return fault.Incompatible
	case http.StatusTooManyRequests:
		return fault.Exhausted
	}
	return fault.Unavailable
}

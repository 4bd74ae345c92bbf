package websocket

import (
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
	RetryAfter time.Duration // 0 when the server says nothing
	Text       string        // what it said, for people
}

// NewRefusal reads the refusal out of an answer, at most 1 KiB of its body. It does not close the body.
func NewRefusal(resp *http.Response) *Refusal {
	r := &Refusal{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	if resp.Body != nil {
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if err == nil || len(b) > 0 {
			r.Text = text(b)
		}
	}
	return r
}

// Err gives the refusal its kind.
func (r *Refusal) Err() error { return fault.With(kindOf(r.Status), r) }

func (r *Refusal) Error() string {
	s := fmt.Sprintf("the server answered %d %s", r.Status, http.StatusText(r.Status))
	if r.Text != "" {
		s += ": " + r.Text
	}
	return s
}

// text finds what a person wants to read in a body: the detail of a problem document, or its first line.
func text(body []byte) string {
	var problem struct{ Detail, Message, Error, Title string }
	if json.Unmarshal(body, &problem) == nil {
		for _, s := range []string{problem.Detail, problem.Message, problem.Error, problem.Title} {
			if s != "" {
				return s
			}
		}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return strings.TrimSpace(strings.ToValidUTF8(line, "�"))
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

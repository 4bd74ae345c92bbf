// Package tcp is the Link over a TCP port of the controller's own, by TLS or plain.
//
// Dial is the agent's side, Server the controller's. Before the link stands, each says one line: the agent who it is, the
// controller yes or why not. The controller's identity is a key of its own, which the agent knows by its Pin, or a certificate
// that a CA vouches for. Bytes travel in frames whose borders mean nothing; frames of other types ask for a sign of life and
// close with a reason.
package tcp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

const (
	// magic opens each side's line. The number is that of this exchange, not of what is said on the link.
	magic   = "OUTWORK-AGENT 1 "
	maxLine = 8 << 10 // bytes of a line
	buffer  = maxLine // bytes read ahead: the lines must fit, and longer reads go past it; a controller has one for each agent

	timeout       = 10 * time.Second // for each of connecting, the TLS handshake and the first lines
	maxRetryAfter = time.Hour        // what a server can dictate
	maxInstance   = 256              // bytes of Caller.Instance
)

// Caller is what an agent says of itself. Only Credential is an identity.
type Caller struct {
	Credential string `json:"credential"`
	// Instance tells the agent's process apart from its predecessor and from another that uses the same credential.
	Instance string `json:"instance,omitempty"`
	Version  string `json:"version,omitempty"` // Outwork's, for people
	Peer     string `json:"-"`                 // where it calls from; on the server only
}

// Refusal is an answer that is not yes: what the server's Admit may return, and what errors.As finds in the error of Dial.
type Refusal struct {
	Kind       fault.Kind
	RetryAfter time.Duration // 0 when the server says nothing
	Text       string        // for people
}

func (r *Refusal) Error() string { return "the controller refuses: " + r.Text }

// answer is the server's line.
type answer struct {
	OK         bool   `json:"ok"`
	Kind       string `json:"kind,omitempty"`
	Text       string `json:"message,omitempty"`
	RetryAfter int64  `json:"retryAfter,omitempty"` // seconds
}

// refusal makes the server's line of an error.
func refusal(err error) answer {
	a := answer{Kind: fault.Of(err).String(), Text: err.Error()}
	if r, ok := errors.AsType[*Refusal](err); ok {
		a.Kind, a.Text = r.Kind.String(), r.Text
		a.RetryAfter = int64((r.RetryAfter + time.Second - 1) / time.Second)
	}
	return a
}

// err is the Refusal that the line means, nil for a yes.
func (a answer) err() error {
	if a.OK {
		return nil
	}
	after := max(0, min(time.Duration(min(a.RetryAfter, 1<<20))*time.Second, maxRetryAfter))
	r := &Refusal{Kind: fault.Parse(a.Kind), RetryAfter: after, Text: a.Text}
	return fault.With(r.Kind, r)
}

func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if len(magic)+len(b)+1 > maxLine {
		return fault.New(fault.Invalid, "%d bytes: expected at most %d", len(b), maxLine-len(magic)-1)
	}
	_, err = w.Write(append(append([]byte(magic), b...), '\n'))
	return err
}

// readLine reads a line, whatever it says, that fits the reader's buffer.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine:
		return line, fault.New(fault.Incompatible, "the first line is longer than %d bytes: %q…", maxLine, clip(line))
	case err != nil:
		return line, fault.New(fault.Unavailable, "no first line: %w; it said %q", err, clip(line))
	}
	return line, nil
}

func parseLine(line []byte, v any) error {
	rest, ok := bytes.CutPrefix(line, []byte(magic))
	if !ok {
		return fault.New(fault.Incompatible, "expected %q…, got %q", magic, clip(line))
	}
	if err := json.Unmarshal(rest, v); err != nil {
		return fault.New(fault.Incompatible, "%q is not what this version of outwork understands: %w", clip(line), err)
	}
	return nil
}

func clip(b []byte) []byte { return b[:min(len(b), 100)] }

package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// Protocol is the protocol this program speaks, MinProtocol the oldest one it still understands.
//
// The compatibility window: a program of protocol N speaks with N and N-1, so controller and agents can be upgraded one
// after the other in either order, one protocol at a time. While N is 1 there is nothing older.
const (
	Protocol    = 1
	MinProtocol = 1
)

// magic opens each side's greeting. The number is that of the greeting's own format and never changes again: everything
// that may change stands in the Hello.
const magic = "OUTWORK-LINK 1\n"

const (
	maxHello = 8 << 10 // bytes of the JSON line, its newline included
	maxQuote = 200     // bytes of noise quoted in an error
)

// Hello is what each side says of itself before anything else: the magic line, then this as one line of JSON.
type Hello struct {
	Protocol    int      `json:"protocol"`    // 0 in an own Hello is Protocol
	MinProtocol int      `json:"minProtocol"` // 0 in an own Hello is MinProtocol
	Version     string   `json:"version"`     // Outwork's, for people
	Name        string   `json:"name"`        // for people; never an identity
	Features    []string `json:"features,omitempty"`
	// Heartbeat is how often this side wants a sign of life. Each side sends as often as the more impatient of both wants.
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
}

// Greeting is the outcome of a handshake.
type Greeting struct {
	Peer     Hello
	Protocol int // the one both sides speak from here on
}

// Handshake greets the peer and agrees on a protocol, or fails with fault.Incompatible, on both sides alike and with both
// versions in the message. It reads no byte past the peer's greeting. When it fails, or when ctx ends, link is closed.
func Handshake(ctx context.Context, link Link, own Hello) (Greeting, error) {
	if own.Protocol == 0 {
		own.Protocol = Protocol
	}
	if own.MinProtocol == 0 {
		own.MinProtocol = MinProtocol
	}
	stop := context.AfterFunc(ctx, func() { link.Close() })
	g, err := greet(link, own)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return g, nil
	}
	link.Close()
	if ctx.Err() != nil {
		err = fault.New(fault.Unavailable, "handshake with %s: no greeting in time: %w", link.Peer(), context.Cause(ctx))
	} else {
		err = fmt.Errorf("handshake with %s: %w", link.Peer(), err)
	}
	return g, err
}

// greet writes and reads at once: a link may have no buffer at all.
func greet(link Link, own Hello) (Greeting, error) {
	line, err := encodeHello(own)
	if err != nil {
		return Greeting{}, err
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := link.Write(line)
		wrote <- err
	}()
	noise := 0
	if n, ok := link.(Noisy); ok {
		noise = n.Noise()
	}
	peer, err := readHello(link, noise)
	if err != nil {
		link.Close()
		<-wrote
		return Greeting{}, err
	}
	if err := <-wrote; err != nil {
		return Greeting{}, fault.New(fault.Unavailable, "write greeting: %w", err)
	}
	return agree(own, peer)
}

// agree is the same on both sides, so that both refuse or neither does.
func agree(own, peer Hello) (Greeting, error) {
	g := Greeting{Peer: peer, Protocol: min(own.Protocol, peer.Protocol)}
	if g.Protocol >= max(own.MinProtocol, peer.MinProtocol) {
		return g, nil
	}
	older := "the peer"
	if own.Protocol < peer.Protocol {
		older = "this side"
	}
	return g, fault.New(fault.Incompatible,
		"this side is outwork %s (protocol %d, understands %d and newer), the peer %q is outwork %s (protocol %d, understands %d and newer): upgrade %s",
		orUnknown(own.Version), own.Protocol, own.MinProtocol, peer.Name, orUnknown(peer.Version), peer.Protocol, peer.MinProtocol, older)
}

func orUnknown(version string) string {
	if version == "" {
		return "(unknown version)"
	}
	return version
}

func encodeHello(h Hello) ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode greeting: %w", err)
	}
	if len(b)+1 > maxHello {
		return nil, fault.New(fault.Invalid, "greeting is %d bytes long: expected at most %d; shorten the name or the features", len(b)+1, maxHello)
	}
	return append(append([]byte(magic), b...), '\n'), nil
}

// readHello skips up to noise bytes before the magic line and decodes what follows it. It reads byte by byte where it
// does not know what comes, because the bytes after the greeting belong to somebody else.
func readHello(r io.Reader, noise int) (Hello, error) {
	if err := skipToMagic(r, noise); err != nil {
		return Hello{}, err
	}
	line, err := readLine(r, maxHello)
	if err != nil {
		return Hello{}, err
	}
	var h Hello
	if err := json.Unmarshal(line, &h); err != nil {
		return Hello{}, fault.New(fault.Incompatible, "greeting %q is not what this version of outwork understands: %w", clip(line), err)
	}
	if h.Protocol < 1 || h.MinProtocol < 1 || h.MinProtocol > h.Protocol {
		return Hello{}, fault.New(fault.Incompatible, "greeting has protocol %d and minProtocol %d: expected 1 ≤ minProtocol ≤ protocol", h.Protocol, h.MinProtocol)
	}
	return h, nil
}

func skipToMagic(r io.Reader, noise int) error {
	var seen []byte
	var one [1]byte
	for len(seen) < noise+len(magic) {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return noGreeting(seen, err)
		}
		seen = append(seen, one[0])
		if bytes.HasSuffix(seen, []byte(magic)) {
			return nil
		}
		if noise == 0 && !bytes.HasPrefix([]byte(magic), seen) {
			break
		}
	}
	return fault.New(fault.Incompatible, "the peer does not greet as outwork does; it said %q", clip(seen))
}

func noGreeting(seen []byte, err error) error {
	if fault.Of(err) != fault.Internal { // the peer said why, in the link's own way
		return err
	}
	if len(seen) > 0 {
		return fault.New(fault.Unavailable, "the peer closed without a greeting; it said %q: %w", clip(seen), err)
	}
	return fault.New(fault.Unavailable, "the peer gave no greeting: %w", err)
}

func readLine(r io.Reader, limit int) ([]byte, error) {
	var one [1]byte
	var line []byte
	for len(line) < limit {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return nil, fault.New(fault.Unavailable, "the peer closed within its greeting: %w", err)
		}
		if one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[0])
	}
	return nil, fault.New(fault.Incompatible, "greeting is longer than %d bytes", limit)
}

// clip keeps the end of what was said: the last line says why.
func clip(b []byte) []byte {
	b = bytes.TrimSpace(b)
	return b[max(0, len(b)-maxQuote):]
}

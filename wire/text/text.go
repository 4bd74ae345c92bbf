// Package text is the Link over a channel that is made for text: a telnet session, a terminal, a console server, a wrapper that
// rewrites line ends.
//
// Bytes travel as base64 in short lines of printable ASCII, each with a checksum and its place in the order. On the way the channel
// may strip or set the eighth bit, add, drop or change CR and LF, break lines where it likes, insert NULs, flow control characters
// and telnet commands, and print banners before the first line; control characters are never sent. It may not lose or change a
// printable character: the checksum finds that, and the link fails.
//
// The agent speaks first (Announce): its preamble ends what login shells print before it. The controller waits for that (Await)
// before it says anything, so that nothing but the agent reads what it says. Each side refuses a channel that echoes.
package text

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

const (
	maxNoise = 64 << 10 // bytes before the peer's preamble
	maxQuote = 300      // bytes of noise quoted in an error
)

// side is who sends a line; it is part of the checksum, so that an own line that comes back is known for what it is.
type side byte

const (
	agent      side = 'A'
	controller side = 'C'
)

func (s side) other() side {
	if s == agent {
		return controller
	}
	return agent
}

// preamble is what a side says first. It has no character that begins a line of data: who sees it again takes it for noise.
func (s side) preamble() []byte {
	if s == agent {
		return []byte("=OUTWORK-TEXT-1-AGENT=")
	}
	return []byte("=OUTWORK-TEXT-1-CONTROLLER=")
}

// unframed is how the greeting of a link without text framing begins, as it looks here.
const unframed = "OUTWORK-LINK1"

// Await waits for the agent's preamble on inner and answers it. What came before it is written to log, which may be nil. peer
// names the far end for people. ctx ends the attempt, not the link; when it fails, inner is closed. Closing inner must unblock its
// pending Read and Write.
func Await(ctx context.Context, inner io.ReadWriteCloser, peer string, log io.Writer) (wire.Link, error) {
	return open(ctx, inner, peer, func() (*link, error) {
		rest, noise, err := skip(inner, controller)
		if log != nil && len(noise) > 0 {
			fmt.Fprintf(log, "%s\n", noise)
		}
		if err != nil {
			return nil, err
		}
		return newLink(inner, peer, controller, rest), say(inner, controller)
	})
}

// Announce writes the agent's preamble and waits for the controller's. See Await.
func Announce(ctx context.Context, inner io.ReadWriteCloser, peer string) (wire.Link, error) {
	return open(ctx, inner, peer, func() (*link, error) {
		if err := say(inner, agent); err != nil {
			return nil, err
		}
		rest, _, err := skip(inner, agent)
		if err != nil {
			return nil, err
		}
		return newLink(inner, peer, agent, rest), nil
	})
}

func open(ctx context.Context, inner io.ReadWriteCloser, peer string, greet func() (*link, error)) (wire.Link, error) {
	stop := context.AfterFunc(ctx, func() { inner.Close() })
	l, err := greet()
	if !stop() {
		err = fault.New(fault.Unavailable, "no answer in time: %w", context.Cause(ctx))
	}
	if err != nil {
		inner.Close()
		return nil, fmt.Errorf("text link with %s: %w", peer, err)
	}
	go l.pump()
	return l, nil
}

func say(w io.Writer, s side) error {
	if _, err := w.Write(append(s.preamble(), '\n')); err != nil {
		return fault.New(fault.Unavailable, "write preamble: %w", err)
	}
	return nil
}

// skip reads up to the end of the preamble of own's peer and returns what was read beyond it, and what came before it as text.
func skip(r io.Reader, own side) (rest, noise []byte, err error) {
	want := own.other().preamble()
	var telnet telnet
	var raw, seen []byte // what came; its printable characters
	buf := make([]byte, 512)
	for {
		n, err := r.Read(buf)
		for i, b := range buf[:n] {
			raw = append(raw, b)
			c, ok := printable(b, &telnet)
			if !ok {
				continue
			}
			seen = append(seen, c)
			switch {
			case bytes.HasSuffix(seen, want):
				return bytes.Clone(buf[i+1 : n]), before(raw, want), nil
			case bytes.HasSuffix(seen, own.preamble()):
				return nil, before(raw, want), errEcho()
			case bytes.HasSuffix(seen, []byte(unframed)):
				return nil, before(raw, want), fault.New(fault.Invalid, "the peer speaks without text framing: start both ends with it (outwork agent --stdio --text), or neither")
			}
		}
		switch {
		case err != nil:
			return nil, clean(raw), fault.New(fault.Unavailable, "the peer closed before it spoke as outwork does with --text; it said %q: %w", clip(raw), closedError(err))
		case len(raw) > maxNoise:
			return nil, clean(raw), fault.New(fault.Incompatible, "the peer does not speak as outwork does with --text; it said %q", clip(raw))
		}
	}
}

func errEcho() error {
	return fault.New(fault.Invalid, "the channel echoes what is sent on it: turn that off (ssh without -t, telnet in character mode, stty raw -echo before the agent is started)")
}

func closedError(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// before is the noise without the line that the preamble ends.
func before(raw, preamble []byte) []byte {
	end := bytes.LastIndexByte(raw[:max(0, len(raw)-len(preamble)+1)], '\n')
	return clean(raw[:max(0, end)])
}

// clean makes noise readable in a log.
func clean(raw []byte) []byte {
	text := bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && r != 0xfffd {
			return r
		}
		return -1
	}, raw)
	return bytes.TrimSpace(text)
}

// clip keeps the end of what was said: the last line says why.
func clip(raw []byte) []byte {
	raw = clean(raw)
	return raw[max(0, len(raw)-maxQuote):]
}

// errClosed is what a closed link's methods answer.
func errClosed(doing string) error { return fmt.Errorf("%s: %w", doing, net.ErrClosed) }

package text

import (
	"bytes"
	"io"
	"testing"

	"github.com/outwork-build/outwork/internal/fault"
)

// FuzzDecoder feeds anything, cut anywhere: the decoder keeps its bounds, answers with the errors it promises, and does not care
// how the bytes were cut.
func FuzzDecoder(f *testing.F) {
	e := encoder{side: agent}
	good := e.lines(nil, []byte("some bytes"))
	f.Add(good, 3)
	f.Add(e.lines(bytes.Clone(good), nil), 1)
	f.Add([]byte("\xff\xfb\x01<AAAAAAA>\r\n"), 5)
	f.Add([]byte("\xff\xfa<<<\xff\xf0<!>"), 2)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		whole, err := (&decoder{peer: agent}).feed(nil, p)
		if err != nil && err != io.EOF && fault.Of(err) == fault.Internal {
			t.Errorf("an error without a kind: %v", err)
		}
		if len(whole) > len(p) {
			t.Errorf("%d bytes of %d characters", len(whole), len(p))
		}
		d := &decoder{peer: agent}
		var parts []byte
		var partErr error
		for rest := p; len(rest) > 0 && partErr == nil; {
			n := min(len(rest), max(1, cut))
			parts, partErr = d.feed(parts, rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(whole, parts) || (err == nil) != (partErr == nil) {
			t.Errorf("in one piece %q, %v; in pieces %q, %v", whole, err, parts, partErr)
		}
		if len(d.line) > maxChars {
			t.Errorf("a line of %d characters is kept", len(d.line))
		}
	})
}

// FuzzRoundTrip sends anything through a channel that puts noise between characters.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("data"), []byte("\r\n\x00"), 7)
	f.Add(bytes.Repeat([]byte{0xff}, 500), []byte("\x11\r"), 80)
	f.Fuzz(func(t *testing.T, data, noise []byte, every int) {
		for _, b := range noise {
			if c := b & 0x7f; c > ' ' && c < 0x7f || b >= se {
				return // a printable character is no harmless noise, half a telnet command takes what follows
			}
		}
		e := encoder{side: controller}
		line := e.lines(nil, data)
		if len(data) > 0 {
			line = e.lines(line, nil)
		}
		var spoiled []byte
		for i, b := range line {
			if spoiled = append(spoiled, b); i%max(1, every) == 0 {
				spoiled = append(spoiled, noise...)
			}
		}
		got, err := (&decoder{peer: controller}).feed(nil, spoiled)
		if err != io.EOF || !bytes.Equal(got, data) {
			t.Errorf("sent %q, got %q, %v", data, got, err)
		}
	})
}

package text

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/outwork-build/outwork/internal/fault"
)

// A line is
//
//	< base64( number payload checksum ) > LF
//
// number is the low byte of the line's place in the order, from 0; checksum is CRC-32C, big-endian, over side, place and payload.
// An empty payload is the sender's last line. base64 is RFC 4648 §5 without padding: it has no character that terminals, telnet,
// rlogin or modems take for an escape. A line is shorter than the 255 characters that a terminal in line mode must take.
const (
	first, last = '<', '>'

	maxPayload = 150
	overhead   = 1 + 4
)

var (
	encoding = base64.RawURLEncoding
	table    = crc32.MakeTable(crc32.Castagnoli)

	maxChars = encoding.EncodedLen(maxPayload + overhead)
)

func checksum(s side, place uint64, payload []byte) uint32 {
	var head [9]byte
	head[0] = byte(s)
	binary.BigEndian.PutUint64(head[1:], place)
	return crc32.Update(crc32.Checksum(head[:], table), table, payload)
}

// encoder makes lines of what one side sends. It is for one goroutine at a time.
type encoder struct {
	side  side
	place uint64
	raw   [maxPayload + overhead]byte
}

// lines appends the lines of p to out; of an empty p, the last line.
func (e *encoder) lines(out, p []byte) []byte {
	for {
		n := min(len(p), maxPayload)
		raw := append(append(e.raw[:0], byte(e.place)), p[:n]...)
		raw = binary.BigEndian.AppendUint32(raw, checksum(e.side, e.place, p[:n]))
		e.place++
		out = append(out, first)
		out = encoding.AppendEncode(out, raw)
		out = append(out, last, '\n')
		if p = p[n:]; len(p) == 0 {
			return out
		}
	}
}

// decoder makes bytes of the peer's lines. It is for one goroutine at a time. After an error it must not be used again.
type decoder struct {
	peer   side
	telnet telnet
	place  uint64
	inside bool   // between first and last
	line   []byte // its characters
	raw    [maxPayload + overhead]byte
}

// feed appends to out the payload of the lines that p completes. io.EOF: p had the peer's last line; what follows it is dropped.
func (d *decoder) feed(out, p []byte) ([]byte, error) {
	for _, b := range p {
		c, ok := printable(b, &d.telnet)
		switch {
		case !ok:
		case c == first:
			if d.inside {
				return out, d.damaged("it was cut off by the next")
			}
			d.inside, d.line = true, d.line[:0]
		case !d.inside: // a message that somebody sent to the terminal
		case c == last:
			payload, err := d.decode()
			if err != nil {
				return out, err
			}
			d.inside = false
			d.place++
			if len(payload) == 0 {
				return out, io.EOF
			}
			out = append(out, payload...)
		case len(d.line) == maxChars:
			return out, d.damaged("it is longer than one can be")
		default:
			d.line = append(d.line, c)
		}
	}
	return out, nil
}

// decode checks the line. The result is valid until the next call.
func (d *decoder) decode() ([]byte, error) {
	n, err := encoding.Decode(d.raw[:], d.line)
	if err != nil || n < overhead {
		return nil, d.damaged("it is not base64")
	}
	payload := d.raw[1 : n-4]
	sum := binary.BigEndian.Uint32(d.raw[n-4 : n])
	switch {
	case sum == checksum(d.peer, d.place, payload):
		return payload, nil
	case d.echoed(sum, payload):
		return nil, errEcho()
	case d.raw[0] != byte(d.place):
		return nil, d.damaged("line %d came in its place, or its number was changed", d.raw[0])
	}
	return nil, d.damaged("its checksum is wrong")
}

// echoed reports whether the line is one of this side's own: an echo shows from the first lines on.
func (d *decoder) echoed(sum uint32, payload []byte) bool {
	const window = 1 << 12 // lines
	for place := range uint64(window) {
		if byte(place) == d.raw[0] && sum == checksum(d.peer.other(), place, payload) {
			return true
		}
	}
	return false
}

func (d *decoder) damaged(format string, args ...any) error {
	return fault.New(fault.Unavailable, "line %d was damaged on the way: "+format+"; its text is %q", append(append([]any{d.place}, args...), d.line)...)
}

package log

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// The index is a header of 16 bytes, then records of 48. A record describes one piece of the console; the pieces follow each
// other without gaps. All numbers are little-endian:
//
//	 0 off       uint64  console offset of the piece's first byte
//	 8 received  uint64  bytes of the stream that are accounted for, this piece included
//	16 line      uint64  newlines in the console before off
//	24 time      int64   Unix nanoseconds
//	32 length    uint24  bytes in the console;  35 kind uint8
//	36 stream    uint32  from 1, the line of the `streams` file; 0 is the log itself
//	40 sum       uint32  CRC-32C of the piece's bytes in the console
//	44           uint32  CRC-32C of the 44 bytes before
const (
	header     = "outwork log 1\n\x00\x00"
	headerSize = int64(len(header))
	recordSize = 48
	maxSegment = 1 << 20 // bytes of one piece; below 1<<24
)

type kind uint8

const (
	kindData    kind = iota + 1 // bytes of the stream
	kindMark                    // bytes that the log put in: a newline that ends another's line, a line about the log itself
	kindGap                     // a line that says that bytes of the stream are missing
	kindLimit                   // the line that says that the log is full; only kindDrop, kindMark and kindFinish follow
	kindDrop                    // no bytes: stream bytes that were counted and not kept
	kindFinish                  // no bytes: the log is complete; the last record. received is the number of streams
	kindStamped                 // bytes of the stream, and the time before each line that begins among them
)

type record struct {
	off      int64
	received int64
	line     int64
	time     int64
	length   int
	kind     kind
	stream   uint32
	sum      uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

func (r record) encode(b *[recordSize]byte) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(r.off))
	le.PutUint64(b[8:], uint64(r.received))
	le.PutUint64(b[16:], uint64(r.line))
	le.PutUint64(b[24:], uint64(r.time))
	le.PutUint32(b[32:], uint32(r.length)|uint32(r.kind)<<24)
	le.PutUint32(b[36:], r.stream)
	le.PutUint32(b[40:], r.sum)
	le.PutUint32(b[44:], checksum(b[:44]))
}

// decode reads a record; false when it is not a whole one with sane values.
func decode(b []byte) (record, bool) {
	le := binary.LittleEndian
	if len(b) < recordSize || le.Uint32(b[44:]) != checksum(b[:44]) {
		return record{}, false
	}
	r := record{
		off:      int64(le.Uint64(b[0:])),
		received: int64(le.Uint64(b[8:])),
		line:     int64(le.Uint64(b[16:])),
		time:     int64(le.Uint64(b[24:])),
		length:   int(le.Uint32(b[32:]) & 0xffffff),
		kind:     kind(b[35]),
		stream:   le.Uint32(b[36:]),
		sum:      le.Uint32(b[40:]),
	}
	ok := r.off >= 0 && r.received >= 0 && r.line >= 0 && r.line <= r.off && r.kind >= kindData && r.kind <= kindStamped &&
		r.length <= maxSegment && (r.kind != kindData || int64(r.length) <= r.received) &&
		(r.kind != kindDrop && r.kind != kindFinish || r.length == 0)
	return r, ok
}

// recordAt is the index file's offset of record i.
func recordAt(i int64) int64 { return headerSize + i*recordSize }

// streamEntry is a line of the `streams` file: the CRC-32C of its JSON in hex, a space, the JSON.
type streamEntry struct {
	Name  string `json:"name"`
	Stage string `json:"stage,omitempty"`
}

func (e streamEntry) encode() ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", checksum(text), text), nil
}

// decodeStream reads what encode wrote; false when it is anything else.
func decodeStream(line []byte) (streamEntry, bool) {
	sum, text, _ := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{' '})
	var e streamEntry
	ok := string(sum) == fmt.Sprintf("%08x", checksum(text)) && json.Unmarshal(text, &e) == nil
	return e, ok
}

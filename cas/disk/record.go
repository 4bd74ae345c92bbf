package disk

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A pack is a header of packHeader bytes, then records, one after another:
//
//	 0  magic
//	 4  kind      blob, action or touch
//	 5  …         zero
//	 8  CRC-32C   of all else in the record
//	12  length    of the data that follows the header
//	16  stamp     when the record was made, in ns since 1970; of two records of a key the younger counts
//	24  key       32 bytes
//	56  data
//
// All numbers are little-endian. A record that does not check is skipped when a pack is read; those beside it are not lost.
const (
	packHeader   = 16
	recordHeader = 56
	maxData      = 4 << 20
)

var (
	packMagic   = []byte("outwork pack 1\n\x00")
	recordMagic = []byte{0x9d, 'O', 'W', 'r'}
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
)

type key [32]byte

type kind uint8

const (
	blob   kind = 1 // a blob; the key is its hash
	action kind = 2 // an entry of the action cache; without data, that there is none any more
	touch  kind = 3 // the blob of this key was used then
	used   kind = 4 // the action cache's entry of this key was used then
)

// header is what a record says about itself.
type header struct {
	kind  kind
	n     uint32 // bytes of data
	stamp int64
	key   key
}

// size is what the record takes in its pack.
func (h header) size() int64 { return recordHeader + int64(h.n) }

// appendRecord appends the record to b.
func appendRecord(b []byte, h header, data []byte) []byte {
	at := len(b)
	b = append(b, recordMagic...)
	b = append(b, byte(h.kind), 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.stamp))
	b = append(b, h.key[:]...)
	b = append(b, data...)
	binary.LittleEndian.PutUint32(b[at+8:], sum(b[at:]))
	return b
}

func sum(record []byte) uint32 {
	c := crc32.Update(0, castagnoli, record[:8])
	return crc32.Update(c, castagnoli, record[12:])
}

// decodeHeader reads a header without checking the record. ok says that it can be one.
func decodeHeader(b []byte) (h header, ok bool) {
	if len(b) < recordHeader || !bytes.Equal(b[:4], recordMagic) {
		return h, false
	}
	h = header{kind: kind(b[4]), n: binary.LittleEndian.Uint32(b[12:]), stamp: int64(binary.LittleEndian.Uint64(b[16:])), key: key(b[24:recordHeader])}
	return h, h.n <= maxData && h.kind >= blob && h.kind <= used
}

// sound reports whether b is a whole record that nobody changed.
func sound(b []byte) bool { return binary.LittleEndian.Uint32(b[8:]) == sum(b) }

// scan calls visit for every sound record between from and size, and returns where the last one ends. data is valid during the
// call only.
func scan(r io.ReaderAt, from, size int64, visit func(at int64, h header, data []byte) error) (end int64, err error) {
	w := window{r: r, size: size}
	end = from
	for at := from; at+recordHeader <= size; {
		b, err := w.bytes(at, recordHeader)
		if err != nil {
			return end, err
		}
		h, ok := decodeHeader(b)
		if ok && at+h.size() <= size {
			if b, err = w.bytes(at, h.size()); err != nil {
				return end, err
			}
			if sound(b) {
				if err := visit(at, h, b[recordHeader:]); err != nil {
					return end, err
				}
				at += h.size()
				end = at
				continue
			}
		}
		if at, err = w.find(at+1, recordMagic); err != nil {
			return end, err
		}
	}
	return end, nil
}

// window reads a file forward, a good piece at a time.
type window struct {
	r    io.ReaderAt
	size int64
	at   int64 // of buf in the file
	buf  []byte
}

const windowSize = 1 << 20

// bytes returns n bytes of the file, which are there, valid until the next call.
func (w *window) bytes(at, n int64) ([]byte, error) {
	if at < w.at || at+n > w.at+int64(len(w.buf)) {
		want := min(max(n, windowSize), w.size-at)
		if int64(cap(w.buf)) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.at = w.buf[:want], at
		if got, err := w.r.ReadAt(w.buf, at); int64(got) < n {
			return nil, err
		} else {
			w.buf = w.buf[:got]
		}
	}
	return w.buf[at-w.at:][:n], nil
}

// find returns where what begins, at or after at; the file's size when it is not there.
func (w *window) find(at int64, what []byte) (int64, error) {
	for at+int64(len(what)) <= w.size {
		n := min(64<<10, w.size-at)
		b, err := w.bytes(at, n)
		if err != nil {
			return at, err
		}
		if i := bytes.Index(b, what); i >= 0 {
			return at + int64(i), nil
		}
		at += n - int64(len(what)) + 1
	}
	return w.size, nil
}

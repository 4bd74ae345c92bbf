package log

import (
	"bytes"
	"encoding/binary"
	"os"
	"sort"
	"sync/atomic"
)

// The `lines` file has an entry of 16 bytes for a line now and then: how many lines stand before it, and its offset. A missing
// entry only makes a search longer, so that a failed write of one is no error.
const (
	lineEntry = 16
	everyLine = 256       // lines from one entry to the next, or
	everyByte = 256 << 10 // bytes, whatever comes first
)

type checkpoint struct{ line, off int64 }

// lineIndex writes the file as the console grows. Readers use only count.
type lineIndex struct {
	count atomic.Int64 // whole entries in the file
	last  checkpoint
}

// add notes the lines that begin in the piece p of record r.
func (x *lineIndex) add(f *os.File, r record, p []byte) {
	line := r.line
	for i := 0; ; {
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			return
		}
		i, line = i+j+1, line+1
		c := checkpoint{line, r.off + int64(i)}
		if c.line-x.last.line < everyLine && c.off-x.last.off < everyByte {
			continue
		}
		var b [lineEntry]byte
		binary.LittleEndian.PutUint64(b[0:], uint64(c.line))
		binary.LittleEndian.PutUint64(b[8:], uint64(c.off))
		n := x.count.Load()
		if writeAt(f, b[:], n*lineEntry) != nil {
			return
		}
		x.last = c
		x.count.Store(n + 1)
	}
}

// find returns the last entry for which before is true; before is true for a first part of the entries, and then false.
func (x *lineIndex) find(f *os.File, before func(checkpoint) bool) (checkpoint, error) {
	var failed error
	read := func(i int) checkpoint {
		var b [lineEntry]byte
		if _, err := f.ReadAt(b[:], int64(i)*lineEntry); err != nil {
			failed = err
		}
		return checkpoint{int64(binary.LittleEndian.Uint64(b[0:])), int64(binary.LittleEndian.Uint64(b[8:]))}
	}
	n := sort.Search(int(x.count.Load()), func(i int) bool { return failed != nil || !before(read(i)) })
	if n == 0 || failed != nil {
		return checkpoint{}, failed
	}
	c := read(n - 1)
	return c, failed
}

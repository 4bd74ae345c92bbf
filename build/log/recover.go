package log

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// load reads the files of a log that was just opened. A finished one is believed; every other is read through, and cut back
// to its last whole record.
func (l *Log) load(f *files) error {
	index, err := f.index.Stat()
	if err != nil {
		return err
	}
	console, err := f.log.Stat()
	if err != nil {
		return err
	}
	if index.Size() < headerSize {
		return l.create(f)
	}
	var head [headerSize]byte
	if _, err := f.index.ReadAt(head[:], 0); err != nil {
		return err
	}
	if string(head[:]) != header {
		if torn, err := tornHeader(f.index, index.Size()); torn || err != nil {
			if err != nil {
				return err
			}
			return l.create(f)
		}
		return fault.New(fault.Incompatible, "the index begins %q: written by another version of Outwork", head[:12])
	}
	if err := l.loadTable(f.streams); err != nil {
		return err
	}
	if done, err := l.loadFinished(f, index.Size(), console.Size()); done || err != nil {
		return err
	}
	return l.recover(f, index.Size(), console.Size())
}

// tornHeader reports whether an index is a piece of the header and then nothing but zeros, as file systems leave behind what a crash kept
// from being written.
func tornHeader(index *os.File, size int64) (bool, error) {
	all := make([]byte, min(size, 1<<20)) // one with more has records
	if _, err := index.ReadAt(all, 0); err != nil {
		return false, err
	}
	return int64(len(all)) == size && strings.HasPrefix(header, string(bytes.TrimRight(all, "\x00"))), nil
}

// create starts an empty log. It also stands where a crash came before the header was whole: nothing was received then.
func (l *Log) create(f *files) error {
	for _, x := range []*os.File{f.log, f.index, f.streams, f.lines} {
		if err := x.Truncate(0); err != nil {
			return err
		}
	}
	return writeAt(f.index, []byte(header), 0)
}

// loadTable reads the names of the streams up to the last whole one.
func (l *Log) loadTable(f *os.File) error {
	r := bufio.NewReader(io.NewSectionReader(f, 0, 1<<40))
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e, ok := decodeStream(line)
		if !ok {
			return nil
		}
		l.table = append(l.table, e)
		l.tableSize += int64(len(line))
	}
}

// loadFinished takes the state from the last record when that says that the log is finished and agrees with the files.
func (l *Log) loadFinished(f *files, index, console int64) (bool, error) {
	n := (index - headerSize) / recordSize
	if n == 0 || recordAt(n) != index {
		return false, nil
	}
	var b [recordSize]byte
	if _, err := f.index.ReadAt(b[:], recordAt(n-1)); err != nil {
		return false, err
	}
	r, ok := decode(b[:])
	if !ok || r.kind != kindFinish || r.off != console || r.received != int64(len(l.table)) {
		return false, nil
	}
	l.records.Store(n)
	l.synced.Store(n)
	l.newlines = r.line
	l.shown.Store(r.line)
	l.size.Store(r.off)
	l.finished.Store(true)
	return true, l.checkLines(f)
}

// checkLines believes the line index of a finished log when its last entry can be true, and makes it again otherwise.
func (l *Log) checkLines(f *files) error {
	info, err := f.lines.Stat()
	if err != nil {
		return err
	}
	n := info.Size() / lineEntry
	expected := l.newlines >= everyLine || l.size.Load() > everyByte && l.newlines > 1
	if n > 0 || !expected {
		if n == 0 {
			return nil
		}
		var b [lineEntry]byte
		if _, err := f.lines.ReadAt(b[:], (n-1)*lineEntry); err != nil {
			return err
		}
		c := checkpoint{int64(binary.LittleEndian.Uint64(b[0:])), int64(binary.LittleEndian.Uint64(b[8:]))}
		if c.line >= 0 && c.line <= l.newlines && c.off >= 0 && c.off <= l.size.Load() {
			l.lines.count.Store(n)
			return nil
		}
	}
	if err := f.lines.Truncate(0); err != nil {
		return err
	}
	return l.indexLines(f)
}

// indexLines makes the line index of a whole console.
func (l *Log) indexLines(f *files) error {
	r := record{}
	buf := make([]byte, 256<<10)
	for r.off < l.size.Load() {
		n, err := f.log.ReadAt(buf[:min(int64(len(buf)), l.size.Load()-r.off)], r.off)
		if n == 0 && err != nil {
			return err
		}
		l.lines.add(f.lines, r, buf[:n])
		r.off += int64(n)
		r.line += int64(bytes.Count(buf[:n], []byte{'\n'}))
	}
	return nil
}

// recover walks the index and the console together, checks every piece, and cuts both files after the last that holds. It
// makes the line index again.
func (l *Log) recover(f *files, index, console int64) error {
	if err := f.lines.Truncate(0); err != nil {
		return err
	}
	w := newWalk(f, index, console)
	owners := make([]int64, len(l.table)+1) // received by each stream
	var last byte
	var lastStream uint32
	for {
		r, p, ok := w.next()
		if !ok || int(r.stream) > len(l.table) || r.kind == kindFinish && r.received != int64(len(l.table)) || r.received < owners[r.stream] || l.finished.Load() ||
			r.kind == kindData && r.received != owners[r.stream]+int64(r.length) ||
			r.kind == kindStamped && r.received > owners[r.stream]+int64(r.length) {
			break
		}
		l.lines.add(f.lines, r, p)
		switch r.kind {
		case kindLimit:
			l.full = true
		case kindDrop:
			l.dropped += r.received - owners[r.stream]
		case kindFinish:
			l.finished.Store(true)
		}
		owners[r.stream] = r.received
		l.records.Add(1)
		l.size.Add(int64(len(p)))
		if len(p) > 0 {
			last, lastStream = p[len(p)-1], r.stream
			l.end(nil, int64(bytes.Count(p, []byte{'\n'})), last)
		}
	}
	if w.err != nil {
		return w.err
	}
	l.restore(owners, lastStream)
	return l.cut(f, index, console)
}

// restore makes the streams that the index knows.
func (l *Log) restore(received []int64, last uint32) {
	for i, e := range l.table {
		s := l.streams[e.Name]
		if s == nil {
			s = &Stream{log: l, entry: e}
			l.streams[e.Name] = s
		}
		s.num = uint32(i + 1)
		s.received.Store(received[i+1])
		if l.open && uint32(i+1) == last {
			l.owner = s
		}
	}
	l.restored = true
}

// restoreFinished learns what the streams of a finished log have received. Only who sends again asks for it.
func (l *Log) restoreFinished() error {
	f, err := l.store.pool.acquire(l)
	if err != nil {
		return err
	}
	defer l.store.pool.release(l)
	received := make([]int64, len(l.table)+1)
	err = eachRecord(f.index, 0, l.records.Load(), func(r record) {
		if int(r.stream) < len(received) && r.kind != kindFinish {
			received[r.stream] = r.received
		}
	})
	if err != nil {
		return l.wrap("index", err)
	}
	l.restore(received, 0)
	return nil
}

// cut drops what stands behind the last whole record.
func (l *Log) cut(f *files, index, console int64) error {
	end := recordAt(l.records.Load())
	if index > end || console > l.size.Load() {
		l.store.cfg.Logger.Warn("build log cut back to its last whole record", "build", l.id.String(),
			"index", index-end, "console", console-l.size.Load())
	}
	if err := f.index.Truncate(end); err != nil {
		return err
	}
	if err := f.log.Truncate(l.size.Load()); err != nil {
		return err
	}
	return f.streams.Truncate(l.tableSize)
}

// walk reads records and the pieces they describe, each file once, in order.
type walk struct {
	index, console *bufio.Reader
	left           int64 // bytes of the console not read yet
	off, line      int64
	buf            []byte
	err            error // of reading; a record that does not hold is none
}

func newWalk(f *files, index, console int64) *walk {
	return &walk{
		index:   bufio.NewReaderSize(io.NewSectionReader(f.index, headerSize, index-headerSize), 64<<10),
		console: bufio.NewReaderSize(io.NewSectionReader(f.log, 0, console), 256<<10),
		left:    console,
	}
}

// next returns the next record and its bytes, which are valid until the call after; false at the first that does not hold.
func (w *walk) next() (record, []byte, bool) {
	var b [recordSize]byte
	if _, err := io.ReadFull(w.index, b[:]); err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			w.err = err
		}
		return record{}, nil, false
	}
	r, ok := decode(b[:])
	if !ok || r.off != w.off || r.line != w.line || int64(r.length) > w.left {
		return record{}, nil, false
	}
	if cap(w.buf) < r.length {
		w.buf = make([]byte, max(r.length, 64<<10))
	}
	p := w.buf[:r.length]
	if _, err := io.ReadFull(w.console, p); err != nil {
		w.err = err
		return record{}, nil, false
	}
	if checksum(p) != r.sum {
		return record{}, nil, false
	}
	w.left -= int64(r.length)
	w.off += int64(r.length)
	w.line += int64(bytes.Count(p, []byte{'\n'}))
	return r, p, true
}

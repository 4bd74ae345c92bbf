package log

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/outwork-build/outwork/internal/fault"
)

const (
	maxRange     = 10_000   // lines that Range hands out at once
	maxRangeText = 16 << 20 // bytes of text that Range hands out at once
)

// Range returns up to n lines from line first on (1 is the first line), those that are there now; an unfinished last line
// among them. It returns fewer than n at the end of the log, and also when n is over 10,000 or the text over 16 MiB: ask again
// from the line after the last.
func (l *Log) Range(ctx context.Context, first int64, n int) ([]Line, error) {
	first, n = max(first, 1), min(n, maxRange)
	if n <= 0 || first > l.Lines() {
		return nil, nil
	}
	f, err := l.store.pool.acquire(l)
	if err != nil {
		return nil, err
	}
	defer l.store.pool.release(l)
	c, err := l.lines.find(f.lines, func(c checkpoint) bool { return c.line < first })
	if err != nil {
		return nil, l.wrap("line index", err)
	}
	var out []Line
	total, who := 0, &attribution{log: l, index: f.index}
	err = scan(ctx, f.log, c.off, l.size.Load(), l.store.cfg.MaxLine, func(off, length int64, text []byte) (bool, error) {
		if c.line++; c.line < first {
			return true, nil
		}
		line := Line{Number: c.line, Offset: off, Length: length, Text: shown(text, length)}
		if err := who.fill(&line); err != nil {
			return false, err
		}
		out = append(out, line)
		total += len(line.Text)
		return len(out) < n && total < maxRangeText, nil
	})
	if err != nil {
		return nil, l.wrap("read", err)
	}
	return out, nil
}

// shown is a line's text with a marker in the place of what was cut off.
func shown(text []byte, length int64) string {
	if int64(len(text)) == length {
		return string(text)
	}
	// The cut may stand within a character.
	for i := 0; i < utf8.UTFMax && len(text) > 0 && !utf8.Valid(text[max(0, len(text)-utf8.UTFMax):]); i++ {
		if r, _ := utf8.DecodeLastRune(text); r != utf8.RuneError {
			break
		}
		text = text[:len(text)-1]
	}
	return fmt.Sprintf("%s… [%d more bytes in this line]", text, length-int64(len(text)))
}

// LineAt returns the number of the line that the byte at offset belongs to, from 1. A newline belongs to the line it ends.
// An offset outside the log fails with fault.Invalid.
func (l *Log) LineAt(offset int64) (int64, error) {
	size := l.size.Load()
	if offset < 0 || offset >= size {
		return 0, fault.New(fault.Invalid, "build log %s: no byte at %d: the log has %d", l.id, offset, size)
	}
	f, err := l.store.pool.acquire(l)
	if err != nil {
		return 0, err
	}
	defer l.store.pool.release(l)
	who := &attribution{log: l, index: f.index}
	if err := who.seek(offset); err != nil {
		return 0, l.wrap("index", err)
	}
	piece := make([]byte, offset-who.rec.off)
	if _, err := f.log.ReadAt(piece, who.rec.off); err != nil {
		return 0, l.wrap("read", err)
	}
	return who.rec.line + int64(bytes.Count(piece, []byte{'\n'})) + 1, nil
}

// attribution finds the piece of each of some lines of growing offsets.
type attribution struct {
	log   *Log
	index *os.File
	rec   record // the piece found last; its length may be 0
	at    int64  // the number of the record after it; 0 before the first
}

// fill sets the line's stream, stage and time from the piece that has the line's first byte.
func (a *attribution) fill(line *Line) error {
	if err := a.seek(line.Offset); err != nil {
		return err
	}
	line.Time = time.Unix(0, a.rec.time).UTC()
	e := a.log.entry(a.rec.stream)
	line.Stream, line.Stage = e.Name, e.Stage
	return nil
}

func (a *attribution) seek(off int64) error {
	if a.at > 0 && off < a.rec.off+int64(a.rec.length) {
		return nil
	}
	// The next lines are mostly in the next pieces.
	for range 4 {
		if a.at == 0 || a.at >= a.log.records.Load() {
			break
		}
		if err := a.read(a.at); err != nil {
			return err
		}
		if off >= a.rec.off && off < a.rec.off+int64(a.rec.length) {
			return nil
		}
	}
	var failed error
	n := sort.Search(int(a.log.records.Load()), func(i int) bool {
		if failed != nil {
			return true
		}
		failed = a.read(int64(i))
		return a.rec.off+int64(a.rec.length) > off
	})
	if failed != nil {
		return failed
	}
	return a.read(int64(n))
}

func (a *attribution) read(i int64) error {
	r, err := readRecord(a.index, i)
	a.rec, a.at = r, i+1
	return err
}

func readRecord(index *os.File, i int64) (record, error) {
	var b [recordSize]byte
	if _, err := index.ReadAt(b[:], recordAt(i)); err != nil {
		return record{}, err
	}
	r, ok := decode(b[:])
	if !ok {
		return record{}, fmt.Errorf("index record %d is damaged", i)
	}
	return r, nil
}

// entry names a stream; number 0 is the log itself.
func (l *Log) entry(number uint32) streamEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number == 0 || int(number) > len(l.table) {
		return streamEntry{Name: "outwork"}
	}
	return l.table[number-1]
}

// maxRuns bounds what Stages keeps: after so many runs the last one grows over what follows.
const maxRuns = 100_000

// stageRuns are the runs of the records that were read so far.
type stageRuns struct {
	mu   sync.Mutex
	next int64        // record to read next
	runs []StageRange // End is set of all but the last
}

// Stages returns the runs of lines per stage, in order of their lines, without gaps: those that are there now. After 100,000
// runs no new one is begun.
func (l *Log) Stages() ([]StageRange, error) {
	f, err := l.store.pool.acquire(l)
	if err != nil {
		return nil, err
	}
	defer l.store.pool.release(l)
	l.stages.mu.Lock()
	defer l.stages.mu.Unlock()
	// Lines is read first: lines that come meanwhile are the next call's.
	lines := l.Lines()
	if err := l.stages.read(l, f.index); err != nil {
		return nil, l.wrap("index", err)
	}
	out := make([]StageRange, 0, len(l.stages.runs))
	for _, r := range l.stages.runs {
		if r.End == 0 || r.End > lines+1 {
			r.End = lines + 1
		}
		if r.First < r.End {
			out = append(out, r)
		}
	}
	return out, nil
}

func (g *stageRuns) read(l *Log, index *os.File) error {
	return eachRecord(index, g.next, l.records.Load(), func(r record) {
		if r.length > 0 {
			g.add(l.entry(r.stream).Stage, r.line+1)
		}
		g.next++
	})
}

// eachRecord calls do with the records from number i up to end.
func eachRecord(index *os.File, i, end int64, do func(record)) error {
	buf := make([]byte, 512*recordSize)
	for i < end {
		b := buf[:min(int64(len(buf)), (end-i)*recordSize)]
		if _, err := index.ReadAt(b, recordAt(i)); err != nil {
			return err
		}
		for ; len(b) > 0; b = b[recordSize:] {
			r, ok := decode(b)
			if !ok {
				return fmt.Errorf("record %d is damaged", i)
			}
			do(r)
			i++
		}
	}
	return nil
}

// add notes that the stage wrote in a line. The first piece of a line says whose it is.
func (g *stageRuns) add(stage string, line int64) {
	if n := len(g.runs); n > 0 {
		last := &g.runs[n-1]
		if last.Stage == stage || n >= maxRuns {
			return
		}
		if line == last.First {
			return
		}
		last.End = line
	}
	g.runs = append(g.runs, StageRange{Stage: stage, First: line})
}

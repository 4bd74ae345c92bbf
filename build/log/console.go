package log

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// Log is the console of one build.
//
//	writable ──Finish──▶ finished        (and from anywhere: removed, closed)
type Log struct {
	store *Store
	id    build.ID
	dir   string // below the store's root
	flag  int    // for opening the files
	slot  slot   // guarded by store.pool.mu
	refs  int    // guarded by store.mu

	// Readers use these without mu. records grows before size, so what size covers is in the index.
	records  atomic.Int64 // in the index
	size     atomic.Int64 // of the console
	shown    atomic.Int64 // lines, an unfinished last one included
	finished atomic.Bool

	mu          sync.Mutex // guards what follows and all writes to the files
	loaded      bool
	restored    bool               // streams has all that the index knows
	newlines    int64              // in the console
	open        bool               // the console does not end in a newline
	table       []streamEntry      // by number, from 1 at index 0
	streams     map[string]*Stream // by name
	tableSize   int64              // of the `streams` file
	tableSynced int64              // of tableSize, what is durable
	owner       *Stream            // whose unfinished line ends the console; nil when none or its stream is not known
	active      map[*Stream]struct{}
	holding     []*Stream   // those with held bytes, the one that holds longest first
	full        bool        // MaxSize was reached
	dropped     int64       // bytes that were counted and not kept
	told        bool        // the console says how many
	timer       *time.Timer // passes on what is held; nil when nothing is
	lines       lineIndex
	syncFailed  error // the system may have lost bytes: opening the log again, which checks them, tells which

	synced atomic.Int64 // records that are durable

	wakeMu sync.Mutex
	wake   chan struct{} // closed at the next change; nil when nobody waits

	stages stageRuns
}

func newLog(s *Store, id build.ID, dir string) *Log {
	return &Log{store: s, id: id, dir: dir, flag: os.O_CREATE, streams: map[string]*Stream{}, active: map[*Stream]struct{}{}}
}

// ready reads the files when that has not been done.
func (l *Log) ready(create bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loaded {
		return nil
	}
	if !create {
		if _, err := l.store.root.Stat(l.dir + "/index"); err != nil {
			return l.wrap("open", err)
		}
	}
	// The folder of the job may go between the two calls, when another build's log of it is removed.
	var f *files
	var err error
	for range 3 {
		if err = l.store.root.MkdirAll(l.dir, 0o700); err != nil {
			return l.wrap("open", err)
		}
		if f, err = l.store.pool.acquire(l); !fault.Is(err, fault.NotFound) {
			break
		}
	}
	if err != nil {
		return err
	}
	defer l.store.pool.release(l)
	if err := l.load(f); err != nil {
		return l.wrap("open", err)
	}
	l.loaded = true
	return nil
}

func (l *Log) wrap(tried string, err error) error {
	if err == nil {
		return nil
	}
	return kinded(fmt.Errorf("build log %s: %s: %w", l.id, tried, err))
}

// Size is the length of the console in bytes.
func (l *Log) Size() int64 { return l.size.Load() }

// Lines is the number of lines, an unfinished last one included.
func (l *Log) Lines() int64 { return l.shown.Load() }

// Dropped is the number of bytes that were counted and not kept because the log had reached Config.MaxSize. A finished log
// that was opened again says 0: its last line tells.
func (l *Log) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Finished reports whether Finish was called.
func (l *Log) Finished() bool { return l.finished.Load() }

// append writes one piece to the console and its record to the index. Either both are there afterwards or neither.
func (l *Log) append(s *Stream, k kind, p []byte, received int64) error {
	f, err := l.store.pool.acquire(l)
	if err != nil {
		return err
	}
	defer l.store.pool.release(l)
	r := record{off: l.size.Load(), received: received, line: l.newlines, time: time.Now().UnixNano(),
		length: len(p), kind: k, sum: checksum(p)}
	if s != nil {
		if r.stream, err = l.number(f, s); err != nil {
			return l.wrap("write", err)
		}
	}
	if len(p) > 0 {
		if err := writeAt(f.log, p, r.off); err != nil {
			// What a short write left behind must not be taken for the console.
			return l.wrap("write", errors.Join(err, f.log.Truncate(r.off)))
		}
	}
	var b [recordSize]byte
	r.encode(&b)
	at := recordAt(l.records.Load())
	if err := writeAt(f.index, b[:], at); err != nil {
		err = errors.Join(err, f.index.Truncate(at))
		return l.wrap("write", errors.Join(err, f.log.Truncate(r.off)))
	}
	l.lines.add(f.lines, r, p)
	if s != nil {
		s.received.Store(received)
	}
	l.records.Add(1)
	if len(p) > 0 {
		l.end(s, int64(bytes.Count(p, []byte{'\n'})), p[len(p)-1])
		l.size.Add(int64(len(p)))
		l.store.metrics.written.Add(float64(len(p)))
	}
	l.notify()
	return nil
}

// end notes how the console ends after a piece of s with so many newlines.
func (l *Log) end(s *Stream, newlines int64, last byte) {
	l.newlines += newlines
	l.open, l.owner = last != '\n', nil
	shown := l.newlines
	if l.open {
		l.owner = s
		shown++
	}
	l.shown.Store(shown)
}

// breakLine ends an unfinished last line, whoever wrote it.
func (l *Log) breakLine() error {
	if !l.open {
		return nil
	}
	received := int64(0)
	if l.owner != nil {
		received = l.owner.received.Load()
	}
	return l.append(l.owner, kindMark, []byte{'\n'}, received)
}

// room is how many more bytes the log takes. The limit counts the index too: a program that writes byte by byte fills that.
func (l *Log) room() int64 {
	return l.store.cfg.MaxSize - l.size.Load() - recordAt(l.records.Load()+1)
}

// fill writes the line that says that the log is full.
func (l *Log) fill() error {
	if l.full {
		return nil
	}
	if err := l.breakLine(); err != nil {
		return err
	}
	text := fmt.Sprintf("[outwork] the log has reached its limit of %d bytes: what follows is counted and not kept\n", l.store.cfg.MaxSize)
	if err := l.append(nil, kindLimit, []byte(text), 0); err != nil {
		return err
	}
	l.full = true
	return nil
}

// Finish closes all streams and marks the log complete: followers return when they have read all, later bytes are refused.
// It is durable and idempotent. After an error (fault.Exhausted: no space) it may be called again.
func (l *Log) Finish() error {
	if err := l.finish(); err != nil {
		return err
	}
	return l.Sync()
}

func (l *Log) finish() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.finished.Load() {
		return nil
	}
	for len(l.holding) > 0 {
		if err := l.holding[0].flush(); err != nil {
			return err
		}
	}
	for _, s := range l.streams {
		if err := s.closeLocked(); err != nil {
			return err
		}
	}
	if err := l.breakLine(); err != nil {
		return err
	}
	if l.dropped > 0 && !l.told {
		text := fmt.Sprintf("[outwork] %d bytes were not kept\n", l.dropped)
		if err := l.append(nil, kindMark, []byte(text), 0); err != nil {
			return err
		}
		l.told = true
	}
	if err := l.append(nil, kindFinish, nil, int64(len(l.table))); err != nil {
		return err
	}
	l.finished.Store(true)
	l.stopTimer()
	l.notify()
	return nil
}

// shut passes on what is held and syncs: the store closes.
func (l *Log) shut() error {
	l.mu.Lock()
	var first error
	for l.loaded && len(l.holding) > 0 {
		if err := l.holding[0].flush(); err != nil {
			first = err
			break
		}
	}
	l.stopTimer()
	loaded := l.loaded
	l.mu.Unlock()
	if !loaded {
		return nil
	}
	if err := l.Sync(); first == nil && !fault.Is(err, fault.NotFound) {
		first = err
	}
	return first
}

// stop ends what waits on a log that was removed.
func (l *Log) stop() {
	l.mu.Lock()
	l.stopTimer()
	l.mu.Unlock()
	l.notify()
}

// changes returns a channel that is closed when the log has changed. Take it before looking.
func (l *Log) changes() <-chan struct{} {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return l.wake
}

func (l *Log) notify() {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

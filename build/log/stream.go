package log

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// ErrGap says that bytes were written that do not follow those the stream has. Send again from Received.
var ErrGap = errors.New("bytes do not follow those that are there")

const (
	quiet   = time.Second // after which an unfinished line is passed on, and after which another's need not be waited for
	maxHeld = 64 << 10    // bytes held back per stream
	// Bytes over the limit are recorded once this many have come together, at Sync and at Close.
	maxUncounted = 1 << 20
	maxName      = 1 << 10
)

// Stream is what one step writes: a sequence of bytes with offsets of its own, from 0. It stays usable for as long as its Log
// is; after Close it may be written to again. When a write fails nothing that was not counted is kept, and the stream goes on
// from what Write returned, or from Received, once the cause is gone.
type Stream struct {
	log      *Log
	entry    streamEntry
	num      uint32 // in the table; 0 before the first byte
	received atomic.Int64

	// Guarded by log.mu.
	stamped   bool      // lines begin with their time
	held      []byte    // bytes after received that are not in the console yet
	since     time.Time // when the oldest of held came
	last      time.Time // when the last byte came
	uncounted int64     // bytes after received that the full log does not keep and has not recorded yet; then nothing is held
}

// Stream returns the stream of that name, and makes it when the log has none. The stage is set by whoever names the stream
// first; it is the ID of a build.Stage, "" for none. A name has at most 1 KiB.
func (l *Log) Stream(name, stage string) *Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.finished.Load() && !l.restored {
		if err := l.restoreFinished(); err != nil {
			l.store.cfg.Logger.Error("build log: streams not known", "build", l.id.String(), "err", err)
		}
	}
	if s := l.streams[name]; s != nil {
		return s
	}
	s := &Stream{log: l, entry: streamEntry{name, stage}}
	l.streams[name] = s
	return s
}

// number returns the stream's place in the table, and writes it there the first time.
func (l *Log) number(f *files, s *Stream) (uint32, error) {
	if s.num > 0 {
		return s.num, nil
	}
	if len(s.entry.Name) > maxName || len(s.entry.Stage) > maxName {
		return 0, fault.New(fault.Invalid, "stream name %.40q…: longer than %d bytes", s.entry.Name, maxName)
	}
	line, err := s.entry.encode()
	if err != nil {
		return 0, err
	}
	if err := writeAt(f.streams, line, l.tableSize); err != nil {
		return 0, errors.Join(err, f.streams.Truncate(l.tableSize))
	}
	l.tableSize += int64(len(line))
	l.table = append(l.table, s.entry)
	s.num = uint32(len(l.table))
	return s.num, nil
}

// Received is the number of the stream's bytes that are in the log's file (or were counted by Gap, or dropped by a full log).
// They survive the end of the process; after Sync they survive that of the machine. Held bytes are not in it.
func (s *Stream) Received() int64 { return s.received.Load() }

// Write appends p to what has come so far. It returns how many bytes of p the stream has taken.
func (s *Stream) Write(p []byte) (int, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.take(p)
}

// WriteAt writes the bytes that stand at off in the stream. Those that came before are dropped, so that sending again is
// harmless; bytes that do not follow what came before fail with ErrGap. It returns how many bytes of p the stream has, those
// dropped included.
func (s *Stream) WriteAt(p []byte, off int64) (int, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	next := s.next()
	switch {
	case off < 0 || off > next:
		return 0, fault.With(fault.Invalid, fmt.Errorf("build log %s: stream %q: bytes at %d, expected at most %d: %w", s.log.id, s.entry.Name, off, next, ErrGap))
	case off+int64(len(p)) <= next:
		return len(p), nil
	}
	skip := int(next - off)
	n, err := s.take(p[skip:])
	return skip + n, err
}

func (s *Stream) next() int64 { return s.received.Load() + int64(len(s.held)) + s.uncounted }

// take takes p, which follows what came before, and passes on what can be.
func (s *Stream) take(p []byte) (int, error) {
	l := s.log
	if len(p) == 0 {
		return 0, nil
	}
	if l.finished.Load() {
		return 0, fault.New(fault.Conflict, "build log %s: stream %q: the log is finished", l.id, s.entry.Name)
	}
	now := time.Now()
	s.last = now
	l.active[s] = struct{}{}
	if l.full {
		return len(p), s.drop(int64(len(p)))
	}
	before := len(s.held)
	data := p
	if before > 0 {
		// Only so much is joined as the hold could want to keep; the rest of p follows by itself.
		if room := maxHeld + maxSegment - before; len(p) > room {
			n, err := s.take(p[:room])
			if err != nil {
				return n, err
			}
			more, err := s.take(p[room:])
			return n + more, err
		}
		s.held = append(s.held, p...)
		data = s.held
	}
	cut := s.due(data, now)
	done, err := s.emit(data[:cut])
	if err != nil {
		// What was held before stays; of p the stream has what is in the console.
		end := max(before, done)
		s.hold(data[done:end], now)
		return end - before, err
	}
	s.hold(data[done:], now)
	return len(p), l.passOn(now)
}

// due says how many bytes of data, all that the stream has, are passed on now.
func (s *Stream) due(data []byte, now time.Time) int {
	l := s.log
	if l.open && l.owner != s && !s.mayBreak(len(data), now) {
		return 0
	}
	cut := bytes.LastIndexByte(data, '\n') + 1
	// An open line of the stream's own goes on; alone it need not wait; too much is not held.
	if cut < len(data) && (l.open && l.owner == s || len(data)-cut > maxHeld || s.alone(now)) {
		return len(data)
	}
	return cut
}

// mayBreak reports whether the unfinished line of another stream, which ends the console, has been waited for long enough.
func (s *Stream) mayBreak(size int, now time.Time) bool {
	o := s.log.owner
	return size > maxHeld || o == nil || now.Sub(o.last) >= quiet || !s.since.IsZero() && now.Sub(s.since) >= quiet
}

// alone reports whether no other stream has written lately.
func (s *Stream) alone(now time.Time) bool {
	for o := range s.log.active {
		if o == s {
			continue
		}
		if now.Sub(o.last) < quiet {
			return false
		}
		if len(o.held) == 0 {
			delete(s.log.active, o)
		}
	}
	return true
}

// emit writes data to the console and returns how much of it the log has, kept or counted.
func (s *Stream) emit(data []byte) (int, error) {
	l := s.log
	if len(data) == 0 {
		return 0, nil
	}
	if l.open && l.owner != s {
		if err := l.breakLine(); err != nil {
			return 0, err
		}
	}
	done := 0
	for done < len(data) {
		if l.full || l.room() <= 0 {
			if err := l.fill(); err != nil {
				return done, err
			}
			return len(data), s.drop(int64(len(data) - done))
		}
		p, n, k := s.piece(data[done:])
		if err := l.append(s, k, p, s.received.Load()+int64(n)); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// hold keeps rest back. rest may share memory with held.
func (s *Stream) hold(rest []byte, now time.Time) {
	l := s.log
	was := !s.since.IsZero()
	switch {
	case len(rest) == 0:
		s.held = s.held[:0]
		if cap(s.held) > maxHeld {
			s.held = nil
		}
		if was {
			l.forget(s)
		}
	default:
		s.held = append(s.held[:0], rest...)
		if !was {
			s.since = now
			l.holding = append(l.holding, s)
		}
		l.startTimer()
	}
}

func (l *Log) forget(s *Stream) {
	s.since = time.Time{}
	for i, h := range l.holding {
		if h == s {
			l.holding = append(l.holding[:i], l.holding[i+1:]...)
			return
		}
	}
}

// drop counts bytes that the full log does not keep.
func (s *Stream) drop(n int64) error {
	s.uncounted += n
	s.log.dropped += n
	s.log.store.metrics.dropped.Add(float64(n))
	if s.uncounted >= maxUncounted {
		return s.count()
	}
	return nil
}

// count records the bytes that were dropped.
func (s *Stream) count() error {
	if s.uncounted == 0 {
		return nil
	}
	if err := s.log.append(s, kindDrop, nil, s.received.Load()+s.uncounted); err != nil {
		return err
	}
	s.uncounted = 0
	return nil
}

// flush passes on all that is held, finished line or not.
func (s *Stream) flush() error {
	done, err := s.emit(s.held)
	s.hold(s.held[done:], time.Now())
	return err
}

// Gap says that the next n bytes of the stream are missing, and why, in a line of its own. What is held goes before it.
func (s *Stream) Gap(n int64, why string) error {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n <= 0:
		return fault.New(fault.Invalid, "build log %s: stream %q: a gap of %d bytes", l.id, s.entry.Name, n)
	case l.finished.Load():
		return fault.New(fault.Conflict, "build log %s: stream %q: the log is finished", l.id, s.entry.Name)
	}
	if err := s.flush(); err != nil {
		return err
	}
	if l.full || l.room() <= 0 {
		if err := l.fill(); err != nil {
			return err
		}
		return s.drop(n)
	}
	if err := l.breakLine(); err != nil {
		return err
	}
	why = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, why)
	text := fmt.Sprintf("[outwork] %d bytes of output are missing here: %.500s\n", n, why)
	return l.append(s, kindGap, []byte(text), s.received.Load()+n)
}

// Sync makes the bytes below Received durable. Syncs that are asked for at the same time, of this log and others, are done
// together.
func (s *Stream) Sync() error {
	s.log.mu.Lock()
	err := s.count()
	s.log.mu.Unlock()
	if err != nil {
		return err
	}
	return s.log.Sync()
}

// Close passes on what is held and ends an unfinished last line with a newline that is not the stream's. It does not sync.
func (s *Stream) Close() error {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if s.log.finished.Load() {
		return nil
	}
	return s.closeLocked()
}

func (s *Stream) closeLocked() error {
	l := s.log
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.count(); err != nil {
		return err
	}
	if l.owner == s && l.open {
		if err := l.breakLine(); err != nil {
			return err
		}
	}
	delete(l.active, s)
	return l.passOn(time.Now())
}

// passOn writes what others hold and what waited for this moment.
func (l *Log) passOn(now time.Time) error {
	for i := 0; i < len(l.holding); {
		h := l.holding[i]
		n := len(h.held)
		cut := h.due(h.held, now)
		if cut < n && now.Sub(h.last) >= quiet {
			cut = n
		}
		if cut == 0 {
			i++
			continue
		}
		done, err := h.emit(h.held[:cut])
		h.hold(h.held[done:], now)
		if err != nil {
			return err
		}
		if done < n {
			i++
		}
	}
	return nil
}

// startTimer sees to it that held bytes are looked at again. The pieces in holding are at most `quiet` from being due.
func (l *Log) startTimer() {
	if l.timer == nil {
		l.timer = time.AfterFunc(quiet, l.tick)
	}
}

func (l *Log) stopTimer() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

func (l *Log) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		return // stopped meanwhile
	}
	l.timer = nil
	err := l.passOn(time.Now())
	if fault.Is(err, fault.NotFound) || errors.Is(err, errClosed) || errors.Is(err, os.ErrClosed) {
		return
	}
	// Without space the bytes stay held, and the next tick tries again.
	if len(l.holding) > 0 {
		l.startTimer()
	}
}

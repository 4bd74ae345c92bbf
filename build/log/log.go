// Package log keeps what the steps of a build wrote: one console per build, made of the streams of its steps.
//
// A build has a folder TEAM/APP/#12 with four files. `log` is the console, the bytes a person would cat. `index` says for
// every piece of it which stream wrote it, where it stands in that stream, and when; `streams` names the streams and their
// stages. `lines` finds a line's offset; it is derived, and rebuilt when it is missing. See record for the format.
//
// A stream is an offset-addressed sequence of bytes. What is below Stream.Received is in the file, once, in order; after a
// crash Received is again exactly that, because Open cuts the files back to the last whole record. Whoever feeds a stream
// asks Received and sends from there on.
//
// Lines of streams that write at the same time stay whole: the end of a stream that has no newline yet is held back until its
// newline, Close, or a second of quiet, unless no other stream is active. What is held is not counted by Received.
//
// The package keeps bytes and leaves their meaning to others: no escape sequence is interpreted, nothing is masked. All
// methods may be called concurrently. Readers never hold up writers.
package log

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config sets limits. The zero value works.
type Config struct {
	Logger  *slog.Logger // nil discards
	MaxSize int64        // bytes of one build's console and index; 0 is 1 GiB. What follows is counted, not kept
	MaxLine int          // bytes of a line that Range hands out; 0 is 16 KiB
	// Registry gets the metrics; nil keeps none.
	Registry prometheus.Registerer
	Now      func() time.Time // the time that Stream.Stamp shows; nil is time.Now
	MaxOpen  int              // logs whose files are open at once (four descriptors each); 0 is 128. More only while more are in use
}

func (c *Config) defaults() error {
	if c.MaxSize < 0 || c.MaxLine < 0 || c.MaxOpen < 0 {
		return fault.New(fault.Invalid, "build log: limits must not be negative: %d, %d, %d", c.MaxSize, c.MaxLine, c.MaxOpen)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxSize == 0 {
		c.MaxSize = 1 << 30
	}
	if c.MaxLine == 0 {
		c.MaxLine = 16 << 10
	}
	if c.MaxOpen == 0 {
		c.MaxOpen = 128
	}
	return nil
}

// syncEvery bounds what a power failure takes from a log that nobody syncs.
const syncEvery = 5 * time.Second

// Store is a folder of logs. One process at a time may use it: the lock of the data folder sees to that.
type Store struct {
	cfg     Config
	root    *os.Root
	pool    pool
	syncer  syncer
	metrics metrics

	mu     sync.Mutex
	logs   map[build.ID]*Log // in use, or unfinished
	closed bool
}

// Open opens the folder, and makes it when it is missing.
func Open(dir string, c Config) (*Store, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, kinded(fmt.Errorf("build logs: %w", err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, kinded(fmt.Errorf("build logs: %w", err))
	}
	s := &Store{cfg: c, root: root, logs: map[build.ID]*Log{}, metrics: newMetrics(c.Registry)}
	s.pool.max = c.MaxOpen
	s.syncer.took = s.metrics.syncs
	return s, nil
}

// Build opens the log of a build, and makes it when it is missing. The caller ends its use with Release.
func (s *Store) Build(id build.ID) (*Log, error) { return s.open(id, true) }

// Lookup opens a log that exists; fault.NotFound otherwise. The caller ends its use with Release.
func (s *Store) Lookup(id build.ID) (*Log, error) { return s.open(id, false) }

func (s *Store) open(id build.ID, create bool) (*Log, error) {
	dir, err := folder(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	l := s.logs[id]
	if l == nil {
		l = newLog(s, id, dir)
		s.logs[id] = l
	}
	l.refs++
	s.mu.Unlock()
	if err := l.ready(create); err != nil {
		s.mu.Lock()
		if l.refs--; l.refs == 0 && s.logs[id] == l {
			delete(s.logs, id)
		}
		s.mu.Unlock()
		s.pool.drop(l)
		return nil, err
	}
	return l, nil
}

// Release ends one use of the log that Build or Lookup began. A log that is not finished stays in memory, without open files
// when others need them, because its streams may hold bytes: finish the logs of builds that ended.
func (l *Log) Release() {
	s := l.store
	s.mu.Lock()
	if l.refs--; l.refs < 0 {
		s.mu.Unlock()
		panic("build log " + l.id.String() + ": released more often than opened")
	}
	// An unfinished log stays: its streams' held bytes and positions are in memory.
	idle := l.refs == 0 && l.finished.Load() && s.logs[l.id] == l
	if idle {
		delete(s.logs, l.id)
	}
	s.mu.Unlock()
	if idle {
		s.pool.drop(l)
	}
}

// Remove deletes the log of a build. Writers and followers of it end with fault.NotFound. A missing log is no error.
func (s *Store) Remove(id build.ID) error {
	dir, err := folder(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if l := s.logs[id]; l != nil {
		delete(s.logs, id)
		s.pool.remove(l)
		l.stop()
	}
	if err := s.root.RemoveAll(dir); err != nil {
		return kinded(fmt.Errorf("build log %s: remove: %w", id, err))
	}
	// The folders of the job go when they are empty; the system refuses the others.
	for d := path.Dir(dir); d != "."; d = path.Dir(d) {
		if s.root.Remove(d) != nil {
			break
		}
	}
	return nil
}

// Run syncs what was written every few seconds, until ctx ends; then it closes the store.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.Close()
		case <-tick.C:
		}
		s.syncAll()
	}
}

// syncAll asks for all at once, so that they share rounds.
func (s *Store) syncAll() {
	var wg sync.WaitGroup
	for _, l := range s.all() {
		wg.Go(func() {
			if err := l.Sync(); err != nil && !fault.Is(err, fault.NotFound) {
				s.cfg.Logger.Error("build log not synced", "build", l.id.String(), "err", err)
			}
		})
	}
	wg.Wait()
}

// Close passes on what is held, syncs and closes all files. Later calls fail with fault.Unavailable.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	var first error
	for _, l := range s.all() {
		if err := l.shut(); err != nil && first == nil {
			first = err
		}
	}
	s.pool.close()
	for _, l := range s.all() {
		l.notify()
	}
	if err := s.root.Close(); first == nil && err != nil {
		first = err
	}
	return first
}

func (s *Store) all() []*Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	ls := make([]*Log, 0, len(s.logs))
	for _, l := range s.logs {
		ls = append(ls, l)
	}
	return ls
}

// folder is where a build's log stands below the root. No segment of a job's name can hold a '#'.
func folder(id build.ID) (string, error) {
	if err := build.CheckJobName(id.Job); err != nil {
		return "", fault.With(fault.Invalid, fmt.Errorf("build log: %w", err))
	}
	if id.Number < 1 {
		return "", fault.New(fault.Invalid, "build log: %s: expected a number from 1", id)
	}
	return string(id.Job) + "/#" + strconv.Itoa(id.Number), nil
}

var _ io.ReaderAt = (*Log)(nil)

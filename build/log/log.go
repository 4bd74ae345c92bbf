// Package log keeps what the steps of a build wrote.
package log

import (
	"context"
	"errors"
	"log/slog"

	"github.com/outwork-build/outwork/build"
)

var errUnfinished = errors.New("not written yet")

// Config sets limits. The zero value works.
type Config struct {
	Logger  *slog.Logger // nil discards
	MaxSize int64        // bytes of one log; 0 is 1 GiB
	MaxLine int          // bytes of a line that Range hands out; 0 is 16 KiB
	MaxOpen int          // logs whose files are open at once; 0 is 128
}

// Store is a folder of logs.
type Store struct{}

// Open opens the folder, and makes it when it is missing.
func Open(dir string, c Config) (*Store, error) { return nil, errUnfinished }

// Build opens the log of a build, and makes it when it is missing. The caller ends its use with Release.
func (s *Store) Build(id build.ID) (*Log, error) { return nil, errUnfinished }

// Lookup opens a log that exists; fault.NotFound otherwise. The caller ends its use with Release.
func (s *Store) Lookup(id build.ID) (*Log, error) { return nil, errUnfinished }

// Remove deletes the log of a build. Followers end with fault.NotFound. A missing log is no error.
func (s *Store) Remove(id build.ID) error { return errUnfinished }

// Run syncs what was written now and then, until ctx ends; then it closes the store.
func (s *Store) Run(ctx context.Context) error { return errUnfinished }

// Close passes on what is held, syncs and closes all files.
func (s *Store) Close() error { return errUnfinished }

// Log is the console of one build.
type Log struct{}

// Release ends one use of the log.
func (l *Log) Release() {}

// Stream returns the stream of that name, which it makes when the log has none.
func (l *Log) Stream(name, stage string) *Stream { return nil }

// Size is the length of the console in bytes.
func (l *Log) Size() int64 { return 0 }

// Lines is the number of lines, an unfinished last one included.
func (l *Log) Lines() int64 { return 0 }

// Dropped is the number of bytes that were not kept because of Config.MaxSize.
func (l *Log) Dropped() int64 { return 0 }

// ReadAt reads the console's bytes as io.ReaderAt does.
func (l *Log) ReadAt(p []byte, off int64) (int, error) { return 0, errUnfinished }

// Follow calls sink with the console from the byte at from on.
func (l *Log) Follow(ctx context.Context, from int64, sink func(off int64, p []byte) error) error {
	return errUnfinished
}

// Range returns up to n lines from line first on.
func (l *Log) Range(ctx context.Context, first int64, n int) ([]Line, error) { return nil, errUnfinished }

// LineAt returns the number of the line that the byte at offset belongs to.
func (l *Log) LineAt(offset int64) (int64, error) { return 0, errUnfinished }

// Search returns the lines that match.
func (l *Log) Search(ctx context.Context, query string, o SearchOptions) ([]Match, error) {
	return nil, errUnfinished
}

// Stages returns the runs of lines per stage, in order of their lines.
func (l *Log) Stages() ([]StageRange, error) { return nil, errUnfinished }

// Finish closes all streams and marks the log complete: followers return when they have read all.
func (l *Log) Finish() error { return errUnfinished }

// Finished reports whether Finish was called.
func (l *Log) Finished() bool { return false }

// Stream is what one step writes: a sequence of bytes with offsets of its own.
type Stream struct{}

// Write appends p.
func (s *Stream) Write(p []byte) (int, error) { return 0, errUnfinished }

// WriteAt writes the bytes that stand at off in the stream. Bytes below Received are dropped; a gap is an error.
func (s *Stream) WriteAt(p []byte, off int64) (int, error) { return 0, errUnfinished }

// Received is the number of the stream's bytes that are in the log's file.
func (s *Stream) Received() int64 { return 0 }

// Gap says that the next n bytes are missing, and why, in a line of its own.
func (s *Stream) Gap(n int64, why string) error { return errUnfinished }

// Sync makes the bytes below Received durable.
func (s *Stream) Sync() error { return errUnfinished }

// Close passes on what is held and ends an unfinished last line.
func (s *Stream) Close() error { return errUnfinished }

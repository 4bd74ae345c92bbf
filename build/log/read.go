package log

import (
	"context"
	"io"

	"github.com/outwork-build/outwork/internal/fault"
)

// followChunk is the most that Follow hands out at once, and all it keeps in memory.
const followChunk = 64 << 10

// ReadAt reads the console's bytes as io.ReaderAt does: io.EOF at the present end.
func (l *Log) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fault.New(fault.Invalid, "build log %s: read at %d", l.id, off)
	}
	left := l.size.Load() - off
	if left <= 0 {
		return 0, io.EOF
	}
	f, err := l.store.pool.acquire(l)
	if err != nil {
		return 0, err
	}
	defer l.store.pool.release(l)
	n, err := f.log.ReadAt(p[:min(int64(len(p)), left)], off)
	switch {
	case n > 0 && err == io.EOF:
		err = nil
	case err != nil && err != io.EOF:
		return n, l.wrap("read", err)
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Follow calls sink with the console from the byte at from on, in order, as it is written, at most 64 KiB at once. p is valid
// only during the call. It returns nil when the log is finished and all of it was handed out, sink's error, the cause of ctx's
// end, fault.NotFound when the log is removed, fault.Unavailable when the store is closed. A slow sink holds up nobody.
func (l *Log) Follow(ctx context.Context, from int64, sink func(off int64, p []byte) error) error {
	if from < 0 {
		return fault.New(fault.Invalid, "build log %s: follow from %d", l.id, from)
	}
	buf := make([]byte, followChunk)
	for off := from; ; {
		changed := l.changes()
		// Finished is read before Size: what is written before Finish is handed out.
		finished := l.finished.Load()
		if off < l.size.Load() {
			n, err := l.ReadAt(buf, off)
			if err != nil && err != io.EOF {
				return err
			}
			if err := sink(off, buf[:n]); err != nil {
				return err
			}
			off += int64(n)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		}
		if finished {
			return nil
		}
		// Whether the log is still there is the pool's to say.
		if _, err := l.store.pool.acquire(l); err != nil {
			return err
		}
		l.store.pool.release(l)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

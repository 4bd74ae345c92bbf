package fleet

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/signal"
)

const (
	logKept = 64 << 10 // bytes of a node's log in memory
	logFile = 1 << 20  // bytes of its file, before it becomes the older one of two
)

// nodeLog is what happened between the roster and one node: what its launcher wrote, and connections. The newest bytes are
// in memory; all are in a file if there is a folder for it. Writing never fails: a full disk must not keep a node offline.
type nodeLog struct {
	dir  *os.Root // nil keeps it in memory only
	name string
	log  *slog.Logger

	mu   sync.Mutex
	kept []byte   // guarded by mu: the newest bytes
	end  int64    // guarded by mu: offset after kept
	file *os.File // guarded by mu: nil after an error
	size int64    // guarded by mu: of file
	over bool     // guarded by mu: nothing more is written

	grown signal.Set // a read would find more, or the log is over
}

func openNodeLog(dir string, n NodeName, log *slog.Logger) (*nodeLog, error) {
	l := &nodeLog{name: string(n) + ".log", log: log}
	if dir == "" {
		return l, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("folder of node logs: %w", err)
	}
	var err error
	if l.dir, err = os.OpenRoot(dir); err != nil {
		return nil, fmt.Errorf("folder of node logs: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reopen()
	l.recall()
	return l, nil
}

// reopen opens the file at its end. mu is held.
func (l *nodeLog) reopen() {
	f, err := l.dir.OpenFile(l.name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		l.fail(err)
		return
	}
	st, err := f.Stat()
	if err != nil {
		l.fail(err)
	}
	l.file, l.size = f, st.Size()
}

// recall reads the newest bytes of the file into memory. mu is held.
func (l *nodeLog) recall() {
	if l.file == nil {
		return
	}
	tail := make([]byte, min(l.size, logKept))
	if _, err := l.file.ReadAt(tail, l.size-int64(len(tail))); err != nil && err != io.EOF {
		l.fail(err)
		return
	}
	l.kept, l.end = tail, int64(len(tail))
}

// fail gives the file up. mu is held.
func (l *nodeLog) fail(err error) {
	l.log.Warn("the log of a node is kept in memory only", "file", l.name, "err", err)
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// Write appends p. It always succeeds.
func (l *nodeLog) Write(p []byte) (int, error) {
	defer l.grown.Notify()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, p...)
	if over := len(l.kept) - logKept; over > logKept { // trim seldom
		l.kept = bytes.Clone(l.kept[over:])
	}
	l.end += int64(len(p))
	if l.file == nil {
		return len(p), nil
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	if err != nil {
		l.fail(err)
	} else if l.size >= logFile {
		l.rotate()
	}
	return len(p), nil
}

// rotate begins a new file and keeps one older. mu is held.
func (l *nodeLog) rotate() {
	_ = l.file.Close()
	l.file = nil
	if err := l.dir.Rename(l.name, l.name+".1"); err != nil {
		l.fail(err)
		return
	}
	l.reopen()
}

// printf appends a line of the roster's own.
func (l *nodeLog) printf(format string, args ...any) {
	fmt.Fprintf(l, "%s %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}

// read returns what is in memory from an offset on, and the offset of the end.
func (l *nodeLog) read(from int64) ([]byte, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := l.end - int64(len(l.kept))
	if from < start || from > l.end {
		from = start
	}
	return bytes.Clone(l.kept[from-start:]), l.end
}

// ended reports whether nothing more will be written.
func (l *nodeLog) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// close lets go of the file.
func (l *nodeLog) close() {
	defer l.grown.Notify()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
	if l.dir != nil {
		_ = l.dir.Close()
	}
}

// remove deletes the files of a node that is no more.
func (l *nodeLog) remove() {
	if l.dir == nil {
		l.close()
		return
	}
	for _, name := range []string{l.name, l.name + ".1"} {
		if err := l.dir.Remove(name); err != nil && !os.IsNotExist(err) {
			l.log.Warn("remove the log of a node", "file", name, "err", err)
		}
	}
	l.close()
}

// Log returns what is kept of a node's log from the byte at offset from on, and the offset of its end. Older bytes than the
// newest 64 KiB are left out; offsets count from the start of the controller. fault.NotFound.
func (r *Roster) Log(n NodeName, from int64) (data []byte, next int64, err error) {
	v, ok := r.view(n)
	if !ok {
		return nil, 0, fault.New(fault.NotFound, "node %s: there is no such node", n)
	}
	data, next = v.log.read(from)
	return data, next, nil
}

package log

import (
	"container/list"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/outwork-build/outwork/internal/fault"
)

var errClosed = fault.New(fault.Unavailable, "build logs are closed")

// files are the open files of one log.
type files struct{ log, index, streams, lines *os.File }

func (f *files) close() {
	for _, x := range []*os.File{f.log, f.index, f.streams, f.lines} {
		if x != nil {
			x.Close()
		}
	}
}

func openFiles(root *os.Root, dir string, flag int) (*files, error) {
	f := &files{}
	for name, to := range map[string]**os.File{"log": &f.log, "index": &f.index, "streams": &f.streams, "lines": &f.lines} {
		x, err := root.OpenFile(dir+"/"+name, os.O_RDWR|flag, 0o600)
		if err != nil {
			f.close()
			return nil, err
		}
		*to = x
	}
	return f, nil
}

// pool bounds the open files: those of the logs used least lately are closed, and opened again when they are wanted.
type pool struct {
	max int

	mu     sync.Mutex
	open   int
	idle   list.List // of *Log: open and not pinned, least lately used first
	closed bool
}

// slot is what the pool knows of a log. Guarded by pool.mu.
type slot struct {
	f       *files
	pins    int
	idle    *list.Element
	removed bool
}

// acquire returns the open files of l. Every acquire is followed by a release.
func (p *pool) acquire(l *Log) (*files, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case l.slot.removed:
		return nil, fault.New(fault.NotFound, "build log %s was removed", l.id)
	case p.closed:
		return nil, errClosed
	}
	if l.slot.f == nil {
		f, err := openFiles(l.store.root, l.dir, l.flag)
		if err != nil {
			return nil, l.wrap("open", err)
		}
		l.slot.f = f
		p.open++
	}
	if l.slot.idle != nil {
		p.idle.Remove(l.slot.idle)
		l.slot.idle = nil
	}
	l.slot.pins++
	p.trim()
	return l.slot.f, nil
}

func (p *pool) release(l *Log) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.slot.pins--; l.slot.pins > 0 {
		return
	}
	if l.slot.removed || p.closed {
		p.shut(l)
		return
	}
	l.slot.idle = p.idle.PushBack(l)
	p.trim()
}

func (p *pool) trim() {
	for p.open > p.max && p.idle.Len() > 0 {
		p.shut(p.idle.Front().Value.(*Log))
	}
}

func (p *pool) shut(l *Log) {
	if l.slot.idle != nil {
		p.idle.Remove(l.slot.idle)
		l.slot.idle = nil
	}
	if l.slot.f != nil {
		l.slot.f.close()
		l.slot.f = nil
		p.open--
	}
}

// drop closes the files of a log that nobody uses now.
func (p *pool) drop(l *Log) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.slot.pins == 0 {
		p.shut(l)
	}
}

// remove makes every later acquire fail.
func (p *pool) remove(l *Log) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.slot.removed = true
	if l.slot.pins == 0 {
		p.shut(l)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for p.idle.Len() > 0 {
		p.shut(p.idle.Front().Value.(*Log))
	}
}

// kinded gives an error of the file system its kind.
func kinded(err error) error {
	switch {
	case err == nil:
		return nil
	case isFull(err):
		return fault.With(fault.Exhausted, err)
	case errors.Is(err, fs.ErrNotExist):
		return fault.With(fault.NotFound, err)
	}
	return err
}

// writeAt writes all of p; a short write is an error.
func writeAt(f *os.File, p []byte, off int64) error {
	n, err := f.WriteAt(p, off)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

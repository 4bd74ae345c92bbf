//go:build unix

package shim

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxPipe is the most that a pipe can hold (Linux's default pipe-max-size): reading as much empties what was there.
const maxPipe = 1 << 20

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// pump moves what a step writes into its spool. A pump that waits holds no buffer.
type pump struct {
	mu  sync.Mutex // one read and its add at a time, so that bytes keep their order
	r   *os.File
	raw syscall.RawConn
	to  *spool

	done chan struct{} // closed when nobody can write any more
}

// over reports whether the pump has come to its end.
func (p *pump) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// newPump returns a running pump and the write end for the process, which the caller closes after the start.
func newPump(to *spool) (*pump, *os.File, error) {
	r, w, err := pipe()
	if err != nil {
		return nil, nil, err
	}
	raw, err := r.SyscallConn()
	if err != nil {
		_ = r.Close()
		_ = w.Close()
		return nil, nil, err
	}
	p := &pump{r: r, raw: raw, to: to, done: make(chan struct{})}
	go p.run()
	return p, w, nil
}

// run reads until every process that holds the pipe is gone, or close. After the step's end it reads on and the spool
// forgets: a background process that prints must not be killed by a closed pipe.
func (p *pump) run() {
	defer close(p.done)
	for {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			var rerr error
			n, rerr = p.once(fd)
			return rerr != unix.EAGAIN
		})
		if err != nil || n <= 0 {
			_ = p.r.Close()
			return
		}
	}
}

func (p *pump) once(fd uintptr) (int, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n, err := unix.Read(int(fd), *buf)
		if err == unix.EINTR {
			continue
		}
		if n > 0 {
			p.to.add((*buf)[:n])
		}
		return n, err
	}
}

// finish takes what is in the pipe now, without waiting for those who still hold it.
func (p *pump) finish() {
	_ = p.raw.Control(func(fd uintptr) {
		for got := 0; got < maxPipe; {
			n, err := p.once(fd)
			if err != nil || n <= 0 {
				return
			}
			got += n
		}
	})
}

func (p *pump) close() { _ = p.r.Close() }

package shim

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// maxPipe is more than a pipe of os.Pipe holds: reading as much empties what was there.
const maxPipe = 1 << 20

// pump moves what a step writes into its spool.
type pump struct {
	r    *os.File
	pipe windows.Handle
	peek *windows.LazyProc
	to   *spool
	done chan struct{} // closed when nobody can write any more

	mu     sync.Mutex // one read and its add at a time, so that bytes keep their order
	buf    []byte
	closed bool
}

// newPump returns a running pump and the write end for the process, which the caller closes after the start.
func newPump(to *spool) (*pump, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p := &pump{r: r, pipe: windows.Handle(r.Fd()), to: to, done: make(chan struct{}), buf: make([]byte, 64<<10)}
	p.peek = windows.NewLazySystemDLL("kernel32.dll").NewProc("PeekNamedPipe")
	go p.run()
	return p, w, nil
}

// run reads until every process that holds the pipe is gone, or close. A read of nothing waits until there is something, and takes
// nothing: so finish can find the pipe empty and know that all of it is in the spool.
func (p *pump) run() {
	defer close(p.done)
	for {
		var n uint32
		if windows.ReadFile(p.pipe, nil, &n, nil) != nil || p.take() < 0 {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.closed = true
			_ = p.r.Close()
			return
		}
	}
}

// take moves what is in the pipe now, and returns how much that was; -1 when nobody can write any more.
func (p *pump) take() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var there, n uint32
	if p.closed {
		return -1
	}
	if ok, _, _ := p.peek.Call(uintptr(p.pipe), 0, 0, 0, uintptr(unsafe.Pointer(&there)), 0); ok == 0 {
		return -1
	}
	if there == 0 {
		return 0
	}
	if windows.ReadFile(p.pipe, p.buf[:min(int(there), len(p.buf))], &n, nil) != nil {
		return -1
	}
	p.to.add(p.buf[:n])
	return int(n)
}

// finish takes what is in the pipe now, without waiting for those who still hold it.
func (p *pump) finish() {
	for got := 0; got < maxPipe && !p.over(); {
		n := p.take()
		if n <= 0 {
			return
		}
		got += n
	}
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

// close ends the pump. Nobody holds the pipe any more when it is called, so that its wait ends by itself if it was not one yet.
func (p *pump) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		_ = windows.CancelIoEx(p.pipe, nil)
	}
}

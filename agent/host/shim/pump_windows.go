package shim

import (
	"os"
	"time"
)

// pump moves what a step writes into its spool.
type pump struct {
	r    *os.File
	to   *spool
	done chan struct{}
}

// newPump returns a running pump and the write end for the process, which the caller closes after the start.
func newPump(to *spool) (*pump, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p := &pump{r: r, to: to, done: make(chan struct{})}
	go p.run()
	return p, w, nil
}

func (p *pump) run() {
	defer close(p.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := p.r.Read(buf)
		p.to.add(buf[:n])
		if err != nil {
			_ = p.r.Close()
			return
		}
	}
}

// finish waits for the end of the pipe, but not for long when a background process holds it.
func (p *pump) finish() {
	select {
	case <-p.done:
	case <-time.After(time.Second):
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

func (p *pump) close() { _ = p.r.Close() }

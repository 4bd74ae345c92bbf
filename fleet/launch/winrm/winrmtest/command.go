package winrmtest

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

// command is one that runs, or has ended.
type command struct {
	stdin  *io.PipeWriter // nil: it reads nothing
	reader io.Reader
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	grown     chan struct{} // closed and replaced when something changes
	out, errs bytes.Buffer
	done      bool
	code      int
}

func newCommand(reads bool) *command {
	c := &command{grown: make(chan struct{}), reader: bytes.NewReader(nil)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if reads {
		c.reader, c.stdin = io.Pipe()
	}
	return c
}

func (c *command) run(r Runner, line string) {
	code := r.Run(c.ctx, line, c.reader, stream{c, &c.out}, stream{c, &c.errs})
	if p, ok := c.reader.(*io.PipeReader); ok {
		p.Close()
	}
	c.change(func() { c.done, c.code = true, code })
	c.cancel()
}

func (c *command) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.grown)
	c.grown = make(chan struct{})
}

// stream collects output.
type stream struct {
	c   *command
	buf *bytes.Buffer
}

func (s stream) Write(p []byte) (int, error) {
	s.c.change(func() { s.buf.Write(p) })
	return len(p), nil
}

// await returns what there is of output, or the end; ok is false when there was neither for long.
func (c *command) await(ctx context.Context, long time.Duration) (out, errs []byte, done bool, code int, ok bool) {
	t := time.NewTimer(long)
	defer t.Stop()
	for {
		c.mu.Lock()
		if c.done || c.out.Len()+c.errs.Len() > 0 {
			out, errs = bytes.Clone(c.out.Next(c.out.Len())), bytes.Clone(c.errs.Next(c.errs.Len()))
			done, code = c.done, c.code
			c.mu.Unlock()
			return out, errs, done, code, true
		}
		grown := c.grown
		c.mu.Unlock()
		select {
		case <-grown:
		case <-t.C:
			return nil, nil, false, 0, false
		case <-ctx.Done():
			return nil, nil, false, 0, false
		}
	}
}

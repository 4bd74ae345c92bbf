package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/outwork-build/outwork/wire"
)

// lastWords is how long what a dead child has written may take to be read: a grandchild may hold the pipe open for ever.
const lastWords = time.Second

// Start starts cmd, whose Stdin and Stdout must be nil, and returns the Link over them. The child's death ends the link: Read
// returns io.EOF after an exit with code 0, otherwise an error that tells the code. Close closes the child's stdin, gives it grace
// to end by itself (0 is 5 s), kills it otherwise, and waits; it ends the child alone, not what the child has started.
func Start(cmd *exec.Cmd, grace time.Duration) (wire.Link, error) {
	if grace == 0 {
		grace = 5 * time.Second
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		stdin.Close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	cmd.Stdout = w
	cmd.WaitDelay = lastWords // for a stderr that a grandchild holds
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		stdin.Close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	c := &child{cmd: cmd, stdin: stdin, stdout: r, grace: grace, exited: make(chan struct{})}
	go c.wait()
	return c, nil
}

type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *os.File
	grace  time.Duration

	exited chan struct{} // closed when the process has been waited for
	err    error         // of Wait; valid once exited is closed
	once   sync.Once
}

func (c *child) wait() {
	if err := c.cmd.Wait(); !errors.Is(err, exec.ErrWaitDelay) {
		c.err = err
	}
	close(c.exited)
	time.AfterFunc(lastWords, func() { c.stdout.Close() })
}

func (c *child) Peer() string { return fmt.Sprintf("%s (pid %d)", c.cmd.Path, c.cmd.Process.Pid) }
func (c *child) Noise() int   { return maxNoise }

func (c *child) Write(p []byte) (int, error) { return c.stdin.Write(p) }

func (c *child) Read(p []byte) (int, error) {
	n, err := c.stdout.Read(p)
	if err == nil || n > 0 {
		return n, err
	}
	select {
	case <-c.exited:
		if c.err != nil {
			return 0, fmt.Errorf("%s ended: %w", c.Peer(), c.err)
		}
		return 0, io.EOF
	case <-time.After(lastWords):
	}
	return 0, err
}

func (c *child) Close() error {
	c.once.Do(func() {
		c.stdin.Close()
		t := time.NewTimer(c.grace)
		defer t.Stop()
		select {
		case <-c.exited:
		case <-t.C:
			c.cmd.Process.Kill()
			<-c.exited
		}
		c.stdout.Close()
	})
	return nil
}

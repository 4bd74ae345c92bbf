package kit

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// minMask is how long a secret must be to be masked: a shorter one would mask half of the log.
const minMask = 4

// Log writes to a node's log. Secrets are masked. It may be used concurrently.
type Log struct {
	w    io.Writer
	name string // of the launcher, for people

	mu    sync.Mutex
	masks [][]byte // guarded by mu
}

// NewLog returns a log for what a launcher says, over w, in which masks are not to be read.
func NewLog(w io.Writer, launcher string, masks [][]byte) *Log {
	return &Log{w: w, name: launcher, masks: masks}
}

// Hide masks a secret from now on.
func (l *Log) Hide(secret []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.masks = append(l.masks, secret)
}

// Mask returns b without secrets.
func (l *Log) Mask(b []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.masks {
		if len(s) >= minMask {
			b = bytes.ReplaceAll(b, s, []byte("****"))
		}
	}
	return b
}

// Write takes whole lines. Writing to a log is not worth failing for.
func (l *Log) Write(p []byte) (int, error) {
	_, _ = l.w.Write(l.Mask(p))
	return len(p), nil
}

// Printf writes a line of the launcher's own.
func (l *Log) Printf(format string, args ...any) {
	_, _ = l.Write(fmt.Appendf(nil, "%s [%s] %s\n", time.Now().UTC().Format(time.RFC3339), l.name, fmt.Sprintf(format, args...)))
}

package winrm

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// minMask is how long a secret must be to be masked: a shorter one would mask half of the log.
const minMask = 4

// nodeLog writes to a node's log. Secrets are masked. It may be used concurrently.
type nodeLog struct {
	w io.Writer

	mu    sync.Mutex
	masks [][]byte // guarded by mu
}

// hide masks a secret from now on.
func (l *nodeLog) hide(secret []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.masks = append(l.masks, secret)
}

func (l *nodeLog) mask(b []byte) []byte {
	for _, s := range l.masks {
		if len(s) >= minMask {
			b = bytes.ReplaceAll(b, s, []byte("****"))
		}
	}
	return b
}

// Write takes whole lines. Writing to a log is not worth failing for.
func (l *nodeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.Write(l.mask(p))
	return len(p), nil
}

// printf writes a line of the launcher's own.
func (l *nodeLog) printf(format string, args ...any) {
	_, _ = l.Write([]byte(fmt.Sprintf("%s [WinRM] %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))))
}

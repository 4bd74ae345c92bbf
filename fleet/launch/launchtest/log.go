package launchtest

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// Log is a node's log for two goroutines. The zero value is empty.
type Log struct {
	mu    sync.Mutex
	buf   bytes.Buffer  // guarded by mu
	grown chan struct{} // closed and dropped when buf grows; nil while nobody waits; guarded by mu
}

// Write appends p. It always succeeds.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	return l.buf.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// AwaitSome waits until something was written.
func (l *Log) AwaitSome(t testing.TB) {
	l.mu.Lock()
	if l.buf.Len() > 0 {
		l.mu.Unlock()
		return
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	grown := l.grown
	l.mu.Unlock()
	select {
	case <-grown:
	case <-time.After(patience):
		t.Error("the launcher has written nothing into the node's log")
	}
}

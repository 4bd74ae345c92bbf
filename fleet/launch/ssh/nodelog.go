package ssh

import (
	"bytes"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/fleet/launch/kit"
)

// lastLines are shown of a program that ended: the one before a hint at --help says why.
const lastLines = 2

// maxLine is how long a line of an agent's stderr may get before it is cut into two.
const maxLine = 16 << 10

// lines writes what comes line by line, so that two writers of one log do not mix within a line and no secret is cut in two.
type lines struct {
	log  *kit.Log
	each func(line []byte) // is shown each line too; may be nil

	mu   sync.Mutex
	rest []byte   // guarded by mu
	last []string // guarded by mu: the newest lines that are not empty, at most lastLines
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < maxLine {
			return len(p), nil
		}
		if i < 0 {
			i = len(l.rest) - 1
		}
		l.put(l.rest[:i+1])
		l.rest = l.rest[i+1:]
	}
}

// put hands a line on. mu is held.
func (l *lines) put(line []byte) {
	if text := bytes.TrimSpace(line); len(text) > 0 {
		l.last = append(l.last, string(l.log.Mask(text)))
		l.last = l.last[max(0, len(l.last)-lastLines):]
	}
	if l.each != nil {
		l.each(line)
	}
	_, _ = l.log.Write(line)
}

// end hands on what had no newline and returns the newest lines that said something, as one.
func (l *lines) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.put(append(l.rest, '\n'))
		l.rest = nil
	}
	return strings.Join(l.last, " / ")
}

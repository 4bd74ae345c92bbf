package shim

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// spool keeps a step's output in a file, up to a limit. What it cannot keep it counts.
type spool struct {
	grown func(size int64) // called after each growth, without mu

	mu      sync.Mutex
	file    *os.File
	limit   int64
	size    int64 // bytes in the file
	dropped int64 // bytes that came and are not in the file
	gap     int64 // of dropped: since the disk refused a write, not yet marked in the file
	why     error // of the gap
	sealed  bool  // the step has ended: what still comes is not its output
}

func newSpool(path string, limit int64, grown func(int64)) (*spool, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &spool{grown: grown, file: f, limit: limit}, nil
}

// add keeps p. It never fails: a full disk or a full quota only counts.
func (s *spool) add(p []byte) {
	s.mu.Lock()
	before := s.size
	if !s.sealed {
		s.keep(p)
	}
	after := s.size
	s.mu.Unlock()
	if after > before && s.grown != nil {
		s.grown(after)
	}
}

func (s *spool) keep(p []byte) {
	if room := s.limit - s.size; int64(len(p)) > room {
		room = max(room, 0)
		s.dropped += int64(len(p)) - room
		p = p[:room]
	}
	if len(p) == 0 {
		return
	}
	if s.gap > 0 && !s.mark() {
		s.dropped += int64(len(p))
		s.gap += int64(len(p))
		return
	}
	n, err := s.file.WriteAt(p, s.size)
	s.size += int64(n)
	if rest := int64(len(p) - n); rest > 0 {
		s.dropped += rest
		s.gap += rest
		s.why = err
	}
}

// mark writes into the file how much is missing at this place, and reports whether it could.
func (s *spool) mark() bool {
	why := s.why
	var perr *os.PathError
	if errors.As(why, &perr) {
		why = perr.Err
	}
	text := fmt.Sprintf("\n[outwork: %d bytes of output are missing here: %v]\n", s.gap, why)
	n, err := s.file.WriteAt([]byte(text), s.size)
	if err != nil {
		if n > 0 {
			_ = s.file.Truncate(s.size)
		}
		return false
	}
	s.size += int64(n)
	s.gap = 0
	return true
}

// length returns the bytes in the file now.
func (s *spool) length() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// seal ends the step's output and returns its length and what was dropped of it. It may be called again.
func (s *spool) seal() (size, dropped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sealed {
		s.sealed = true
		_ = s.file.Close() // a late write error would have no one to hear it; the bytes are in the page cache
	}
	return s.size, s.dropped
}

package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// spool keeps a step's output in a file, up to a limit. What it cannot keep it counts.
type spool struct {
	grown func(size int64) // called after each growth, without mu

	mu      sync.Mutex
	file    *os.File
	start   int64 // where the output begins in the file
	limit   int64
	size    int64 // bytes of output in the file
	dropped int64 // bytes that came and are not in the file
	gap     int64 // of dropped: since the disk refused a write, not yet marked in the file
	why     error // of the gap
	sealed  bool  // the step has ended: what still comes is not its output
}

// newSpool keeps output in a file that is there, from the byte at start on. The caller closes it.
func newSpool(path string, start, limit int64, grown func(int64)) (*spool, error) {
	f, err := OpenShared(path, true)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spool{grown: grown, file: f, start: start, limit: limit}, nil
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
	if s.gap > 0 {
		s.resume(p)
		return
	}
	n, err := s.file.Write(p) // not WriteAt, which does not say what it wrote before an error
	s.size += int64(n)
	if rest := int64(len(p) - n); rest > 0 {
		s.dropped += rest
		s.gap += rest
		s.why = err
	}
}

// resume writes p after a line that says how much is missing before it, once there is room for both: a disk that gets
// room in crumbs must not be filled with such lines. What is in the file is never taken back, a follower may have seen it.
func (s *spool) resume(p []byte) {
	why := s.why
	var perr *os.PathError
	if errors.As(why, &perr) {
		why = perr.Err
	}
	line := fmt.Sprintf("\n[outwork: %d bytes of output are missing here: %v]\n", s.gap, why)
	kept := 0
	if roomFor(s.file, s.start+s.size, int64(len(line)+len(p))) {
		n, err := s.file.Write(append([]byte(line), p...))
		s.size += int64(n)
		if n >= len(line) {
			kept, s.gap, s.why = n-len(line), 0, err
		}
	}
	s.dropped += int64(len(p) - kept)
	s.gap += int64(len(p) - kept)
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
	s.sealed = true
	return s.size, s.dropped
}

// close closes the file of a sealed spool. A late write error would have no one to hear it; the bytes are in the page cache.
func (s *spool) close() { _ = s.file.Close() }

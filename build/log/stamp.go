package log

import (
	"bytes"
	"time"
)

// stampFormat is what Jenkins' Timestamper puts before a line.
const (
	stampFormat = "[2006-01-02T15:04:05.000Z] "
	// maxStamped is how many bytes of a stream fit into one piece whatever lines they make.
	maxStamped = maxSegment / (len(stampFormat) + 1)
)

// Stamp has every line of the console that the stream's further bytes begin start with the time, in UTC, as Jenkins does it:
// "[2026-11-21T05:36:09.123Z] ". The stamps are no bytes of the stream: offsets and Received do not count them, so that sending
// again after a crash doubles none. It is asked for anew each time the log is opened.
func (s *Stream) Stamp() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.stamped = true
}

// stamp returns p with the time before each line that begins in it; inLine says that its first byte begins none.
func stamp(p []byte, now time.Time, inLine bool) []byte {
	var text [len(stampFormat)]byte
	prefix := now.UTC().AppendFormat(text[:0], stampFormat)
	out := make([]byte, 0, len(p)+(bytes.Count(p, []byte{'\n'})+1)*len(prefix))
	for len(p) > 0 {
		if !inLine {
			out = append(out, prefix...)
		}
		n := bytes.IndexByte(p, '\n') + 1
		inLine = n == 0
		if inLine {
			n = len(p)
		}
		out, p = append(out, p[:n]...), p[n:]
	}
	return out
}

// piece is the next of a stream's bytes as they go into the console, how many of data they are, and their kind. There is room.
func (s *Stream) piece(data []byte) (p []byte, n int, k kind) {
	l := s.log
	n = int(min(int64(len(data)), maxSegment, l.room()))
	if !s.stamped {
		return data[:n], n, kindData
	}
	n = max(1, min(n, maxStamped, int(min(l.room(), maxSegment))/(len(stampFormat)+1)))
	return stamp(data[:n], l.store.cfg.Now(), l.open), n, kindStamped
}

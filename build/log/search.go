package log

import (
	"bytes"
	"context"
	"io"
	"regexp"

	"github.com/outwork-build/outwork/internal/fault"
)

const (
	maxSearchLine = 1 << 20 // bytes of a line that Search looks at
	maxQuery      = 4 << 10
	maxMatches    = 10_000
)

// Search returns the lines that match, in order, those that are there now. It looks at the first MiB of each line. A query
// that is empty, over 4 KiB or no RE2 expression fails with fault.Invalid.
func (l *Log) Search(ctx context.Context, query string, o SearchOptions) ([]Match, error) {
	find, err := finder(query, o)
	if err != nil {
		return nil, err
	}
	limit := min(o.Limit, maxMatches)
	if limit <= 0 {
		limit = 1000
	}
	f, err := l.store.pool.acquire(l)
	if err != nil {
		return nil, err
	}
	defer l.store.pool.release(l)
	c, err := l.lines.find(f.lines, func(c checkpoint) bool { return c.line < o.From })
	if err != nil {
		return nil, l.wrap("line index", err)
	}
	var out []Match
	who := &attribution{log: l, index: f.index}
	err = scan(ctx, f.log, c.off, l.size.Load(), maxSearchLine, func(off, length int64, text []byte) (bool, error) {
		if c.line++; c.line < o.From {
			return true, nil
		}
		start, end := find(text)
		if start < 0 {
			return true, nil
		}
		m := Match{Line: Line{Number: c.line, Offset: off, Length: length}, Start: start, End: end}
		if end > l.store.cfg.MaxLine {
			m.Start, m.End = -1, -1
		}
		m.Line.Text = shown(text[:min(len(text), l.store.cfg.MaxLine)], length)
		if err := who.fill(&m.Line); err != nil {
			return false, err
		}
		out = append(out, m)
		return len(out) < limit, nil
	})
	if err != nil {
		return nil, l.wrap("search", err)
	}
	return out, nil
}

// finder returns a function that finds the first match in a line; -1 when there is none.
func finder(query string, o SearchOptions) (func([]byte) (start, end int), error) {
	if query == "" || len(query) > maxQuery {
		return nil, fault.New(fault.Invalid, "search: expected a query of 1 to %d bytes, found %d", maxQuery, len(query))
	}
	if !o.Regexp && !o.IgnoreCase {
		q := []byte(query)
		return func(line []byte) (int, int) {
			i := bytes.Index(line, q)
			return i, i + len(q)
		}, nil
	}
	expr := query
	if !o.Regexp {
		expr = regexp.QuoteMeta(query)
	}
	if o.IgnoreCase {
		expr = "(?i)" + expr
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fault.New(fault.Invalid, "search: %w", err)
	}
	return func(line []byte) (int, int) {
		if m := re.FindIndex(line); m != nil {
			return m[0], m[1]
		}
		return -1, -1
	}, nil
}

// scan calls line with every line of r from the offset from, which begins one, to the offset to; the last may lack its
// newline. text is at most limit bytes of it and valid during the call; length is all of it. It ends when line says false.
func scan(ctx context.Context, r io.ReaderAt, from, to int64, limit int, line func(off, length int64, text []byte) (bool, error)) error {
	buf := make([]byte, 64<<10)
	var (
		start = from // of the line that is being read
		kept  []byte // its first bytes, when it began in an earlier chunk
		begun bool
	)
	for off := from; off < to; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), to-off)], off)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		chunk := buf[:n]
		off += int64(n)
		for len(chunk) > 0 {
			piece, rest := chunk, []byte(nil)
			i := bytes.IndexByte(chunk, '\n')
			if i >= 0 {
				piece, rest = chunk[:i], chunk[i+1:]
			}
			text := piece[:min(len(piece), limit)]
			if begun {
				kept = append(kept, piece[:min(len(piece), limit-len(kept))]...)
				text = kept
			}
			if i < 0 {
				if !begun {
					kept, begun = append(kept[:0], text...), true
				}
				break
			}
			end := off - int64(len(rest)) - 1
			if more, err := line(start, end-start, text); !more || err != nil {
				return err
			}
			start, begun, chunk = end+1, false, rest
		}
	}
	if start < to {
		_, err := line(start, to-start, kept)
		return err
	}
	return nil
}

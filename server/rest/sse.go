package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/internal/fault"
)

const eventStream = "text/event-stream"

// keepAlive is how often a stream of events that has nothing to say says so: proxies cut what is silent for long.
const keepAlive = 15 * time.Second

// eventWriter writes server-sent events. Its methods may be called concurrently.
type eventWriter struct {
	mu    sync.Mutex
	w     io.Writer
	flush func()
}

func newEventWriter(w io.Writer) *eventWriter {
	e := &eventWriter{w: w, flush: func() {}}
	if f, ok := w.(http.Flusher); ok {
		e.flush = f.Flush
	}
	return e
}

func (e *eventWriter) write(format string, args ...any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := fmt.Fprintf(e.w, format, args...); err != nil {
		return err
	}
	e.flush()
	return nil
}

// send writes one event. JSON holds no line breaks, so one data line is enough.
func (e *eventWriter) send(id int64, name string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return e.write("id: %d\nevent: %s\ndata: %s\n\n", id, name, b)
}

// alive writes comments until ctx ends or the reader is gone.
func (e *eventWriter) alive(ctx context.Context) {
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if e.write(":\n\n") != nil {
				return
			}
		}
	}
}

// resumeAt is the offset to begin with: after the last event that the reader has seen, else where it asks to.
func resumeAt(last string, offset int64) (int64, error) {
	if last == "" {
		return offset, nil
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.New(fault.Invalid, "Last-Event-ID %q: expected the id of an event of this log, which is a number of bytes", last)
	}
	return n, nil
}

// wantsEvents reports whether an Accept header asks for server-sent events.
func wantsEvents(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if kind, _, _ := strings.Cut(part, ";"); strings.EqualFold(strings.TrimSpace(kind), eventStream) {
			return true
		}
	}
	return false
}

// logEvents streams the log of a build as events whose ids are the offset after them, and then its end. A stream that breaks off
// before has no end event: whoever reads goes on at the last id.
func (s *server) logEvents(id build.ID, l *buildlog.Log, from int64) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer l.Release()
		hc.SetHeader("Content-Type", eventStream)
		hc.SetHeader("X-Content-Type-Options", "nosniff")
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("X-Accel-Buffering", "no")
		hc.SetStatus(http.StatusOK)
		ctx, cancel := context.WithCancel(hc.Context())
		var beats sync.WaitGroup
		defer beats.Wait()
		defer cancel()
		out := newEventWriter(hc.BodyWriter())
		err := out.write("retry: 1000\n\n")
		beats.Go(func() { out.alive(ctx) })
		if err == nil {
			err = s.followEvents(ctx, id, l, from, out)
		}
		if err != nil && !fault.Is(err, fault.Canceled) && ctx.Err() == nil {
			s.Log.Warn("follow a log", "build", id.String(), "error", err)
		}
	}}
}

func (s *server) followEvents(ctx context.Context, id build.ID, l *buildlog.Log, from int64, out *eventWriter) error {
	text := textEvents{at: from, out: out}
	if err := l.Follow(ctx, from, text.add); err != nil {
		return err
	}
	if err := text.rest(); err != nil {
		return err
	}
	b, err := s.Runner.Wait(ctx, id)
	if err != nil {
		return err
	}
	return out.send(text.at, "end", api.LogEnd{Result: string(b.Result), CauseKind: string(b.CauseKind), Message: b.Message})
}

// textEvents makes events of bytes as they come. No event ends within a character of more than one byte.
type textEvents struct {
	at  int64  // offset of what comes next, off included
	off []byte // the beginning of a character, whose rest has not come yet
	out *eventWriter
}

func (t *textEvents) add(_ int64, p []byte) error {
	data := append(bytes.Clone(t.off), p...)
	n := whole(data)
	t.off = data[n:]
	return t.emit(data[:n])
}

// rest sends what never became a character.
func (t *textEvents) rest() error {
	p := t.off
	t.off = nil
	return t.emit(p)
}

func (t *textEvents) emit(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	e := api.LogText{Offset: t.at, Text: string(p)}
	t.at += int64(len(p))
	return t.out.send(t.at, "log", e)
}

// whole is the length of p without a character that has only begun at its end.
func whole(p []byte) int {
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				break
			}
			return i
		}
	}
	return len(p)
}

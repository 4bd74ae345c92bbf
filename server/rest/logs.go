package rest

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
)

// openLog opens the log of a build that exists; a build that has written nothing yet has an empty one.
func (s *server) openLog(ctx context.Context, id build.ID) (*buildlog.Log, error) {
	if _, err := s.Builds.Build(ctx, id); err != nil {
		return nil, err
	}
	return s.Logs.Build(id)
}

func line(l buildlog.Line) api.LogLine {
	return api.LogLine{Number: l.Number, Offset: l.Offset, Time: l.Time, Stage: l.Stage, Text: l.Text}
}

const logEventsAbout = "With Accept: text/event-stream the log is followed as events: `log` is a LogText, `end` a LogEnd after which nothing comes. " +
	"An event's id is the byte after it; a stream that breaks off is resumed with Last-Event-ID."

func (s *server) logs() {
	register(s, route{method: "GET", path: "/jobs/{job}/builds/{number}/log", id: "get-log", summary: "The console log as plain text, live with follow, or as server-sent events", tag: "logs", scope: auth.Read, produces: "text/plain", events: []any{api.LogText{}, api.LogEnd{}},
		about: logEventsAbout}, s.plainLog)
	register(s, route{method: "GET", path: "/jobs/{job}/builds/{number}/log/lines", id: "list-log-lines", summary: "Lines of the console log", tag: "logs", scope: auth.Read},
		func(ctx context.Context, in *struct {
			InBuild
			From  int64 `query:"from" minimum:"1" default:"1" doc:"Number of the first line."`
			Count int   `query:"count" minimum:"1" maximum:"10000" default:"1000" doc:"At most so many lines."`
		}) (*body[api.LogPage], error) {
			l, err := s.openLog(ctx, in.id())
			if err != nil {
				return nil, err
			}
			defer l.Release()
			page := api.LogPage{Lines: []api.LogLine{}, Finished: l.Finished(), Total: l.Lines(), Size: l.Size()}
			ls, err := l.Range(ctx, in.From, in.Count)
			for _, x := range ls {
				page.Lines = append(page.Lines, line(x))
			}
			return ok(page), err
		})
	register(s, route{method: "GET", path: "/jobs/{job}/builds/{number}/log/search", id: "search-log", summary: "Lines that match an RE2 expression", tag: "logs", scope: auth.Read},
		func(ctx context.Context, in *struct {
			InBuild
			Query string `query:"q" minLength:"1" maxLength:"1000" required:"true" doc:"The expression."`
			Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"100" doc:"At most so many lines."`
			From  int64  `query:"from" minimum:"1" default:"1" doc:"First line to look at."`
		}) (*body[[]api.LogLine], error) {
			l, err := s.openLog(ctx, in.id())
			if err != nil {
				return nil, err
			}
			defer l.Release()
			ms, err := l.Search(ctx, in.Query, buildlog.SearchOptions{Regexp: true, Limit: in.Limit, From: in.From})
			var out []api.LogLine
			for _, m := range ms {
				out = append(out, line(m.Line))
			}
			return list(out), err
		})
}

// plainLog streams the console. A follower is answered until the build has ended; a follower that is gone ends it too.
func (s *server) plainLog(ctx context.Context, in *struct {
	InBuild
	Offset int64  `query:"offset" minimum:"0" doc:"Byte to begin with."`
	Follow bool   `query:"follow" doc:"Go on until the build has ended. Events always do."`
	Accept string `header:"Accept" hidden:"true"`
	Last   string `header:"Last-Event-ID" maxLength:"30" doc:"With events: the id of the last one that was seen. It wins over offset."`
}) (*huma.StreamResponse, error) {
	events := wantsEvents(in.Accept)
	from := in.Offset
	if events {
		var err error
		if from, err = resumeAt(in.Last, in.Offset); err != nil {
			return nil, err
		}
	}
	l, err := s.openLog(ctx, in.id())
	if err != nil {
		return nil, err
	}
	if events {
		return s.logEvents(in.id(), l, from), nil
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer l.Release()
		hc.SetHeader("Content-Type", "text/plain; charset=utf-8")
		hc.SetHeader("X-Content-Type-Options", "nosniff")
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("X-Accel-Buffering", "no")
		w := hc.BodyWriter()
		if !in.Follow {
			size := l.Size()
			hc.SetHeader("X-Outwork-Log-Size", strconv.FormatInt(size, 10))
			if _, err := io.Copy(w, io.NewSectionReader(l, in.Offset, max(0, size-in.Offset))); err != nil {
				s.Log.Warn("serve a log", "build", in.id().String(), "error", err)
			}
			return
		}
		hc.SetStatus(http.StatusOK)
		flush := func() {}
		if f, ok := w.(http.Flusher); ok {
			flush = f.Flush
		}
		flush()
		err := l.Follow(hc.Context(), in.Offset, func(_ int64, p []byte) error {
			_, err := w.Write(p)
			flush()
			return err
		})
		if err != nil && !fault.Is(err, fault.Canceled) && hc.Context().Err() == nil {
			s.Log.Warn("follow a log", "build", in.id().String(), "error", err)
		}
	}}, nil
}

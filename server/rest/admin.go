package rest

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
)

func (s *server) admin(mux *http.ServeMux) {
	register(s, route{method: "POST", path: "/pipeline/check", id: "check-pipeline", summary: "Validate a Jenkinsfile without running it", tag: "pipelines", scope: auth.Read, maxBody: 2 << 20},
		func(ctx context.Context, in *struct{ Body api.Check }) (*body[api.Checked], error) {
			return ok(s.Check(in.Body.Script, in.Body.Strict)), nil
		})
	register(s, route{method: "GET", path: "/admin/backup", id: "backup", summary: "A copy of what the controller cannot be without", tag: "admin", scope: auth.Admin, produces: "application/gzip"},
		func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
			pr, pw := io.Pipe()
			go func() { pw.CloseWithError(s.Backup(ctx, pw)) }()
			first := make([]byte, 1) // an error before the first byte is an answer of its own
			if _, err := io.ReadFull(pr, first); err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				defer pr.Close()
				hc.SetHeader("Content-Type", "application/gzip")
				hc.SetHeader("Content-Disposition", `attachment; filename="outwork-backup.tar.gz"`)
				w := hc.BodyWriter()
				if _, err := w.Write(first); err == nil {
					_, err = io.Copy(w, pr)
					if err != nil {
						s.Log.Error("backup broke off", "error", err)
						panic(http.ErrAbortHandler) // the client must not take half a file for a whole one
					}
				}
			}}, nil
		})
	// The agents' WebSocket stands beside the API: it is no request with an answer.
	mux.HandleFunc("GET /api/v1/agents/connect", func(w http.ResponseWriter, r *http.Request) {
		id := auth.From(r.Context())
		if id.Node == "" {
			err := auth.Refused(r.Context())
			if err == nil {
				err = fault.New(fault.Unauthenticated, "only an agent with its credential can connect here")
			}
			if s.Refused != nil {
				s.Refused(r.RemoteAddr, err)
			}
			writeFailure(w, err)
			return
		}
		s.Connect(w, r, id.Node)
	})
}

// events tells what changed, not how: whoever hears it reads again. The first event of each topic comes at once, so that
// nothing is missed between a page and its events.
func (s *server) events() {
	sse.Register(s.api, huma.Operation{OperationID: "events", Method: "GET", Path: "/api/v1/events", Summary: "Server-sent events: topics that changed",
		Tags: []string{"events"}, Security: []map[string][]string{{"token": {}}, {"session": {}}},
		Description: "Needs the scope read. Level-triggered: an event says that what stands under a topic would read differently now, not how, and has no id. " +
			"Every topic comes once at the start, so who connects again reads everything again and has missed nothing.", Errors: []int{http.StatusUnauthorized, http.StatusForbidden},
		Middlewares: huma.Middlewares{s.needs(auth.Read)},
	}, map[string]any{"changed": api.Event{}}, func(ctx context.Context, _ *struct{}, send sse.Sender) {
		changed, cancel := s.Changes()
		defer cancel()
		for {
			select {
			case <-ctx.Done():
				return
			case topic, open := <-changed:
				if !open || send.Data(api.Event{Topic: topic}) != nil {
					return
				}
			}
		}
	})
}

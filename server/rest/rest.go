// Package rest serves Outwork's HTTP API and its OpenAPI document, which is generated from the code.
//
// The handlers translate between the resources of package api and the rooms, check scopes, and do nothing else. All of them may
// run concurrently.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/version"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
)

// Runner is what the API needs of the pipelines.
type Runner interface {
	Trigger(ctx context.Context, job build.JobName, params map[string]string, cause build.Cause) (build.ID, error)
	Abort(ctx context.Context, id build.ID, by string) error
	Rebuild(ctx context.Context, id build.ID, by string) (build.ID, error)
	Wait(ctx context.Context, id build.ID) (build.Build, error) // until it has ended
}

// Config is what the API stands on. Everything must be set but Log.
type Config struct {
	Auth          *auth.Authority
	Builds        build.Store
	Details       build.Details
	Runner        Runner
	Logs          *buildlog.Store
	Queue         *queue.Queue
	Fleet         *fleet.Roster
	CAS           cas.Store
	Check         func(script string, strict bool) api.Checked
	Backup        func(ctx context.Context, w io.Writer) error
	Configuration Configuration
	Tools         Tools
	Connect       func(w http.ResponseWriter, r *http.Request, node string) // takes an agent's WebSocket
	Refused       func(peer string, err error)                              // hears of an agent whose credential does not hold; may be nil
	Changes       func() (changed <-chan string, cancel func())             // topics; see api.Event
	URL           func() string                                             // under which people and agents reach the controller
	Join          func(token string) string                                 // the command with which an agent joins
	Protocol      int
	Now           func() time.Time
	Log           *slog.Logger
}

type server struct {
	Config
	started time.Time
	api     huma.API
	joining sync.Mutex // held while an agent joins
}

// failure is how every error leaves the API: an api.Failure with its HTTP status.
type failure struct {
	status int
	api.Failure
}

func (f *failure) Error() string  { return f.Message }
func (f *failure) GetStatus() int { return f.status }

// statusOf maps fault kinds to HTTP; it is the only place that does.
func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict, fault.Stale:
		return http.StatusConflict
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied:
		return http.StatusForbidden
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Exhausted:
		return http.StatusTooManyRequests
	case fault.Incompatible:
		return http.StatusUpgradeRequired
	case fault.Canceled:
		return 499
	}
	return http.StatusInternalServerError
}

// fail turns an error of the rooms into one of the API. Internal errors keep their text to the log.
func (s *server) fail(err error) error {
	var se huma.StatusError
	if err == nil || errors.As(err, &se) {
		return err
	}
	k := fault.Of(err)
	f := &failure{statusOf(k), api.Failure{Kind: k.String(), Message: err.Error()}}
	if k == fault.Internal {
		s.Log.Error("api", "error", err)
		f.Message = "internal error: " + err.Error()
	}
	return f
}

// huma makes the errors of its own validation through a package variable: it is set once, to our shape. Our lists are never null.
var shape = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		f := &failure{status, api.Failure{Kind: kindOf(status).String(), Message: msg}}
		for _, err := range errs {
			var d *huma.ErrorDetail
			if errors.As(err, &d) {
				f.Fields = append(f.Fields, api.FieldError{Field: d.Location, Message: d.Message})
			} else if err != nil {
				f.Fields = append(f.Fields, api.FieldError{Message: err.Error()})
			}
		}
		return f
	}
})

func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusRequestEntityTooLarge:
		return fault.Exhausted
	}
	if status >= 500 {
		return fault.Internal
	}
	return fault.Invalid
}

// New puts the API's routes on mux, below /api/v1, and the OpenAPI document at /api/v1/openapi.json. The caller wraps mux with
// auth.Authority.Middleware and http.CrossOriginProtection.
func New(mux *http.ServeMux, cfg Config) huma.API {
	shape()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	hc := huma.DefaultConfig("Outwork", version.String())
	hc.OpenAPIPath, hc.DocsPath, hc.SchemasPath = "/api/v1/openapi", "", ""
	hc.Info.Description = "The HTTP API of an Outwork controller. Errors are api.Failure; lists are arrays; times are RFC 3339."
	hc.CreateHooks = nil // no $schema links in bodies
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "An API token, from outwork token create."},
		"session": {Type: "apiKey", In: "cookie", Name: auth.Cookie, Description: "A browser's session."},
	}
	s := &server{Config: cfg, started: cfg.Now().UTC(), api: humago.New(mux, hc)}
	s.session()
	s.users()
	s.jobs()
	s.builds()
	s.logs()
	s.nodes()
	s.queue()
	s.explanations()
	s.agents()
	s.admin(mux)
	s.configuration()
	s.tools()
	s.events()
	mux.HandleFunc("/api/", s.unknown)
	return s.api
}

// unknown answers for paths and methods that no operation has.
func (s *server) unknown(w http.ResponseWriter, r *http.Request) {
	writeFailure(w, fault.New(fault.NotFound, "the API has no %s %s: see /api/v1/openapi.json", r.Method, r.URL.Path))
}

// writeFailure answers with an error outside of the operations.
func writeFailure(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(statusOf(fault.Of(err)))
	json.NewEncoder(w).Encode(api.Failure{Kind: fault.Of(err).String(), Message: err.Error()})
}

// open is the scope of operations that need no login.
const open auth.Scope = ""

// route describes one operation.
type route struct {
	method, path, id, summary, tag string
	scope                          auth.Scope
	status                         int    // of success; 0 is 200
	maxBody                        int64  // bytes of the request's body; 0 is 1 MiB
	produces                       string // media type of an answer that is a stream; "" is what the answer's type says
	events                         []any  // what the data of events can be, where the answer can also be server-sent events
	about                          string // what the summary does not say
}

// needs refuses callers without the scope, before anything else of the request is looked at.
func (s *server) needs(scope auth.Scope) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		if err := auth.Require(hc.Context(), scope); err != nil {
			huma.WriteErr(s.api, hc, statusOf(fault.Of(err)), err.Error())
			return
		}
		next(hc)
	}
}

func register[I, O any](s *server, r route, h func(context.Context, *I) (*O, error)) {
	op := huma.Operation{OperationID: r.id, Method: r.method, Path: "/api/v1" + r.path, Summary: r.summary, Tags: []string{r.tag},
		DefaultStatus: r.status, MaxBodyBytes: r.maxBody, Errors: []int{http.StatusUnprocessableEntity}}
	if r.scope != open {
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
		op.Description = "Needs the scope " + string(r.scope) + "."
		op.Middlewares = huma.Middlewares{s.needs(r.scope)}
	}
	if r.produces != "" {
		content := map[string]*huma.MediaType{r.produces: {Schema: &huma.Schema{Type: "string"}}}
		if len(r.events) > 0 {
			content[eventStream] = &huma.MediaType{Schema: s.anyOf(r.events)}
		}
		op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: content}}
	}
	if r.about != "" {
		op.Description = strings.TrimSpace(op.Description + " " + r.about)
	}
	if strings.Contains(r.path, "{") {
		op.Errors = append(op.Errors, http.StatusNotFound)
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, s.fail(err)
		}
		return out, nil
	})
}

// anyOf describes what the data of an event can be.
func (s *server) anyOf(events []any) *huma.Schema {
	one := &huma.Schema{Description: "The data of one event, as JSON."}
	for _, e := range events {
		one.OneOf = append(one.OneOf, s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(e), true, ""))
	}
	return one
}

// body wraps what an operation answers.
type body[T any] struct{ Body T }

func ok[T any](v T) *body[T] { return &body[T]{v} }

// list keeps an empty list from being null in JSON.
func list[T any](v []T) *body[[]T] {
	if v == nil {
		v = []T{}
	}
	return ok(v)
}

// empty is an answer without a body.
type empty struct{}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

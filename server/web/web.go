// Package web is the page: server-rendered HTML over the whole farm.
//
// Every page works without JavaScript. With it, fragments are fetched again when the API's events say that their topic changed,
// and the log of a build is shown live by a small module that renders only the lines in view. What came from builds and agents
// is escaped by html/template, and control sequences of logs are turned into spans here. All handlers may run concurrently.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/build"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/version"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
)

//go:embed templates static
var files embed.FS

// Runner is what the page needs of the pipelines.
type Runner interface {
	Trigger(ctx context.Context, job build.JobName, params map[string]string, cause build.Cause) (build.ID, error)
	Abort(ctx context.Context, id build.ID, by string) error
	Rebuild(ctx context.Context, id build.ID, by string) (build.ID, error)
}

// Config is what the page stands on. Everything must be set but Log.
type Config struct {
	Auth    *auth.Authority
	Builds  build.Store
	Details build.Details
	Runner  Runner
	Logs    *buildlog.Store
	Queue   *queue.Queue
	Fleet   *fleet.Roster
	Changes func() (changed <-chan string, cancel func()) // topics: jobs, builds, queue, nodes
	URL     func() string
	Secure  bool // the page is reached over TLS

	Launchers []string                                       // kinds that nodes can have, by name
	Owner     func(fleet.NodeName) (file string, owned bool) // the file that looks after a node, if one does
	Allow     func(fleet.NodeName) []string                  // the only jobs that may run on a node, as globs; none is all
	Join      func(token string) string                      // the command that starts an agent with a join token

	Now func() time.Time
	Log *slog.Logger
}

type site struct {
	Config
	pages  map[string]*template.Template
	assets map[string]string // name in static → path with the hash of its content
	making sync.Mutex        // held while a node is made
}

// New puts the page's routes on mux. The caller wraps mux with auth.Authority.Middleware and http.CrossOriginProtection.
func New(mux *http.ServeMux, cfg Config) error {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &site{Config: cfg, pages: map[string]*template.Template{}, assets: map[string]string{}}
	if err := s.loadAssets(mux); err != nil {
		return err
	}
	if err := s.loadTemplates(); err != nil {
		return err
	}
	get := func(pattern string, h handler) {
		mux.HandleFunc("GET "+pattern, s.handle(auth.Read, h))
	}
	post := func(pattern string, scope auth.Scope, h handler) {
		mux.HandleFunc("POST "+pattern, s.handle(scope, h))
	}
	get("/{$}", s.home)
	get("/jobs", s.jobs)
	get("/jobs/{job}", s.job)
	get("/jobs/{job}/{number}", s.build)
	get("/jobs/{job}/{number}/log", s.logPage)
	get("/jobs/{job}/{number}/lines", s.lines)
	get("/jobs/{job}/{number}/live", s.live)
	get("/builds", s.builds)
	get("/queue", s.queue)
	get("/why/{item}", s.why)
	post("/jobs/{job}", auth.Write, s.startBuild)
	post("/jobs/{job}/{number}/abort", auth.Write, s.abort)
	post("/jobs/{job}/{number}/rebuild", auth.Write, s.rebuild)
	s.nodeRoutes(get, func(pattern string, h handler) { post(pattern, auth.Admin, h) })
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("/", s.notFound)
	return nil
}

// handler answers a request; its error becomes a page.
type handler = func(w http.ResponseWriter, r *http.Request) error

// nodeRoutes are the pages and actions of nodes. What changes nodes is an admin's, and so are the forms for it. A node may have any
// name: what is not of one node stands beside /nodes/.
func (s *site) nodeRoutes(get, post func(pattern string, h handler)) {
	admin := func(h handler) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if err := auth.Require(r.Context(), auth.Admin); err != nil {
				return err
			}
			return h(w, r)
		}
	}
	get("/nodes", s.nodes)
	get("/nodes-live", s.liveNodes)
	get("/nodes/{node}", s.node)
	get("/nodes/{node}/log", s.nodeLog)
	get("/new-node", admin(s.newNode))
	post("/new-node", s.create)
	get("/nodes/{node}/config", admin(s.edit))
	post("/nodes/{node}/config", s.configure)
	get("/nodes/{node}/delete", admin(s.removal))
	post("/nodes/{node}/delete", s.remove)
	post("/nodes/{node}/join", s.invite)
	post("/nodes/{node}/approve", s.approve)
	post("/nodes/{node}/examine", s.examine)
	get("/node-orders", admin(s.preview))
	post("/node-orders", s.preview)
	post("/node-orders/do", s.carryOut)
	for _, verb := range []fleet.Verb{fleet.VerbOffline, fleet.VerbDrain, fleet.VerbOnline, fleet.VerbDisconnect, fleet.VerbReconnect} {
		post("/nodes/{node}/"+string(verb), s.order(verb))
	}
}

// loadAssets serves what is in static under names that change with the content, to be kept by browsers for ever.
func (s *site) loadAssets(mux *http.ServeMux) error {
	return fs.WalkDir(files, "static", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		name := path.Base(p)
		route := "/static/" + hex.EncodeToString(sum[:6]) + "/" + name
		s.assets[name] = route
		mux.HandleFunc("GET "+route, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
		})
		return nil
	})
}

func (s *site) loadTemplates() error {
	funcs := template.FuncMap{
		"asset": func(name string) (string, error) {
			if p, ok := s.assets[name]; ok {
				return p, nil
			}
			return "", errors.New("no asset " + name)
		},
		"took": took, "since": s.since, "count": count, "ago": s.ago, "clock": clock, "iso": iso, "jobPath": jobPath, "buildPath": buildPath, "nodePath": nodePath, "whyPath": whyPath, "points": points, "lower": lower, "until": s.until, "bytes": size, "version": version.String,
	}
	shared, err := template.New("").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/parts*.html")
	if err != nil {
		return err
	}
	names, err := fs.Glob(files, "templates/page-*.html")
	if err != nil {
		return err
	}
	for _, n := range names {
		t, err := template.Must(shared.Clone()).ParseFS(files, n)
		if err != nil {
			return err
		}
		s.pages[strings.TrimSuffix(strings.TrimPrefix(path.Base(n), "page-"), ".html")] = t
	}
	return nil
}

// view is what every page's template gets.
type view struct {
	Title   string
	Section string // which part of the navigation is current
	User    string
	Write   bool
	Admin   bool
	Topics  string // topics whose events refresh the page's fragments
	Path    string
	Data    any
}

// show renders a page, or one of its fragments when the request names one (htmx does).
func (s *site) show(w http.ResponseWriter, r *http.Request, page string, v view) error {
	return s.showAs(w, r, http.StatusOK, page, v)
}

func (s *site) showAs(w http.ResponseWriter, r *http.Request, status int, page string, v view) error {
	id := auth.From(r.Context())
	v.User, v.Write, v.Admin, v.Path = id.User, id.May(auth.Write), id.May(auth.Admin), r.URL.RequestURI()
	name := "layout"
	if f := r.URL.Query().Get("fragment"); f != "" {
		name = "fragment-" + f
	}
	t := s.pages[page]
	if t.Lookup(name) == nil {
		return fault.New(fault.NotFound, "there is no fragment %q of this page", r.URL.Query().Get("fragment"))
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(s.below(b.Bytes()))
	return err
}

// secure sets what every answer of the page carries (threats T10, T12).
func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// handle asks for a scope and turns errors into pages.
func (s *site) handle(scope auth.Scope, h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		err := auth.Require(r.Context(), scope)
		if fault.Is(err, fault.Unauthenticated) {
			s.toLogin(w, r)
			return
		}
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}
}

func (s *site) toLogin(w http.ResponseWriter, r *http.Request) {
	target := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		target += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	if r.Header.Get("HX-Request") != "" { // a fragment: take the whole page there
		w.Header().Set("HX-Redirect", "/login")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch fault.Of(err) {
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Invalid:
		status = http.StatusUnprocessableEntity
	case fault.Conflict, fault.Stale:
		status = http.StatusConflict
	case fault.Denied:
		status = http.StatusForbidden
	case fault.Unavailable, fault.Exhausted:
		status = http.StatusServiceUnavailable
	case fault.Canceled:
		return
	default:
		s.Log.Error("page", "path", r.URL.Path, "error", err)
	}
	id := auth.From(r.Context())
	v := view{Title: http.StatusText(status), User: id.User, Data: err.Error()}
	var b bytes.Buffer
	if terr := s.pages["error"].ExecuteTemplate(&b, "layout", v); terr != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(s.below(b.Bytes()))
}

func (s *site) notFound(w http.ResponseWriter, r *http.Request) {
	secure(w)
	if !auth.From(r.Context()).Known() {
		s.toLogin(w, r)
		return
	}
	s.fail(w, r, fault.New(fault.NotFound, "there is no page %s", r.URL.Path))
}

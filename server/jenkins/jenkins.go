// Package jenkins is a face of the controller under the paths and in the shapes of Jenkins' remote API, for the scripts and
// client libraries that people have.
//
// It uses the rooms that package rest uses, and keeps nothing of its own but a key for crumbs. docs/jenkins-api.md lists every
// path, and what is refused and why. All handlers may run concurrently.
package jenkins

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/outwork-build/outwork/build"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/pipeline"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
)

// Version is the release of Jenkins whose API this follows, as X-Jenkins says: clients want one that they can compare.
const Version = "2.516.3"

// Runner is what this API needs of the pipelines.
type Runner interface {
	Trigger(ctx context.Context, job build.JobName, params map[string]string, cause build.Cause) (build.ID, error)
	Abort(ctx context.Context, id build.ID, by string) error
	Waiting() []pipeline.Held
}

// Config is what the API stands on. Everything must be set but Log.
type Config struct {
	Auth    *auth.Authority
	Builds  build.Store
	Details build.Details
	Runner  Runner
	Logs    *buildlog.Store
	Queue   *queue.Queue
	Fleet   *fleet.Roster
	CAS     cas.Store
	URL     func() string // under which people reach the controller
	Now     func() time.Time
	Log     *slog.Logger // nil discards
}

type server struct {
	Config
	session string // of this start of the controller: X-Jenkins-Session
	key     []byte // of crumbs
	started time.Time
	links   linked
	adding  sync.Mutex // held while a node is made
}

// paths are what is answered here, of one path or of all below it. Everything else of the port is the page's and API's.
var paths = []string{
	"/api/json", "/api/xml", "/api/python",
	"/computer/", "/queue/", "/job/", "/view/", "/label/", "/overallLoad/", "/user/",
	"/createItem", "/createView", "/quietDown", "/cancelQuietDown",
	"/crumbIssuer/", "/whoAmI/", "/me/",
	"/prometheus/",
	"/script", "/scriptText", "/pluginManager/", "/updateCenter/", "/jnlpJars/", "/tcpSlaveAgentListener/", "/wsagents/", "/cli", "/cli/",
	"/restart", "/safeRestart", "/exit", "/safeExit", "/reload", "/credentials/", "/configuration-as-code/", "/blue/", "/manage/",
}

// New puts the API's routes on mux and returns a wrapper for the whole port's handler: it adds the headers by which clients know
// Jenkins. The caller wraps mux with auth.Authority.Middleware and http.CrossOriginProtection.
func New(mux *http.ServeMux, cfg Config) func(http.Handler) http.Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	id, key := make([]byte, 4), make([]byte, 32)
	rand.Read(id)
	rand.Read(key)
	s := &server{Config: cfg, session: hex.EncodeToString(id), key: key, started: cfg.Now()}
	h := s.handler()
	for _, p := range paths {
		mux.Handle(p, h)
	}
	return s.known
}

// known adds the headers to every answer: clients look for them at the page too.
func (s *server) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Jenkins", Version)
		w.Header().Set("X-Jenkins-Session", s.session)
		next.ServeHTTP(w, r)
	})
}

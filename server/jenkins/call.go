package jenkins

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
)

// call is one request on its way.
type call struct {
	*server
	w    http.ResponseWriter
	r    *http.Request
	id   auth.Identity
	rest []string // segments of the path that are not looked at yet, unescaped

	// What was read for this request already.
	items []queue.ItemStatus // see snapshot
	taken bool
	busy  map[fleet.NodeName][]queue.ItemStatus // see running
	jobs  []build.Job                           // see allJobs
	held  map[build.ID]string                   // see heldBack
	known map[build.JobName]*history
}

// maxBody bounds what a request may send, in bytes.
const maxBody = 4 << 20

func (s *server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		c := &call{server: s, w: w, r: r, known: map[build.JobName]*history{}}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := c.serve(); err != nil {
			c.fail(err)
		}
	})
}

// serve finds out who calls and answers.
func (c *call) serve() error {
	for seg := range strings.SplitSeq(strings.Trim(c.r.URL.EscapedPath(), "/"), "/") {
		name, err := url.PathUnescape(seg)
		if err != nil {
			return fault.New(fault.Invalid, "path: %w", err)
		}
		c.rest = append(c.rest, name)
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	return c.route()
}

// authenticate takes HTTP basic authentication, besides what auth.Middleware has found.
func (c *call) authenticate() error {
	ctx := c.r.Context()
	user, secret, basic := c.r.BasicAuth()
	if basic {
		id, err := c.Auth.Basic(ctx, user, secret)
		if err != nil {
			return err
		}
		c.id = id
		c.r = c.r.WithContext(auth.As(ctx, id))
		return nil
	}
	if err := auth.Refused(ctx); err != nil && c.r.Header.Get("Authorization") != "" {
		return err
	}
	c.id = auth.From(ctx)
	return nil
}

// next takes a segment off the path; "" at its end.
func (c *call) next() string {
	if len(c.rest) == 0 {
		return ""
	}
	s := c.rest[0]
	c.rest = c.rest[1:]
	return s
}

// ends reports whether the path ends here.
func (c *call) ends() bool { return len(c.rest) == 0 || len(c.rest) == 1 && c.rest[0] == "" }

// answer is an error with the HTTP status it gets here.
type answer struct {
	status int
	text   string
}

func (a *answer) Error() string { return a.text }

func refuse(status int, format string, args ...any) error {
	return &answer{status, fmt.Sprintf(format, args...)}
}

// noPath is the answer to a path that means nothing here.
func (c *call) noPath() error {
	return refuse(http.StatusNotFound, "Not Found: Outwork's Jenkins-compatible API has no %s. What it has is listed in docs/jenkins-api.md; the native API is at %s/api/v1/openapi.json", c.r.URL.Path, c.URL())
}

// statuses of fault kinds, as Jenkins has them: what is wrong with a request is 400.
var statuses = map[fault.Kind]int{
	fault.Invalid: http.StatusBadRequest, fault.NotFound: http.StatusNotFound, fault.Conflict: http.StatusConflict,
	fault.Unauthenticated: http.StatusUnauthorized, fault.Denied: http.StatusForbidden, fault.Unavailable: http.StatusServiceUnavailable,
	fault.Exhausted: http.StatusServiceUnavailable,
}

// fail answers with an error: its text is the body, and the header X-Error, which clients show.
func (c *call) fail(err error) {
	status := 0
	if a, ok := err.(*answer); ok {
		status = a.status
	} else if status = statuses[fault.Of(err)]; status == 0 {
		status = http.StatusInternalServerError
		c.Log.Error("jenkins api", "path", c.r.URL.Path, "error", err)
	}
	h := c.w.Header()
	h.Set("X-Error", strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, err.Error()))
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="Jenkins"`)
	}
	http.Error(c.w, err.Error(), status)
}

// user is the name of who calls, as Jenkins has it.
func (c *call) user() string {
	switch {
	case !c.id.Known():
		return "anonymous"
	case c.id.Node != "":
		return c.id.Node
	}
	return c.id.User
}

// may refuses who lacks a scope, in Jenkins' words for a permission.
func (c *call) may(scope auth.Scope, permission string) error {
	if c.id.May(scope) {
		return nil
	}
	return refuse(http.StatusForbidden, "%s is missing the %s permission (the scope %q)", c.user(), permission, scope)
}

// sees tells whether an object that there is exists for who calls: without Read it does not.
func (c *call) sees() error {
	switch {
	case c.id.May(auth.Read):
		return nil
	case !c.id.Known():
		return c.may(auth.Read, "Overall/Read")
	}
	return refuse(http.StatusNotFound, "Not Found")
}

// changes refuses what is no POST, or comes from a page of somebody else, or from one who lacks the scope.
func (c *call) changes(scope auth.Scope, permission string) error {
	if c.r.Method != http.MethodPost {
		c.w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, "This URL requires POST")
	}
	if err := c.may(scope, permission); err != nil {
		return err
	}
	return c.crumbed()
}

// crumbField is where a crumb stands: a header or a parameter.
const crumbField = "Jenkins-Crumb"

// crumb is what a session shows to change something. It is good as long as the session and this start of the controller.
func (c *call) crumb() string {
	h := hmac.New(sha256.New, c.key)
	h.Write([]byte(c.id.Token.ID))
	return hex.EncodeToString(h.Sum(nil))
}

// crumbed wants a crumb of who is known by a cookie. Whoever shows a token or a password with the request needs none.
func (c *call) crumbed() error {
	if c.r.Header.Get("Authorization") != "" {
		return nil
	}
	got := c.r.Header.Get(crumbField)
	if got == "" {
		got = c.param(crumbField)
	}
	if !hmac.Equal([]byte(got), []byte(c.crumb())) {
		return refuse(http.StatusForbidden, "No valid crumb was included in the request: fetch one from %s/crumbIssuer/api/json with the same session, or use an API token", c.URL())
	}
	return nil
}

// param is a parameter of the query or of a form.
func (c *call) param(name string) string { return c.form().Get(name) }

// form reads the query and the form, of either encoding. What is no form is left unread.
func (c *call) form() url.Values {
	if c.r.Form == nil {
		kind := c.r.Header.Get("Content-Type")
		if strings.HasPrefix(kind, "multipart/form-data") {
			_ = c.r.ParseMultipartForm(maxBody) // what cannot be read is not there
		} else {
			_ = c.r.ParseForm()
		}
	}
	return c.r.Form
}

// done answers a change that worked. Browsers, and clients that say where they come from (npm jenkins insists on it), are sent
// on to page; others follow redirects and choke on HTML: they get 200 and nothing.
func (c *call) done(page string) error {
	if strings.Contains(c.r.Header.Get("Accept"), "text/html") || c.r.Header.Get("Referer") != "" {
		c.redirect(page)
		return nil
	}
	return c.ok()
}

// ok answers a change that worked where Jenkins sends nobody on.
func (c *call) ok() error {
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// redirect sends on to a page of this controller.
func (c *call) redirect(page string) {
	c.w.Header().Set("Location", c.URL()+page)
	c.w.WriteHeader(http.StatusFound)
}

// look sends a person who opens a path of Jenkins' page to Outwork's.
func (c *call) look(page string) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return c.noPath()
	}
	c.redirect(page)
	return nil
}

// text answers with plain text.
func (c *call) text(s string) error {
	c.w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(s)))
	_, err := c.w.Write([]byte(s))
	if err != nil {
		c.Log.Debug("jenkins api: the caller went away", "error", err)
	}
	return nil
}

// snapshot is the queue as it was when this request first asked.
func (c *call) snapshot() []queue.ItemStatus {
	if !c.taken {
		c.items, c.taken = c.Queue.Snapshot(), true
	}
	return c.items
}

// running lists what has an executor, by node.
func (c *call) running() map[fleet.NodeName][]queue.ItemStatus {
	if c.busy != nil {
		return c.busy
	}
	c.busy = map[fleet.NodeName][]queue.ItemStatus{}
	for _, it := range c.snapshot() {
		if it.Grant != nil {
			c.busy[it.Grant.Node] = append(c.busy[it.Grant.Node], it)
		}
	}
	return c.busy
}

// allJobs lists the jobs by name.
func (c *call) allJobs() (_ []build.Job, err error) {
	if c.jobs == nil {
		c.jobs, err = c.Builds.Jobs(c.r.Context())
	}
	return c.jobs, err
}

// heldBack says why builds that were accepted have not started.
func (c *call) heldBack() map[build.ID]string {
	if c.held == nil {
		c.held = map[build.ID]string{}
		for _, h := range c.Runner.Waiting() {
			c.held[h.ID] = h.Why
		}
	}
	return c.held
}

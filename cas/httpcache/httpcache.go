// Package httpcache serves a cache over plain HTTP, for clients of several kinds:
//
//	/cas/{hash}              blobs by their SHA-256, checked; as Bazel has it
//	/ac/{hash}               results of actions, ActionResult messages; likewise
//	/{instance…}/cas/{hash}  the same; instances keep results apart, and are those of the Remote Execution API
//	/{instance…}/ac/{hash}
//	/raw/{key…}              whatever the client calls by any key: ccache, Gradle, curl
//	/v8/artifacts/…          Turborepo's remote cache
//
// GET (a range of bytes too), HEAD and PUT are answered, and DELETE for what has a key. Large blobs of a store on a disk go to the
// connection without passing through this process, if nothing that wraps the ResponseWriter is in the way. Who may do what is asked
// of Config.Access. The handler may be called concurrently.
package httpcache

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/action"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config of a handler. Store and Actions are required.
type Config struct {
	Store   cas.Finder
	Actions cas.ActionCache
	Access  cas.Access   // nil lets everybody do everything
	Log     *slog.Logger // nil logs nothing
}

// Handler serves a cache.
type Handler struct {
	store   cas.Finder
	results action.Cache
	access  cas.Access
	log     *slog.Logger
}

// New returns a handler of the paths that the package comment lists.
func New(cfg Config) *Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{store: cfg.Store, results: action.Cache{Store: cfg.Store, Actions: cfg.Actions}, access: cfg.Access, log: cfg.Log}
}

// ServeHTTP is http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	serve := h.standard
	if rest, ok := strings.CutPrefix(path, "raw/"); ok {
		path, serve = rest, h.raw
	} else if rest, ok := strings.CutPrefix(path, "v8/artifacts"); ok && (rest == "" || rest[0] == '/') {
		path, serve = strings.TrimPrefix(rest, "/"), h.turbo
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := serve(w, r, path); err != nil {
		h.refuse(w, r, err)
	}
}

// errMethod says that a path does not have a request's method.
var errMethod = errors.New("method not allowed")

// refuse answers with an error.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errMethod) {
		http.Error(w, "this path takes other methods only", http.StatusMethodNotAllowed)
		return
	}
	code := http.StatusInternalServerError
	switch fault.Of(err) {
	case fault.NotFound:
		code = http.StatusNotFound
	case fault.Invalid:
		code = http.StatusBadRequest
	case fault.Unauthenticated:
		code = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="cache"`)
	case fault.Denied:
		code = http.StatusForbidden
	case fault.Exhausted:
		code = http.StatusInsufficientStorage
	case fault.Unavailable:
		code = http.StatusServiceUnavailable
	}
	if code == http.StatusInternalServerError && r.Context().Err() == nil {
		h.log.Warn("cache request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	http.Error(w, err.Error(), code)
}

// standard serves …/cas/{hash} and …/ac/{hash}.
func (h *Handler) standard(w http.ResponseWriter, r *http.Request, path string) error {
	segs := strings.Split(path, "/")
	n := len(segs)
	if n < 2 || segs[n-2] != "cas" && segs[n-2] != "ac" {
		return fault.New(fault.NotFound, "path %.200q: expected /cas/HASH, /ac/HASH or /raw/KEY", "/"+path)
	}
	hash, instance := segs[n-1], strings.Join(segs[:n-2], "/")
	if err := (cas.Digest{Hash: hash}).Validate(); err != nil {
		return err
	}
	if segs[n-2] == "cas" {
		return h.blob(w, r, hash)
	}
	return h.result(w, r, action.Key(instance, hash))
}

func (h *Handler) blob(w http.ResponseWriter, r *http.Request, hash string) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if err := h.access.Allow(r.Context(), cas.ReadCache); err != nil {
			return err
		}
		d, err := h.store.Find(r.Context(), hash)
		if err != nil {
			return err
		}
		return h.send(w, r, d)
	case http.MethodPut:
		if err := h.access.Allow(r.Context(), cas.WriteBlobs); err != nil {
			return err
		}
		if err := h.putBlob(r, hash); err != nil {
			return err
		}
		// Of a blob that was there nothing was read, and many clients look for an answer only when all is sent.
		_, err := io.Copy(io.Discard, r.Body)
		return err
	}
	return errMethod
}

// putBlob keeps a request's body under a hash. Without a length it is received first.
func (h *Handler) putBlob(r *http.Request, hash string) error {
	if r.ContentLength >= 0 {
		return h.store.Put(r.Context(), cas.Digest{Hash: hash, Size: r.ContentLength}, r.Body)
	}
	body, size, done, err := spool(r)
	if err != nil {
		return err
	}
	defer done()
	return h.store.Put(r.Context(), cas.Digest{Hash: hash, Size: size}, body)
}

func (h *Handler) result(w http.ResponseWriter, r *http.Request, k cas.ActionKey) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if err := h.access.Allow(r.Context(), cas.ReadCache); err != nil {
			return err
		}
		res, err := h.results.Get(r.Context(), k)
		if err != nil {
			return err
		}
		b, err := proto.Marshal(res)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b)
		return nil
	case http.MethodPut:
		if err := h.access.Allow(r.Context(), cas.WriteActions); err != nil {
			return err
		}
		return h.putResult(w, r, k)
	case http.MethodDelete:
		return h.forget(w, r, k)
	}
	return errMethod
}

func (h *Handler) putResult(w http.ResponseWriter, r *http.Request, k cas.ActionKey) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cas.MaxAction))
	if err != nil {
		return fault.With(fault.Invalid, err)
	}
	res := new(repb.ActionResult)
	if err := proto.Unmarshal(b, res); err == nil {
		err = h.results.Put(r.Context(), k, res)
		if err == nil || fault.Of(err) != fault.Invalid {
			return err
		}
	}
	return fault.New(fault.Invalid, "/ac/ holds results of Bazel's actions, and this is none: give other clients a key below /raw/")
}

// forget deletes what has a key.
func (h *Handler) forget(w http.ResponseWriter, r *http.Request, k cas.ActionKey) error {
	if err := h.access.Allow(r.Context(), cas.WriteActions); err != nil {
		return err
	}
	if _, err := h.results.Actions.GetAction(r.Context(), k); err != nil {
		return err
	}
	if err := h.results.Actions.DeleteAction(r.Context(), k); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

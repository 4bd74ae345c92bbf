// Package agents hands out agents over HTTP: the binary for an operating system and an architecture, and scripts of one line that
// bring a machine to its first agent.
//
// All of it can be had without logging in, as the scripts must come before the credential; none of it is secret. What an agent may
// do depends on its token alone.
package agents

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/internal/fault"
)

// VerbHeader says what stands before an agent's flags; see dist.Binary. It is not there when there is none.
const VerbHeader = "Outwork-Agent-Verb"

// Binaries finds agents. *dist.Dist is one.
type Binaries interface {
	Open(goos, goarch string) (dist.Binary, error)
	List() []dist.Binary
}

// Config of the handlers. Binaries and URL must be set.
type Config struct {
	Binaries Binaries
	URL      func() string               // under which agents reach the controller
	Options  func(address string) string // further options of every agent's command line, each after a blank; nil has none
	Log      *slog.Logger                // nil discards
}

// Route adds the handlers to mux: GET /agent/OS/ARCH with .sha256, the same below /download, /agent.sh and /agent.ps1.
func Route(mux *http.ServeMux, c Config) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	h := &handler{c}
	for _, prefix := range []string{"", "/download"} {
		mux.HandleFunc("GET "+prefix+"/agent/{os}/{arch}", h.binary)
	}
	mux.HandleFunc("GET /agent/{$}", h.list)
	mux.HandleFunc("GET /agent.sh", h.script(shell, quoteShell, "text/x-shellscript; charset=utf-8"))
	mux.HandleFunc("GET /agent.ps1", h.script(powershell, quotePowerShell, "text/plain; charset=utf-8"))
}

type handler struct{ Config }

// list names what can be had, one a line: digest, operating system, architecture.
func (h *handler) list(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, b := range h.Binaries.List() {
		fmt.Fprintf(w, "%s  %s/%s\n", b.SHA256, b.OS, b.Arch)
	}
}

func (h *handler) binary(w http.ResponseWriter, r *http.Request) {
	arch, digest := strings.CutSuffix(r.PathValue("arch"), ".sha256")
	b, err := h.Binaries.Open(words(r.PathValue("os"), arch))
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-cache") // ask each time; the answer is mostly 304
	header.Set("X-Content-Type-Options", "nosniff")
	if b.Verb != "" {
		header.Set(VerbHeader, b.Verb)
	}
	if digest {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s  %s\n", b.SHA256, b.Name)
		return
	}
	h.send(w, r, b)
}

// send answers ranges and If-None-Match.
func (h *handler) send(w http.ResponseWriter, r *http.Request, b dist.Binary) {
	f, err := os.Open(b.Path)
	if err != nil {
		h.refuse(w, r, fault.New(fault.Internal, "agent for %s/%s: %w", b.OS, b.Arch, err))
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil && st.Size() != b.Size {
		err = errors.New("it is being replaced")
	}
	if err != nil {
		h.refuse(w, r, fault.New(fault.Unavailable, "agent for %s/%s: %w", b.OS, b.Arch, err))
		return
	}
	sum, err := hex.DecodeString(b.SHA256)
	if err != nil {
		h.refuse(w, r, fault.New(fault.Internal, "agent for %s/%s: %w", b.OS, b.Arch, err))
		return
	}
	header := w.Header()
	header.Set("ETag", strconv.Quote(b.SHA256))
	header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	header.Set("X-Checksum-Sha256", b.SHA256)
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Disposition", `attachment; filename="`+b.Name+`"`)
	http.ServeContent(w, r, "", st.ModTime(), f)
}

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch fault.Of(err) {
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Invalid:
		status = http.StatusBadRequest
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusInternalServerError {
		h.Log.Error("hand out an agent", "path", r.URL.Path, "error", err)
	}
	http.Error(w, err.Error(), status)
}

// words takes machines' own words for themselves, as uname says them, for Go's.
func words(goos, goarch string) (string, string) {
	goos, goarch = strings.ToLower(goos), strings.ToLower(goarch)
	switch goarch {
	case "x86_64", "x64":
		goarch = "amd64"
	case "aarch64":
		goarch = "arm64"
	}
	return goos, goarch
}

package httpcache

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// The headers of an artifact that come back with it.
const (
	turboDuration = "X-Artifact-Duration"
	turboTag      = "X-Artifact-Tag"
)

// turbo serves the API of Turborepo's remote cache, below /v8/artifacts. Teams do not see each other's artifacts.
func (h *Handler) turbo(w http.ResponseWriter, r *http.Request, path string) error {
	switch {
	case path == "status" && r.Method == http.MethodGet:
		if err := h.access.Allow(r.Context(), cas.ReadCache); err != nil {
			return err
		}
		return answer(w, http.StatusOK, map[string]string{"status": "enabled"})
	case path == "events" && r.Method == http.MethodPost:
		if err := h.access.Allow(r.Context(), cas.ReadCache); err != nil {
			return err
		}
		return answer(w, http.StatusOK, struct{}{})
	case path == "" && r.Method == http.MethodPost:
		return h.turboQuery(w, r)
	case path == "" || len(path) > maxKey:
		return fault.New(fault.NotFound, "expected /v8/artifacts/HASH")
	}
	k := turboKey(r, path)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		e, err := h.entry(r.Context(), k)
		if err != nil {
			return err
		}
		for name, value := range e.Header {
			w.Header().Set(name, value)
		}
		return h.send(w, r, cas.Digest{Hash: e.Hash, Size: e.Size})
	case http.MethodPut:
		header := map[string]string{}
		for _, name := range []string{turboDuration, turboTag} {
			if v := r.Header.Get(name); v != "" && len(v) <= 600 {
				header[name] = v
			}
		}
		if err := h.keep(r, k, header); err != nil {
			return err
		}
		return answer(w, http.StatusAccepted, map[string][]string{"urls": {r.URL.Path}})
	}
	return errMethod
}

func turboKey(r *http.Request, hash string) cas.ActionKey {
	q := r.URL.Query()
	team := q.Get("teamId")
	if team == "" {
		team = q.Get("slug")
	}
	return cas.ActionKey{Space: "turbo/" + team, Key: hash}
}

// turboQuery says which of some artifacts are there.
func (h *Handler) turboQuery(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Hashes []string `json:"hashes"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&ask); err != nil {
		return fault.New(fault.Invalid, "body: expected {\"hashes\": […]}: %w", err)
	}
	type info struct {
		Size     int64  `json:"size"`
		Duration int64  `json:"taskDurationMs"`
		Tag      string `json:"tag,omitempty"`
	}
	out := map[string]*info{}
	for _, hash := range ask.Hashes {
		e, err := h.entry(r.Context(), turboKey(r, hash))
		if errors.Is(err, cas.ErrNotFound) {
			out[hash] = nil
			continue
		}
		if err != nil {
			return err
		}
		ms, _ := strconv.ParseInt(e.Header[turboDuration], 10, 64)
		out[hash] = &info{e.Size, ms, e.Header[turboTag]}
	}
	return answer(w, http.StatusOK, out)
}

func answer(w http.ResponseWriter, code int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v)
	return nil
}

package httpcache

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// entry is what is kept under a key: where the bytes are, and what the client said of them.
type entry struct {
	Hash   string            `json:"hash"`
	Size   int64             `json:"size"`
	Header map[string]string `json:"header,omitempty"`
}

const maxKey = 1024

// raw serves bytes under any key.
func (h *Handler) raw(w http.ResponseWriter, r *http.Request, key string) error {
	if key == "" || len(key) > maxKey {
		return fault.New(fault.Invalid, "key of %d bytes: expected 1 to %d", len(key), maxKey)
	}
	k := cas.ActionKey{Space: "raw", Key: key}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		e, err := h.entry(r.Context(), k)
		if err != nil {
			return err
		}
		return h.send(w, r, cas.Digest{Hash: e.Hash, Size: e.Size})
	case http.MethodPut, http.MethodPost:
		if err := h.keep(r, k, nil); err != nil {
			return err
		}
		w.WriteHeader(http.StatusCreated)
		return nil
	case http.MethodDelete:
		return h.forget(w, r, k)
	}
	return errMethod
}

// entry returns what is kept under a key, if its bytes are there, which protects them.
func (h *Handler) entry(ctx context.Context, k cas.ActionKey) (e entry, err error) {
	if err := h.access.Allow(ctx, cas.ReadCache); err != nil {
		return e, err
	}
	b, err := h.results.Actions.GetAction(ctx, k)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("entry %q: %w: %w", k.Key, cas.ErrNotFound, err)
	}
	missing, err := h.store.Missing(ctx, []cas.Digest{{Hash: e.Hash, Size: e.Size}})
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("entry %q: its bytes: %w", k.Key, cas.ErrNotFound)
	}
	return e, err
}

// keep keeps a request's body under a key.
func (h *Handler) keep(r *http.Request, k cas.ActionKey, header map[string]string) error {
	ctx := r.Context()
	if err := h.access.Allow(ctx, cas.WriteActions); err != nil {
		return err
	}
	body, size := r.Body, r.ContentLength
	var d cas.Digest
	var err error
	if size >= 0 {
		d, err = cas.Add(ctx, h.store, size, body)
	} else {
		received, n, done, serr := spool(r)
		if serr != nil {
			return serr
		}
		defer done()
		d, err = cas.Add(ctx, h.store, n, received)
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(entry{d.Hash, d.Size, header})
	if err != nil {
		return err
	}
	return h.results.Actions.PutAction(ctx, k, b)
}

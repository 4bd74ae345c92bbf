package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Mode is the header that has the permission bits which an artifact was archived with, in octal.
const Mode = "X-Outwork-Mode"

// ServeArtifact answers with a file that a build made, whole or a range of it, so that a browser cannot be led to run what is in it:
// sandboxed, never sniffed, and shown in place only when it is plain text or a picture. fault.NotFound, with nothing answered yet,
// when its bytes are gone.
func ServeArtifact(w http.ResponseWriter, r *http.Request, blobs cas.Store, a build.Artifact) error {
	d, err := cas.ParseDigest(a.Digest)
	if err != nil {
		return err
	}
	body := &blob{ctx: r.Context(), store: blobs, digest: d}
	if body.open, err = blobs.Get(r.Context(), d, 0); err != nil {
		return fault.New(fault.NotFound, "artifact %s: its bytes are gone: %w", a.Path, err)
	}
	defer body.Close()
	kind, disposition := contentType(a.Path)
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": path.Base(a.Path)}))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", `"`+d.Hash+`"`)
	if a.Mode != 0 {
		h.Set(Mode, Octal(a.Mode))
	}
	http.ServeContent(w, r, "", time.Time{}, body)
	return nil
}

// Octal writes permission bits as people do; "" when there are none.
func Octal(mode uint32) string {
	if mode == 0 {
		return ""
	}
	return fmt.Sprintf("%04o", mode)
}

// contentType is the media type of a file for a browser, and whether it is shown there.
func contentType(file string) (kind, disposition string) {
	t, _, err := mime.ParseMediaType(mime.TypeByExtension(path.Ext(file)))
	if err == nil && (t == "text/plain" || strings.HasPrefix(t, "image/") && t != "image/svg+xml") {
		return t, "inline"
	}
	return "application/octet-stream", "attachment"
}

// blob is a seekable reader over a cas.Store.
type blob struct {
	ctx    context.Context // of the request that it is read for
	store  cas.Store
	digest cas.Digest
	at     int64
	open   io.ReadCloser // reads from at; nil after a seek
}

func (b *blob) Read(p []byte) (int, error) {
	if b.at >= b.digest.Size {
		return 0, io.EOF
	}
	if b.open == nil {
		r, err := b.store.Get(b.ctx, b.digest, b.at)
		if err != nil {
			return 0, err
		}
		b.open = r
	}
	n, err := b.open.Read(p)
	b.at += int64(n)
	return n, err
}

func (b *blob) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.digest.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	if offset != b.at {
		b.Close()
		b.at = offset
	}
	return offset, nil
}

// Close lets go of the store's reader; a later Read opens another.
func (b *blob) Close() error {
	if b.open == nil {
		return nil
	}
	r := b.open
	b.open = nil
	return r.Close()
}

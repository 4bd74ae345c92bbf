package httpcache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/cas"
)

// send answers with a blob, or with the one range of it that was asked for.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, d cas.Digest) error {
	head := w.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("ETag", `"`+d.Hash+`"`)
	head.Set("Accept-Ranges", "bytes")
	if strings.Contains(r.Header.Get("If-None-Match"), d.Hash) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	from, n, part := byteRange(r.Header.Get("Range"), d.Size)
	if part && n == 0 {
		head.Set("Content-Range", fmt.Sprintf("bytes */%d", d.Size))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return nil
	}
	blob, err := h.store.Get(r.Context(), d, from)
	if errors.Is(err, cas.ErrMismatch) {
		return fmt.Errorf("%w: %w", cas.ErrNotFound, err)
	}
	if err != nil {
		return err
	}
	defer blob.Close()
	head.Set("Content-Length", strconv.FormatInt(n, 10))
	if part {
		head.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+n-1, d.Size))
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	source := io.Reader(blob)
	if from+n < d.Size {
		source = io.LimitReader(blob, n)
	}
	// io.Copy, for what a blob's WriteTo and the connection's ReadFrom can do together.
	if sent, err := io.Copy(w, source); err == nil && sent == n {
		return nil
	} else if sent == 0 && errors.Is(err, cas.ErrMismatch) {
		head.Del("Content-Length")
		return fmt.Errorf("%w: %w", cas.ErrNotFound, err) // what rotted here is as good as gone
	}
	panic(http.ErrAbortHandler) // the client must not take a part for the whole
}

// byteRange reads a Range header of one range. part says that it asks for one; n is 0 when there is nothing in it. Anything else asks
// for all.
func byteRange(header string, size int64) (from, n int64, part bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(spec, ",") {
		return 0, size, false
	}
	if first == "" { // so many from the end
		k, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return 0, size, false
		}
		n = min(int64(k), size)
		return size - n, n, true
	}
	a, err := strconv.ParseUint(first, 10, 63)
	to := uint64(size)
	if err == nil && last != "" {
		if to, err = strconv.ParseUint(last, 10, 62); err == nil && to < a {
			return 0, size, false
		}
		to++
	}
	if err != nil {
		return 0, size, false
	}
	from = int64(a)
	return from, max(0, min(int64(to), size)-from), true
}

// maxSpool is the most bytes of a body that comes without its length.
const maxSpool = 4 << 30

// spool receives a body whose length nobody said. done frees what that took.
func spool(r *http.Request) (body io.Reader, size int64, done func(), err error) {
	f, err := os.CreateTemp("", "body-*")
	if err != nil {
		return nil, 0, nil, err
	}
	done = func() {
		f.Close()
		os.Remove(f.Name())
	}
	size, err = io.Copy(f, io.LimitReader(cas.UntilDone(r.Context(), r.Body), maxSpool+1))
	if err == nil && size > maxSpool {
		err = fmt.Errorf("a body of unknown length above %d bytes: %w", int64(maxSpool), cas.ErrFull)
	}
	if err != nil {
		done()
		return nil, 0, nil, err
	}
	return io.NewSectionReader(f, 0, size), size, done, nil
}

package httpcache_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/disk"
	"github.com/outwork-build/outwork/cas/httpcache"
	"github.com/outwork-build/outwork/internal/fault"
)

type world struct {
	*testing.T
	url   string
	dir   string
	store *disk.Store
}

func serve(t *testing.T, access cas.Access) world {
	t.Helper()
	dir := t.TempDir()
	s, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(httpcache.New(httpcache.Config{Store: s, Actions: s, Access: access}))
	t.Cleanup(func() {
		srv.Close()
		s.Close()
	})
	return world{t, srv.URL, dir, s}
}

// do makes a request; headers are name, value, ….
func (w world) do(method, path string, body io.Reader, headers ...string) (int, http.Header, []byte) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.url+path, body)
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, resp.Header, b
}

func (w world) want(code int, method, path string, body []byte, headers ...string) []byte {
	w.Helper()
	got, _, b := w.do(method, path, bytes.NewReader(body), headers...)
	if got != code {
		w.Errorf("%s %s: %d %.200s, expected %d", method, path, got, b, code)
	}
	return b
}

func TestBlobs(t *testing.T) {
	w := serve(t, nil)
	for _, n := range []int64{0, 1, 1000, 3 << 20} {
		b := castest.Bytes(uint64(n), n)
		path := "/cas/" + cas.Of(b).Hash
		if n > 0 {
			w.want(404, "GET", path, nil)
			w.want(404, "HEAD", path, nil)
			w.want(400, "PUT", path, append(bytes.Clone(b), 1))
			w.want(404, "GET", "/some/instance"+path, nil)
		}
		w.want(200, "PUT", "/some/instance"+path, b)
		w.want(200, "PUT", path, b)
		for range 2 {
			if got := w.want(200, "GET", path, nil); !bytes.Equal(got, b) {
				t.Errorf("%d bytes came for %d", len(got), n)
			}
		}
		_, h, _ := w.do("HEAD", path, nil)
		if h.Get("Content-Length") != fmt.Sprint(n) {
			t.Errorf("HEAD of %d bytes: length %q", n, h.Get("Content-Length"))
		}
		w.want(304, "GET", path, nil, "If-None-Match", h.Get("ETag"))
	}
	chunked := castest.Bytes(9, 100_000)
	if code, _, body := w.do("PUT", "/cas/"+cas.Of(chunked).Hash, struct{ io.Reader }{bytes.NewReader(chunked)}); code != 200 {
		t.Errorf("a body without its length: %d %s", code, body)
	}
	if got := w.want(200, "GET", "/cas/"+cas.Of(chunked).Hash, nil); !bytes.Equal(got, chunked) {
		t.Error("other bytes came")
	}
	for _, bad := range []string{"/cas/xyz", "/ac/" + strings.Repeat("A", 64)} {
		w.want(400, "GET", bad, nil)
	}
	w.want(404, "GET", "/elsewhere", nil)
	w.want(405, "DELETE", "/cas/"+cas.Of(chunked).Hash, nil)
}

// Who puts what is there already may send it to its end.
func TestPutAgainIsHeardOut(t *testing.T) {
	w := serve(t, nil)
	b := castest.Bytes(7, 20<<20)
	for range 4 {
		w.want(200, "PUT", "/cas/"+cas.Of(b).Hash, b)
	}
}

func TestRanges(t *testing.T) {
	w := serve(t, nil)
	for _, n := range []int64{1000, 1 << 20} {
		b := castest.Bytes(1, n)
		path := "/cas/" + cas.Of(b).Hash
		w.want(200, "PUT", path, b)
		for _, c := range []struct {
			header   string
			code     int
			from, to int64
		}{
			{"bytes=0-9", 206, 0, 10}, {"bytes=100-", 206, 100, n}, {"bytes=-7", 206, n - 7, n}, {"bytes=5-5", 206, 5, 6}, {fmt.Sprintf("bytes=10-%d", n+50), 206, 10, n},
			{fmt.Sprintf("bytes=%d-", n), 416, 0, 0}, {"bytes=-0", 416, 0, 0}, {"bytes=9-3", 200, 0, n}, {"bytes=0-1,4-5", 200, 0, n}, {"lines=1-2", 200, 0, n}, {"bytes=x-", 200, 0, n},
			{"bytes=99999999999999999999-", 200, 0, n}, {"bytes=-9999999", 206, 0, n},
		} {
			code, h, got := w.do("GET", path, nil, "Range", c.header)
			if code != c.code || !bytes.Equal(got, b[c.from:c.to]) {
				t.Errorf("%s of %d: %d, %d bytes", c.header, n, code, len(got))
			}
			if want := fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, n); code == 206 && h.Get("Content-Range") != want {
				t.Errorf("%s of %d: Content-Range %q, expected %q", c.header, n, h.Get("Content-Range"), want)
			}
		}
	}
}

func TestRottenBytesAreNotServed(t *testing.T) {
	w := serve(t, nil)
	small, large := castest.Bytes(1, 1000), castest.Bytes(2, 1<<20)
	for _, b := range [][]byte{small, large} {
		w.want(200, "PUT", "/cas/"+cas.Of(b).Hash, b)
	}
	files, _ := filepath.Glob(filepath.Join(w.dir, "*", "*"))
	more, _ := filepath.Glob(filepath.Join(w.dir, "blobs", "*", "*"))
	for _, f := range append(files, more...) {
		b, err := os.ReadFile(f)
		if err != nil || len(b) < 900 {
			continue
		}
		b[900] ^= 1
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.want(404, "GET", "/cas/"+cas.Of(small).Hash, nil)
	resp, err := http.Get(w.url + "/cas/" + cas.Of(large).Hash)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == 200 {
		t.Errorf("%d rotten bytes were served as a whole", len(b))
	}
	resp.Body.Close()
	w.want(404, "GET", "/cas/"+cas.Of(large).Hash, nil)
	w.want(200, "PUT", "/cas/"+cas.Of(large).Hash, large)
	if got := w.want(200, "GET", "/cas/"+cas.Of(large).Hash, nil); !bytes.Equal(got, large) {
		t.Error("other bytes came")
	}
}

func TestResults(t *testing.T) {
	w := serve(t, nil)
	out := []byte("an output")
	d := cas.Of(out)
	res, err := proto.Marshal(&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "o", Digest: &repb.Digest{Hash: d.Hash, SizeBytes: d.Size}}}})
	if err != nil {
		t.Fatal(err)
	}
	path := "/ac/" + cas.Of([]byte("action")).Hash
	w.want(404, "GET", path, nil)
	w.want(200, "PUT", path, res)
	w.want(404, "GET", path, nil) // its output is not there
	w.want(200, "PUT", "/cas/"+d.Hash, out)
	if got := w.want(200, "GET", path, nil); !bytes.Equal(got, res) {
		t.Errorf("another result came: %x", got)
	}
	w.want(200, "HEAD", path, nil)
	w.want(404, "GET", "/instance"+path, nil)
	if msg := w.want(400, "PUT", path, []byte("not a result")); !strings.Contains(string(msg), "/raw/") {
		t.Errorf("the answer does not say what to do: %s", msg)
	}
	w.want(204, "DELETE", path, nil)
	w.want(404, "DELETE", path, nil)
	w.want(404, "GET", path, nil)
}

func TestRaw(t *testing.T) {
	w := serve(t, nil)
	for _, key := range []string{"/raw/a", "/raw/ccache/ac/" + strings.Repeat("0", 64), "/raw/x/y%20z?q=1"} {
		w.want(404, "GET", key, nil)
		for _, n := range []int64{0, 10, 200 << 10} {
			b := castest.Bytes(uint64(n), n)
			w.want(201, "PUT", key, b)
			if got := w.want(200, "GET", key, nil); !bytes.Equal(got, b) {
				t.Errorf("%s: %d bytes came for %d", key, len(got), n)
			}
		}
		if code, _, body := w.do("PUT", key, struct{ io.Reader }{strings.NewReader("no length")}); code != 201 {
			t.Errorf("%d %s", code, body)
		}
		if got := w.want(200, "GET", key, nil); string(got) != "no length" {
			t.Errorf("%q", got)
		}
		w.want(204, "DELETE", key, nil)
		w.want(404, "HEAD", key, nil)
	}
	w.want(400, "PUT", "/raw/", []byte("x"))
	w.want(400, "PUT", "/raw/"+strings.Repeat("k", 1025), []byte("x"))
	w.want(405, "PATCH", "/raw/a", nil)
}

func TestTurbo(t *testing.T) {
	w := serve(t, nil)
	if got := w.want(200, "GET", "/v8/artifacts/status?slug=t", nil); !strings.Contains(string(got), "enabled") {
		t.Errorf("%s", got)
	}
	w.want(404, "GET", "/v8/artifacts/0123456789abcdef?slug=t", nil)
	w.want(202, "PUT", "/v8/artifacts/0123456789abcdef?slug=t", []byte("tar"), "x-artifact-duration", "1234", "x-artifact-tag", "signed")
	code, h, b := w.do("GET", "/v8/artifacts/0123456789abcdef?slug=t", nil)
	if code != 200 || string(b) != "tar" || h.Get("x-artifact-duration") != "1234" || h.Get("x-artifact-tag") != "signed" {
		t.Errorf("%d %q %v", code, b, h)
	}
	w.want(200, "HEAD", "/v8/artifacts/0123456789abcdef?slug=t", nil)
	w.want(404, "GET", "/v8/artifacts/0123456789abcdef?slug=other", nil)
	w.want(200, "POST", "/v8/artifacts/events?slug=t", []byte("[]"))
	got := w.want(200, "POST", "/v8/artifacts?slug=t", []byte(`{"hashes":["0123456789abcdef","ffff"]}`))
	if want := `{"0123456789abcdef":{"size":3,"taskDurationMs":1234,"tag":"signed"},"ffff":null}`; strings.TrimSpace(string(got)) != want {
		t.Errorf("%s, expected %s", got, want)
	}
	w.want(404, "GET", "/v8/artifactsX", nil)
}

// Who may only read changes nothing, and who may only put blobs says nothing about actions or under keys.
func TestAccess(t *testing.T) {
	var allowed cas.Use
	var refusal fault.Kind
	w := serve(t, func(_ context.Context, u cas.Use) error {
		if u > allowed {
			return fault.New(refusal, "not you")
		}
		return nil
	})
	b := []byte("blob")
	hash := "/" + cas.Of(b).Hash
	for _, c := range []struct {
		kind fault.Kind
		code int
	}{{fault.Denied, 403}, {fault.Unauthenticated, 401}} {
		refusal = c.kind
		for allowed = range cas.WriteActions + 1 {
			blobs, actions := c.code, c.code
			if allowed >= cas.WriteBlobs {
				blobs = 200
			}
			if allowed >= cas.WriteActions {
				actions = 200
			}
			ok := func(code, if200 int) int {
				if code == 200 {
					return if200
				}
				return code
			}
			w.want(blobs, "PUT", "/cas"+hash, b)
			w.want(actions, "PUT", "/ac"+hash, []byte{32, 0})
			w.want(ok(actions, 201), "PUT", "/raw/k", b)
			w.want(ok(actions, 202), "PUT", "/v8/artifacts/k", b)
			w.want(ok(actions, 204), "DELETE", "/ac"+hash, nil)
			w.want(ok(actions, 204), "DELETE", "/raw/k", nil)
		}
	}
}

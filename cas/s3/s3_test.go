package s3_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/s3"
	"github.com/outwork-build/outwork/cas/tier"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

// bucket is a server's bucket on this machine, kept below dir.
type bucket struct{ endpoint, dir string }

// serve starts versitygw, an S3 server over a folder: go install github.com/versity/versitygw/cmd/versitygw@v1.0.14.
func serve(t *testing.T) bucket {
	t.Helper()
	program, err := exec.LookPath("versitygw")
	if err != nil {
		need.Lack(t, "versitygw is missing: go install github.com/versity/versitygw/cmd/versitygw@v1.0.14, and put it on the PATH")
	}
	b := bucket{net.JoinHostPort("127.0.0.1", need.Port(t)), t.TempDir()}
	if err := os.Mkdir(filepath.Join(b.dir, "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	need.Server(t, b.endpoint, program, "--port", b.endpoint, "--access", "who", "--secret", "secret-of-who", "--quiet", "posix", b.dir)
	return b
}

func (b bucket) open(t *testing.T, change func(*s3.Config)) *s3.Store {
	t.Helper()
	cfg := s3.Config{Endpoint: b.endpoint, Insecure: true, Bucket: "blobs", Prefix: t.Name(), AccessKey: "who", SecretKey: "secret-of-who"}
	if change != nil {
		change(&cfg)
	}
	s, err := s3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	b := serve(t)
	castest.Run(t, func(t *testing.T) cas.Store { return b.open(t, nil) }, castest.Options{Large: 40 << 20}) // of several parts
}

func TestConformanceBehindTier(t *testing.T) {
	b := serve(t)
	castest.Run(t, func(t *testing.T) cas.Store {
		return tier.New(tier.Config{Near: memory.New(memory.Config{}), Far: b.open(t, nil)})
	}, castest.Options{})
}

func TestRottenObject(t *testing.T) {
	b := serve(t)
	s := b.open(t, nil)
	data := castest.Bytes(1, 100_000)
	d, err := cas.PutBytes(t.Context(), s, data)
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(b.dir, "blobs", t.Name(), d.Hash[:2], d.Hash+"-100000"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	data[99_999] ^= 1
	if err := os.WriteFile(found[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), d, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	r.Close()
	if !errors.Is(err, cas.ErrMismatch) || bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if ds, err := s.Missing(t.Context(), []cas.Digest{d}); err != nil || len(ds) != 1 {
		t.Errorf("the rotten blob is offered: %v, %v", ds, err)
	}
}

func TestErrorsHaveTheirKind(t *testing.T) {
	b := serve(t)
	for name, c := range map[string]struct {
		change func(*s3.Config)
		want   fault.Kind
	}{
		"wrong secret": {func(c *s3.Config) { c.SecretKey = "wrong" }, fault.Denied},
		"no server":    {func(c *s3.Config) { c.Endpoint = net.JoinHostPort("127.0.0.1", need.Port(t)) }, fault.Unavailable},
		"no bucket":    {func(c *s3.Config) { c.Bucket = "elsewhere" }, fault.Invalid},
	} {
		_, err := cas.PutBytes(t.Context(), b.open(t, c.change), []byte("x"))
		if fault.Of(err) != c.want {
			t.Errorf("%s: %v (%s), expected %s", name, err, fault.Of(err), c.want)
		}
	}
	if _, err := s3.New(s3.Config{Bucket: "b"}); fault.Of(err) != fault.Invalid {
		t.Errorf("without an endpoint: %v", err)
	}
}

// Package s3 keeps blobs as objects of a bucket, at Amazon's or at anybody's who speaks that protocol.
//
//	PREFIX/HH/HASH-SIZE     HH are the hash's first two digits
//
// The store evicts nothing, so what Missing found stays: bounds are the bucket's affair, as a rule of its life cycle that lets objects go
// after so many days. Blobs are checked on their way up and down, except for reads from an offset, for which the bucket's own checksums
// stand. cas/tier before it makes reads cheap. All methods may be called concurrently.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config of a Store. Endpoint and Bucket are required.
type Config struct {
	Endpoint  string            // HOST or HOST:PORT
	Insecure  bool              // speaks HTTP instead of HTTPS
	Bucket    string            // which is there
	Prefix    string            // of all objects' names; "" has none
	Region    string            // "" is us-east-1
	AccessKey string            // "" with an empty SecretKey takes what the environment has, as Amazon's own programs do
	SecretKey string            //
	Transport http.RoundTripper // nil is the default one
}

const (
	parallel = 16       // questions to the bucket at once, of one Missing
	partSize = 16 << 20 // of large uploads; one part is in memory at a time
)

// Store is a cas.Store in a bucket.
type Store struct {
	core   minio.Core
	bucket string
	prefix string

	mu      sync.Mutex
	putting map[cas.Digest]chan struct{} // closed when that put has ended
}

var _ cas.Store = (*Store)(nil)

// New returns the store in a bucket. It makes no call. fault.Invalid: the Config is not one.
func New(cfg Config) (*Store, error) {
	if cfg.Endpoint == "" || cfg.Bucket == "" {
		return nil, fault.New(fault.Invalid, "S3: expected an endpoint and a bucket")
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	creds := credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, "")
	if cfg.AccessKey == "" && cfg.SecretKey == "" {
		creds = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	}
	client, err := minio.New(cfg.Endpoint, &minio.Options{Creds: creds, Secure: !cfg.Insecure, Region: cfg.Region, Transport: cfg.Transport})
	if err != nil {
		return nil, fault.New(fault.Invalid, "S3 endpoint %q: %w", cfg.Endpoint, err)
	}
	return &Store{core: minio.Core{Client: client}, bucket: cfg.Bucket, prefix: strings.Trim(cfg.Prefix, "/"),
		putting: map[cas.Digest]chan struct{}{}}, nil
}

func (s *Store) object(d cas.Digest) string {
	return path.Join(s.prefix, d.Hash[:2], fmt.Sprintf("%s-%d", d.Hash, d.Size))
}

// Missing implements cas.Store.
func (s *Store) Missing(ctx context.Context, ds []cas.Digest) ([]cas.Digest, error) {
	seen := make(map[cas.Digest]bool, len(ds))
	var ask []cas.Digest
	for _, d := range ds {
		if err := d.Validate(); err != nil {
			return nil, err
		}
		if !seen[d] && d != cas.Empty {
			seen[d] = true
			ask = append(ask, d)
		}
	}
	absent := make([]bool, len(ask))
	g, asking := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, d := range ask {
		g.Go(func() error {
			there, err := s.has(asking, d)
			absent[i] = !there
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("missing: %w", err)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var missing []cas.Digest
	for i, d := range ask {
		if absent[i] {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// has reports whether the blob is there with its size.
func (s *Store) has(ctx context.Context, d cas.Digest) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	info, err := s.core.StatObject(ctx, s.bucket, s.object(d), minio.StatObjectOptions{})
	if err = known(ctx, err); errors.Is(err, cas.ErrNotFound) {
		return false, nil
	}
	return err == nil && info.Size == d.Size, err
}

// Put implements cas.Store. An object of one part is sent when it is known to be right; one of several parts is shown by the bucket when the
// last one has come, which a wrong blob's never does.
func (s *Store) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	if err := d.Validate(); err != nil {
		return err
	}
	r = cas.UntilDone(ctx, cas.NewVerifier(d, r))
	if d == cas.Empty {
		_, err := io.Copy(io.Discard, r)
		return wrap("put", d, err)
	}
	done, err := s.alone(ctx, d)
	if err != nil {
		return wrap("put", d, err)
	}
	defer done()
	if there, err := s.has(ctx, d); err != nil || there {
		return wrap("put", d, err)
	}
	if d.Size <= partSize {
		b, err := io.ReadAll(r)
		if err != nil {
			return wrap("put", d, err)
		}
		r = bytes.NewReader(b)
	}
	source := &cas.Source{R: r}
	_, err = s.core.Client.PutObject(ctx, s.bucket, s.object(d), source, d.Size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSize, NumThreads: 1})
	if source.Err != nil {
		err = source.Err
	} else {
		err = known(ctx, err)
	}
	return wrap("put", d, err)
}

// alone waits until nobody else here puts a blob: the second one then finds it there, and servers that replace objects in several steps
// are spared that.
func (s *Store) alone(ctx context.Context, d cas.Digest) (done func(), err error) {
	for {
		s.mu.Lock()
		other, busy := s.putting[d]
		if !busy {
			mine := make(chan struct{})
			s.putting[d] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.putting, d)
				s.mu.Unlock()
				close(mine)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Get implements cas.Store. A blob that is found corrupt is removed.
func (s *Store) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("get %s from %d: %w", d, offset, cas.ErrRange)
	}
	if d == cas.Empty || offset == d.Size {
		there, err := d == cas.Empty, error(nil)
		if !there {
			there, err = s.has(ctx, d)
		}
		if err == nil && !there {
			err = cas.ErrNotFound
		}
		return http.NoBody, wrap("get", d, err)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var opts minio.GetObjectOptions
	if offset > 0 {
		if err := opts.SetRange(offset, d.Size-1); err != nil {
			return nil, err
		}
	}
	body, _, _, err := s.core.GetObject(ctx, s.bucket, s.object(d), opts)
	if err = known(ctx, err); err != nil {
		return nil, wrap("get", d, err)
	}
	if offset > 0 {
		return &reader{s: s, ctx: ctx, d: d, r: &exactly{body, d.Size - offset}, body: body}, nil
	}
	return &reader{s: s, ctx: ctx, d: d, r: cas.NewVerifier(d, body), body: body}, nil
}

// reader reads an object, and gives its errors the meaning they have in a cas.Store.
type reader struct {
	s    *Store
	ctx  context.Context
	d    cas.Digest
	r    io.Reader
	body io.ReadCloser
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if errors.Is(err, cas.ErrMismatch) && r.ctx.Err() == nil {
		err = errors.Join(err, r.s.core.RemoveObject(context.WithoutCancel(r.ctx), r.s.bucket, r.s.object(r.d), minio.RemoveObjectOptions{}))
	} else {
		err = known(r.ctx, err)
	}
	return n, wrap("get", r.d, err)
}

func (r *reader) Close() error { return r.body.Close() }

// exactly reads a number of bytes and no less.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	if e.left -= int64(n); err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func wrap(what string, d cas.Digest, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, d, err)
}

// known gives the bucket's errors their kind.
func known(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == minio.NoSuchBucket:
		return fault.With(fault.Invalid, err)
	case answer.StatusCode == http.StatusNotFound || answer.Code == minio.NoSuchKey:
		return cas.ErrNotFound
	case answer.StatusCode == http.StatusForbidden, answer.StatusCode == http.StatusUnauthorized:
		return fault.With(fault.Denied, err)
	case answer.StatusCode == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", cas.ErrFull, err)
	case answer.StatusCode >= 400 && answer.StatusCode < 500:
		return fault.With(fault.Invalid, err)
	}
	return fault.With(fault.Unavailable, err)
}

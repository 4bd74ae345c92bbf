package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/outwork-build/outwork/cas"
)

// shelf serves the bytes of tools from where they are: they are not kept a second time. What has changed since it was read is not
// served. All methods may be called concurrently.
type shelf struct {
	mu        sync.RWMutex
	files     map[cas.Digest]string // absolute paths
	manifests [2]map[cas.Digest][]byte
}

// put replaces what is served. The manifests from before stay for one more time: somebody may be reading the tree.
func (s *shelf) put(files map[cas.Digest]string, manifests map[cas.Digest][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = files
	s.manifests[0], s.manifests[1] = manifests, s.manifests[0]
}

// add serves more manifests.
func (s *shelf) add(manifests map[cas.Digest][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := make(map[cas.Digest][]byte, len(s.manifests[0])+len(manifests))
	for _, m := range []map[cas.Digest][]byte{s.manifests[0], manifests} {
		for d, b := range m {
			more[d] = b
		}
	}
	s.manifests[0] = more
}

func (s *shelf) find(d cas.Digest) (file string, manifest []byte, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.manifests {
		if b, ok := m[d]; ok {
			return "", b, true
		}
	}
	file, ok = s.files[d]
	return file, nil, ok
}

// open opens a blob from an offset that is within it. What comes is checked from its beginning.
func (s *shelf) open(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, bool, error) {
	file, manifest, ok := s.find(d)
	if !ok {
		return nil, false, nil
	}
	if file == "" {
		return io.NopCloser(bytes.NewReader(manifest[offset:])), true, nil
	}
	root, err := os.OpenRoot(filepath.Dir(file)) // a link in the file's place leads nowhere else
	if err != nil {
		return nil, false, nil
	}
	defer root.Close()
	f, err := root.Open(filepath.Base(file))
	if err != nil {
		return nil, false, nil
	}
	v := cas.NewVerifier(d, cas.UntilDone(ctx, f))
	if _, err := io.CopyN(io.Discard, v, offset); err != nil {
		return nil, true, fmt.Errorf("tools: %s: %w", file, errOf(err, f))
	}
	return sending{v, f, file}, true, nil
}

// sending is a file on its way; an error names it.
type sending struct {
	io.Reader
	io.Closer
	file string
}

func (s sending) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if errors.Is(err, cas.ErrMismatch) {
		err = fmt.Errorf("tools: %s has changed since it was looked at: %w", s.file, err)
	}
	return n, err
}

// errOf closes what an error leaves open.
func errOf(err error, f io.Closer) error {
	f.Close()
	return err
}

// over is a store that can also be asked for what is on the shelf. What it lacks it says of itself alone: who asks means to refer to a blob
// that stays.
type over struct {
	cas.Store
	shelf *shelf
}

// Get implements cas.Store.
func (o over) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("get %s from %d: %w", d, offset, cas.ErrRange)
	}
	if r, ok, err := o.shelf.open(ctx, d, offset); ok || err != nil {
		return r, err
	}
	return o.Store.Get(ctx, d, offset)
}

// Package file is the secret.Source of secrets that stand in files of the controller: "file:/PATH", "file:~/PATH".
package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/secret"
)

// maxSize is the largest file that is taken for a secret, in bytes.
const maxSize = 1 << 20

// Config of a Source. The zero value works.
type Config struct {
	Log *slog.Logger // hears of files that other users can read; nil is silent
}

// Source reads files, anew at each use: a key that was exchanged is used from then on.
type Source struct{ log *slog.Logger }

var _ secret.Source = (*Source)(nil)

// New returns a Source.
func New(c Config) *Source {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Source{c.Log}
}

// Resolve returns the content of the file, byte for byte. It warns of a file that other users of the controller can read, and reads
// it all the same: the warning is for who can change it.
func (s *Source) Resolve(_ context.Context, r secret.Ref) (secret.Value, error) {
	path, err := Path(r)
	if err != nil {
		return secret.Value{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return secret.Value{}, fault.New(kind(err), "secret %q: %w", r, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return secret.Value{}, fault.New(fault.Internal, "secret %q: %w", r, err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxSize {
		return secret.Value{}, fault.New(fault.Invalid, "secret %q: expected a regular file of at most %d bytes", r, maxSize)
	}
	if others(st) {
		s.log.Warn("a secret can be read by other users of this machine: chmod 600 it", "file", path, "mode", st.Mode().String())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return secret.Value{}, fault.New(fault.Internal, "secret %q: %w", r, err)
	}
	return secret.New(b), nil
}

// Path returns the file that r names, ~ expanded.
func Path(r secret.Ref) (string, error) {
	scheme, path, err := r.Split()
	if err != nil {
		return "", err
	}
	if scheme != "file" {
		return "", fault.New(fault.Invalid, "secret %q: expected file:/PATH", r)
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fault.New(fault.Invalid, "secret %q: %w", r, err)
		}
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		return "", fault.New(fault.Invalid, "secret %q: expected an absolute path", r)
	}
	return path, nil
}

func kind(err error) fault.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.NotFound
	case errors.Is(err, fs.ErrPermission):
		return fault.Denied
	}
	return fault.Internal
}

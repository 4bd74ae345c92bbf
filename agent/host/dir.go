package host

import (
	"path/filepath"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// dirFor is the absolute path of a step's folder.
func (l *lease) dirFor(dir string) (string, error) {
	local := filepath.FromSlash(dir)
	switch {
	case strings.ContainsRune(dir, 0):
		return "", fault.New(fault.Invalid, "dir %q: a path cannot hold a NUL byte", dir)
	case filepath.IsAbs(local):
		return filepath.Clean(local), nil
	case local == "":
		return l.work.Path, nil
	case !filepath.IsLocal(local):
		return "", outside(dir, l.work.Path)
	}
	return filepath.Join(l.work.Path, local), nil
}

//go:build unix

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lookPath finds the program that a step's own PATH leads to. "" is a program that is not there: starting it fails as in a
// shell, with 127.
func lookPath(name, dir, path string) string {
	if strings.Contains(name, "/") {
		return name
	}
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	for _, p := range filepath.SplitList(path) {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		full := filepath.Join(p, name)
		if unix.Access(full, unix.X_OK) != nil {
			continue
		}
		if fi, err := os.Stat(full); err == nil && fi.Mode().IsRegular() {
			return full
		}
	}
	return ""
}

// there reports whether a program that lookPath found is still there.
func there(path string) bool { return unix.Access(path, unix.X_OK) == nil }

// commandLine is "": a program is started with its arguments here.
func commandLine([]string, string) string { return "" }

// scriptText is a script as its interpreter can read it.
func scriptText(_ string, text []byte) []byte { return text }

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// onlyName reports whether a file has one name only.
func onlyName(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 1
}

// named reports whether a file has a name at all.
func named(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 0
}

// openScript opens or makes a file for writing. It follows no link and waits for no reader.
func openScript(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o700)
}

func isRefused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }

// freeBytes is the room that this user may still use on the disk of path.
func freeBytes(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // the types differ between systems
}

// lockFile takes the only lock on a file; it ends with the process, however that ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

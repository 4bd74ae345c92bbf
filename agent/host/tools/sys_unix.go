//go:build unix

package tools

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// point makes a link lead to a folder, in place of what it led to before, at once.
func point(link, target string) error {
	rel, err := filepath.Rel(filepath.Dir(link), target)
	if err != nil {
		return err
	}
	next := link + partSuffix
	if err := os.Remove(next); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.Symlink(rel, next); err != nil {
		return err
	}
	return os.Rename(next, link)
}

// follow says where a link of point leads; unlink removes it.
func follow(link string) (string, error) { return os.Readlink(link) }
func unlink(link string) error           { return os.Remove(link) }

// touchLink sets the time of a link itself.
func touchLink(path string, t time.Time) error {
	at := unix.NsecToTimespec(t.UnixNano())
	ts := []unix.Timespec{at, at}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "touch", Path: path, Err: err}
	}
	return nil
}

// syncFolder brings the names in a folder onto the disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

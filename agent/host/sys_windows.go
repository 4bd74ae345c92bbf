package host

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/windows"
)

// lookPath finds the program that a step's own PATH leads to, by the endings that PATHEXT lists. "" is a program that is not
// there: starting it fails with 127.
func lookPath(name, dir, path string) string {
	if strings.ContainsAny(name, `/\:`) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return withEnding(name)
	}
	for _, p := range filepath.SplitList(path) {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		if found := withEnding(filepath.Join(p, name)); found != "" {
			return found
		}
	}
	return ""
}

// withEnding returns the program that a path without its ending means.
func withEnding(path string) string {
	endings := strings.Split(os.Getenv("PATHEXT"), ";")
	if endings[0] == "" {
		endings = []string{".com", ".exe", ".bat", ".cmd"}
	}
	if slices.ContainsFunc(endings, func(e string) bool { return strings.EqualFold(e, filepath.Ext(path)) }) && there(path) {
		return path
	}
	for _, e := range endings {
		if there(path + e) {
			return path + e
		}
	}
	return ""
}

// there reports whether a program that lookPath found is still there.
func there(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// commandLine is how cmd.exe is told to run a batch file; it reads its line by rules of its own. Without /s and the outer quotes it
// would take a path with a blank and an @ in it apart. "" is for other scripts.
func commandLine(argv []string, script string) string {
	if filepath.Ext(script) != ".bat" {
		return ""
	}
	return strings.Join(argv, " ") + ` ""` + script + `""`
}

// scriptText is a script as its interpreter can read it: cmd.exe finds labels only between Windows' line ends, and Windows'
// PowerShell takes a text without a mark for one in the machine's old code page.
func scriptText(ext string, text []byte) []byte {
	const mark = "\ufeff"
	ascii := !bytes.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
	switch {
	case ext == ".bat":
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	case ext == ".ps1" && !ascii && !bytes.HasPrefix(text, []byte(mark)):
		return append([]byte(mark), text...)
	}
	return text
}

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// freeBytes is the room that this user may still use on the disk of path.
func freeBytes(path string) (int64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(p, &free, nil, nil)
	return int64(free), err
}

// lockFile takes the only lock on a file; it ends with the process, however that ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// onlyName reports whether a file is known to have one name only: here it is not worth the asking.
func onlyName(os.FileInfo) bool { return false }

// named reports whether a file has a name at all: one that is open keeps it here.
func named(os.FileInfo) bool { return true }

// openScript opens or makes a file for writing.
func openScript(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o700)
}

package tools

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
)

// state is one state of the folder as it is on the disk.
type state struct {
	name    string // "" is none: no files
	dir     string // its tree
	root    cas.Digest
	entries []tree.Entry
	byPath  map[string]int
}

// saved is the file beside a state's tree.
type saved struct {
	Top     tree.Entry   `json:"top"`
	Entries []tree.Entry `json:"entries"`
}

// before is the state to start from: one that has the wanted tree already, or the newest. It is needed until take("").
func (t *Tools) before(want cas.Digest) state {
	t.mu.Lock()
	defer t.mu.Unlock()
	candidates := t.whole()
	if t.current != "" {
		candidates = append([]string{t.current}, candidates...)
	}
	chosen := t.current
	for _, name := range candidates {
		text, err := os.ReadFile(t.states(name, rootFile))
		if err == nil && string(text) == want.String() {
			chosen = name
			break
		}
	}
	s := t.load(chosen)
	t.needed = s.name
	return s
}

// load reads a state. One that cannot be read is none: all is fetched anew.
func (t *Tools) load(name string) state {
	if name == "" {
		return state{}
	}
	s := state{name: name, dir: t.tree(name), byPath: map[string]int{}}
	text, err := os.ReadFile(t.states(name, rootFile))
	if err == nil {
		s.root, err = cas.ParseDigest(string(text))
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(t.states(name, entriesFile))
	}
	var all saved
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.cfg.Log.Warn("the tools that are here are not known any more: all is fetched again", "error", err)
		return state{}
	}
	s.entries = append([]tree.Entry{all.Top}, all.Entries...)
	for i, e := range s.entries {
		s.byPath[e.Path] = i
	}
	return s
}

// sound reports whether the state is on the disk what it was when it was made, but for what may stand in the folders to keep. The
// times and modes of folders, which change with whatever is made in them and removed again, are put right.
func (s *state) sound(keep []string) bool {
	found := 0
	var folders []tree.Entry
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := relative(s.dir, path)
		i, known := s.byPath[rel]
		if !known {
			if kept(keep, rel) {
				return nil
			}
			return errChanged
		}
		found++
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := s.entries[i]
		if e.Mode.IsDir() && info.IsDir() {
			if !same(path, e, info) {
				folders = append(folders, e)
			}
			return nil
		}
		if !same(path, e, info) {
			return errChanged
		}
		return nil
	})
	if err != nil || found != len(s.entries) {
		return false
	}
	for _, e := range folders {
		if dress(filepath.Join(s.dir, filepath.FromSlash(e.Path)), e) != nil {
			return false
		}
	}
	return true
}

var errChanged = errors.New("was changed")

func relative(dir, path string) string {
	rel, _ := strings.CutPrefix(path, dir)
	return strings.TrimPrefix(filepath.ToSlash(rel), "/")
}

// same reports whether what is at a path can be taken for an entry without reading it, as rsync does: by type, size, mode and time.
func same(path string, e tree.Entry, info fs.FileInfo) bool {
	if e.Mode.Type() != info.Mode().Type() {
		return false
	}
	if e.Mode&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		return err == nil && filepath.ToSlash(target) == e.Link
	}
	if !e.Mode.IsDir() && info.Size() != e.Digest.Size {
		return false
	}
	if runtime.GOOS != "windows" && e.Mode.Perm() != info.Mode().Perm() {
		return false
	}
	return e.Time.IsZero() || sameTime(e.Time, info.ModTime())
}

// sameTime compares times as precisely as the file system may keep them: Windows' in 100 ns.
func sameTime(a, b time.Time) bool { return a.Sub(b).Abs() < time.Microsecond }

// dress gives a file or folder its mode and time. The folder's owner keeps the right to look after it while it is made.
func dress(path string, e tree.Entry) error {
	if err := os.Chmod(path, e.Mode.Perm()); err != nil {
		return err
	}
	if e.Time.IsZero() {
		return nil
	}
	return os.Chtimes(path, time.Time{}, e.Time)
}

// intact reports whether a file of the state is on the disk unchanged.
func (s *state) intact(e tree.Entry) bool {
	full := filepath.Join(s.dir, filepath.FromSlash(e.Path))
	info, err := os.Lstat(full)
	return err == nil && same(full, e, info)
}

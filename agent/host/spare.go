package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// maxSpares bounds the folders that are kept to be used again.
const maxSpares = 256

// Names in a lease's folder beside those of steps.
const (
	recordFile = "lease.json"
	homeFolder = "home"
)

// spares keeps the folders of leases that are done with, and blank step files in them, for the next leases: on many file
// systems making a file costs more than starting a process, and renaming one next to nothing. A spare holds no byte of its past.
type spares struct {
	dir string

	mu      sync.Mutex
	folders []spare
	next    int
}

// spare is a lease's folder with an empty home.
type spare struct {
	path  string
	blank []string // names of its blank step files
	slots int      // lease.slots
}

// openSpares removes what an earlier agent kept: it is cheap to make anew, and never trusted.
func openSpares(dir string) (*spares, error) {
	if err := removeAll(dir); err != nil {
		return nil, err
	}
	return &spares{dir: dir}, os.MkdirAll(dir, 0o700)
}

// take returns a spare, if there is one.
func (s *spares) take() (spare, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.folders)
	if n == 0 {
		return spare{}, false
	}
	one := s.folders[n-1]
	s.folders = s.folders[:n-1]
	return one, true
}

// keep moves a folder to the spares and reports whether it could.
func (s *spares) keep(one spare) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.folders) >= maxSpares {
		return false
	}
	s.next++
	to := filepath.Join(s.dir, strconv.Itoa(s.next))
	if os.Rename(one.path, to) != nil {
		return false
	}
	one.path = to
	s.folders = append(s.folders, one)
	return true
}

// moveIn makes a spare the lease's folder and reports whether it could. Call it with l.mu held.
func (l *lease) moveIn(s spare) bool {
	if os.Rename(s.path, l.dir) != nil {
		return false
	}
	l.slots = s.slots
	for _, name := range s.blank {
		l.blank = append(l.blank, &slot{path: filepath.Join(l.dir, name)})
	}
	return true
}

// retireFolder keeps the lease's folder when nothing but an empty home and blank step files are left in it. Call it with l.mu held.
func (l *lease) retireFolder() bool {
	home, err := os.Lstat(l.work.Home)
	if err != nil || !home.IsDir() || home.Mode().Perm() != 0o700 {
		return false
	}
	es, err := os.ReadDir(l.dir)
	if err != nil {
		return false
	}
	s := spare{path: l.dir, slots: l.slots}
	for _, b := range l.blank {
		s.blank = append(s.blank, filepath.Base(b.path))
	}
	for _, e := range es {
		switch name := e.Name(); {
		case name == homeFolder:
			left, err := os.ReadDir(l.work.Home)
			if err != nil || len(left) > 0 {
				return false
			}
		case name == recordFile, name == gravesFile:
			if os.Truncate(filepath.Join(l.dir, name), 0) != nil {
				return false
			}
		case !slices.Contains(s.blank, name):
			return false
		}
	}
	return l.h.spares.keep(s)
}

// bury removes everything of a closed lease but its workspace. Call it with l.mu held, when nothing runs.
func (l *lease) bury() error {
	l.buried = true
	// First of all the record: without it the next agent removes the rest.
	errs := []error{os.Truncate(filepath.Join(l.dir, recordFile), 0)}
	for _, st := range l.steps {
		if st.forgotten {
			continue
		}
		errs = append(errs, l.retire(st))
		if st.Capture {
			errs = append(errs, os.Remove(l.stdout(st)))
		}
	}
	for _, s := range l.blank {
		l.shut(s)
	}
	if l.graves != nil {
		errs = append(errs, l.graves.Close())
		l.graves = nil
	}
	errs = append(errs, emptyFolder(l.work.Tmp))
	if !l.retireFolder() {
		errs = append(errs, l.h.discard(l.dir))
	}
	for i, err := range errs {
		if errors.Is(err, os.ErrNotExist) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

// emptyFolder removes what is in a folder that steps could write to; what is no folder any more is removed itself.
func emptyFolder(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return os.Remove(dir)
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return removeAll(dir)
	}
	var errs []error
	for _, e := range es {
		errs = append(errs, removeAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

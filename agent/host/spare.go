package host

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/agent/host/shim"
)

// maxSpares bounds the files, and the folders, that are kept to be used again.
const maxSpares = 256

// Names in a lease's folder beside those of steps.
const (
	recordFile    = "lease.json"
	homeFolder    = "home"
	forgottenFile = "forgotten" // one JSON string a line: the ids of forgotten steps
)

// spares keeps step files and lease folders that are done with, blank, for the next step and lease: on many file systems
// making a file costs more than starting a process, and renaming one next to nothing. A spare holds no byte of its past.
type spares struct {
	dir string

	mu      sync.Mutex
	files   []string
	folders []string
	next    int
}

// openSpares removes what an earlier agent kept: it is cheap to make anew, and never trusted.
func openSpares(dir string) (*spares, error) {
	if err := removeAll(dir); err != nil {
		return nil, err
	}
	return &spares{dir: dir}, os.MkdirAll(dir, 0o700)
}

// takeFile returns a blank step file, or "".
func (s *spares) takeFile() string { return s.take(&s.files) }

// takeFolder returns a lease's folder with an empty home, or "".
func (s *spares) takeFolder() string { return s.take(&s.folders) }

func (s *spares) take(list *[]string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(*list)
	if n == 0 {
		return ""
	}
	path := (*list)[n-1]
	*list = (*list)[:n-1]
	return path
}

// keep moves a blank file or folder to the spares and reports whether it could.
func (s *spares) keep(list *[]string, path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(*list) >= maxSpares {
		return false
	}
	s.next++
	to := filepath.Join(s.dir, strconv.Itoa(s.next))
	if os.Rename(path, to) != nil {
		return false
	}
	*list = append(*list, to)
	return true
}

// retire disposes of an ended step's file. Nobody may have it open when clean.
func (s *spares) retire(file string, clean bool) error {
	if clean && shim.BlankStepFile(file) == nil && s.keep(&s.files, file) {
		return nil
	}
	return os.Remove(file)
}

// retireFolder keeps a lease's folder when nothing but an empty home is left in it.
func (s *spares) retireFolder(dir string) bool {
	home, err := os.Lstat(filepath.Join(dir, homeFolder))
	if err != nil || !home.IsDir() || home.Mode().Perm() != 0o700 {
		return false
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range es {
		switch e.Name() {
		case homeFolder:
			left, err := os.ReadDir(filepath.Join(dir, homeFolder))
			if err != nil || len(left) > 0 {
				return false
			}
		case recordFile, forgottenFile:
			if os.Truncate(filepath.Join(dir, e.Name()), 0) != nil {
				return false
			}
		default:
			return false
		}
	}
	return s.keep(&s.folders, dir)
}

// writeScript makes a step's script, of a file that an ended step of the lease left when there is one. Call it with l.mu held.
func (l *lease) writeScript(path string, text []byte) error {
	if n := len(l.scripts); n > 0 {
		spare := l.scripts[n-1]
		l.scripts = l.scripts[:n-1]
		_ = os.Rename(spare, path) // a step may have removed it: then the file is made
	}
	err := os.WriteFile(path, text, 0o700)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(l.work.Tmp, 0o755); err == nil {
			err = os.WriteFile(path, text, 0o700)
		}
	}
	return err
}

// retireScript empties an ended step's script and keeps the file for the lease's next one, or removes it. A file that a step has
// changed the nature of, or given another name, is not used again. Call it with l.mu held.
func (l *lease) retireScript(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if fi.Mode() != 0o700 || !onlyName(fi) || len(l.scripts) >= maxScripts || os.Truncate(path, 0) != nil {
		return os.Remove(path)
	}
	l.scripts = append(l.scripts, path)
	return nil
}

// maxScripts bounds the empty scripts in a lease's Tmp: as many as its steps may run side by side in ordinary pipelines.
const maxScripts = 8

// bury removes everything of a closed lease but its workspace. Call it with l.mu held, when nothing runs.
func (l *lease) bury() error {
	l.buried = true
	// First of all the record: without it the next agent removes the rest.
	errs := []error{os.Truncate(filepath.Join(l.dir, recordFile), 0)}
	for _, st := range l.steps {
		if !st.forgotten {
			errs = append(errs, l.h.spares.retire(st.file, st.readers == 0 && !st.exit.Lost))
		}
		if st.Capture && !st.forgotten {
			errs = append(errs, os.Remove(st.stdout()))
		}
	}
	errs = append(errs, emptyFolder(l.work.Tmp))
	if !l.h.spares.retireFolder(l.dir) {
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

// entomb remembers on disk that a step was forgotten.
func (l *lease) entomb(st *step) error {
	line, err := json.Marshal(st.Step)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, forgottenFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// loadForgotten reads what entomb wrote.
func (l *lease) loadForgotten() error {
	text, err := os.ReadFile(filepath.Join(l.dir, forgottenFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(text)) {
		var c claim
		if json.Unmarshal([]byte(line), &c.Step) != nil {
			continue // cut off: that Forget was not answered
		}
		st := l.newStep(c)
		st.forgotten = true
		close(st.done)
		l.enter(st)
		_ = os.Remove(st.file)
	}
	return nil
}

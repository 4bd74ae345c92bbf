package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/agent/host/shim"
)

// slot is a step file of a lease: a step's, or blank and waiting for the next one. Its name says nothing of its step, the
// claim in it does: so a short step renames and opens nothing. Guarded by the lease's mu.
type slot struct {
	path string
	file *os.File // nil while it is not open
	// readers have the file open: it is not used again.
	readers int
	gone    bool // to be closed by its last reader
}

const (
	// maxBlank bounds the blank slots of a lease: as many as its steps may run side by side in ordinary pipelines.
	maxBlank = 8
	// maxOpen is how many files a lease holds open of steps that have ended and that nobody reads.
	maxOpen = 64
)

// claimSlot puts a claim on disk, in a blank slot when there is one. Call it with l.mu held.
func (l *lease) claimSlot(c claim) (*slot, error) {
	for n := len(l.blank); n > 0; n = len(l.blank) {
		s := l.blank[n-1]
		l.blank = l.blank[:n-1]
		if !l.usable(s) {
			_ = l.destroy(s)
			continue
		}
		if err := shim.WriteClaim(s.file, c); err != nil {
			return nil, errors.Join(err, l.destroy(s))
		}
		return s, nil
	}
	l.slots++
	s := &slot{path: filepath.Join(l.dir, strconv.Itoa(l.slots)+stepSuffix)}
	var err error
	if s.file, err = shim.MakeStepFile(s.path, c); err != nil {
		return nil, err
	}
	l.opened++
	return s, nil
}

// usable opens a slot and reports whether its name still leads to it.
func (l *lease) usable(s *slot) bool {
	if l.open(s) != nil {
		return false
	}
	fi, err := s.file.Stat()
	return err == nil && named(fi)
}

// open opens a slot's file unless it is. Call it with l.mu held.
func (l *lease) open(s *slot) error {
	if s.file != nil {
		return nil
	}
	f, err := shim.OpenShared(s.path, true)
	if err == nil {
		s.file = f
		l.opened++
	}
	return err
}

func (l *lease) shut(s *slot) {
	if s.file != nil {
		_ = s.file.Close() // what was written is in the page cache
		s.file = nil
		l.opened--
	}
}

// read counts a reader of a slot's file, which unread ends. Call them with l.mu held.
func (l *lease) read(s *slot) error {
	if err := l.open(s); err != nil {
		return err
	}
	s.readers++
	return nil
}

func (l *lease) unread(st *step, s *slot) {
	s.readers--
	if s.gone && s.readers == 0 {
		l.shut(s)
		return
	}
	l.rest(st, s)
}

// rest closes the file of an ended step when the lease has many open. Call it with l.mu held.
func (l *lease) rest(st *step, s *slot) {
	if s.readers == 0 && l.opened > maxOpen && st.ended() {
		l.shut(s)
	}
}

// retire disposes of an ended step's file. Call it with l.mu held.
func (l *lease) retire(st *step) error {
	s := st.slot
	clean := s.readers == 0 && !st.exit.Lost // of a lost step nobody knows who still writes into it
	if clean && len(l.blank) < maxBlank && l.open(s) == nil && shim.BlankStepFile(s.file) == nil {
		l.blank = append(l.blank, s)
		return nil
	}
	return l.destroy(s)
}

// destroy removes a slot. Those who read it may go on. Call it with l.mu held.
func (l *lease) destroy(s *slot) error {
	if s.gone = true; s.readers == 0 {
		l.shut(s)
	}
	err := os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// letGo closes the lease's files when its Host ends: where files that are open cannot be removed, the next one must be able to.
func (l *lease) letGo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	slots := l.blank
	for _, st := range l.steps {
		if st.slot != nil {
			slots = append(slots, st.slot)
		}
	}
	for _, s := range slots {
		if s.gone = true; s.readers == 0 {
			l.shut(s)
		}
	}
	if l.graves != nil {
		_ = l.graves.Close() // each line was written at once
		l.graves = nil
	}
}

// exit reads a step's exit from its file, and record puts it there. Call them with l.mu held.
func (l *lease) exit(st *step) (shim.Exit, error) {
	if err := l.open(st.slot); err != nil {
		return shim.Exit{}, err
	}
	return shim.ReadExit(st.slot.file)
}

func (l *lease) record(st *step, e shim.Exit) error {
	if err := l.open(st.slot); err != nil {
		return err
	}
	return shim.WriteExit(st.slot.file, e)
}

// loadSlot takes over a slot of an earlier agent. Without a whole claim nothing was started: the file goes, and Start may
// come again.
func (l *lease) loadSlot(path string) error {
	if n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), stepSuffix)); err == nil {
		l.slots = max(l.slots, n)
	}
	s := &slot{path: path}
	if err := l.open(s); err != nil {
		return err
	}
	var c claim
	if err := shim.ReadClaim(s.file, &c); err != nil || c.Step == "" || l.steps[c.Step] != nil {
		if err := l.destroy(s); err != nil { // blank, being claimed or forgotten when that agent ended
			l.h.log.Warn("remove a step's file that nobody claims", "file", path, "err", err)
		}
		return nil
	}
	st := l.newStep(c)
	st.slot = s
	l.enter(st)
	l.running++
	if e, err := shim.ReadExit(s.file); err == nil {
		l.finish(st, e)
	}
	return nil
}

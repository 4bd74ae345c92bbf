package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/internal/fault"
)

// Watch finds out which of files that should not be needed are read. In place of each stands a decoy: a file with one empty line.
type Watch struct {
	work   string
	fd     int // of events: its File would make it block
	events *os.File
	dirs   map[int32]string // by watch, the folders with decoys
	decoys map[string]time.Time

	mu   sync.Mutex
	read map[string]bool
	done chan struct{}
}

// decoy is what stands in a decoy: something to read, for reading nothing is no event.
const decoy = "\n"

// StartWatch puts decoys at paths below the scratch's work folder where nothing stands, and watches them until Stop.
func StartWatch(s Scratch, paths []string) (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch for undeclared files: %w", err)
	}
	w := &Watch{work: s.Work(), fd: fd, events: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}, decoys: map[string]time.Time{}, read: map[string]bool{}, done: make(chan struct{})}
	if err := w.place(paths); err != nil {
		w.events.Close()
		return nil, fmt.Errorf("watch for undeclared files: %w", err)
	}
	go w.follow()
	return w, nil
}

func (w *Watch) place(paths []string) error {
	folders := map[string]bool{}
	for _, p := range paths {
		if !fs.ValidPath(p) {
			return fault.New(fault.Invalid, "%q: expected a relative path without dots", p)
		}
		file := filepath.Join(w.work, p)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(decoy)
		info, serr := f.Stat()
		if err := errors.Join(err, serr, f.Close()); err != nil {
			return err
		}
		w.decoys[p] = info.ModTime()
		folders[path.Dir(p)] = true
	}
	for dir := range folders {
		wd, err := unix.InotifyAddWatch(w.fd, filepath.Join(w.work, dir), unix.IN_ACCESS|unix.IN_CLOSE_NOWRITE)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		w.dirs[int32(wd)] = dir
	}
	return nil
}

// follow notes what is read until the watch is closed.
func (w *Watch) follow() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := w.events.Read(buf)
		if err != nil {
			return
		}
		w.note(buf[:n])
	}
}

func (w *Watch) note(events []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&events[0]))
		end := unix.SizeofInotifyEvent + int(e.Len)
		name, _, _ := bytes.Cut(events[unix.SizeofInotifyEvent:end], []byte{0})
		events = events[end:]
		if p := path.Join(w.dirs[e.Wd], string(name)); e.Mask&unix.IN_ISDIR == 0 {
			if _, is := w.decoys[p]; is {
				w.read[p] = true
			}
		}
	}
}

// Stop ends the watch, removes the decoys that nobody has written to, and returns those that were read, in order.
func (w *Watch) Stop() []string {
	var rest [64 << 10]byte
	w.events.SetReadDeadline(time.Now()) // what is there now is all there is: nothing runs any more
	<-w.done
	for {
		n, err := unix.Read(w.fd, rest[:])
		if err != nil || n <= 0 {
			break
		}
		w.note(rest[:n])
	}
	w.events.Close()
	for p, written := range w.decoys {
		file := filepath.Join(w.work, p)
		if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() && info.Size() == int64(len(decoy)) && info.ModTime().Equal(written) {
			os.Remove(file)
		}
	}
	var out []string
	for p := range w.read {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

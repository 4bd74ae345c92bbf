package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// maxFences bounds how many items are remembered after their leases have closed; the oldest are forgotten first.
// Beside it the controller's ledger refuses old epochs for ever.
const maxFences = 50_000

// fence is the highest epoch seen of an item.
type fence struct {
	Item   string `json:"item"`
	Epoch  uint64 `json:"epoch"`
	Closed bool   `json:"closed,omitempty"` // that epoch's lease was opened and closed, or closed before it came
}

// fences is an append-only file of fences, one JSON line each; the last line of an item counts.
type fences struct {
	path string

	mu    sync.Mutex
	file  *os.File
	last  map[string]fence
	order []string // items by their first line since the last rewrite, for forgetting
	lines int
	torn  bool // the file ends within a line: the next one begins with a line's end
}

func openFences(path string) (*fences, error) {
	f := &fences{path: path, last: map[string]fence{}}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	in := bufio.NewScanner(bytes.NewReader(text))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var e fence
		if json.Unmarshal(in.Bytes(), &e) == nil && e.Epoch >= f.last[e.Item].Epoch { // a torn last line is not a fence
			f.note(e)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.lines > 2*maxFences {
		if err := f.rewrite(); err == nil { // otherwise on a later write; a full disk must not keep the agent down
			return f, nil
		}
	}
	f.torn = len(text) > 0 && text[len(text)-1] != '\n'
	return f, f.reopen()
}

func (f *fences) note(e fence) {
	if _, known := f.last[e.Item]; !known {
		f.order = append(f.order, e.Item)
	}
	f.last[e.Item] = e
	f.lines++
}

// get returns the fence of item; its Epoch is 0 when the item was never seen.
func (f *fences) get(item string) fence {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last[item]
}

// raise puts e on disk if it is above what is there.
func (f *fences) raise(e fence) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.last[e.Item]; old.Epoch > e.Epoch || old == e || (old.Epoch == e.Epoch && old.Closed) {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if err := f.reopen(); err != nil {
		return fmt.Errorf("write fence: %w", err)
	}
	if f.torn {
		line = append([]byte{'\n'}, line...)
	}
	if n, err := f.file.Write(line); err != nil {
		f.torn = f.torn || n > 0
		return fmt.Errorf("write fence: %w", err)
	}
	f.torn = false
	f.note(e)
	if f.lines > 2*maxFences {
		return f.rewrite()
	}
	return nil
}

// rewrite replaces the file by one without outdated lines and, beyond maxFences, without the oldest closed items.
func (f *fences) rewrite() error {
	surplus := len(f.last) - maxFences
	var text bytes.Buffer
	var kept []string
	for _, item := range f.order {
		e := f.last[item]
		if surplus > 0 && e.Closed {
			surplus--
			delete(f.last, item)
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		text.Write(line)
		text.WriteByte('\n')
		kept = append(kept, item)
	}
	var errs []error
	if f.file != nil {
		errs = append(errs, f.file.Close()) // Windows replaces no file that is open
		f.file = nil
	}
	err := writeWhole(f.path, text.Bytes())
	if err == nil {
		f.order, f.lines, f.torn = kept, len(kept), false
	}
	return errors.Join(append(errs, err, f.reopen())...)
}

// reopen opens the file unless it is open.
func (f *fences) reopen() (err error) {
	if f.file == nil {
		f.file, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	}
	return err
}

func (f *fences) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

// writeWhole writes a file so that a reader, or a crash of this process, finds the old text or the new.
func writeWhole(path string, text []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := f.Write(text)
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

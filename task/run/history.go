package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"

	"github.com/outwork-build/outwork/task/graph"
)

// history remembers of each task the key that it had when it was last hit or built, and what that was made of. It is a cache: nothing
// depends on it but the reasons that people are told.
type history struct {
	dir string

	mu    sync.Mutex
	keys  map[string]string // hash of the key by task
	dirty bool
}

const keysFile = "keys.json"

func loadHistory(dir string) *history {
	h := &history{dir: dir, keys: map[string]string{}}
	if b, err := os.ReadFile(filepath.Join(dir, keysFile)); err == nil {
		_ = json.Unmarshal(b, &h.keys)
	}
	return h
}

// reasons says what is different from last time.
func (h *history) reasons(id, key string, parts func() []graph.Part) []string {
	h.mu.Lock()
	last := h.keys[id]
	h.mu.Unlock()
	switch last {
	case "":
		return []string{"it was never built here"}
	case key:
		return []string{"nothing changed; the cache lacks its result"}
	}
	var before []graph.Part
	b, err := os.ReadFile(h.file(id))
	if err == nil {
		err = json.Unmarshal(b, &before)
	}
	if err != nil {
		return []string{"what it was made of last time is not known any more"}
	}
	return graph.Changed(before, parts())
}

// note keeps what a key was made of, if it is another than last time.
func (h *history) note(id, key string, parts func() []graph.Part) {
	h.mu.Lock()
	same := h.keys[id] == key
	h.mu.Unlock()
	if same {
		return
	}
	b, err := json.Marshal(parts())
	if err != nil || replace(h.file(id), b) != nil {
		return // then nobody will be told
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[id], h.dirty = key, true
}

func (h *history) file(id string) string {
	return filepath.Join(h.dir, fileName(id)+".json")
}

func (h *history) save() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.dirty {
		return nil
	}
	b, err := json.Marshal(h.keys)
	if err != nil {
		return err
	}
	h.dirty = false
	return replace(filepath.Join(h.dir, keysFile), b)
}

// forget removes what is known of the tasks that keep does not want, and returns their keys.
func (h *history) forget(keep func(id string) bool) (keys []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, key := range h.keys {
		if !keep(id) {
			keys = append(keys, key)
			delete(h.keys, id)
			h.dirty = true
			_ = os.Remove(h.file(id)) // it is replaced when the task is built next
		}
	}
	return keys
}

package pipeline

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/outwork-build/outwork/pipeline/step"
)

// listeners are those who want to hear of a run's output. The zero value is ready.
type listeners struct {
	some atomic.Int32 // how many there are, for the common case of none

	mu   sync.Mutex
	next int
	all  map[int]listener
}

// listener wants the output of a thread from one of its calls on.
type listener struct {
	thread string // path, with a slash at its end unless it is the main one
	after  int    // number of the call
	heard  func()
}

// Listen implements step.Listener. While a call lasts, all that its thread does comes after it and is within it.
func (u *run) Listen(a step.Address, heard func()) (stop func()) {
	l := listener{heard: heard}
	l.thread, l.after = parted(string(a))
	h := &u.listeners
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[int]listener{}
	}
	h.next++
	id := h.next
	h.all[id] = l
	h.some.Add(1)
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.all, id)
		h.some.Add(-1)
	})
}

// parted divides the address of a call into its thread and its number.
func parted(a string) (thread string, n int) {
	i := strings.LastIndexByte(a, '/') + 1
	return a[:i], number(a[i:])
}

// number reads the digits that an address's last part begins with.
func number(s string) int {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}

// wants reports whether output at an address is of what the listener listens to. The text of a thread has "b:" and its path.
func (l listener) wants(a string) bool {
	if path, ok := strings.CutPrefix(a, "b:"); ok {
		if a = path + "/"; path == "" {
			a = ""
		}
		if a == l.thread {
			return true
		}
	}
	rest, ok := strings.CutPrefix(a, l.thread)
	return ok && number(rest) > l.after
}

func (h *listeners) tell(a string) {
	if h.some.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.all {
		if l.wants(a) {
			l.heard()
		}
	}
}

// heard is a stream whose bytes are told to listeners.
type heard struct {
	step.Stream
	to *listeners
	at string
}

// Stamp implements step.Stamper.
func (h heard) Stamp() { step.Stamped(h.Stream, true) }

func (h heard) Write(p []byte) (int, error) {
	h.to.tell(h.at)
	return h.Stream.Write(p)
}

func (h heard) WriteAt(p []byte, off int64) (int, error) {
	h.to.tell(h.at)
	return h.Stream.WriteAt(p, off)
}

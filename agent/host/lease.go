package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/shim"
	"github.com/outwork-build/outwork/internal/fault"
)

const (
	maxItem    = 512
	defaultTTL = 30 * time.Second
	maxEnv     = 1 << 20 // bytes of one request's environment
)

// record is lease.json: what the next agent must know of an open lease.
type record struct {
	Lease  agent.Lease       `json:"lease"`
	Build  string            `json:"build,omitempty"`
	Path   string            `json:"path"`
	Env    map[string]string `json:"env,omitempty"`
	Policy agent.Policy      `json:"policy"`
	TTL    time.Duration     `json:"ttl"`
	Boot   string            `json:"boot"`
	Shim   string            `json:"shim,omitempty"`
}

// lease is an open lease.
//
//	open ──▶ closing ──nothing runs, folders are gone──▶ closed
//	  └─the deadline passes─▶ expired ──▶ closing
type lease struct {
	h    *Host
	id   agent.Lease
	key  string // names its folder and its cookie
	dir  string
	work agent.Workspace

	mu       sync.Mutex
	rec      record
	steps    map[agent.StepID]*step
	byKey    map[string]*step
	running  int
	blank    []*slot  // files for the steps to come
	slots    int      // the highest number a slot was named by
	opened   int      // slots whose file is open
	graves   *os.File // the ids of forgotten steps; nil while none is
	torn     bool     // its last line is cut off
	around   surroundings
	shell    shell
	scripts  []string      // files in Tmp for the scripts of steps to come
	texts    int           // the highest number a script was named by
	link     *link         // nil while there is no shim
	unsure   chan struct{} // while a shim is there and does not answer; closed when it does or is gone
	deadline int64         // of a Kill lease, by shim.Now
	expired  bool
	closing  bool
	saved    bool          // its record is on disk
	buried   bool          // its files are gone
	released chan struct{} // closed when the shim has nothing of the lease left, or is gone; replaced with the link
	closed   chan struct{} // closed at the end of closing
}

// keyOf names a lease in paths and cookies. Items may hold anything.
func keyOf(l agent.Lease) string {
	sum := sha256.Sum256([]byte(l.Item))
	return hex.EncodeToString(sum[:10]) + "." + strconv.FormatUint(l.Epoch, 10)
}

func (h *Host) newLease(rec record) *lease {
	key := keyOf(rec.Lease)
	dir := h.own("lease", key)
	return &lease{h: h, id: rec.Lease, key: key, dir: dir, rec: rec,
		work:  agent.Workspace{Path: rec.Path, Tmp: rec.Path + tmpSuffix, Home: filepath.Join(dir, homeFolder), Tools: h.tools.Pinned(rec.Path)},
		steps: map[agent.StepID]*step{}, byKey: map[string]*step{}, closed: make(chan struct{})}
}

func checkLease(l agent.Lease) error {
	switch {
	case l.Item == "":
		return fault.New(fault.Invalid, "lease: item is empty")
	case !utf8.ValidString(l.Item):
		return fault.New(fault.Invalid, "lease %q: item is not UTF-8", l.Item)
	case len(l.Item) > maxItem:
		return fault.New(fault.Invalid, "lease: item has %d bytes, at most %d are allowed", len(l.Item), maxItem)
	case l.Epoch == 0:
		return fault.New(fault.Invalid, "lease %q: epoch is 0; epochs count from 1", l.Item)
	}
	return nil
}

func checkOpen(r *agent.OpenRequest) error {
	if err := checkLease(r.Lease); err != nil {
		return err
	}
	if r.Policy == "" {
		r.Policy = agent.Hold
	}
	if r.TTL == 0 {
		r.TTL = defaultTTL
	}
	switch {
	case r.Job == "" && r.Workspace == "":
		return fault.New(fault.Invalid, "lease %q: neither Job nor Workspace says where to work", r.Lease.Item)
	case r.Policy != agent.Hold && r.Policy != agent.Kill:
		return fault.New(fault.Invalid, "lease %q: policy %q: expected %q or %q", r.Lease.Item, r.Policy, agent.Hold, agent.Kill)
	case r.TTL < 0:
		return fault.New(fault.Invalid, "lease %q: TTL %v is negative", r.Lease.Item, r.TTL)
	}
	return checkEnv("Env", r.Env)
}

// Open opens a lease, or finds it open already.
func (h *Host) Open(ctx context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	var none agent.Workspace
	if err := checkOpen(&r); err != nil {
		return none, err
	}
	base, err := h.wanted(r.Job, r.Workspace)
	if err != nil {
		return none, err
	}
	unlock, err := h.items.lock(ctx, r.Lease.Item)
	if err != nil {
		return none, err
	}
	defer unlock()
	old, err := h.fenced(r.Lease)
	if err != nil {
		return none, err
	}
	if old != nil && old.id == r.Lease {
		return old.again()
	}
	if f := h.fences.get(r.Lease.Item); f.Epoch == r.Lease.Epoch && f.Closed {
		return none, fault.New(fault.Conflict, "lease %q epoch %d is closed: a new attempt needs a higher epoch", r.Lease.Item, r.Lease.Epoch)
	}
	if err := h.room(); err != nil {
		return none, err
	}
	if err := h.fences.raise(fence{Item: r.Lease.Item, Epoch: r.Lease.Epoch}); err != nil {
		return none, diskFault(err)
	}
	if old != nil {
		if err := old.close(ctx, "a newer attempt took over"); err != nil {
			return none, fmt.Errorf("end epoch %d of %q: %w", old.id.Epoch, old.id.Item, err)
		}
	}
	if h.cfg.Idle > 0 && h.pool.idleCount() <= 1 {
		defer h.background(h.pool.warm) // for the next lease
	}
	return h.open1(r, base)
}

// fenced refuses a lease below its item's fence, and returns the lease that is open for the item, if any.
func (h *Host) fenced(l agent.Lease) (*lease, error) {
	if h.stop.Err() != nil {
		return nil, errStopped()
	}
	if f := h.fences.get(l.Item); f.Epoch > l.Epoch {
		return nil, fault.New(fault.Stale, "lease %q: epoch %d is over, epoch %d has been seen", l.Item, l.Epoch, f.Epoch)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leases[l.Item], nil
}

// find returns the open lease that a call names.
func (h *Host) find(l agent.Lease) (*lease, error) {
	if err := checkLease(l); err != nil {
		return nil, err
	}
	found, err := h.fenced(l)
	if err != nil {
		return nil, err
	}
	if found == nil || found.id != l {
		return nil, fault.New(fault.NotFound, "lease %q epoch %d is not open on this machine", l.Item, l.Epoch)
	}
	return found, nil
}

// open1 makes a lease that is not there yet: its folders, its record, its shim.
func (h *Host) open1(r agent.OpenRequest, base string) (agent.Workspace, error) {
	l := h.newLease(record{Lease: r.Lease, Build: r.Build, Env: r.Env, Policy: r.Policy, TTL: r.TTL, Boot: h.boot})
	h.mu.Lock()
	if len(h.leases) >= h.cfg.MaxLeases {
		h.mu.Unlock()
		return agent.Workspace{}, fault.New(fault.Exhausted, "the machine has %d leases open, its limit", h.cfg.MaxLeases)
	}
	path, err := h.place(base, l)
	if err != nil {
		h.mu.Unlock()
		return agent.Workspace{}, err
	}
	l.rec.Path, l.work.Path, l.work.Tmp = path, path, path+tmpSuffix
	h.leases[r.Lease.Item] = l
	h.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.make(); err != nil {
		h.drop(l)
		return agent.Workspace{}, errors.Join(diskFault(err), h.discard(l.dir))
	}
	return l.work, nil
}

// make writes a new lease to disk and gives it a shim. Call it with l.mu held.
func (l *lease) make() error {
	for _, dir := range []string{l.work.Path, l.work.Tmp} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if spare, ok := l.h.spares.take(); !ok || !l.moveIn(spare) {
		if err := os.MkdirAll(l.work.Home, 0o700); err != nil {
			return err
		}
	}
	l.work.Tools = l.h.tools.Pin(l.work.Path)
	if l.rec.Policy == agent.Kill {
		l.deadline = shim.Now() + int64(l.rec.TTL)
	}
	return l.hire()
}

// hire gives the lease a shim and writes the record that names it. Call it with l.mu held.
func (l *lease) hire() error {
	k, err := l.h.pool.take()
	if err != nil {
		return fault.With(fault.Unavailable, err)
	}
	l.rec.Shim, l.rec.Boot = k.id, l.h.boot
	if err := l.save(); err != nil {
		l.h.pool.give(k)
		return err
	}
	k.serve(l)
	l.link, l.released = k, make(chan struct{})
	l.around = l.surround("")
	k.surrounded = l.around.list != nil
	if err := k.send(shim.Message{Kind: shim.KindLease, Lease: l.key, Folder: l.dir, Deadline: l.deadline, Env: l.around.list}); err != nil {
		l.h.log.Warn("shim did not take its lease", "lease", l.id, "err", err)
	}
	return nil
}

func (l *lease) save() error {
	text, err := json.Marshal(l.rec)
	if err != nil {
		return err
	}
	path := filepath.Join(l.dir, recordFile)
	if !l.saved { // a new lease's record that was cut off is none; the spare's file is used
		err = os.WriteFile(path, text, 0o600)
		l.saved = err == nil
		return err
	}
	return writeWhole(path, text)
}

// again answers an Open of a lease that is open.
func (l *lease) again() (agent.Workspace, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return agent.Workspace{}, fault.New(fault.Conflict, "lease %q epoch %d is being closed", l.id.Item, l.id.Epoch)
	}
	return l.work, nil
}

// drop forgets a lease: its workspace is free.
func (h *Host) drop(l *lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tools.Release(l.work.Path)
	delete(h.places, l.work.Path)
	if h.leases[l.id.Item] == l {
		delete(h.leases, l.id.Item)
	}
}

// diskFault gives an error of a full disk its kind.
func diskFault(err error) error {
	if err != nil && isFull(err) {
		return fault.With(fault.Exhausted, err)
	}
	return err
}

// room refuses new work while there is still room for what runs.
func (h *Host) room() error {
	if h.cfg.MinFree < 0 {
		return nil
	}
	free, err := freeBytes(h.cfg.Root)
	if err == nil && free < h.cfg.MinFree {
		return fault.New(fault.Exhausted, "the disk of %s has %d bytes free, less than the %d this agent keeps: make room", h.cfg.Root, free, h.cfg.MinFree)
	}
	return nil
}

func checkEnv(where string, env map[string]string) error {
	size := 0
	for name, value := range env {
		size += len(name) + len(value) + 2
		bare, _, _ := strings.Cut(name, "+")
		switch {
		case bare == "" || strings.ContainsAny(name, "=\x00"):
			return fault.New(fault.Invalid, "%s: %q is not a variable's name", where, name)
		case strings.ContainsRune(value, 0):
			return fault.New(fault.Invalid, "%s: the value of %s holds a NUL byte", where, name)
		}
	}
	if size > maxEnv {
		return fault.New(fault.Invalid, "%s: %d bytes of variables, at most %d are allowed: use a file", where, size, maxEnv)
	}
	return nil
}

// Package tools keeps a folder of tools on an agent like a tree of the controller: the folder is exchanged as a whole, and a lease
// keeps the state that it began with.
//
//	DIR/v/N/tree             one state of the folder; the files that it shares with the state before are hard links
//	DIR/v/N/root, entries    the digest of its tree, and what it was when it was made; a state is whole when it has its name
//	DIR/v/N.part, N.old      one that is being made, one that is being removed
//	DIR/fetched/HASH         blobs that are here, for a sync that is cut off and comes again
//	DIR/at/KEY               a link to the state that a lease began with; KEY is of its workspace, so that builds in one workspace
//	                         find their tools under the same path each time
//	LINK                     a link to the newest state
//
// A state that no lease and not LINK leads to is removed. Steps may run as the user that owns all this, so a state is looked through
// before it is taken for what it was. All methods may be called concurrently.
package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config says what Tools work on. Everything must be set but Log.
type Config struct {
	Dir  string    // the agent's own folder for it
	Link string    // where people find the tools
	CAS  cas.Store // nil: Sync refuses
	// Free is how many bytes may still be written to Dir.
	Free func() (int64, error)
	// Full reports whether an error says that the disk is full.
	Full func(error) bool
	// Discard removes a folder of the agent's own, now or later.
	Discard func(dir string) error
	// Background runs f beside its caller.
	Background func(f func())
	Log        *slog.Logger // nil discards
}

// Tools is a folder of tools. Open makes it.
type Tools struct {
	cfg     Config
	syncing chan struct{} // holds one token: whoever has it may make a state

	mu      sync.Mutex
	current string            // the state that Link leads to; "" is none
	pins    map[string]string // states of open leases, by KEY
	needed  string            // the state that a sync takes files from
}

// Open finds the states that are there. It makes nothing: most machines have no tools.
func Open(cfg Config) *Tools {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tools{cfg: cfg, syncing: make(chan struct{}, 1), pins: map[string]string{}}
	t.current, _ = t.leads(cfg.Link)
	links, err := os.ReadDir(t.at())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		cfg.Log.Warn("cannot tell which tools the open leases have", "error", err)
	}
	for _, l := range links {
		key := strings.TrimSuffix(l.Name(), besideSuffix)
		if state, ok := t.leads(t.at(key)); ok {
			t.pins[key] = state
		}
	}
	return t
}

const (
	partSuffix = ".part"
	oldSuffix  = ".old"
	// besideSuffix ends the name of a file beside a link that says where it leads, on systems that may not have made it.
	besideSuffix = ".leads"
	rootFile     = "root"
	entriesFile  = "entries"
	treeFolder   = "tree"
)

func (t *Tools) states(elem ...string) string {
	return filepath.Join(append([]string{t.cfg.Dir, "v"}, elem...)...)
}

func (t *Tools) at(elem ...string) string {
	return filepath.Join(append([]string{t.cfg.Dir, "at"}, elem...)...)
}

// tree is the folder of a state.
func (t *Tools) tree(state string) string { return t.states(state, treeFolder) }

// leads returns the state that a link of ours leads to, when that is there.
func (t *Tools) leads(link string) (state string, ok bool) {
	target, err := follow(link)
	if err != nil {
		return "", false
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	rel, err := filepath.Rel(t.states(), target)
	if err != nil {
		return "", false
	}
	state, rest, _ := strings.Cut(filepath.ToSlash(rel), "/")
	if _, err := strconv.ParseUint(state, 10, 64); err != nil || rest != treeFolder {
		return "", false
	}
	_, err = os.Lstat(t.states(state, rootFile))
	return state, err == nil
}

func keyOf(workspace string) string {
	sum := sha256.Sum256([]byte(workspace))
	return hex.EncodeToString(sum[:10])
}

// Pin gives the lease that works in a workspace the newest state, until Release, and returns its path: "" when there are no tools.
// A workspace that has a state keeps it.
func (t *Tools) Pin(workspace string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := keyOf(workspace)
	if t.pins[key] == "" {
		if t.current == "" {
			return ""
		}
		err := os.MkdirAll(t.at(), 0o700)
		if err == nil {
			err = point(t.at(key), t.tree(t.current))
		}
		if err != nil {
			t.cfg.Log.Warn("a lease's tools have no path of their own", "workspace", workspace, "error", err)
		}
		t.pins[key] = t.current
	}
	return t.pinned(key)
}

// Pinned is the path that Pin gave the workspace's lease; "" is none.
func (t *Tools) Pinned(workspace string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pinned(keyOf(workspace))
}

// pinned is the path of a pin. mu is held.
func (t *Tools) pinned(key string) string {
	state := t.pins[key]
	if state == "" {
		return ""
	}
	// Windows' junctions are absolute: files are not opened through them by who must stay within a folder.
	if at, ok := t.leads(t.at(key)); ok && at == state && runtime.GOOS != "windows" {
		return t.at(key)
	}
	return t.tree(state)
}

// Release ends what Pin began.
func (t *Tools) Release(workspace string) {
	t.mu.Lock()
	state, pinned := t.unpin(keyOf(workspace))
	outdated := pinned && state != t.current
	t.mu.Unlock()
	if outdated {
		t.cfg.Background(t.sweep)
	}
}

// unpin ends a pin. mu is held.
func (t *Tools) unpin(key string) (state string, pinned bool) {
	if state, pinned = t.pins[key]; !pinned {
		return "", false
	}
	delete(t.pins, key)
	if err := unlink(t.at(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.cfg.Log.Warn("remove the path of a lease's tools", "error", err)
	}
	return state, true
}

// Retain ends the pins of all workspaces but these.
func (t *Tools) Retain(workspaces []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := map[string]bool{}
	for _, w := range workspaces {
		known[keyOf(w)] = true
	}
	for key := range t.pins {
		if !known[key] {
			t.unpin(key)
		}
	}
}

// sweep removes the states that nobody needs.
func (t *Tools) sweep() {
	for _, dir := range t.retire() {
		if err := t.cfg.Discard(dir); err != nil {
			t.cfg.Log.Warn("remove tools that are not used any more", "error", err)
		}
	}
}

// retire takes the names from the states that nobody needs, and returns what is left of them.
func (t *Tools) retire() (dirs []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	used := map[string]bool{t.current: true, t.needed: true}
	for _, state := range t.pins {
		used[state] = true
	}
	for _, state := range t.whole() {
		if used[state] {
			continue
		}
		old := t.states(state + oldSuffix)
		if err := os.Rename(t.states(state), old); err != nil {
			t.cfg.Log.Warn("remove tools that are not used any more", "error", err)
			continue
		}
		dirs = append(dirs, old)
	}
	return dirs
}

// whole lists the states that are complete.
func (t *Tools) whole() (states []string) {
	es, _ := os.ReadDir(t.states())
	for _, e := range es {
		if _, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			states = append(states, e.Name())
		}
	}
	return states
}

// next is the name of a state to come.
func (t *Tools) next() string {
	var newest uint64
	for _, state := range t.whole() {
		n, _ := strconv.ParseUint(state, 10, 64)
		newest = max(newest, n)
	}
	return strconv.FormatUint(newest+1, 10)
}

// claim makes sure that Link may be ours.
func (t *Tools) claim() error {
	if _, err := os.Lstat(t.cfg.Link); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if target, err := os.Readlink(t.cfg.Link); err == nil && strings.Contains(target, filepath.Join(filepath.Base(t.cfg.Dir), "v")) {
		return nil // ours, whether or not what it leads to is there
	}
	return fault.New(fault.Conflict, "%s is there and was not made by tool sync: move it away, and sync again", t.cfg.Link)
}

// exchange makes a state the newest.
func (t *Tools) exchange(state string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now, ok := t.leads(t.cfg.Link); !ok || now != state {
		if err := point(t.cfg.Link, t.tree(state)); err != nil {
			return fmt.Errorf("exchange the tools: %w", err)
		}
		if err := syncFolder(filepath.Dir(t.cfg.Link)); err != nil {
			t.cfg.Log.Warn("the new tools may be the old ones again if the machine fails now", "error", err)
		}
	}
	t.current = state
	return nil
}

// Sync implements agent.Toolkeeper.
func (t *Tools) Sync(ctx context.Context, r agent.ToolsRequest) (agent.ToolsSynced, error) {
	select {
	case t.syncing <- struct{}{}:
		defer func() { <-t.syncing }()
	case <-ctx.Done():
		return agent.ToolsSynced{}, context.Cause(ctx)
	}
	done, err := t.sync(ctx, r)
	done.Path = t.cfg.Link
	if err != nil && t.cfg.Full(err) {
		err = fault.New(fault.Exhausted, "sync the tools: the disk of %s is full, the tools are as they were: %w", t.cfg.Dir, err)
	} else if err != nil {
		err = fmt.Errorf("sync the tools: %w", err)
	}
	return done, err
}

func (t *Tools) sync(ctx context.Context, r agent.ToolsRequest) (done agent.ToolsSynced, err error) {
	if t.cfg.CAS == nil {
		return done, fault.New(fault.Invalid, "this machine has no way to the controller's storage")
	}
	if err := errors.Join(r.Root.Validate(), checkKeep(r.Keep)); err != nil {
		return done, fault.With(fault.Invalid, err)
	}
	if err := t.claim(); err != nil {
		return done, err
	}
	if err := os.MkdirAll(t.states(), 0o700); err != nil {
		return done, err
	}
	t.clear()
	before := t.before(r.Root)
	defer func() { t.cfg.Background(t.sweep) }() // thousands of files take a while
	defer t.take("")
	if before.root == r.Root && before.sound(r.Keep) {
		done.Changed = before.name != t.now()
		return done, t.exchange(before.name)
	}
	b := &builder{t: t, before: before, request: r, name: t.next()}
	if err := b.make(ctx); err != nil {
		return b.done, errors.Join(err, t.cfg.Discard(t.states(b.name+partSuffix)))
	}
	b.done.Changed = true
	return b.done, t.exchange(b.name)
}

// now is the newest state.
func (t *Tools) now() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// take says which state a sync needs.
func (t *Tools) take(state string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.needed = state
}

// clear removes what a sync that was cut off has left, but for the blobs it had.
func (t *Tools) clear() {
	es, _ := os.ReadDir(t.states())
	for _, e := range es {
		if strings.HasSuffix(e.Name(), partSuffix) || strings.HasSuffix(e.Name(), oldSuffix) {
			if err := t.cfg.Discard(t.states(e.Name())); err != nil {
				t.cfg.Log.Warn("remove tools that were never whole", "error", err)
			}
		}
	}
}

func checkKeep(keep []string) error {
	if len(keep) > 1000 {
		return fault.New(fault.Invalid, "keep: %d folders, expected at most 1000", len(keep))
	}
	for _, k := range keep {
		if k != "" && (!fs.ValidPath(k) || k == "." || !filepath.IsLocal(filepath.FromSlash(k))) {
			return fault.New(fault.Invalid, "keep: %q: expected a relative path without dots", k)
		}
	}
	return nil
}

// kept reports whether what is not in the tree may stand at a path: in a folder to keep, or as one on the way to it.
func kept(keep []string, path string) bool {
	for _, k := range keep {
		if k == "" || path == k || strings.HasPrefix(path, k+"/") || strings.HasPrefix(k, path+"/") {
			return true
		}
	}
	return false
}

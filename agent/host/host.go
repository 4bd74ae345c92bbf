// Package host is the agent.Machine that is this computer: processes, workspaces and files.
//
// Every open lease has a shim (agent/host/shim), a process apart that owns the lease's steps and lives on when the agent
// does not. All that must survive the agent is on its disk before it is acted upon:
//
//	ROOT/workspace/JOB[@N]        workspaces, and JOB[@N]@tmp beside each
//	ROOT/.outwork/fences          the highest epoch seen of each item
//	ROOT/.outwork/lease/KEY/      one open lease: lease.json, home/, forgotten, for each step a file N.step (its claim, exit
//	                                and output) and, when captured, KEY.stdout
//	ROOT/.outwork/run/ID          the shims' sockets, or where they are to be reached
//	ROOT/.outwork/tools           states of the folder of tools; ROOT/tools leads to the newest
//	ROOT/.outwork/spare, trash    blank folders for the next leases; what could not be removed at once
//
// Writes survive the death of the agent's and the shim's process, not of the machine: nothing runs after that, so steps
// without an exit are Lost then. The package decides nothing and knows no controller; agent/serve brings it on a wire.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/shim"
	"github.com/outwork-build/outwork/agent/host/tools"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/privacy"
)

// MaybeShim runs a shim and never returns when this process was started as one. Call it first thing in main, and in
// TestMain of tests that use a Host.
func MaybeShim() { shim.Main() }

// Relax executes this program again, once, with timers that may be late by a millisecond: an agent takes a fifth less CPU time
// so. It is not for programs that wait for disks, whose threads Go's monitor must relieve soon. Call it in main after MaybeShim,
// before anything has been done, and in no test: what was done before is done twice.
func Relax() { shim.Relax() }

// Config says what a Host is made of. Only Root is required.
type Config struct {
	Root string    // the agent's folder; made when missing
	CAS  cas.Store // for Pack and Unpack; nil refuses them
	// Shim is the argv prefix that executes this binary again; its main must call MaybeShim. Empty is the running
	// executable, by a path that an upgrade does not pull away.
	Shim    []string
	Log     *slog.Logger // nil discards
	Version string       // Outwork's, for Describe

	Environ []string          // what steps inherit, filtered (see Inherited); nil is os.Environ()
	PassEnv []string          // names in Environ that pass although the filter would drop them
	Env     map[string]string // the node's own variables, over Environ; NAME+X prepends

	MaxLeases    int           // open at once; 0 is 256
	MaxSteps     int           // of one lease, forgotten ones included; 0 is 100,000
	MaxRunning   int           // steps of one lease at once; 0 is 2,048
	MaxFollowers int           // Follow calls at once; 0 is 4,096
	MaxOutput    int64         // bytes of a step that does not say; 0 is 1 GiB
	MinFree      int64         // bytes: with less on the disk of Root, Open and Start refuse; 0 is 16 MiB, negative no check
	CloseGrace   time.Duration // between TERM and KILL at Close; 0 is 5 s, negative KILL at once
	Idle         int           // shims kept for the next leases; 0 is 8, negative none
}

func (c *Config) fill() error {
	if c.Root == "" {
		return fault.New(fault.Invalid, "host: Root is empty: give the agent a folder")
	}
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return err
	}
	c.Root = root
	if len(c.Shim) == 0 {
		exe, err := self()
		if err != nil {
			return fmt.Errorf("find the agent's own binary: %w", err)
		}
		c.Shim = []string{exe}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Environ == nil {
		c.Environ = os.Environ()
	}
	def(&c.MaxLeases, 256)
	def(&c.MaxSteps, 100_000)
	def(&c.MaxRunning, 2048)
	def(&c.MaxFollowers, 4096)
	def(&c.MaxOutput, 1<<30)
	def(&c.MinFree, 16<<20)
	def(&c.CloseGrace, 5*time.Second)
	def(&c.Idle, 8)
	return checkEnv("Config.Env", c.Env)
}

func def[T int | int64 | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Host is this computer as a Machine. New makes it, Run keeps it; its methods work from New until Run has returned.
type Host struct {
	cfg       Config
	log       *slog.Logger
	boot      string
	shells    []string
	inherited []string // of cfg.Environ, by all steps
	git       bool

	lock   *os.File // held while this Host owns the folder
	fences *fences
	pool   *pool
	spares *spares
	gauge  *Gauge
	tools  *tools.Tools
	items  keyed // one Open or Close of an item at a time

	mu     sync.Mutex
	leases map[string]*lease // by item: at most one is open
	places map[string]*lease // workspaces in use, by path

	followers atomic.Int64
	stop      context.Context // ends when Run does
	stopped   context.CancelFunc
	ending    sync.Mutex     // held while stop ends, so that background starts nothing after it
	wg        sync.WaitGroup // goroutines that must end before Run returns
}

var _ agent.Machine = (*Host)(nil)

// New opens the folder, finds the leases in it again and connects to their shims. What ended meanwhile, it knows then.
func New(cfg Config) (*Host, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	h := &Host{cfg: cfg, log: cfg.Log, boot: bootID(), leases: map[string]*lease{}, places: map[string]*lease{}}
	h.shells, h.git = programs(cfg.Environ)
	h.gauge = NewGauge(cfg.Root)
	h.inherited = Inherited(cfg.Environ, cfg.PassEnv)
	h.stop, h.stopped = context.WithCancel(context.Background())
	if err := os.MkdirAll(filepath.Join(cfg.Root, "workspace"), 0o755); err != nil {
		return nil, fmt.Errorf("agent folder: %w", err)
	}
	if err := privacy.Make(h.own()); err != nil {
		return nil, fmt.Errorf("agent folder: keep other users out of %s: %w", h.own(), err)
	}
	for _, dir := range []string{h.own("lease"), h.own("run"), h.own("trash")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("agent folder: %w", err)
		}
	}
	var err error
	if h.lock, err = lockSoon(h.own("lock")); err != nil {
		return nil, fault.New(fault.Conflict, "agent folder %s: another agent works in it (%w): stop it or choose another folder", cfg.Root, err)
	}
	if h.spares, err = openSpares(h.own("spare")); err != nil {
		return nil, errors.Join(fmt.Errorf("agent folder: %w", err), h.lock.Close())
	}
	if h.fences, err = openFences(h.own("fences")); err != nil {
		return nil, errors.Join(fmt.Errorf("agent folder: %w", err), h.lock.Close())
	}
	h.tools = h.openTools()
	if h.pool, err = newPool(h); err != nil {
		return nil, errors.Join(err, h.fences.close(), h.lock.Close())
	}
	if err := h.adopt(); err != nil {
		h.shutdown()
		return nil, fmt.Errorf("agent folder: find leases again: %w", err)
	}
	return h, nil
}

// lockSoon takes the folder's lock. An agent that was killed while it forked leaves the lock for a moment with its child.
func lockSoon(path string) (*os.File, error) {
	const pause, tries = 20 * time.Millisecond, 50
	f, err := lockFile(path)
	for n := 0; err != nil && n < tries; n++ {
		time.Sleep(pause)
		f, err = lockFile(path)
	}
	return f, err
}

// own is a path in the part of Root that is the agent's own.
func (h *Host) own(elem ...string) string {
	return filepath.Join(append([]string{h.cfg.Root, ownFolder}, elem...)...)
}

const ownFolder = ".outwork"

// Run keeps a shim ready and the folder tidy until ctx ends. Then it lets go of everything: running steps go on under
// their shims, and the next New over the same folder finds them.
func (h *Host) Run(ctx context.Context) error {
	defer h.shutdown()
	h.pool.warm()
	h.emptyTrash()
	tidy := time.NewTicker(time.Minute)
	defer tidy.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tidy.C:
			h.pool.shrink()
			h.emptyTrash()
		}
	}
}

// shutdown lets go of shims and waits for the Host's goroutines.
func (h *Host) shutdown() {
	h.ending.Lock()
	h.stopped()
	h.ending.Unlock()
	h.pool.shutdown()
	h.wg.Wait()
	for _, l := range h.open() {
		l.letGo()
	}
	_ = h.pool.log.Close()
	if err := h.fences.close(); err != nil {
		h.log.Error("close fences", "err", err)
	}
	if err := h.lock.Close(); err != nil {
		h.log.Error("unlock folder", "err", err)
	}
}

// background runs f beside its caller, unless the Host is ending. Run waits for it.
func (h *Host) background(f func()) {
	h.ending.Lock()
	defer h.ending.Unlock()
	if h.stop.Err() == nil {
		h.wg.Go(f)
	}
}

// errStopped answers calls to a Host whose Run has ended.
func errStopped() error { return fault.New(fault.Unavailable, "the agent is shutting down") }

// Stats counts what the Host holds now, beside the limits of its Config.
type Stats struct {
	Leases, Steps, Running, Followers, IdleShims int
	Spawned, Reused                              uint64 // shims started, and taken again for a further lease
}

// Stats returns the present counts.
func (h *Host) Stats() Stats {
	s := Stats{Followers: int(h.followers.Load()), Spawned: h.pool.spawned.Load(), Reused: h.pool.reused.Load()}
	s.IdleShims = h.pool.idleCount()
	for _, l := range h.open() {
		all, running := l.count()
		s.Leases++
		s.Steps += all
		s.Running += running
	}
	return s
}

// open returns the open leases.
func (h *Host) open() []*lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	ls := make([]*lease, 0, len(h.leases))
	for _, l := range h.leases {
		ls = append(ls, l)
	}
	return ls
}

// discard removes a folder of the agent's own. It is out of the way at once, whatever happens to the rest.
func (h *Host) discard(dir string) error { return h.discardAs(dir, filepath.Base(dir)) }

// discardAs is discard of a folder whose name others have too; name is its name in the trash.
func (h *Host) discardAs(dir, name string) error {
	trash := h.own("trash", name)
	if err := os.Rename(dir, trash); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		trash = dir
	}
	return removeAll(trash)
}

// emptyTrash removes what discard could not.
func (h *Host) emptyTrash() {
	es, err := os.ReadDir(h.own("trash"))
	if err != nil {
		h.log.Error("read trash", "err", err)
	}
	for _, e := range es {
		if err := removeAll(h.own("trash", e.Name())); err != nil {
			h.log.Error("empty trash", "err", err)
		}
	}
}

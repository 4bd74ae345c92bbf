// Package tools mirrors folders of the controller to the nodes of its farm: compilers, runtimes, what the builds of a site need.
//
// A Service looks through the folders of its entries, makes of them one tree for each kind of node, and has the agents make their
// tools like it (agent.Toolkeeper): when a node connects, when a look finds something changed, and when somebody asks. Bytes are
// read once, until they change, and kept nowhere else: agents get them from the folder itself, through Store.
//
// What cannot be looked through changes nothing on any node. All methods may be called concurrently.
package tools

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/signal"
)

// Nodes is what a Service needs of the roster.
type Nodes interface {
	Subscribe() (changed <-chan struct{}, cancel func())
	Snapshot() []fleet.Status
	Node(n fleet.NodeName) (fleet.Status, bool)
	WaitMachine(ctx context.Context, n fleet.NodeName) (agent.Machine, uint64, error)
	Hold(ctx context.Context, n fleet.NodeName, session uint64, cause *fleet.OfflineCause) (there bool, err error)
	Warn(ctx context.Context, n fleet.NodeName, cause fleet.OfflineCause) error
	Note(ctx context.Context, n fleet.NodeName, text string) error
}

// Config says what a Service stands on. Nodes may be set later, by Look; everything else has a default.
type Config struct {
	Own      string        // the controller's data folder, which no entry may hold
	Cache    string        // file that remembers what was read; "" remembers nothing over a restart
	Every    time.Duration // between two looks at the folders; 0 is 5 min
	Parallel int           // nodes that are synced at once; 0 is 4
	Now      func() time.Time
	Log      *slog.Logger // nil discards
	Registry prometheus.Registerer
}

// States of a node's tools.
const (
	None    = ""        // it gets none
	Waiting = "waiting" // it is not connected, or not yet looked at
	Syncing = "syncing"
	Synced  = "synced"
	Failed  = "failed"
)

// State is what is known of a node's tools.
type State struct {
	State    string
	Root     cas.Digest // of the tree that the node has, or should have
	Path     string     // of the tools on the node
	Files    int        // of the tree
	Bytes    int64
	Fetched  int64 // blobs that the last sync moved
	Moved    int64 // bytes of them
	Changed  bool  // the last sync changed something
	Took     time.Duration
	At       time.Time // of the last sync that succeeded
	Error    string    // why the last did not
	Warnings []string  // what the tree lacks, and why
}

// Look is what was found in an entry's folder last.
type Look struct {
	Entry
	Files    int
	Bytes    int64
	Read     int       // files whose bytes were read
	At       time.Time // zero: not yet
	Took     time.Duration
	Error    string // why the last look failed; Files and Bytes are of the one before
	Problems []string
}

// Service is the mirror. New makes it, Run runs it once.
type Service struct {
	cfg     Config
	nodes   Nodes
	shelf   shelf
	metrics *metrics
	kick    chan struct{}
	slots   chan struct{} // one token for each node that is synced
	changed signal.Set

	looking chan struct{} // holds one token: whoever has it may look
	scanner scanner

	mu       sync.Mutex
	entries  []Entry
	era      int // of entries: it grows when they change
	looked   int // of scans
	scans    []*scan
	looks    []Look
	composed map[string]*composed // by plan, of the present scans
	known    map[fleet.NodeName]*node
}

// node is what is done for one node. mu of the Service guards it.
type node struct {
	state   State
	session uint64    // of the last try
	made    time.Time // the node that it was, of those that had its name one after another
	want    cas.Digest
	again   time.Time     // when a try that failed is repeated
	busy    chan struct{} // closed when the sync that runs has ended; nil while none does
	queued  bool          // one is about to begin
}

// New makes a Service without entries.
func New(cfg Config) (*Service, error) {
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Minute
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 4
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, kick: make(chan struct{}, 1), slots: make(chan struct{}, cfg.Parallel), looking: make(chan struct{}, 1),
		composed: map[string]*composed{}, known: map[fleet.NodeName]*node{}}
	s.scanner = scanner{cache: map[string]known{}, now: cfg.Now, own: cfg.Own}
	s.recall()
	var err error
	s.metrics, err = newMetrics(cfg.Registry)
	return s, err
}

// Look makes nodes those that are looked after. Call it once, before Run.
func (s *Service) Look(nodes Nodes) { s.nodes = nodes }

// Store is a store that also has the bytes of the tools: for the agents.
func (s *Service) Store(under cas.Store) cas.Store { return over{under, &s.shelf} }

// Set replaces the entries, which were checked.
func (s *Service) Set(entries []Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = slices.Clone(entries)
	s.era++
	s.scans, s.looks = make([]*scan, len(entries)), make([]Look, len(entries))
	for i, e := range entries {
		s.looks[i].Entry = e
	}
	s.composed = map[string]*composed{}
	s.wake()
}

func (s *Service) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Subscribe signals, without content, that a State would read differently.
func (s *Service) Subscribe() (changed <-chan struct{}, cancel func()) { return s.changed.Subscribe() }

// Looks tells what was found in the entries' folders, in their order.
func (s *Service) Looks() []Look {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.looks)
}

// State tells what is known of a node's tools.
func (s *Service) State(n fleet.NodeName) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.known[n]; k != nil {
		return k.state
	}
	return State{}
}

// Hold is fleet.Config.Hold: a node with a required entry takes no work before it has it.
func (s *Service) Hold(st fleet.Status) *fleet.OfflineCause {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.required(st) {
		return nil
	}
	return cause("It takes no work before its tools are synced", s.cfg.Now())
}

func cause(text string, now time.Time) *fleet.OfflineCause {
	return &fleet.OfflineCause{Kind: fleet.CauseTools, Text: text, When: now.UTC()}
}

// required reports whether a node needs an entry. mu is held.
func (s *Service) required(st fleet.Status) bool {
	return slices.ContainsFunc(s.entries, func(e Entry) bool { return e.Required && e.wants(st) })
}

// of returns what is done for a node. mu is held.
func (s *Service) of(n fleet.NodeName) *node {
	k := s.known[n]
	if k == nil {
		k = &node{}
		s.known[n] = k
	}
	return k
}

// errNotYet is why it is not known what a node should have.
var errNotYet = fault.New(fault.Unavailable, "not looked through yet")

// want returns the tree that a node should have: nil when it gets none. An entry of it that could not be looked through is an error.
func (s *Service) want(st fleet.Status) (*composed, error) {
	for {
		s.mu.Lock()
		entries, era, looked := s.entries, s.era, s.looked
		parts, err := s.planned(st)
		if err != nil || len(parts) == 0 {
			s.mu.Unlock()
			return nil, err
		}
		key, scans := fmt.Sprint(parts), s.scans
		c := s.composed[key]
		s.mu.Unlock()
		if c != nil {
			return c, nil
		}
		if c, err = compose(entries, scans, parts); err != nil {
			return nil, err
		}
		s.mu.Lock()
		current := s.era == era && s.looked == looked
		if current {
			s.composed[key] = c
			s.shelf.add(c.manifests)
		}
		s.mu.Unlock()
		if current {
			return c, nil
		}
	}
}

// planned is the plan of a node, all of whose entries were looked through. mu is held.
func (s *Service) planned(st fleet.Status) ([]part, error) {
	parts, err := plan(s.entries, st)
	for _, p := range parts {
		switch l := s.looks[p.index]; {
		case l.Error != "":
			return nil, fault.New(fault.Unavailable, "tools %q: %s", l.Title(), l.Error)
		case s.scans[p.index] == nil:
			return nil, fmt.Errorf("tools %q: %w", l.Title(), errNotYet)
		}
	}
	return parts, err
}

// Run looks at the folders and keeps the nodes' tools like them until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if s.nodes == nil {
		return errors.New("tools: Look was not called")
	}
	changed, cancel := s.nodes.Subscribe()
	defer cancel()
	every := time.NewTicker(s.cfg.Every)
	defer every.Stop()
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	var syncs sync.WaitGroup
	defer syncs.Wait()
	for era := -1; ; {
		s.mu.Lock()
		now := s.era
		s.mu.Unlock()
		if now != era {
			_ = s.Rescan(ctx) // each entry keeps its error
			era = now
		}
		if at := s.pass(ctx, &syncs); !at.IsZero() {
			again.Reset(max(0, at.Sub(s.cfg.Now())))
		}
		select {
		case <-changed:
		case <-s.kick:
		case <-every.C:
			_ = s.Rescan(ctx)
		case <-again.C: // what failed may have, because something changed while it was sent
			_ = s.Rescan(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

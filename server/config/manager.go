package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/secret"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/notify"
	"github.com/outwork-build/outwork/server/tools"
)

// Nodes is what is done with the roster.
type Nodes interface {
	Snapshot() []fleet.Status
	Put(ctx context.Context, n fleet.Node) error
	Remove(ctx context.Context, n fleet.NodeName) error
}

// Users is what is done with the users.
type Users interface {
	Users(ctx context.Context) ([]auth.User, error)
	CreateUser(ctx context.Context, name, password, role string) error
	ChangeUser(ctx context.Context, name string, c auth.UserChange) (auth.User, error)
	DeleteUser(ctx context.Context, name string) error
	RevokeNode(ctx context.Context, node, keep string) error
}

// Jobs is what is done with the jobs.
type Jobs interface {
	Jobs(ctx context.Context) ([]build.Job, error)
	Job(ctx context.Context, name build.JobName) (build.Job, error)
	PutJob(ctx context.Context, j build.Job, create bool) error
	DeleteJob(ctx context.Context, n build.JobName) error
	Builds(ctx context.Context, f build.Filter) ([]build.Build, error)
}

// Config is what a Manager stands on. All but File, Limits, Notify, Tools, Now and Log must be set.
type Config struct {
	Dir     string // folder of what a Manager keeps
	File    string // that the controller is run with; "" is none
	Kinds   Kinds
	Nodes   Nodes
	Users   Users
	Jobs    Jobs
	Secrets secret.Source
	Limits  func(map[string]fleet.Limit) // takes the farm's limits, at New and at each Apply
	// Scheduling takes how work is given to nodes, likewise; nil leaves it to the controller. It must not wait for the queue.
	Scheduling func(*queue.Policy)
	Notify     func(notify.Settings) // takes the notifications
	Tools      func([]tools.Entry)   // takes what is mirrored to the nodes
	Now        func() time.Time
	Log        *slog.Logger
}

// Manager makes a farm like a file. Its methods may be called concurrently; one Apply runs at a time.
type Manager struct {
	cfg Config

	mu    sync.Mutex // held through an Apply
	state state      // guarded by mu; replaced, never changed
	brief sync.Mutex // guards owned
	owned map[string]bool
}

// state is what is kept, in one file.
type state struct {
	Farm    Farm            `json:"farm"`
	Notify  notify.Settings `json:"notify"`
	Tools   []tools.Entry   `json:"tools,omitempty"`
	Managed map[string]bool `json:"managed"` // "node/a": whether the file made it
	File    string          `json:"file,omitempty"`
	By      string          `json:"by,omitempty"`
	At      time.Time       `json:"at,omitzero"`
	Undo    *record         `json:"undo,omitempty"`    // what the last Apply changed, as it was before
	Pending *record         `json:"pending,omitempty"` // of an Apply that has begun: after a crash it is taken back
}

// New reads what is kept, and the file, which must be without a fault: an error lists all that is wrong.
func New(cfg Config) (*Manager, error) {
	if cfg.Dir == "" || cfg.Nodes == nil || cfg.Users == nil || cfg.Jobs == nil || cfg.Secrets == nil {
		return nil, errors.New("config: Config.Dir, Nodes, Users, Jobs and Secrets must be set")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Limits == nil {
		cfg.Limits = func(map[string]fleet.Limit) {}
	}
	if cfg.Scheduling == nil {
		cfg.Scheduling = func(*queue.Policy) {}
	}
	if cfg.Notify == nil {
		cfg.Notify = func(notify.Settings) {}
	}
	if cfg.Tools == nil {
		cfg.Tools = func([]tools.Entry) {}
	}
	m := &Manager{cfg: cfg}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if err := readJSON(m.file(), &m.state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	m.use(m.state)
	if cfg.File == "" {
		return m, nil
	}
	_, err := m.read()
	return m, err
}

func (m *Manager) file() string { return filepath.Join(m.cfg.Dir, "state.json") }

// read reads the controller's file.
func (m *Manager) read() (Document, error) {
	f, err := os.Open(m.cfg.File)
	if err != nil {
		return Document{}, fault.With(fault.Invalid, fmt.Errorf("configuration: %w", err))
	}
	defer f.Close()
	text, err := readAll(f)
	if err != nil {
		return Document{}, fault.With(fault.Invalid, fmt.Errorf("configuration: %s: %w", m.cfg.File, err))
	}
	return Parse(m.cfg.File, text, m.cfg.Kinds)
}

// use hands out settings.
func (m *Manager) use(s state) {
	m.brief.Lock()
	m.owned = maps.Clone(s.Managed)
	m.brief.Unlock()
	m.cfg.Limits(s.Farm.Monitors)
	m.cfg.Scheduling(s.Farm.Scheduling)
	m.cfg.Notify(s.Notify)
	m.cfg.Tools(s.Tools)
}

// Manages reports whether the file looks after a node.
func (m *Manager) Manages(n fleet.NodeName) bool {
	m.brief.Lock()
	defer m.brief.Unlock()
	_, ok := m.owned[kindNode+"/"+string(n)]
	return ok
}

// Start takes back an Apply that a crash cut off, and applies the controller's file. The roster must run.
func (m *Manager) Start(ctx context.Context) error {
	m.mu.Lock()
	if m.state.Pending != nil {
		m.cfg.Log.Warn("an apply of the configuration was cut off: it is taken back")
		if err := m.takeBack(ctx, m.state.Pending, m.state.Undo); err != nil {
			m.mu.Unlock()
			return err
		}
	}
	m.mu.Unlock()
	if m.cfg.File == "" {
		return nil
	}
	_, err := m.Reload(ctx, "")
	return err
}

// Reload applies the file that the controller was started with, anew. fault.Conflict when there is none.
func (m *Manager) Reload(ctx context.Context, by string) (api.ConfigPlan, error) {
	if m.cfg.File == "" {
		return api.ConfigPlan{}, fault.New(fault.Conflict, "the controller was started without --config: there is no file to read anew")
	}
	d, err := m.read()
	if err != nil {
		return api.ConfigPlan{}, err
	}
	return m.apply(ctx, d, m.cfg.File, by)
}

// Plan says what Apply would do, and does nothing.
func (m *Manager) Plan(ctx context.Context, t api.ConfigText) (api.ConfigPlan, error) {
	d, err := Parse(nameOf(t), t.Text, m.cfg.Kinds)
	if err != nil {
		return api.ConfigPlan{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.plan(ctx, d)
	return p.ConfigPlan, err
}

func nameOf(t api.ConfigText) string {
	if t.File == "" {
		return "configuration"
	}
	return t.File
}

// Apply makes the farm like a file. fault.Conflict when the controller was started with a file of its own, which would be applied
// over it at the next start.
func (m *Manager) Apply(ctx context.Context, t api.ConfigText, by string) (api.ConfigPlan, error) {
	if m.cfg.File != "" {
		return api.ConfigPlan{}, fault.New(fault.Conflict, "the controller is run with --config %s: change that file, then: outwork config reload", m.cfg.File)
	}
	d, err := Parse(nameOf(t), t.Text, m.cfg.Kinds)
	if err != nil {
		return api.ConfigPlan{}, err
	}
	return m.apply(ctx, d, nameOf(t), by)
}

func (m *Manager) apply(ctx context.Context, d Document, file, by string) (api.ConfigPlan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.plan(ctx, d)
	if err != nil {
		return api.ConfigPlan{}, err
	}
	passwords, err := m.passwords(ctx, d, p)
	if err != nil {
		return api.ConfigPlan{}, err
	}
	next := state{Farm: d.Farm, Notify: d.Notify, Tools: d.Tools, Managed: p.managed, File: file, By: by, At: m.cfg.Now().UTC(), Undo: m.state.Undo}
	if len(p.Changes) > 0 || !maps.Equal(p.managed, m.state.Managed) {
		rec := m.record(p)
		next.Undo = rec
		begun := m.state
		begun.Pending = rec
		if err := m.keep(begun); err != nil {
			return api.ConfigPlan{}, err
		}
		ctx = context.WithoutCancel(ctx) // who goes away does not leave half of it
		if err := m.do(ctx, d, p, passwords); err != nil {
			return api.ConfigPlan{}, errors.Join(fmt.Errorf("apply %s: %w; everything is as it was before", file, err), m.takeBack(ctx, rec, m.state.Undo))
		}
	}
	if err := m.keep(next); err != nil {
		return api.ConfigPlan{}, err
	}
	m.use(next)
	m.cfg.Log.Info("configuration applied", "file", file, "by", by, "changes", len(p.Changes))
	return p.ConfigPlan, nil
}

// keep writes the state down. mu is held.
func (m *Manager) keep(s state) error {
	if err := writeJSON(m.file(), s); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	m.state = s
	return nil
}

// Undo takes the last Apply back. fault.Conflict when there is none.
func (m *Manager) Undo(ctx context.Context) (api.ConfigPlan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec := m.state.Undo
	if rec == nil {
		return api.ConfigPlan{}, fault.New(fault.Conflict, "there is no apply to undo")
	}
	old, _, err := m.current(ctx)
	if err != nil {
		return api.ConfigPlan{}, err
	}
	ctx = context.WithoutCancel(ctx)
	if err := m.takeBack(ctx, rec, nil); err != nil {
		return api.ConfigPlan{}, err
	}
	now, _, err := m.current(ctx)
	return api.ConfigPlan{Changes: listed(compare(old, now))}, err
}

// Export writes the farm as it is.
func (m *Manager) Export(ctx context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, _, err := m.current(ctx)
	return d.Write(), err
}

// State says where the configuration came from.
func (m *Manager) State() api.ConfigState {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := api.ConfigState{File: m.state.File, By: m.state.By, Undo: m.state.Undo != nil, Managed: []api.ConfigManaged{}}
	if m.cfg.File != "" {
		s.File = m.cfg.File
	}
	if at := m.state.At; !at.IsZero() {
		s.Applied = &at
	}
	for _, k := range slices.Sorted(maps.Keys(m.state.Managed)) {
		kind, name := split(k)
		s.Managed = append(s.Managed, api.ConfigManaged{Kind: kind, Name: name, Made: m.state.Managed[k]})
	}
	return s
}

// listed keeps an empty list from being null.
func listed(cs []api.ConfigChange) []api.ConfigChange {
	if cs == nil {
		return []api.ConfigChange{}
	}
	return cs
}

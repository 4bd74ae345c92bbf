package steptest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

// Machine is an agent.Machine whose processes are functions of the test and whose workspaces are real folders below Root.
// It keeps the contract's rules: Open and Start are idempotent, epochs fence, Follow resumes at an offset. A Machine outlives
// the worlds and runners that use it, as a real one does.
type Machine struct {
	Root string
	Desc agent.Description // what Describe answers; zero fields are filled with this computer's
	// Process is what a started process does: it writes its output to out and returns its end. ctx ends when the process is
	// stopped. nil ends at once with code 0. With Capture, what it writes is the stdout that Exit returns.
	Process func(ctx context.Context, r agent.StartRequest, out io.Writer) agent.Exit
	Trees   *Trees // never nil

	mu     sync.Mutex
	cond   *sync.Cond
	leases map[string]*lease // by item
	procs  map[string]*proc  // by item and step; not dropped with the lease, so that starts are counted for ever
	order  []agent.StartRequest
	opened []agent.OpenRequest
}

type lease struct {
	epoch uint64
	ws    agent.Workspace
	open  bool
}

type proc struct {
	starts    int
	out       bytes.Buffer
	exit      agent.Exit
	ended     bool
	forgotten bool
	stop      context.CancelFunc
	stopped   string // reason; set when Stop came
	capture   bool
}

// NewMachine returns a machine whose files live below root.
func NewMachine(root string) *Machine {
	m := &Machine{Root: root, leases: map[string]*lease{}, procs: map[string]*proc{}, Trees: &Trees{}}
	m.cond = sync.NewCond(&m.mu)
	return m
}

// Started lists every process that was really started, in order.
func (m *Machine) Started() []agent.StartRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]agent.StartRequest(nil), m.order...)
}

// Opened lists every lease that was really opened, in order.
func (m *Machine) Opened() []agent.OpenRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]agent.OpenRequest(nil), m.opened...)
}

// OpenItems lists the items whose leases are open.
func (m *Machine) OpenItems() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for item, l := range m.leases {
		if l.open {
			out = append(out, item)
		}
	}
	return out
}

// Reboot ends every process as a machine that lost power: its fate is unknown.
func (m *Machine) Reboot() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.procs {
		if !p.ended {
			p.stop()
			p.ended, p.exit = true, agent.Exit{Code: -1, Lost: true, Reason: "the machine was restarted", Output: int64(p.out.Len())}
		}
	}
	m.cond.Broadcast()
}

// Describe implements agent.Machine.
func (m *Machine) Describe(context.Context) (agent.Description, error) {
	d := m.Desc
	if d.OS == "" {
		d.OS, d.Arch, d.Git, d.Shells = runtime.GOOS, runtime.GOARCH, true, []string{"sh"}
	}
	d.Root = m.Root
	return d, nil
}

// Open implements agent.Leases.
func (m *Machine) Open(_ context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.leases[r.Lease.Item]
	switch {
	case l != nil && r.Lease.Epoch < l.epoch:
		return agent.Workspace{}, fault.New(fault.Stale, "lease %s: epoch %d is older than %d", r.Lease.Item, r.Lease.Epoch, l.epoch)
	case l != nil && l.open && l.epoch == r.Lease.Epoch:
		return l.ws, nil
	}
	path := r.Workspace
	if path == "" {
		path = m.freeWorkspace(filepath.Join(m.Root, "workspace", filepath.FromSlash(r.Job)))
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(m.Root, path)
	}
	ws := agent.Workspace{Path: path, Tmp: path + "@tmp", Home: m.Root}
	if err := makeDirs(ws.Path, ws.Tmp); err != nil {
		return agent.Workspace{}, err
	}
	m.leases[r.Lease.Item] = &lease{epoch: r.Lease.Epoch, ws: ws, open: true}
	m.opened = append(m.opened, r)
	return ws, nil
}

func (m *Machine) freeWorkspace(path string) string {
	for n, name := 2, path; ; n++ {
		used := false
		for _, l := range m.leases {
			used = used || l.open && l.ws.Path == name
		}
		if !used {
			return name
		}
		name = fmt.Sprintf("%s@%d", path, n)
	}
}

// Renew implements agent.Leases.
func (m *Machine) Renew(context.Context, []agent.Lease, agent.Heard) ([]agent.Lease, agent.Heard, agent.Vitals, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []agent.Lease
	for item, l := range m.leases {
		if l.open {
			out = append(out, agent.Lease{Item: item, Epoch: l.epoch})
		}
	}
	return out, 0, agent.Vitals{}, nil
}

// Close implements agent.Leases.
func (m *Machine) Close(_ context.Context, l agent.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := m.leases[l.Item]
	if have == nil || !have.open || have.epoch != l.Epoch {
		return nil
	}
	have.open = false
	for key, p := range m.procs {
		if !p.ended && len(key) > len(l.Item) && key[:len(l.Item)+1] == l.Item+"\x00" {
			p.stopped = "the lease was closed"
			p.stop()
		}
	}
	return nil
}

func (m *Machine) fenced(l agent.Lease) (*lease, error) {
	have := m.leases[l.Item]
	if have == nil || have.epoch != l.Epoch || !have.open {
		return nil, fault.New(fault.Stale, "lease %s epoch %d is not open", l.Item, l.Epoch)
	}
	return have, nil
}

// Start implements agent.Steps.
func (m *Machine) Start(_ context.Context, r agent.StartRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.fenced(r.Lease); err != nil {
		return err
	}
	key := r.Lease.Item + "\x00" + string(r.Step)
	if p := m.procs[key]; p != nil {
		if p.forgotten {
			return fault.New(fault.Conflict, "step %s was forgotten", r.Step)
		}
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &proc{starts: 1, stop: stop, capture: r.Capture}
	m.procs[key] = p
	m.order = append(m.order, r)
	go m.process(ctx, r, p)
	return nil
}

func (m *Machine) process(ctx context.Context, r agent.StartRequest, p *proc) {
	var stdout bytes.Buffer
	var out io.Writer = &spool{m, p}
	if r.Capture {
		out = &stdout
	}
	exit := agent.Exit{}
	started := time.Now()
	if m.Process != nil {
		exit = m.Process(ctx, r, out)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.ended {
		return
	}
	exit.Started, exit.Ended, exit.Output, exit.Stdout = started, time.Now(), int64(p.out.Len()), stdout.Bytes()
	exit.Stopped, exit.Reason = p.stopped != "", p.stopped
	p.exit, p.ended = exit, true
	p.stop()
	m.cond.Broadcast()
}

type spool struct {
	m *Machine
	p *proc
}

func (s *spool) Write(b []byte) (int, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.p.out.Write(b)
	s.m.cond.Broadcast()
	return len(b), nil
}

// Follow implements agent.Steps.
func (m *Machine) Follow(ctx context.Context, l agent.Lease, s agent.StepID, offset int64, sink func(agent.Output) error) (agent.Exit, error) {
	defer context.AfterFunc(ctx, func() {
		m.mu.Lock()
		m.cond.Broadcast()
		m.mu.Unlock()
	})()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.procs[l.Item+"\x00"+string(s)]
	if p == nil || p.forgotten {
		return agent.Exit{}, fault.New(fault.NotFound, "no step %s in lease %s", s, l.Item)
	}
	for {
		if err := ctx.Err(); err != nil {
			return agent.Exit{}, context.Cause(ctx)
		}
		if data := p.out.Bytes(); int64(len(data)) > offset {
			piece := bytes.Clone(data[offset:min(int64(len(data)), offset+64<<10)])
			m.mu.Unlock()
			err := sink(agent.Output{Offset: offset, Data: piece})
			m.mu.Lock()
			if err != nil {
				return agent.Exit{}, err
			}
			offset += int64(len(piece))
			continue
		}
		if p.ended {
			return p.exit, nil
		}
		m.cond.Wait()
	}
}

// Stop implements agent.Steps.
func (m *Machine) Stop(_ context.Context, r agent.StopRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.procs[r.Lease.Item+"\x00"+string(r.Step)]; p != nil && !p.ended {
		p.stopped = r.Reason
		if p.stopped == "" {
			p.stopped = "stopped"
		}
		p.stop()
	}
	return nil
}

// Forget implements agent.Steps.
func (m *Machine) Forget(_ context.Context, l agent.Lease, s agent.StepID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.procs[l.Item+"\x00"+string(s)]; p != nil {
		p.forgotten = true
	}
	return nil
}

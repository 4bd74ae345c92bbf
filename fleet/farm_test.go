package fleet_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// store keeps nodes in memory.
type store struct {
	mu    sync.Mutex
	nodes map[fleet.NodeName]fleet.Node
	err   error
	lost  error // what records fail with
	recs  []fleet.Record
	puts  int
}

func (s *store) PutNode(_ context.Context, ns ...fleet.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.nodes == nil {
		s.nodes = map[fleet.NodeName]fleet.Node{}
	}
	s.puts++
	for _, n := range ns {
		s.nodes[n.Name] = n
	}
	return nil
}

func (s *store) AddRecords(_ context.Context, rs []fleet.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := cmp.Or(s.err, s.lost)
	if err == nil {
		s.recs = append(s.recs, rs...)
	}
	return err
}

func (s *store) Records(_ context.Context, n fleet.NodeName, limit int) (rs []fleet.Record, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.Backward(s.recs) {
		if r.Node == n && len(rs) < limit {
			rs = append(rs, r)
		}
	}
	return rs, nil
}

func (s *store) DeleteNode(_ context.Context, n fleet.NodeName) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.nodes[n]; !ok {
		return fault.New(fault.NotFound, "node %s: there is no such node", n)
	}
	delete(s.nodes, n)
	return nil
}

func (s *store) Nodes(context.Context) ([]fleet.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.nodes), func(a, b fleet.Node) int { return cmp.Compare(a.Name, b.Name) }), nil
}

// lose has writes of records fail, or not.
func (s *store) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = err
}

// fail has writes fail, or not.
func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// machine is a far end that does as the test says. Only what the roster calls is there.
type machine struct {
	agent.Machine
	mu       sync.Mutex
	boot     string
	open     []agent.Lease
	closed   []agent.Lease
	beats    int             // heartbeats so far
	named    [][]agent.Lease // in each heartbeat
	answered []agent.Heard   // in each heartbeat
	silent   bool            // heartbeats are not answered
	feels    agent.Vitals    // Clock is that of the answer, if it is set
	ahead    time.Duration   // how much the clock is wrong
	slow     time.Duration   // its answers take so long to arrive
	says     says            // what its scripts do
}

func (m *machine) Describe(context.Context) (agent.Description, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return agent.Description{Version: "1.0", OS: "linux", Arch: "amd64", Boot: m.boot, CPUs: 2}, nil
}

func (m *machine) Renew(ctx context.Context, held []agent.Lease, answered agent.Heard) ([]agent.Lease, agent.Heard, agent.Vitals, error) {
	m.mu.Lock()
	m.beats++
	m.named = append(m.named, held)
	m.answered = append(m.answered, answered)
	heard := agent.Heard(m.beats)
	slow := m.slow
	silent, open, feels := m.silent, slices.Clone(m.open), m.feels
	if !feels.Clock.IsZero() {
		feels.Clock = time.Now().Add(m.ahead)
	}
	m.mu.Unlock()
	if silent {
		<-ctx.Done()
		return nil, 0, agent.Vitals{}, ctx.Err()
	}
	if slow > 0 {
		time.Sleep(slow)
	}
	return open, heard, feels, nil
}

func (m *machine) Close(_ context.Context, l agent.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = append(m.closed, l)
	m.open = slices.DeleteFunc(m.open, func(o agent.Lease) bool { return o == l })
	return nil
}

func (m *machine) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// conn is a connection that ends when the test, or the roster, says so.
type conn struct {
	m    *machine
	once sync.Once
	done chan struct{}
	left chan struct{} // closed by the test: the agent has said that it goes
	err  error
}

func (c *conn) Leaving() <-chan struct{} { return c.left }

func (c *conn) Machine() agent.Machine { return c.m }
func (c *conn) Done() <-chan struct{}  { return c.done }
func (c *conn) Close() error           { c.end(io.EOF); return nil }
func (c *conn) wait()                  { <-c.done; synctest.Wait() }
func (c *conn) end(err error) {
	c.once.Do(func() { c.err = err; close(c.done) })
}

func (c *conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// link is what the launcher gives and connect takes.
type link struct {
	wire.Link
	m *machine
}

func (*link) Peer() string { return "test" }
func (*link) Close() error { return nil }

// launcher brings up the machines of the nodes, or fails.
type launcher struct {
	mu       sync.Mutex
	machines map[fleet.NodeName]*machine
	err      error
	dials    bool // Launch waits for arrivals
	arrivals chan *machine
	launched []time.Time
	running  map[fleet.NodeName]int
}

// set has launches fail, or not.
func (l *launcher) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *launcher) AgentsDial() bool { return l.dials }

func (l *launcher) Launch(ctx context.Context, n fleet.Node, log io.Writer) (wire.Link, error) {
	l.mu.Lock()
	l.launched = append(l.launched, time.Now())
	if l.running[n.Name]++; l.running[n.Name] > 1 {
		panic("launched twice at once")
	}
	m, err := l.machines[n.Name], l.err
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.running[n.Name]--
	}()
	fmt.Fprintf(log, "the launcher of %s was here\n", n.Name)
	if l.dials {
		select {
		case m = <-l.arrivals:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	if m == nil {
		m = &machine{boot: "boot-1"}
	}
	return &link{m: m}, nil
}

// keeper answers for the queue.
type keeper struct {
	mu       sync.Mutex
	held     []agent.Lease
	garbage  []agent.Lease
	renewals []fleet.Renewal
}

func (k *keeper) Held(context.Context, fleet.NodeName, uint64) ([]agent.Lease, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.held), nil
}

func (k *keeper) Renewed(_ context.Context, r fleet.Renewal) []agent.Lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renewals = append(k.renewals, r)
	return slices.Clone(k.garbage)
}

// tb is one level down, so that Log is the Roster's.
type tb struct{ testing.TB }

// world is a roster at work in a synctest bubble.
type world struct {
	tb
	*fleet.Roster
	store    *store
	launcher *launcher
	keeper   *keeper
	conns    chan *conn
	heeds    fleet.Demand // nil: no work
	stop     func()
}

func run(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(fleet.Config{})
		f(w)
		w.stop()
	})
}

func newWorld(t testing.TB) *world {
	return &world{
		tb: tb{t}, store: &store{}, keeper: &keeper{}, conns: make(chan *conn, 1000),
		launcher: &launcher{machines: map[fleet.NodeName]*machine{}, running: map[fleet.NodeName]int{}, arrivals: make(chan *machine)},
	}
}

func (w *world) begin(cfg fleet.Config) {
	w.Helper()
	if cfg.Launchers == nil {
		cfg.Launchers = map[string]fleet.Launcher{}
	}
	cfg.Store, cfg.Launchers["test"] = w.store, w.launcher
	cfg.Connect = func(_ context.Context, l wire.Link, n fleet.Node) (fleet.Conn, error) {
		m := l.(*link).m
		if m.boot == "broken" {
			return nil, errors.New("peer speaks another language")
		}
		c := &conn{m: m, done: make(chan struct{}), left: make(chan struct{})}
		w.conns <- c
		return c, nil
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(w.Output(), nil))
	}
	r, err := fleet.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	r.Keep(w.keeper)
	if w.heeds != nil {
		r.Heed(w.heeds)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	w.Roster = r
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("Run: %v", err)
		}
	})
}

// put adds a node and waits until all goroutines rest.
func (w *world) put(n fleet.Node) {
	w.Helper()
	n.Launcher.Kind = cmp.Or(n.Launcher.Kind, "test")
	if err := w.Put(w.Context(), n); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

func (w *world) status(n fleet.NodeName) fleet.Status {
	w.Helper()
	synctest.Wait()
	st, ok := w.Node(n)
	if !ok {
		w.Fatalf("there is no node %s", n)
	}
	return st
}

// is checks a node's state and the text of its cause.
func (w *world) is(n fleet.NodeName, s fleet.State, cause string) {
	w.Helper()
	st := w.status(n)
	text := ""
	if st.Cause != nil {
		text = st.Cause.Text
	}
	if st.State != s || text != cause {
		w.Errorf("%s is %s (%s), want %s (%s)", n, st.State, text, s, cause)
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Error(err)
	}
}

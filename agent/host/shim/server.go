package shim

import (
	"bufio"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// server is the shim's state. The agent's messages, the ends of processes and the timers meet under mu.
type server struct {
	family  *family
	turning sync.Mutex // held while the tree of one step gets a signal, and while the lease ends; taken before mu
	ending  sync.Mutex // held while all processes of the lease are being ended; taken before mu

	mu       sync.Mutex
	peer     *peer    // the agent's present connection, or nil
	lease    string   // the key of the lease served; "" when idle
	folder   string   // of the lease
	env      []string // that the lease's steps share
	deadline int64    // by Now; 0 is none
	expired  bool
	closing  bool
	steps    map[string]*running // not yet ended, or their exit is not on disk yet
	byPID    map[int]*running
	pumps    []*pump // of steps that have ended; they drain for background processes until the lease ends
	quit     chan struct{}
	changed  chan struct{} // a token when a step's exit is on disk
	armed    chan struct{} // a token when a deadline was set
}

// running is a step whose exit is not on disk.
type running struct {
	key     string
	start   *Start
	pid     int
	begun   time.Time
	spool   *spool
	stdout  *spool // with Capture
	pumps   []*pump
	stopped bool
	reason  string
	kill    *time.Timer // of Stop
	killAt  time.Time
	watch   int64 // say grown when the spool is longer; -1 is never
}

func newServer() (*server, error) {
	s := &server{steps: map[string]*running{}, byPID: map[int]*running{}, quit: make(chan struct{}), changed: make(chan struct{}, 1), armed: make(chan struct{}, 1)}
	f, err := newFamily(s.ended)
	if err != nil {
		return nil, err
	}
	s.family = f
	go s.keepDeadline()
	return s, nil
}

// accept serves one agent connection at a time. A new one means that the old one's agent is gone or gave up on it; what it
// had sent before is carried out first, so that the greeting tells of every start that was handed over.
func (s *server) accept(l net.Listener) {
	var last *peer
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if last != nil {
			last.finish(drainOld)
		}
		last = newPeer(conn)
		s.greet(last)
		go s.serve(last)
	}
}

// drainOld is how long an old connection may take to come to its end. It is less than an agent waits for a greeting.
const drainOld = 2 * time.Second

func (s *server) greet(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer = p
	hello := Message{Kind: KindHello, Proto: Proto, PID: os.Getpid(), Lease: s.lease, Deadline: s.deadline, Expired: s.expired}
	for key, r := range s.steps {
		r.watch = -1
		hello.Running = append(hello.Running, key)
	}
	p.send(hello)
}

func (s *server) serve(p *peer) {
	defer close(p.served)
	defer p.close()
	from := bufio.NewReader(p.conn) // a message in one read
	for {
		m, err := Read(from)
		if err != nil {
			break
		}
		s.handle(m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer == p {
		s.peer = nil
		if s.lease == "" {
			s.leave()
		}
	}
}

// leave ends the shim. Call it with mu held.
func (s *server) leave() {
	select {
	case <-s.quit:
	default:
		close(s.quit)
	}
}

// tell sends to the agent, if there is one. Call it with mu held.
func (s *server) tell(m Message) {
	if s.peer != nil {
		s.peer.send(m)
	}
}

func (s *server) handle(m Message) {
	switch m.Kind {
	case KindLease:
		s.mu.Lock()
		if s.lease == "" {
			s.lease, s.folder, s.env, s.deadline, s.expired, s.closing = m.Lease, m.Folder, m.Env, m.Deadline, false, false
			select {
			case s.armed <- struct{}{}:
			default:
			}
		}
		s.mu.Unlock()
	case KindStart:
		if m.Start != nil {
			s.begin(m.Step, m.Start)
		}
	case KindStop:
		s.stop(m.Step, m.Grace, m.Reason)
	case KindWatch:
		s.watch(m.Step, m.Size)
	case KindRenew:
		s.mu.Lock()
		if s.deadline != 0 && !s.expired {
			s.deadline = max(s.deadline, m.Deadline)
		}
		s.mu.Unlock()
	case KindClose:
		s.mu.Lock()
		again := s.closing
		s.closing = true
		s.mu.Unlock()
		if !again {
			go s.close(m.Grace, m.Reason)
		}
	case KindQuit:
		s.mu.Lock()
		if s.lease == "" {
			s.leave()
		}
		s.mu.Unlock()
	}
}

// begin starts a step's process. Whatever goes wrong becomes the step's exit: the claim is on disk already.
func (s *server) begin(key string, st *Start) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.steps[key] != nil {
		return
	}
	r := &running{key: key, start: st, watch: -1, begun: time.Now()}
	s.steps[key] = r
	late := s.deadline != 0 && Now() >= s.deadline // and nobody has looked yet
	if s.lease == "" || s.closing || s.expired || late {
		r.stopped, r.reason = true, "the lease ended before the process was started"
		go s.record(r, status{code: -1})
		return
	}
	pid, err := s.launch(r)
	if err != nil {
		go func() {
			if r.spool != nil {
				r.spool.add([]byte("outwork: cannot start " + st.Argv[0] + ": " + err.Error() + "\n"))
			}
			s.record(r, status{code: notStarted(err)})
		}()
		return
	}
	r.pid, r.begun = pid, time.Now()
	s.byPID[pid] = r
}

func (s *server) launch(r *running) (int, error) {
	var err error
	r.spool, err = newSpool(r.start.File, OutputStart, r.start.Limit, func(size int64) { s.grown(r, size) })
	if err != nil {
		return 0, err
	}
	p, stderr, err := newPump(r.spool)
	if err != nil {
		return 0, err
	}
	defer stderr.Close()
	r.pumps = append(r.pumps, p)
	stdout := stderr
	if r.start.Capture != "" {
		if r.stdout, err = newSpool(r.start.Capture, 0, r.start.Stdout, nil); err != nil {
			return 0, err
		}
		p, stdout, err = newPump(r.stdout)
		if err != nil {
			return 0, err
		}
		defer stdout.Close()
		r.pumps = append(r.pumps, p)
	}
	env := r.start.Env
	if r.start.Over {
		env = over(s.env, env)
	}
	return s.family.start(r.start, env, stdout, stderr)
}

// over returns the variables of base that own does not name, and own.
func over(base, own []string) []string {
	env := make([]string, 0, len(base)+len(own))
	for _, v := range base {
		name, _, _ := strings.Cut(v, "=")
		if !slices.ContainsFunc(own, func(o string) bool { n, _, _ := strings.Cut(o, "="); return n == name }) {
			env = append(env, v)
		}
	}
	return append(env, own...)
}

// grown answers a watch. It is called by the pump, without mu.
func (s *server) grown(r *running, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.watch >= 0 && size > r.watch {
		r.watch = -1
		s.tell(Message{Kind: KindGrown, Step: r.key})
	}
}

func (s *server) watch(key string, size int64) {
	s.mu.Lock()
	r := s.steps[key]
	s.mu.Unlock()
	if r == nil || r.spool == nil {
		return // its exit is or will be told
	}
	have := r.spool.length()
	s.mu.Lock()
	if r.watch < 0 || size < r.watch {
		r.watch = size
	}
	s.mu.Unlock()
	// It may have grown between the look and the entry: look again, now that growth is told.
	if have = max(have, r.spool.length()); have > size {
		s.grown(r, have)
	}
}

// ended is called by the family when a step's first process has ended.
func (s *server) ended(pid int, st status) {
	s.mu.Lock()
	r := s.byPID[pid]
	delete(s.byPID, pid)
	s.mu.Unlock()
	if r != nil {
		go s.record(r, st)
	}
}

// record puts a step's exit on disk, then tells it. It tries until the disk takes it or the lease ends.
func (s *server) record(r *running, st status) {
	ended := time.Now()
	for _, p := range r.pumps {
		p.finish()
	}
	s.mu.Lock()
	e := Exit{Code: st.code, Signal: st.signal, Stopped: r.stopped, Started: r.begun, Ended: ended}
	if r.stopped {
		e.Reason = r.reason
	}
	s.mu.Unlock()
	var more int64
	if r.spool != nil {
		e.Output, e.Dropped = r.spool.seal()
	}
	if r.stdout != nil {
		e.Stdout, more = r.stdout.seal()
		e.Dropped += more
		r.stdout.close()
	}
	for err := r.writeExit(e); err != nil && !errors.Is(err, fs.ErrNotExist) && !s.isClosing(); err = r.writeExit(e) {
		time.Sleep(retryExit)
	}
	if r.spool != nil {
		r.spool.close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.steps, r.key)
	s.pumps = slices.DeleteFunc(append(s.pumps, r.pumps...), (*pump).over)
	s.tell(Message{Kind: KindExited, Step: r.key, Exit: &e})
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// writeExit puts the exit into the step's file, which is open already if the step got so far.
func (r *running) writeExit(e Exit) error {
	if r.spool != nil {
		return WriteExit(r.spool.file, e)
	}
	f, err := OpenShared(r.start.File, true)
	if err != nil {
		return err
	}
	return errors.Join(WriteExit(f, e), f.Close())
}

// retryExit is the pause after an exit file could not be written.
const retryExit = time.Second

func (s *server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// keepDeadline ends what runs when the lease's deadline passes. While there is one it looks once a second at least, because timers stand
// still while the machine sleeps and Now does not.
func (s *server) keepDeadline() {
	for {
		wait := time.Hour
		s.mu.Lock()
		armed := s.deadline != 0 && !s.expired && !s.closing
		left := time.Duration(s.deadline - Now())
		passed := armed && left <= 0
		lease := s.lease
		if passed {
			s.expired = true
			_ = os.WriteFile(filepath.Join(s.folder, ExpiredFile), nil, 0o600)
			s.tell(Message{Kind: KindExpired})
		} else if armed {
			wait = min(time.Second, left+time.Millisecond)
		}
		s.mu.Unlock()
		if passed {
			s.endAll(lease, expiryGrace, "the lease was not renewed in time")
		}
		select {
		case <-time.After(wait):
		case <-s.armed:
		case <-s.quit:
			return
		}
	}
}

// expiryGrace is between TERM and KILL when a deadline passes. The controller waits 15 s after the TTL.
const expiryGrace = 5 * time.Second

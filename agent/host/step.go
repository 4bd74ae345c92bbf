package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/shim"
	"github.com/outwork-build/outwork/internal/fault"
)

const (
	maxStepID    = 512
	maxCapture   = 16 << 20
	maxScript    = 16 << 20
	defaultGrace = 20 * time.Second
	stepSuffix   = ".step"
	stdoutSuffix = ".stdout"
)

// claim is the head of a step's file. Its presence, whole, says that the step may have been started; it is written before that.
type claim struct {
	Step    agent.StepID `json:"step"`
	Capture bool         `json:"capture,omitempty"`
	Script  string       `json:"script,omitempty"` // its file's name in the lease's Tmp
	Claimed time.Time    `json:"claimed"`
}

// step is one step of a lease. Its fields are guarded by the lease's mu; exit may be read once done is closed.
type step struct {
	claim
	key       string        // names its files and its cookie
	slot      *slot         // its file; nil when it is forgotten
	done      chan struct{} // closed when exit is known
	exit      shim.Exit
	grown     chan struct{} // closed when the output has grown; nil while nobody waits
	forgotten bool          // all but the step's id is gone
	unsent    *shim.Message // the start, when the shim may not have got it
}

func (l *lease) newStep(c claim) *step {
	sum := sha256.Sum256([]byte(c.Step))
	key := hex.EncodeToString(sum[:10])
	return &step{claim: c, key: key, done: make(chan struct{})}
}

func (st *step) ended() bool {
	select {
	case <-st.done:
		return true
	default:
		return false
	}
}

func checkStart(r agent.StartRequest) error {
	switch {
	case r.Step == "":
		return fault.New(fault.Invalid, "step of %q: its id is empty", r.Lease.Item)
	case !utf8.ValidString(string(r.Step)):
		return fault.New(fault.Invalid, "step %q: its id is not UTF-8", r.Step)
	case len(r.Step) > maxStepID:
		return fault.New(fault.Invalid, "step of %q: its id has %d bytes, at most %d are allowed", r.Lease.Item, len(r.Step), maxStepID)
	case (len(r.Argv) > 0) == (r.Script != nil):
		return fault.New(fault.Invalid, "step %q: exactly one of Script and Argv must be set", r.Step)
	case len(r.Script) > maxScript:
		return fault.New(fault.Invalid, "step %q: the script has %d bytes, at most %d are allowed", r.Step, len(r.Script), maxScript)
	case r.MaxOutput < 0:
		return fault.New(fault.Invalid, "step %q: MaxOutput %d is negative", r.Step, r.MaxOutput)
	}
	return checkEnv("step "+string(r.Step), r.Env)
}

// Start claims a step on disk and hands it to the lease's shim.
func (h *Host) Start(ctx context.Context, r agent.StartRequest) error {
	if err := checkStart(r); err != nil {
		return err
	}
	l, err := h.find(r.Lease)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if hired, err := l.start(r); err != nil || !hired {
		return err
	}
	h.background(h.pool.warm)
	return nil
}

// start does the work of Start. All of it is under mu: of two calls one claims, and a watch never overtakes its start.
func (l *lease) start(r agent.StartRequest) (hired bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.steps[r.Step]
	switch {
	case l.closing:
		return false, fault.New(fault.NotFound, "lease %q epoch %d is being closed", l.id.Item, l.id.Epoch)
	case st != nil && st.forgotten:
		return false, fault.New(fault.Conflict, "step %q has run and was forgotten: it is not started again", r.Step)
	case st != nil:
		return false, nil
	case l.expired:
		return false, fault.New(fault.Stale, "lease %q epoch %d was not renewed within %v and is over", l.id.Item, l.id.Epoch, l.rec.TTL)
	case l.unsure != nil:
		return false, fault.New(fault.Unavailable, "lease %q: the process that watches its steps does not answer yet", l.id.Item)
	case len(l.steps) >= l.h.cfg.MaxSteps:
		return false, fault.New(fault.Exhausted, "lease %q has had %d steps, its limit", l.id.Item, l.h.cfg.MaxSteps)
	case l.running >= l.h.cfg.MaxRunning:
		return false, fault.New(fault.Exhausted, "lease %q runs %d steps at once, its limit", l.id.Item, l.h.cfg.MaxRunning)
	}
	if err := l.h.room(); err != nil {
		return false, err
	}
	if l.link == nil {
		if err := l.hire(); err != nil {
			return false, diskFault(err)
		}
		hired = true
	}
	st = l.newStep(claim{Step: r.Step, Capture: r.Capture, Claimed: time.Now()})
	m, err := l.prepare(r, st)
	if err != nil {
		return hired, diskFault(err)
	}
	if err := l.claimOnDisk(st); err != nil {
		return hired, diskFault(err)
	}
	m.File = st.slot.path
	l.enter(st)
	l.running++
	handover := shim.Message{Kind: shim.KindStart, Step: st.key, Start: m}
	if err := l.link.send(handover); err != nil {
		// The shim may or may not have got it. Its end, or its greeting after we reconnect, tells which.
		st.unsent = &handover
		l.h.log.Warn("shim did not take a step", "lease", l.id, "step", r.Step, "err", err)
	}
	return hired, nil
}

func (l *lease) enter(st *step) {
	l.steps[st.Step] = st
	l.byKey[st.key] = st
}

// prepare makes the message that starts a step; nothing is claimed yet.
func (l *lease) prepare(r agent.StartRequest, st *step) (*shim.Start, error) {
	dir, err := l.dirFor(r.Dir)
	if err != nil {
		return nil, err
	}
	argv, ext, err := l.h.command(r)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var line string
	if r.Script != nil {
		st.Script = l.takeScript(ext)
		script := filepath.Join(l.work.Tmp, st.Script)
		if err := l.writeScript(script, scriptText(ext, r.Script)); err != nil {
			return nil, err
		}
		line = commandLine(argv, script)
		argv = append(argv, script)
	}
	limit := r.MaxOutput
	if limit == 0 {
		limit = l.h.cfg.MaxOutput
	}
	m := &shim.Start{Argv: argv, Line: line, Dir: dir, Limit: limit}
	var path string
	m.Env, m.Over, path = l.environ(r.Env, dir, st.key)
	m.Path = l.program(argv[0], dir, path, r.Script != nil)
	if r.Capture {
		m.Capture, m.Stdout = l.stdout(st), maxCapture
	}
	return m, nil
}

// program finds a step's program in its own PATH. An interpreter that was found stays the lease's for the same PATH as long as
// it is there: looking through the folders of a long PATH for each script is dear. Call it with l.mu held.
func (l *lease) program(name, dir, path string, interpreter bool) string {
	if interpreter && l.shell.name == name && l.shell.path == path && there(l.shell.found) {
		return l.shell.found
	}
	found := lookPath(name, dir, path)
	if interpreter && filepath.IsAbs(found) && !strings.HasPrefix(found, dir) {
		l.shell = shell{name, path, found}
	}
	return found
}

// shell is an interpreter that was found in a PATH.
type shell struct{ name, path, found string }

// stdout is the file that takes a captured stdout.
func (l *lease) stdout(st *step) string { return filepath.Join(l.dir, st.key+stdoutSuffix) }

// claimOnDisk makes the step's files. The claim comes last.
func (l *lease) claimOnDisk(st *step) (err error) {
	if st.Capture {
		if err := os.WriteFile(l.stdout(st), nil, 0o600); err != nil {
			return err
		}
	}
	st.slot, err = l.claimSlot(st.claim)
	return err
}

// step returns a step that is there and not forgotten. Call it with l.mu held.
func (l *lease) step(id agent.StepID) (*step, error) {
	st := l.steps[id]
	if st == nil || st.forgotten {
		return nil, fault.New(fault.NotFound, "lease %q has no step %q", l.id.Item, id)
	}
	return st, nil
}

// Stop asks a step's whole process tree to end.
func (h *Host) Stop(ctx context.Context, r agent.StopRequest) error {
	l, err := h.find(r.Lease)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	st, err := l.step(r.Step)
	if err != nil || st.ended() {
		return err
	}
	if l.unsure != nil {
		return fault.New(fault.Unavailable, "stop step %q: the process that watches it does not answer yet", r.Step)
	}
	if l.link == nil {
		return nil // its shim has died; its end is being found out
	}
	if r.Grace == 0 {
		r.Grace = defaultGrace
	}
	m := shim.Message{Kind: shim.KindStop, Step: st.key, Grace: r.Grace, Reason: r.Reason}
	if err := l.link.send(m); err != nil {
		return fault.New(fault.Unavailable, "stop step %q: %w", r.Step, err)
	}
	return ctx.Err()
}

// Forget drops a step's spool and result, and remembers that it was.
func (h *Host) Forget(ctx context.Context, id agent.Lease, s agent.StepID) error {
	l, err := h.find(id)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.steps[s]
	switch {
	case st == nil || st.forgotten:
		return nil
	case !st.ended():
		return fault.New(fault.Conflict, "step %q runs: stop it first", s)
	}
	if err := l.entomb(st); err != nil {
		return diskFault(err)
	}
	st.forgotten = true
	errs := []error{l.retire(st)}
	st.slot = nil
	if st.Capture {
		errs = append(errs, os.Remove(l.stdout(st)))
	}
	if st.Script != "" {
		errs = append(errs, l.retireScript(st.Script))
	}
	for _, err := range errs {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.log.Warn("forget a step", "lease", id, "step", s, "err", err)
		}
	}
	return ctx.Err()
}

func (l *lease) count() (all, running int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.steps), l.running
}

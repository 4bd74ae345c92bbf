package host

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/shim"
)

// heard takes a message from a shim.
func (h *Host) heard(k *link, m shim.Message) {
	l := k.serving()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link != k {
		return
	}
	switch m.Kind {
	case shim.KindHello:
		l.greeted(m)
	case shim.KindExited:
		if st := l.byKey[m.Step]; st != nil && m.Exit != nil {
			l.finish(st, *m.Exit)
		}
	case shim.KindGrown:
		if st := l.byKey[m.Step]; st != nil {
			st.wake()
		}
	case shim.KindExpired:
		l.expired = true
	case shim.KindClosed:
		if m.Lease == l.key {
			l.release()
			h.pool.give(k)
		}
	}
}

// greeted compares a shim's greeting with what is on disk. The first greeting of a new shim comes before it took the lease;
// the others follow a lost connection, and with it lost messages. Call it with l.mu held.
func (l *lease) greeted(m shim.Message) {
	if m.Lease != l.key {
		return
	}
	l.expired = l.expired || m.Expired
	running := m.Running
	for _, st := range l.steps {
		if st.unsent != nil && !st.ended() && !slices.Contains(running, st.key) && l.link.send(*st.unsent) == nil {
			st.unsent = nil
			running = append(running, st.key)
		}
	}
	l.settle(running, "its start was lost with the agent")
	for _, st := range l.steps {
		st.wake()
	}
	if l.closing {
		_ = l.link.send(shim.Message{Kind: shim.KindClose, Grace: l.h.cfg.CloseGrace, Reason: "the lease was closed"})
	}
}

// finish records a step's end. Call it with l.mu held.
func (l *lease) finish(st *step, e shim.Exit) {
	if st.ended() {
		return
	}
	st.exit = e
	l.running--
	close(st.done)
	l.rest(st, st.slot)
}

// wake tells those who wait for more output to look. Call it with the lease's mu held.
func (st *step) wake() {
	if st.grown != nil {
		close(st.grown)
		st.grown = nil
	}
}

// settle gives an end to every step that is not running any more: the one on disk, or Lost. Call it with l.mu held.
func (l *lease) settle(running []string, why string) {
	for _, st := range l.steps {
		if st.ended() || slices.Contains(running, st.key) {
			continue
		}
		e, err := l.exit(st)
		if err != nil {
			e = l.lost(st, why)
			if err := l.record(st, e); err != nil {
				l.h.log.Error("record a lost step", "lease", l.id, "step", st.Step, "err", err)
			}
		}
		l.finish(st, e)
	}
}

// lost is the end of a step about which nobody knows.
func (l *lease) lost(st *step, why string) shim.Exit {
	e := shim.Exit{Code: -1, Lost: true, Reason: why, Started: st.Claimed, Ended: time.Now()}
	if fi, err := os.Stat(st.slot.path); err == nil {
		e.Output = max(fi.Size()-shim.OutputStart, 0)
	}
	if fi, err := os.Stat(l.stdout(st)); err == nil {
		e.Stdout = fi.Size()
	}
	return e
}

// release says that the shim has nothing of the lease left. Call it with l.mu held.
func (l *lease) release() {
	if l.link == nil {
		return
	}
	l.link = nil
	close(l.released)
}

// shimDied ends what a dead shim left: no process of it lives on, and steps without an exit on disk are Lost.
func (l *lease) shimDied(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link != k {
		return
	}
	if !shim.KillOrphans(l.key) {
		l.h.log.Error("processes of a dead shim resist", "lease", l.id)
	}
	if !l.closing {
		l.h.log.Warn("a shim died", "lease", l.id)
	}
	l.settle(nil, "the process that watched it was killed")
	l.release()
}

// expire marks a Kill lease whose deadline nobody keeps any more. Call it with l.mu held.
func (l *lease) expire() {
	if l.rec.Policy != agent.Kill || l.expired {
		return
	}
	l.expired = true
	if err := os.WriteFile(filepath.Join(l.dir, shim.ExpiredFile), nil, 0o600); err != nil {
		l.h.log.Error("mark an expired lease", "lease", l.id, "err", err)
	}
}

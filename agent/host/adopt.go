package host

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent/host/shim"
)

// adopt finds the leases of an earlier agent again: those whose shims live go on as if nothing had been, the steps of the
// others have their exit on disk or are Lost. Leases that were being closed are closed.
func (h *Host) adopt() error {
	es, err := os.ReadDir(h.own("lease"))
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, e := range es {
		l, err := h.load(h.own("lease", e.Name()))
		if err != nil {
			h.log.Warn("a lease's folder is not whole: it was being made or removed", "folder", e.Name(), "err", err)
			if err := h.discard(h.own("lease", e.Name())); err != nil {
				h.log.Error("remove it", "err", err)
			}
			continue
		}
		if f := h.fences.get(l.id.Item); f.Epoch < l.id.Epoch {
			if err := h.fences.raise(fence{Item: l.id.Item, Epoch: l.id.Epoch}); err != nil {
				return err
			}
		}
		h.leases[l.id.Item] = l
		h.places[l.work.Path] = l
		wg.Go(func() { h.reconnect(l) })
	}
	wg.Wait()
	h.retainTools()
	h.dismissStrangers()
	for _, l := range h.open() {
		if f := h.fences.get(l.id.Item); f.Epoch > l.id.Epoch || f.Closed {
			l.closing = true
			h.background(func() { l.end("the lease was closed") })
		}
	}
	return nil
}

// load reads a lease's folder.
func (h *Host) load(dir string) (*lease, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return nil, err
	}
	var rec record
	if err := json.Unmarshal(text, &rec); err != nil {
		return nil, err
	}
	if keyOf(rec.Lease) != filepath.Base(dir) {
		return nil, errors.New("lease.json is another lease's")
	}
	if other := h.leases[rec.Lease.Item]; other != nil {
		return nil, errors.New("its item has another lease open")
	}
	l := h.newLease(rec)
	l.saved = true
	_, err = os.Lstat(filepath.Join(dir, shim.ExpiredFile))
	l.expired = err == nil
	if err := l.loadForgotten(); err != nil {
		return nil, err
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range es {
		if !strings.HasSuffix(e.Name(), stepSuffix) {
			continue
		}
		if err := l.loadSlot(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// reconnect reaches a lease's shim and learns what runs, or finds out that nothing does. A shim that is there and does not
// answer (stopped, or the machine is too busy) is asked again in the background: it may well be watching its steps.
func (h *Host) reconnect(l *lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rec.Boot != h.boot {
		l.expire()
		l.settle(nil, "the machine was restarted")
		return
	}
	if l.reach() {
		return
	}
	h.log.Warn("a lease's shim is there and does not answer", "lease", l.id)
	l.unsure = make(chan struct{})
	h.background(func() {
		for again := time.NewTicker(time.Second); ; {
			select {
			case <-h.stop.Done():
				again.Stop()
				return
			case <-again.C:
			}
			l.mu.Lock()
			found := l.reach()
			if found {
				close(l.unsure)
				l.unsure = nil
			}
			l.mu.Unlock()
			if found {
				again.Stop()
				return
			}
		}
	})
}

// reach connects to the lease's shim once, and reports whether its fate is known now. Call it with l.mu held.
func (l *lease) reach() bool {
	k, hello, err := l.h.pool.connect(l.rec.Shim)
	switch {
	case err == nil && hello.Lease == l.key:
		k.lease, l.link, l.released = l, k, make(chan struct{})
		l.deadline = hello.Deadline
		l.greeted(hello)
		return l.h.pool.attach(k) == nil
	case err == nil:
		_ = k.conn.Close() // an idle shim, which never got this lease
	case !gone(err):
		return false
	}
	if !shim.KillOrphans(l.key) {
		l.h.log.Error("processes of a dead shim resist", "lease", l.id)
	}
	l.expire()
	l.settle(nil, "the process that watched it was killed")
	return true
}

// gone reports whether a failed dial says that no shim is there.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) || isRefused(err)
}

// dismissStrangers ends the shims whose lease is not on disk, and removes the sockets of those that are gone.
func (h *Host) dismissStrangers() {
	es, err := os.ReadDir(h.own("run"))
	if err != nil {
		h.log.Error("read run folder", "err", err)
		return
	}
	known := map[string]bool{}
	for _, l := range h.open() {
		known[l.rec.Shim] = true
	}
	for _, e := range es {
		if known[e.Name()] {
			continue
		}
		k, hello, err := h.pool.connect(e.Name())
		if err != nil {
			if gone(err) {
				_ = os.Remove(h.own("run", e.Name()))
			}
			continue
		}
		if hello.Lease != "" {
			h.log.Warn("a shim serves a lease that is not on disk: ending it", "lease", hello.Lease)
			_ = k.send(shim.Message{Kind: shim.KindClose, Grace: h.cfg.CloseGrace, Reason: "its lease is gone"})
		}
		_ = k.conn.Close() // an idle shim leaves with the agent
	}
}

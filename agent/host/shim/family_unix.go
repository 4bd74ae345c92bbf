//go:build unix

package shim

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// status is how a process ended.
type status struct {
	code   int
	signal string
}

// family is every process that descends from the shim. The shim is a subreaper where the system has that (Linux): a daemon
// that leaves its parents and its session becomes a child of the shim, so "wait has no child left" proves that nothing is.
type family struct {
	ended func(pid int, st status) // a process of start has ended and was reaped
	null  *os.File                 // every process's stdin

	mu    sync.Mutex     // held over fork and over wait, so that no end is seen before its start
	mains map[int]uint64 // by process id, numbered: the system uses ids again
	born  uint64
	// groups are the process groups of all mains since the family was empty, for systems without a subreaper.
	groups map[int]bool

	// reaped holds a token after each child's end.
	reaped chan struct{}

	children chan os.Signal // SIGCHLD, after listen
	looking  bool           // look comes by itself; guarded by mu
}

func newFamily(ended func(int, status)) (*family, error) {
	if err := becomeReaper(); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	// Caught and dropped, not ignored: what is ignored would be ignored by every step too.
	dropped := make(chan os.Signal, 1)
	signal.Notify(dropped, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	f := &family{ended: ended, null: null, mains: map[int]uint64{}, groups: map[int]bool{}, reaped: make(chan struct{}, 1)}
	f.children = make(chan os.Signal, 1)
	go func() {
		for range f.children {
			f.reap()
		}
	}()
	return f, nil
}

// listen has the end of every child reaped at once. It is dear: each signal wakes a thread of its own for it, and Go's monitor
// with it. So the ends of steps are learnt without (await) where the system can, and only those of orphans need it.
func (f *family) listen() { signal.Notify(f.children, unix.SIGCHLD) }

// quieten undoes listen, when no process is left.
func (f *family) quieten() { signal.Stop(f.children) }

// start runs a process in a session of its own, with nothing on its stdin.
func (f *family) start(st *Start, env []string, stdout, stderr *os.File) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer ordinarySlack()()
	sys, handle := session()
	pid, err := syscall.ForkExec(st.Path, st.Argv, &syscall.ProcAttr{
		Dir:   st.Dir,
		Env:   env,
		Files: []uintptr{f.null.Fd(), fd(stdout), fd(stderr)},
		Sys:   sys,
	})
	if err != nil {
		return 0, err
	}
	f.born++
	f.mains[pid] = f.born
	if !f.await(pid, *handle) {
		f.listen()
		go f.reap() // it may have ended before
	}
	if !subreaper {
		f.groups[pid] = true
	}
	return pid, nil
}

// fd is f's descriptor, without what File.Fd does to its mode.
func fd(f *os.File) (n uintptr) {
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n = fd })
	}
	if err != nil {
		return ^uintptr(0)
	}
	return n
}

// notStarted maps the reason why a program did not start to the code a shell would end with.
func notStarted(err error) int {
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return 127
	}
	return 126
}

// reap takes the ends of all children that have ended, and reports whether none is left at all.
func (f *family) reap() (childless bool) {
	for {
		var ws unix.WaitStatus
		f.mu.Lock()
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		main := pid > 0 && f.mains[pid] > 0
		delete(f.mains, pid)
		f.mu.Unlock()
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return true
		case pid == 0:
			return false
		}
		if main {
			f.ended(pid, statusOf(ws))
		} else {
			f.listen() // a step leaves orphans: there may be many more
		}
		f.token()
	}
}

func (f *family) token() {
	select {
	case f.reaped <- struct{}{}:
	default:
	}
}

func statusOf(ws unix.WaitStatus) status {
	if ws.Signaled() {
		return status{128 + int(ws.Signal()), ws.Signal().String()}
	}
	return status{ws.ExitStatus(), ""}
}

// empty reports whether no process of the family lives. Then it forgets the family's groups.
func (f *family) empty() bool {
	if !f.reap() || f.strays() {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups = map[int]bool{}
	return true
}

// endStep sends a signal to the tree of one step: its session, all that descends from it, and what carries its cookie.
func (f *family) endStep(pid int, cookie string, kill bool) {
	sig := unix.SIGTERM
	if kill {
		sig = unix.SIGKILL
	}
	f.mu.Lock()
	if f.mains[pid] > 0 {
		_ = unix.Kill(pid, sig)
	}
	f.mu.Unlock()
	// While it is killed a tree may grow: look again until a look finds nothing new.
	seen := map[int]bool{}
	for range 10 {
		fresh := false
		for _, p := range f.membersOf(pid, cookie) {
			if seen[p] && !kill {
				continue
			}
			fresh = fresh || !seen[p]
			seen[p] = true
			deliver(p, sig)
		}
		if !fresh {
			return
		}
	}
}

// endAll sends a signal to the whole family. A kill first stops every process, so that none makes another meanwhile.
func (f *family) endAll(kill bool) {
	if !kill {
		f.sweep(func(pid int) { deliver(pid, unix.SIGTERM) })
		return
	}
	stopped := map[int]bool{}
	for range 10 {
		before := len(stopped)
		f.sweep(func(pid int) {
			_ = unix.Kill(pid, unix.SIGSTOP)
			stopped[pid] = true
		})
		if len(stopped) == before {
			break
		}
	}
	f.sweep(func(pid int) { _ = unix.Kill(pid, unix.SIGKILL) })
}

func deliver(pid int, sig syscall.Signal) {
	_ = unix.Kill(pid, sig)
	if sig == unix.SIGTERM {
		_ = unix.Kill(pid, unix.SIGCONT) // a stopped process takes its TERM only when it goes on
	}
}

// process is one line of the system's process table.
type process struct{ pid, ppid, pgid, sid int }

// membersOf finds the processes of one step.
func (f *family) membersOf(main int, cookie string) []int {
	var all []process
	processes(func(p process) { all = append(all, p) })
	return members(all, os.Getpid(), main, func(pid int) bool { return carries(pid, StepCookie, cookie) })
}

// members chooses from a process table: the descendants of self that are in main's session or group, or carry the cookie,
// and all that descends from those.
func members(all []process, self, main int, carries func(pid int) bool) []int {
	mine := descendants(all, map[int]bool{self: true})
	roots := map[int]bool{}
	for _, p := range all {
		switch {
		case p.sid == main && mine[p.pid], p.pgid == main && (mine[p.pid] || !subreaper), p.pid == main && mine[p.pid]:
			roots[p.pid] = true
		case mine[p.pid] && carries(p.pid):
			roots[p.pid] = true
		}
	}
	below := descendants(all, roots)
	var pids []int
	for _, p := range all {
		if roots[p.pid] || below[p.pid] {
			pids = append(pids, p.pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// descendants returns what stands below roots, without them.
func descendants(all []process, roots map[int]bool) map[int]bool {
	found := map[int]bool{}
	for {
		before := len(found)
		for _, p := range all {
			if !found[p.pid] && !roots[p.pid] && (roots[p.ppid] || found[p.ppid]) {
				found[p.pid] = true
			}
		}
		if len(found) == before {
			return found
		}
	}
}

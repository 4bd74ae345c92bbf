package shim

import (
	"os"

	"golang.org/x/sys/unix"
)

// macOS has no subreaper: a daemon that leaves its parents belongs to launchd. What keeps its process group is still found.
const subreaper = false

func becomeReaper() error { return nil }

// strays reports processes of the steps' groups that are not below the shim any more.
func (f *family) strays() bool {
	found := false
	f.sweep(func(int) { found = true })
	return found
}

// sweep calls visit for every living descendant of the shim and every member of a step's process group.
func (f *family) sweep(visit func(pid int)) {
	var all []process
	processes(func(p process) { all = append(all, p) })
	self := os.Getpid()
	roots := map[int]bool{self: true}
	f.mu.Lock()
	for _, p := range all {
		if f.groups[p.pgid] {
			roots[p.pid] = true
		}
	}
	f.mu.Unlock()
	below := descendants(all, roots)
	for _, p := range all {
		if p.pid != self && (roots[p.pid] || below[p.pid]) {
			visit(p.pid)
		}
	}
}

func processes(visit func(process)) {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return
	}
	const zombie = 5 // SZOMB of sys/proc.h
	for _, k := range all {
		if k.Proc.P_stat != zombie {
			visit(process{pid: int(k.Proc.P_pid), ppid: int(k.Eproc.Ppid), pgid: int(k.Eproc.Pgid)})
		}
	}
}

func carries(int, string, string) bool { return false }

// KillOrphans does nothing: macOS does not show another process's environment.
func KillOrphans(string) bool { return true }

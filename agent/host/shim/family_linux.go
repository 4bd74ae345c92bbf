package shim

import (
	"bytes"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const subreaper = true

func becomeReaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// strays reports processes that are not below the shim: a subreaper has none.
func (f *family) strays() bool { return false }

// sweep calls visit for every living descendant of the shim, each as soon as it is seen.
func (f *family) sweep(visit func(pid int)) {
	known := map[int]bool{os.Getpid(): true}
	processes(func(p process) {
		if known[p.ppid] {
			known[p.pid] = true
			visit(p.pid)
		}
	})
}

// processes calls visit for every process that is not a zombie, in the order of /proc, which is that of their ids.
func processes(visit func(process)) {
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			pid, perr := strconv.Atoi(name)
			if perr != nil {
				continue
			}
			if p, ok := readProcess(pid); ok {
				visit(p)
			}
		}
		if err == io.EOF || len(names) == 0 {
			return
		}
	}
}

// readProcess reads /proc/PID/stat: pid (name) state ppid pgrp session … The name may hold anything, so it is skipped from its end.
func readProcess(pid int) (process, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(f) < 4 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return process{}, false
	}
	num := func(b []byte) int { n, _ := strconv.Atoi(string(b)); return n }
	return process{pid, num(f[1]), num(f[2]), num(f[3])}, true
}

// carries reports whether a process was given name=value in its environment.
func carries(pid int, name, value string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	want := []byte(name + "=" + value)
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, want) {
			return true
		}
	}
	return false
}

// KillOrphans kills every process that carries the lease's cookie: what a shim that died left behind. It reports
// whether none is left.
func KillOrphans(lease string) bool {
	for range 100 {
		found := false
		processes(func(p process) {
			if p.pid != os.Getpid() && carries(p.pid, LeaseCookie, lease) {
				found = true
				_ = unix.Kill(p.pid, unix.SIGKILL)
			}
		})
		if !found {
			return true
		}
	}
	return false
}

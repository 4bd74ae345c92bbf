// Package proc reads from Linux' /proc what the processes of a benchmark cost: it is for the commands of bench only.
//
// On other systems everything is empty or zero, and the benchmarks leave those lines out.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// Process is one process at one moment.
type Process struct {
	PID    int
	Parent int
	Name   string        // its command line's first words
	CPU    time.Duration // used by itself, in user and system mode
	Reaped time.Duration // used by its children that have ended and were waited for
}

// Tree returns this process and all that descend from it, whichever thread started them. Processes that end meanwhile may be
// missing.
func Tree() []Process {
	all := map[int]Process{}
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		if p, ok := read(name); ok {
			all[p.PID] = p
		}
	}
	var out []Process
	for _, p := range all {
		for at, ok := p, true; ok; at, ok = all[at.Parent] {
			if at.PID == os.Getpid() {
				p.Name = command(p.PID)
				out = append(out, p)
				break
			}
		}
	}
	return out
}

// read parses /proc/PID/stat: the name in brackets may hold anything, so fields are counted from the last bracket.
func read(file string) (Process, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Process{}, false
	}
	text := string(b)
	end := strings.LastIndexByte(text, ')')
	f := strings.Fields(text[end+1:])
	pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
	if end < 0 || len(f) < 15 || err != nil {
		return Process{}, false
	}
	n := func(i int) time.Duration { v, _ := strconv.ParseInt(f[i], 10, 64); return time.Duration(v) * tick }
	parent, _ := strconv.Atoi(f[1])
	return Process{PID: pid, Parent: parent, CPU: n(11) + n(12), Reaped: n(13) + n(14)}, true
}

func command(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
	return strings.Join(args[:min(2, len(args))], " ")
}

// Memory returns a field of /proc/PID/status that counts memory, in bytes: VmRSS is what the process has, VmHWM the most it had.
// 0 is unknown.
func Memory(pid int, field string) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, field+":"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// ResetPeak lets VmHWM begin anew at what the process has now.
func ResetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

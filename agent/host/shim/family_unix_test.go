//go:build unix

package shim

import (
	"slices"
	"testing"
)

func TestMembers(t *testing.T) {
	// 10 is the shim. Step 20 has a child, a daemon in its own session (30, reparented to the shim) with a child, and a daemon
	// that hid its cookie and its session (40). 50 is another step; 60 is not the shim's at all, but carries the cookie.
	all := []process{
		{pid: 1}, {pid: 10, ppid: 1, pgid: 10, sid: 10},
		{pid: 20, ppid: 10, pgid: 20, sid: 20}, {pid: 21, ppid: 20, pgid: 20, sid: 20},
		{pid: 22, ppid: 21, pgid: 22, sid: 22},
		{pid: 30, ppid: 10, pgid: 30, sid: 30}, {pid: 31, ppid: 30, pgid: 30, sid: 30},
		{pid: 40, ppid: 10, pgid: 40, sid: 40},
		{pid: 50, ppid: 10, pgid: 50, sid: 50}, {pid: 51, ppid: 50, pgid: 50, sid: 50},
		{pid: 60, ppid: 1, pgid: 60, sid: 60},
	}
	got := members(all, 10, 20, func(pid int) bool { return pid == 30 || pid == 60 })
	if want := []int{20, 21, 22, 30, 31}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
	// The step's first process has ended; its session lives on.
	rest := slices.DeleteFunc(slices.Clone(all), func(p process) bool { return p.pid == 20 })
	rest[2].ppid = 10
	got = members(rest, 10, 20, func(int) bool { return false })
	if want := []int{21, 22}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
}

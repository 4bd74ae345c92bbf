package shim

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Go's monitor thread sleeps for 20 µs at a time while anything runs. Programs that run often and briefly, as shims and agents do,
// spent a fifth of their time there. So their timers may be late by a millisecond, and the monitor with them. The steps have the
// slack that the agent was started with.
const (
	lateSlack = 1_000_000 // nanoseconds
	// envSlack holds the slack that this program was started with.
	envSlack = "OUTWORK_TIMER_SLACK"
)

// Relax executes the program again with late timers, unless it has them. A thread's slack is its own, and inherited from the one
// that made it: later than this it would be too late for the monitor.
func Relax() {
	if os.Getenv(envSlack) != "" {
		return
	}
	exe, err := os.Executable()
	if err != nil {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, ok := raiseSlack()
	if !ok {
		return
	}
	_ = syscall.Exec(exe, os.Args, append(os.Environ(), envSlack+"="+strconv.Itoa(own))) // returns only when it fails
	setSlack(own)
}

// raiseSlack makes this thread's timers late, and returns what they were.
func raiseSlack() (own int, ok bool) {
	own, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return own, err == nil && own > 0 && own < lateSlack && setSlack(lateSlack)
}

// startSlack starts a shim, whose timers are late.
func startSlack(cmd *exec.Cmd) error {
	if own := os.Getenv(envSlack); own != "" { // so are this program's
		cmd.Env = append(cmd.Env, envSlack+"="+own)
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if own, ok := raiseSlack(); ok {
		defer setSlack(own)
		cmd.Env = append(cmd.Env, envSlack+"="+strconv.Itoa(own))
	}
	return cmd.Start()
}

// ordinarySlack gives this thread the slack that steps are to inherit until the function it returns is called.
func ordinarySlack() func() {
	own, err := strconv.Atoi(os.Getenv(envSlack))
	if err != nil || own <= 0 {
		return func() {}
	}
	runtime.LockOSThread()
	setSlack(own)
	return func() {
		setSlack(lateSlack)
		runtime.UnlockOSThread()
	}
}

func setSlack(nanoseconds int) bool {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(nanoseconds), 0, 0, 0) == nil
}

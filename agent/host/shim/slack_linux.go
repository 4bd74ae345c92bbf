package shim

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Go's monitor thread sleeps for 20 µs at a time while anything runs. A shim runs often and briefly, and many of them side by
// side spent a seventh of their time there. So its timers may be late by shimSlack, and the monitor with them; the steps get the
// slack that the agent had.
const (
	shimSlack = 1_000_000 // nanoseconds
	envSlack  = "OUTWORK_SHIM_SLACK"
)

// startSlack starts a shim that inherits its slack.
func startSlack(cmd *exec.Cmd) error {
	runtime.LockOSThread() // the slack is a thread's, and inherited from the one that forks
	defer runtime.UnlockOSThread()
	if own, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil && own > 0 && setSlack(shimSlack) {
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
		setSlack(shimSlack)
		runtime.UnlockOSThread()
	}
}

func setSlack(nanoseconds int) bool {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(nanoseconds), 0, 0, 0) == nil
}

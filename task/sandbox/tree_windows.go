package sandbox

import "os/exec"

// ownTree leaves a command as it is: its own process is killed when its context ends.
func ownTree(*exec.Cmd) {}

func endTree(*exec.Cmd) {}

func exitCode(e *exec.ExitError) int { return e.ExitCode() }

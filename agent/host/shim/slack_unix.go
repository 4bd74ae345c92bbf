//go:build unix && !linux

package shim

import "os/exec"

func startSlack(cmd *exec.Cmd) error { return cmd.Start() }

func ordinarySlack() func() { return func() {} }

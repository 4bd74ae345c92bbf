//go:build unix

package host_test

import "os"

// environ is what the steps of these tests inherit.
func environ() []string { return []string{"PATH=" + os.Getenv("PATH"), "LANG=C"} }

func noTerm() string { return "" }

func maybeHolder() {}

// idleShims is Config.Idle of agents that are killed.
const idleShims = 0

package host_test

import (
	"os"

	"golang.org/x/sys/windows"
)

// environ is what the steps of these tests inherit: Windows' own programs need a good part of it.
func environ() []string { return os.Environ() }

// noTerm says why steps here are not asked to end.
func noTerm() string {
	if wine() {
		return "Wine gives a console to nobody who has no window, so that Ctrl-Break reaches no one"
	}
	return ""
}

// idleShims is Config.Idle of agents that are killed: under Wine the connections of a killed process stay open, so that an idle shim
// would not know that it has lost its agent.
const idleShims = -1

// wine reports whether this is Wine and not Windows.
func wine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

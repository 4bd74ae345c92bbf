// Package version says which Outwork this is.
package version

import "runtime/debug"

// number is set by the linker: -X …/internal/version.number=1.2.3.
var number = ""

// String returns the version: the linker's, else the module's as Go knows it, else "dev".
func String() string {
	if number != "" {
		return number
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

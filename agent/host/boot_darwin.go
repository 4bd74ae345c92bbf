package host

import "golang.org/x/sys/unix"

// bootID changes each time the machine starts.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return "unknown"
	}
	return id
}

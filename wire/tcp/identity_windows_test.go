package tcp_test

import "testing"

// checkIdentityFile: files have no mode on Windows.
func checkIdentityFile(*testing.T, string) {}

// Package need gives tests the real parts they run against: programs of the machine, servers, small disks, free ports. A machine that lacks
// one skips the test and says what to install; with OUTWORK_CI set nothing may be missing, and the test fails. Only tests import it.
package need

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// patience bounds the wait for a server that never listens.
const patience = time.Minute

// Lack skips the test for want of a part that format names, or fails it where OUTWORK_CI says that nothing may be missing.
func Lack(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("OUTWORK_CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Program is the path of the first of names that is installed. names are looked up as a shell would, or are paths; debian is the
// package to install.
func Program(t testing.TB, debian string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Lack(t, "%s is missing: apt-get install %s", names[0], debian)
	return ""
}

// Programs is Program for several that must all be there.
func Programs(t testing.TB, debian string, names ...string) {
	t.Helper()
	for _, name := range names {
		Program(t, debian, name)
	}
}

// Port is one of loopback on which nobody listens now.
func Port(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Server starts a program and waits until it takes connections at address. It ends with the test.
func Server(t testing.TB, address string, argv ...string) {
	t.Helper()
	log := &Output{}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	deadline, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("%s has ended: %s", argv[0], log)
		case <-deadline:
			t.Fatalf("%s takes no connections: %s", argv[0], log)
		}
	}
}

// Output keeps what a program writes. It may be read while the program runs. The zero value is empty.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String is what was written up to now.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

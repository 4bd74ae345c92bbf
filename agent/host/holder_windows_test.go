package host_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// holderName is the first argument of a test program that is to be a holder.
const holderName = "host-test-holder"

// maybeHolder makes the process one that holds a connection as long as it lives, which it says its name on:
//
//	PROGRAM host-test-holder ADDR NAME [apart NAME [apart …]]
//
// apart has it start a holder of the next name first, which tries to leave everything behind that it has of its parent.
func maybeHolder() {
	if len(os.Args) < 4 || os.Args[1] != holderName {
		return
	}
	if len(os.Args) > 5 && os.Args[4] == "apart" {
		if err := startApart(append([]string{holderName, os.Args[2]}, os.Args[5:]...)); err != nil {
			fmt.Println("holder:", err)
			os.Exit(1)
		}
	}
	conn, err := net.Dial("tcp", os.Args[2])
	if err != nil {
		fmt.Println("holder:", err)
		os.Exit(1)
	}
	fmt.Fprintln(conn, os.Args[3], os.Getpid(), os.Getppid())
	_, _ = conn.Read(make([]byte, 1)) // until the test lets it go
	os.Exit(0)
}

func startApart(args []string) error {
	var err error
	for _, flag := range []uint32{windows.CREATE_BREAKAWAY_FROM_JOB, 0} { // the first is refused
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = []string{"SystemRoot=" + os.Getenv("SystemRoot")}
		cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP | flag}
		if err = cmd.Start(); err == nil {
			return nil
		}
	}
	return err
}

// holders are the processes that hold a connection to the test.
type holders struct {
	addr string
	came chan struct{} // closed and replaced when one comes

	mu   sync.Mutex
	open map[string]*holder
}

// holder is one of them. That its connection ends says nothing: Wine keeps connections of processes that it has killed.
type holder struct {
	name        string
	conn        net.Conn
	process     windows.Handle
	pid, parent int
}

func newHolders(t testing.TB) *holders {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &holders{addr: l.Addr().String(), came: make(chan struct{}), open: map[string]*holder{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go h.greet(conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, one := range h.open {
			_ = one.conn.Close()
			_ = windows.CloseHandle(one.process)
		}
	})
	return h
}

func (h *holders) greet(conn net.Conn) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	one := &holder{conn: conn}
	if err == nil {
		_, err = fmt.Sscan(line, &one.name, &one.pid, &one.parent)
	}
	if err == nil {
		one.process, err = windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(one.pid))
	}
	if err != nil {
		_ = conn.Close()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[one.name] = one
	close(h.came)
	h.came = make(chan struct{})
}

// await waits for a holder.
func (h *holders) await(t testing.TB, name string) *holder {
	t.Helper()
	for timeout := time.After(patience); ; {
		h.mu.Lock()
		one, came := h.open[name], h.came
		h.mu.Unlock()
		if one != nil {
			return one
		}
		select {
		case <-came:
		case <-timeout:
			t.Fatalf("%s did not come", name)
		}
	}
}

// ends waits for its end, but not for longer than timeout, and reports whether it has come.
func (o *holder) ends(timeout time.Duration) bool {
	event, err := windows.WaitForSingleObject(o.process, uint32(timeout.Milliseconds()))
	return err == nil && event == windows.WAIT_OBJECT_0
}

func (o *holder) lives() bool { return !o.ends(0) }

// dies waits for its end.
func (o *holder) dies(t testing.TB) {
	t.Helper()
	if !o.ends(patience) {
		t.Errorf("%s lives on", o.name)
	}
}

// line is a batch file's line that starts a holder.
func (h *holders) line(t testing.TB, args ...string) string {
	t.Helper()
	return `"` + executable(t) + `" ` + holderName + " " + h.addr + " " + strings.Join(args, " ")
}

package world

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a child whose output is kept.
type process struct {
	cmd *exec.Cmd
	end chan struct{} // closed when it was waited for

	mu   sync.Mutex
	text bytes.Buffer
	said chan struct{} // closed and replaced when text grows
}

func start(t testing.TB, binary string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), end: make(chan struct{}), said: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.Env = append(os.Environ(), "OUTWORK_URL=", "OUTWORK_TOKEN=", "GOTRACEBACK=all")
	// A shim inherits no pipe of ours, so that waiting ends with the process; should one be inherited, it ends all the same.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.end) }()
	return p
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b)
	close(p.said)
	p.said = make(chan struct{})
	return len(b), nil
}

// Output is what the process has printed.
func (p *process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *process) wait() { <-p.end }

// Ended is closed when the process has ended.
func (p *process) Ended() <-chan struct{} { return p.end }

// ExitCode waits for the end and returns the exit code.
func (p *process) ExitCode() int { <-p.end; return p.cmd.ProcessState.ExitCode() }

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v: %v\n%s", s, err, p.Output())
	}
}

// await waits until the process has printed a text.
func (p *process) await(t testing.TB, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		have, said := strings.Contains(p.text.String(), text), p.said
		p.mu.Unlock()
		if have {
			return
		}
		select {
		case <-said:
		case <-p.end:
			if strings.Contains(p.Output(), text) {
				return
			}
			t.Fatalf("%s ended without saying %q:\n%s", p.cmd.Path, text, p.Output())
		case <-deadline:
			p.dump()
			t.Fatalf("%s did not say %q:\n%s", p.cmd.Path, text, p.Output())
		}
	}
}

// dump ends the process with its goroutines' stacks on its output.
func (p *process) dump() {
	p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.end:
	case <-time.After(5 * time.Second):
	}
}

// Leftovers lists the processes that a folder's agents have started and that live still: by their environment, their
// working folder or their arguments.
func Leftovers(dir string) []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		if pid == os.Getpid() {
			continue
		}
		cwd, _ := os.Readlink(filepath.Join(d, "cwd"))
		env, _ := os.ReadFile(filepath.Join(d, "environ"))
		args, _ := os.ReadFile(filepath.Join(d, "cmdline"))
		if len(args) == 0 || !(within(cwd, dir) || bytes.Contains(env, []byte(dir+"/")) || bytes.Contains(args, []byte(dir+"/"))) {
			continue
		}
		found = append(found, fmt.Sprintf("%d %s", pid, strings.ReplaceAll(string(args), "\x00", " ")))
	}
	return found
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// killBelow kills what Leftovers finds, until there is nothing.
func killBelow(t testing.TB, dir string) {
	for range 100 {
		left := Leftovers(dir)
		if len(left) == 0 {
			return
		}
		for _, l := range left {
			pid, _ := strconv.Atoi(strings.Fields(l)[0])
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond) // the kernel's reaping has no event for who is not the parent
	}
	t.Errorf("processes that would not die: %v", Leftovers(dir))
}

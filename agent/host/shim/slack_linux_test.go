package shim

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/need"
)

func TestMain(m *testing.M) {
	if os.Getenv("RELAX") != "" {
		Relax()
		slack, err := os.ReadFile("/proc/self/timerslack_ns")
		fmt.Println(os.Getpid(), strings.TrimSpace(string(slack)), os.Getenv(envSlack), os.Args[1:], err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A relaxed program is the same process with the same arguments; it knows what slack it was started with, and so do those it starts.
func TestRelax(t *testing.T) {
	own, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		need.Lack(t, "this kernel does not show a process's timer slack: %v", err)
	}
	was := strings.TrimSpace(string(own))
	for name, env := range map[string][]string{"first": {"RELAX=1"}, "again": {"RELAX=1", envSlack + "=7"}} {
		cmd := exec.Command(os.Args[0], "a", "b c")
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		want := fmt.Sprintln(cmd.Process.Pid, 1_000_000, was, []string{"a", "b c"}, nil)
		if name == "again" {
			want = fmt.Sprintln(cmd.Process.Pid, was, 7, []string{"a", "b c"}, nil)
		}
		if err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", name, out, err, want)
		}
	}
}

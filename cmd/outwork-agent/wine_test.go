//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/server/servertest"
)

// S1-35, S1-101, S1-102: the Windows service, under Wine's service manager. `make test-windows` runs it.
func TestServiceUnderWine(t *testing.T) {
	if os.Getenv("OUTWORK_WINE") == "" {
		t.Skip("OUTWORK_WINE is not set: make test-windows")
	}
	wine, err := exec.LookPath("wine")
	if err != nil {
		t.Fatal("wine is not on this machine")
	}
	if prefix := os.Getenv("WINEPREFIX"); prefix != "" {
		if _, err := os.Stat(filepath.Join(prefix, "drive_c", "windows", "system32", "bcryptprimitives.dll")); err != nil {
			t.Fatalf("Go's programs need a bcryptprimitives.dll with ProcessPrng, which this Wine has not: %v", err)
		}
	}
	exe := filepath.Join(t.TempDir(), "outwork-agent.exe")
	build := exec.Command("go", "build", "-o", exe, ".")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	windows := func(args ...string) *exec.Cmd {
		cmd := exec.Command(wine, args...)
		cmd.Env = append(os.Environ(), "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "DISPLAY=")
		cmd.WaitDelay = time.Second
		return cmd
	}
	run := func(want string, args ...string) {
		t.Helper()
		if out, err := windows(args...).CombinedOutput(); !strings.Contains(string(out), want) {
			t.Errorf("%q: %v: %s, want %q", args, err, out, want)
		}
	}
	user := windows("cmd.exe", "/c", "more") // Wine stops its services with its last user
	stdin, err := user.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := user.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); user.Wait() }()

	f := servertest.New(t)
	state := func() string {
		for _, n := range f.Roster().Snapshot() {
			return string(n.State)
		}
		return ""
	}
	for _, name := range []string{"a", "b"} { // the second finds nothing of the first
		plain, _, err := f.Auth().CreateJoinToken(t.Context(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		id := "outwork-agent-" + name
		run(id+": not installed", exe, "status", "--name", name)
		run(id+": installed and started", exe, "install", "--name", name, "--url", f.URL(), "--token", plain)
		defer windows(exe, "uninstall", "--name", name).Run()
		f.Await("the agent is online", func() bool { return state() == "online" })
		run("RUNNING", "sc", "query", id)
		run("is there already", exe, "install", "--name", name, "--url", f.URL())
		run(id+": stopped", exe, "stop", "--name", name)
		f.Await("the agent is offline", func() bool { return state() == "offline" })
		run(id+": stopped", exe, "status", "--name", name)
		run(id+": started", exe, "start", "--name", name)
		f.Await("the agent is back", func() bool { return state() == "online" })
		run(id+": removed", exe, "uninstall", "--name", name)
		run(id+": not installed", exe, "status", "--name", name)
		for _, n := range f.Roster().Snapshot() {
			if err := f.Roster().Remove(t.Context(), n.Node.Name); err != nil {
				t.Error(err)
			}
		}
	}
}

//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server/servertest"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

// S1-28, S1-29: with a shell, curl and a token, one line brings a machine that has nothing to its first build; as the documentation
// writes it.
func TestFirstAgentOfAMachine(t *testing.T) {
	need.Program(t, "curl", "curl")
	cfg := servertest.Config(t)
	cfg.AgentsDir = t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(cfg.AgentsDir, "outwork-agent-"+runtime.GOOS+"-"+runtime.GOARCH), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f := servertest.Start(t, cfg)
	plain, _, err := f.Auth().CreateJoinToken(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	tools, home := t.TempDir(), t.TempDir()
	for _, name := range []string{"sh", "curl", "uname", "tr", "mkdir", "sha256sum", "cut", "chmod", "mv", "rm"} { // and nothing else
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/bin/sh", "-c", `curl -fsS "$URL/agent.sh?node=build1" | sh -s -- --token `+plain+` --labels first`)
	cmd.Env, cmd.Dir = []string{"PATH=" + tools, "HOME=" + home, "URL=" + f.URL()}, home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log)
		}
	}()
	f.Online()
	f.Await("the node is online", func() bool {
		s := f.Roster().Snapshot()
		return len(s) == 1 && s[0].Node.Name == "build1" && s[0].State == "online"
	})
	if b := f.Run("hello", "node('first') { writeFile file: 'x', text: 'x'; if (!fileExists('x')) { error 'no file' } }"); b.Result != "SUCCESS" {
		t.Errorf("the build ended with %s", b.Result)
	}
}

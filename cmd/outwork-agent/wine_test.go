//go:build linux

package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server/servertest"
)

// windowsAgent builds the agent for Windows and returns its path, and what makes commands for Wine. `make test-windows` runs these tests:
// OUTWORK_WINE is the overlay that .ci/wine has made, without which Go's library does not run there.
func windowsAgent(t *testing.T) (exe string, windows func(args ...string) *exec.Cmd) {
	t.Helper()
	overlay := os.Getenv("OUTWORK_WINE")
	if overlay == "" {
		t.Skip("OUTWORK_WINE is not set: make test-windows")
	}
	wine := need.Program(t, "wine", "wine")
	exe = filepath.Join(t.TempDir(), "outwork-agent.exe")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", exe, ".")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return exe, func(args ...string) *exec.Cmd {
		cmd := exec.Command(wine, args...)
		cmd.WaitDelay = time.Second
		return cmd
	}
}

// S1-101: builds on a Windows agent: batch files, their environment, files, stashes; the agent is killed in the middle of a step, and the
// build goes on under the next one.
func TestBuildsUnderWine(t *testing.T) {
	exe, windows := windowsAgent(t)
	f := servertest.New(t)
	plain, _, err := f.Auth().CreateJoinToken(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	state := func() string {
		for _, n := range f.Roster().Snapshot() {
			return string(n.State)
		}
		return ""
	}
	launch := func() func() {
		log := &strings.Builder{}
		cmd := windows(exe, "--url", f.URL(), "--token", plain, "--name", "win", "--labels", "windows", "--root", `Z:`+strings.ReplaceAll(root, "/", `\`))
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return sync.OnceFunc(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if t.Failed() {
				t.Log(log)
			}
		})
	}
	kill := launch()
	defer func() { kill() }()
	f.Await("the agent is online", func() bool { return state() == "online" })
	f.Job("team", `pipeline {
  agent { label 'windows' }
  environment { WORD = 'grüße' }
  stages {
    stage('Scripts') {
      steps {
        bat 'echo %WORD% of %JOB_NAME% %BUILD_NUMBER%'
        script {
          echo "code ${bat(returnStatus: true, script: '@exit /b 7')}"
          echo "answer ${bat(returnStdout: true, script: '@echo 42').trim()}"
        }
        dir('a b') { bat '@echo now in %CD%' }
        withEnv(['PATH+X=C:\\extra']) { bat '@echo path %PATH:~0,8%' }
      }
    }
    stage('Files') {
      steps {
        writeFile file: 'out/a.txt', text: 'text of a file'
        stash name: 's', includes: 'out/*.txt'
        bat '@del out\\a.txt'
        unstash 's'
        bat '@type out\\a.txt'
        archiveArtifacts 'out/*'
      }
    }
    stage('Long') {
      steps {
        bat """@echo off
          echo waits
          :again
          if not exist go goto again
          echo after"""
      }
    }
  }
}`)
	b := f.Build("team")
	text := func() string {
		r, err := f.Client.Log(f.Context(), "team", b.Number, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		all, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(all), "\r\n", "\n")
	}
	r, err := f.Client.Log(f.Context(), "team", b.Number, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			t.Fatalf("the build ended early: %s", text())
		}
		if strings.Contains(lines.Text(), "waits") {
			break
		}
	}
	kill() // its connection stays open under Wine: the controller learns of the end when the next agent comes
	kill = launch()
	if err := os.WriteFile(filepath.Join(root, "workspace", "team", "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if b = f.Ended(b); b.Result != "SUCCESS" {
		t.Errorf("%s", b.Result)
	}
	log := text()
	for _, want := range []string{"grüße of team 1\n", "code 7\n", "answer 42\n", "now in Z:" + strings.ReplaceAll(root, "/", `\`) + `\workspace\team\a b` + "\n", "path C:\\extra\n", "text of a file", "waits\n", "after\n"} {
		if strings.Count(log, want) != 1 {
			t.Errorf("the log has no %q, or more than one:\n%s", want, log)
		}
	}
}

// S1-35, S1-101, S1-102, S1-113: the Windows service, under Wine's service manager.
func TestServiceUnderWine(t *testing.T) {
	exe, windows := windowsAgent(t)
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
		if b := f.Run("of-"+name, "node('"+name+"') { bat 'echo in a service' }"); b.Result != "SUCCESS" {
			t.Errorf("a step of the service: %s", b.Result)
		}
		run(id+": removed", exe, "uninstall", "--name", name)
		run(id+": not installed", exe, "status", "--name", name)
		run(id+": installed and started", exe, "install", "--name", name, "--url", f.URL()) // over its folder, which has its credential
		f.Await("the agent is repaired", func() bool { return state() == "online" })
		run(id+": removed", exe, "uninstall", "--name", name)
		run(id+": not installed", exe, "status", "--name", name)
		for _, n := range f.Roster().Snapshot() {
			if err := f.Roster().Remove(t.Context(), n.Node.Name); err != nil {
				t.Error(err)
			}
		}
	}
}

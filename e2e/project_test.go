package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/e2e/world"
	"github.com/outwork-build/outwork/internal/need"
)

// projectFile builds the small agent of this very tree on one machine and runs it on another. As on any farm that builds Go, the
// caches outlive the build: @MODULES@ and @CACHE@.
const projectFile = `pipeline {
  agent none
  environment {
    GOMODCACHE = '@MODULES@'
    GOCACHE = '@CACHE@'
  }
  options { timeout(time: 10, unit: 'MINUTES') }
  stages {
    stage('Build') {
      agent { label 'go' }
      steps {
        checkout scm
        sh 'git log -1 --format="commit %s"'
        sh 'CGO_ENABLED=0 go build -o out/outwork-agent ./cmd/outwork-agent'
        stash name: 'binary', includes: 'out/*'
      }
    }
    stage('Run') {
      agent { label 'plain' }
      options { skipDefaultCheckout() }
      steps {
        unstash 'binary'
        sh 'ls -R; ./out/outwork-agent --version'
        archiveArtifacts artifacts: 'out/*', fingerprint: true
      }
    }
  }
}
`

// ownRepository is a git repository of this tree's files with projectFile as its Jenkinsfile.
func ownRepository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	files, err := exec.Command("git", "-C", world.Root(), "ls-files", "-z").Output()
	if err != nil {
		need.Lack(t, "this tree is no git checkout: %v", err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(world.Root(), name))
		if err != nil {
			continue // deleted and not committed yet
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "Jenkinsfile"), []byte(withCaches(t, projectFile)), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "the whole tree")
	return dir
}

func withCaches(t *testing.T, file string) string {
	t.Helper()
	return strings.NewReplacer("@MODULES@", goEnv(t, "GOMODCACHE"), "@CACHE@", goEnv(t, "GOCACHE")).Replace(file)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// daemon serves the repositories below a folder by git's own protocol and returns the URL.
func daemon(t *testing.T, dir string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command("git", "daemon", "--verbose", "--reuseaddr", "--export-all", "--listen=127.0.0.1", "--port="+strconv.Itoa(port), "--base-path="+dir, dir)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil || !strings.Contains(line, "Ready") {
		t.Fatalf("git daemon: %q %v", line, err)
	}
	go io.Copy(io.Discard, said)
	return "git://127.0.0.1:" + strconv.Itoa(port)
}

// A real project: checked out of git, built with Go on one agent, run on another, archived; what is downloaded runs.
func TestRealProject(t *testing.T) {
	t.Parallel()
	repository := ownRepository(t)
	address := daemon(t, filepath.Dir(repository)) + "/project"
	w := world.New(t)
	w.Join("builder", "go")
	w.Join("runner", "plain")
	if code, out, errs := w.CLI("job", "create", "project", "--git", address); code != 0 {
		t.Fatalf("job create: %d\n%s%s", code, out, errs)
	}
	began := time.Now()
	n := w.Build("project")
	b := w.Finish("project", n)
	log := w.Log("project", n)
	if b.Result != "SUCCESS" {
		t.Fatalf("%s %s\n%s", b.Result, b.Message, log)
	}
	t.Logf("built and run in %s", time.Since(began).Round(time.Millisecond))
	for _, want := range []string{"commit the whole tree", "Running on builder in ", "Running on runner in ", "Stashed 1 file"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	runArtifact(t, w, "project", n)

	// A commit later the same job builds the new commit.
	git(t, repository, "commit", "-q", "--allow-empty", "-m", "one more")
	n = w.Build("project")
	if b := w.Finish("project", n); b.Result != "SUCCESS" || !strings.Contains(w.Log("project", n), "commit one more") {
		t.Errorf("the second build: %s %s\n%s", b.Result, b.Message, w.Log("project", n))
	}
}

func runArtifact(t *testing.T, w *world.World, job string, n int) {
	t.Helper()
	list, err := w.Client.Artifacts(w.Context(), job, n)
	if err != nil || len(list) != 1 || list[0].Path != "out/outwork-agent" {
		t.Fatalf("artifacts: %+v, %v", list, err)
	}
	r, err := w.Client.Artifact(w.Context(), job, n, list[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != list[0].Size {
		t.Fatalf("%d of %d bytes, %v", len(b), list[0].Size, err)
	}
	file := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(file, b, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(file, "--version").CombinedOutput(); err != nil {
		t.Errorf("the artifact does not run: %v\n%s", err, out)
	}
}

// The same project by `outwork run`: its working tree, uncommitted changes included, and nothing is left behind.
func TestRealProjectRunHere(t *testing.T) {
	t.Parallel()
	repository := ownRepository(t)
	hereFile := strings.Replace(projectFile, `sh 'git log -1 --format="commit %s"'`, "sh 'cat untracked.txt'", 1)
	if err := os.WriteFile(filepath.Join(repository, "Jenkinsfile"), []byte(withCaches(t, hereFile)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repository, "untracked.txt"), []byte("not committed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tmp, artifacts := t.TempDir(), t.TempDir()
	cmd := exec.Command(world.Binary(t), "run", "--agents", "go,plain", "--artifacts", artifacts)
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"not committed\n", "Finished: SUCCESS"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it did not say %q:\n%s", want, out.String())
		}
	}
	if said, err := exec.Command(filepath.Join(artifacts, "out", "outwork-agent"), "--version").CombinedOutput(); err != nil {
		t.Errorf("the artifact does not run: %v\n%s", err, said)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if left := world.Leftovers(tmp); len(left) != 0 {
		t.Errorf("processes left behind: %v", left)
	}
}

package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
)

// reallyRun runs the Argv of a request as a process of this computer, in the workspace's neighbour that the request names.
func reallyRun(ctx context.Context, r agent.StartRequest, out io.Writer) agent.Exit {
	if len(r.Argv) == 0 {
		return process(ctx, r, out)
	}
	if err := os.MkdirAll(r.Dir, 0o777); err != nil {
		return agent.Exit{Code: 126}
	}
	c := exec.CommandContext(ctx, r.Argv[0], r.Argv[1:]...)
	c.Dir, c.Env = r.Dir, os.Environ()
	for k, v := range r.Env {
		c.Env = append(c.Env, k+"="+v)
	}
	// Capture gives out to stdout only; the fake has no other place for stderr than the end of it.
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = out, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return agent.Exit{Code: exit.ExitCode()}
	}
	if err != nil {
		return agent.Exit{Code: 127}
	}
	return agent.Exit{}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	c := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"}, args...)...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// TestGit reads the Jenkinsfile from a real repository, on an agent, and keeps its text for the whole run.
func TestGit(t *testing.T) {
	repo := t.TempDir()
	git(t, repo, "init", "-q")
	write := func(text string) {
		if err := os.MkdirAll(filepath.Join(repo, "ci"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, "ci", "Jenkinsfile"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		git(t, repo, "add", ".")
		git(t, repo, "commit", "-q", "-m", "x")
	}
	write(`pipeline { agent { label 'linux' }
    stages { stage('A') { when { branch 'main' }; steps { sh 'hang'; echo "first ${env.GIT_COMMIT}" } } } }`)

	w := newWorld(t)
	w.machine(0).Process, w.machine(1).Process = reallyRun, reallyRun
	job := build.Job{Name: "job", Source: build.Source{Git: &build.GitSource{URL: repo, Ref: "main", Path: "ci/Jenkinsfile"}}}
	if err := w.store.PutJob(context.Background(), job, true); err != nil {
		t.Fatal(err)
	}
	w.start()
	id := w.trigger("job")
	w.saw(id, "did hang")
	write(`echo 'second'`)
	w.halt()
	w.start()
	w.until("the run to be taken up", func() bool { return !w.r.Idle() })
	if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
		t.Fatal(err)
	}
	w.finished(id)
	want := `Started by user alice
Obtained ci/Jenkinsfile from git ` + strings.ReplaceAll(repo, w.dir, "$ROOT") + `
[Pipeline] Start of Pipeline
[Pipeline] node
Running on agent-1 in $ROOT/agent-1/workspace/job
[Pipeline] {
[Pipeline] stage
[Pipeline] { (Declarative: Checkout SCM)
[Pipeline] checkout
[Pipeline] }
[Pipeline] // stage
[Pipeline] withEnv
[Pipeline] {
[Pipeline] stage
[Pipeline] { (A)
[Pipeline] sh
did hang
Aborted by bob
Sending interrupt signal to process
Terminated
[Pipeline] }
[Pipeline] // stage
[Pipeline] }
[Pipeline] // withEnv
[Pipeline] }
[Pipeline] // node
[Pipeline] End of Pipeline
Finished: ABORTED
`
	if got := w.console(id); got != want {
		t.Errorf("console:\n%s\nwant:\n%s", got, want)
	}
	second := w.finished(w.trigger("job"))
	if got := w.console(second.ID); second.Result != build.Success || !strings.Contains(got, "\nsecond\n") {
		t.Errorf("the next build: %s\n%s", second.Result, got)
	}
	if held := w.farm.active(); len(held) > 0 {
		t.Errorf("still held: %q", held)
	}

	job.Source.Git.Path = "nothing/here"
	_ = w.store.PutJob(context.Background(), job, false)
	missing := w.finished(w.trigger("job"))
	if missing.Result != build.Failure || missing.CauseKind != build.CauseNone || !strings.Contains(missing.Message, "Unable to find nothing/here from git") {
		t.Errorf("a path that is not there: %s %s %q", missing.Result, missing.CauseKind, missing.Message)
	}
}

// TestDir reads a working tree on this machine and knows its branch.
func TestDir(t *testing.T) {
	tree := t.TempDir()
	git(t, tree, "init", "-q")
	git(t, tree, "checkout", "-q", "-b", "topic/x")
	if err := os.WriteFile(filepath.Join(tree, "Jenkinsfile"), []byte("node { def v = checkout scm; echo \"${v.GIT_COMMIT} on ${BRANCH_NAME}\" }"), 0o666); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	job := build.Job{Name: "job", Source: build.Source{Dir: &build.DirSource{Path: tree}}}
	if err := w.store.PutJob(context.Background(), job, true); err != nil {
		t.Fatal(err)
	}
	w.start()
	b := w.finished(w.trigger("job"))
	if got := w.console(b.ID); b.Result != build.Success || !strings.Contains(got, "\nc0ffee on topic/x\n") {
		t.Errorf("%s\n%s", b.Result, got)
	}
	if err := os.Remove(filepath.Join(tree, "Jenkinsfile")); err != nil {
		t.Fatal(err)
	}
	b = w.finished(w.trigger("job"))
	if got := w.console(b.ID); b.Result != build.Failure || !strings.Contains(got, "ERROR: Unable to find Jenkinsfile in ") {
		t.Errorf("without a Jenkinsfile: %s\n%s", b.Result, got)
	}
}

// TestAbortFetch: an abort while the Jenkinsfile waits to be fetched.
func TestAbortFetch(t *testing.T) {
	w := newWorld(t)
	w.farm.nodes = nil
	job := build.Job{Name: "job", Source: build.Source{Git: &build.GitSource{URL: "/nowhere"}}}
	if err := w.store.PutJob(context.Background(), job, true); err != nil {
		t.Fatal(err)
	}
	w.start()
	id := w.trigger("job")
	w.until("the fetch to wait", func() bool { return w.farm.waiting() == 1 })
	if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
		t.Fatal(err)
	}
	if b := w.finished(id); b.Result != build.Aborted || b.CauseKind != build.CauseUser || w.farm.waiting() != 0 {
		t.Errorf("%s %s, %d wait", b.Result, b.CauseKind, w.farm.waiting())
	}
	if got := w.console(id); got != "Started by user alice\nAborted by bob\nFinished: ABORTED\n" {
		t.Errorf("console:\n%s", got)
	}
}

// TestStillWaiting prints what the ECS tutorial shows: after 15 s the reason, and the rest when such an agent joins.
func TestStillWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.halt()
		w.job("slave-test", `pipeline {
    agent { label 'ecs' }
    stages { stage('Awesomeness') { steps { echo 'Hello from Jenkins slave!' } } }
}`)
		w.start()
		id := w.trigger("slave-test")
		begin := time.Now()
		w.saw(id, "doesn’t have label ‘ecs’")
		if d := time.Since(begin).Round(time.Second); d != 15*time.Second {
			t.Errorf("the reason came after %v, want 15s", d)
		}
		w.farm.add("ecs-cloud-ecs-39cg6", w.dir+"/ecs", "ecs")
		w.finished(id)
		want := `Started by user alice
[Pipeline] Start of Pipeline
[Pipeline] node
Still waiting to schedule task
‘Jenkins’ doesn’t have label ‘ecs’
Running on ecs-cloud-ecs-39cg6 in $ROOT/ecs/workspace/slave-test
[Pipeline] {
[Pipeline] stage
[Pipeline] { (Awesomeness)
[Pipeline] echo
Hello from Jenkins slave!
[Pipeline] }
[Pipeline] // stage
[Pipeline] }
[Pipeline] // node
[Pipeline] End of Pipeline
Finished: SUCCESS
`
		if got := w.console(id); got != want {
			t.Errorf("console:\n%s\nwant:\n%s", got, want)
		}
	})
}

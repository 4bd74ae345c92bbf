package scm_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor/hosttest"
	"github.com/outwork-build/outwork/pipeline/step/scm"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/pipeline/value"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

// repository makes one with branches main and dev, a tag v1 on the first commit, and a commit that no branch leads to.
func repository(t *testing.T) (dir string, commit func(rev string) string) {
	t.Helper()
	dir = t.TempDir()
	hosttest.Sh(t, dir, `git init -q; echo 1 > f; git add .; git commit -qm first; git tag v1; echo 2 > f; mkdir sub; echo s > sub/s; git add .; git commit -qm "second one"
git checkout -qb dev; echo dev > f; git commit -qam dev; git update-ref refs/pull/7/head HEAD; git checkout -q --detach; echo lone > f; git commit -qam lone; git update-ref refs/hidden/x HEAD; git checkout -q main; git config uploadpack.allowAnySHA1InWant true`)
	return dir, func(rev string) string {
		return strings.TrimSpace(hosttest.Sh(t, dir, "git rev-parse "+rev+"^{commit}"))
	}
}

func checkout(w hosttest.World) step.Step { return scm.Checkout{Blobs: w.Blobs} }

func theSCM() steptest.Args { return steptest.Args{"scm": value.Pairs("$class", "scm")} }

func gitSCM(url, branch string) steptest.Args {
	return steptest.Args{"scm": value.Pairs("$class", "GitSCM", "branches", value.NewList(value.Pairs("name", branch)),
		"userRemoteConfigs", value.NewList(value.Pairs("url", url)))}
}

func vars(v value.Value) map[string]string {
	out := map[string]string{}
	for k, x := range v.(*value.Map).All() {
		out[k.(string)] = x.(string)
	}
	return out
}

func read(t *testing.T, th *steptest.Thread, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(th.Scope().Node.Workspace.Path, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestGitRefs(t *testing.T) {
	repo, commit := repository(t)
	w := hosttest.New(t)
	th := w.Node()
	for _, c := range []struct{ ref, rev, branch, f string }{
		{"*/main", "main", "origin/main", "2\n"},
		{"dev", "dev", "origin/dev", "dev\n"},
		{"origin/main", "main", "origin/main", "2\n"},
		{"refs/heads/dev", "dev", "origin/dev", "dev\n"},
		{"v1", "v1", "v1", "1\n"},
		{"refs/tags/v1", "v1", "refs/tags/v1", "1\n"},
		{commit("v1"), "v1", "detached", "1\n"},
		{commit("refs/hidden/x"), "refs/hidden/x", "detached", "lone\n"},
		{"refs/pull/7/head", "dev", "refs/pull/7/head", "dev\n"},
		{"", "main", "origin/main", "2\n"},
	} {
		got := vars(w.Must(th, checkout(w), gitSCM("file://"+repo, c.ref)))
		if got["GIT_COMMIT"] != commit(c.rev) || got["GIT_BRANCH"] != c.branch || got["GIT_URL"] != "file://"+repo {
			t.Errorf("%q: %v, want %s %s", c.ref, got, commit(c.rev), c.branch)
		}
		if f := read(t, th, "f"); f != c.f {
			t.Errorf("%q: f holds %q", c.ref, f)
		}
	}
	console := w.Console()
	if !strings.HasPrefix(console, "[Pipeline] checkout\nCloning the remote Git repository\nCloning repository file://"+repo+"\n > git fetch") ||
		!strings.Contains(console, "Checking out Revision "+commit("main")+" (origin/main)\nCommit message: \"second one\"\n[Pipeline] checkout\nFetching changes from the remote Git repository\n") {
		t.Errorf("console:\n%s", console)
	}
	for _, ref := range []string{"gone", strings.Repeat("a", 40)} {
		_, err := th.Step(checkout(w), gitSCM("file://"+repo, ref), nil)
		var e *value.Exception
		if !errors.As(err, &e) || e.Class != value.AbortException {
			t.Errorf("%q: %#v", ref, err)
		}
	}
	_, err := th.Step(checkout(w), gitSCM(repo+"/nowhere", "main"), nil)
	if err == nil || !strings.HasPrefix(err.Error(), "Error fetching remote repo 'origin'") {
		t.Errorf("no repository: %v", err)
	}
}

func TestGitStepOverADaemon(t *testing.T) {
	repo, commit := repository(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	daemon := exec.Command("git", "daemon", "--verbose", "--listen=127.0.0.1", fmt.Sprint("--port=", addr.Port), "--export-all", "--base-path="+repo, repo)
	daemon.Env = append(os.Environ(), "LC_ALL=C")
	stderr, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	said := bufio.NewScanner(stderr)
	for said.Scan() && !strings.Contains(said.Text(), "Ready to rumble") {
	}
	go func() {
		for said.Scan() {
		}
	}()
	w := hosttest.New(t)
	th := w.Node()
	url := fmt.Sprintf("git://%s/", addr)
	got := vars(w.Must(th, scm.Git{}, steptest.Args{"url": url, "branch": "dev"}))
	if got["GIT_COMMIT"] != commit("dev") || got["GIT_LOCAL_BRANCH"] != "dev" || got["GIT_BRANCH"] != "origin/dev" {
		t.Errorf("%v", got)
	}
	ws := th.Scope().Node.Workspace.Path
	if out := hosttest.Sh(t, ws, "git symbolic-ref --short HEAD; git config remote.origin.url; git status --porcelain"); out != "dev\n"+url+"\n" {
		t.Errorf("the clone: %q", out)
	}
	hosttest.Sh(t, ws, "echo dirty > f; touch untracked")
	hosttest.Sh(t, repo, "git checkout -q dev; echo newer > f; git commit -qam newer")
	w.Must(th, scm.Git{}, steptest.Args{"url": url, "branch": "dev"})
	if f := read(t, th, "f"); f != "newer\n" {
		t.Errorf("after a change upstream f holds %q", f)
	}
	if _, err := th.Step(scm.Git{}, steptest.Args{"url": url, "credentialsId": "robot"}, nil); err == nil || !strings.Contains(err.Error(), `credentialsId "robot"`) {
		t.Errorf("credentials: %v", err)
	}
}

func TestExtensions(t *testing.T) {
	repo, _ := repository(t)
	w := hosttest.New(t)
	th := w.Node()
	args := gitSCM("file://"+repo, "main")
	args["scm"].(*value.Map).Put("extensions", value.NewList(value.Pairs("$class", "RelativeTargetDirectory", "relativeTargetDir", "src"),
		value.Pairs("$class", "CloneOption", "shallow", true, "depth", int64(1), "noTags", true), value.Pairs("$class", "CleanBeforeCheckout")))
	w.Must(th, checkout(w), args)
	ws := th.Scope().Node.Workspace.Path
	if out := hosttest.Sh(t, ws+"/src", "git rev-list --count HEAD; git tag; touch left"); out != "1\n" {
		t.Errorf("a shallow clone: %q", out)
	}
	w.Must(th, checkout(w), args)
	if _, err := os.Stat(ws + "/src/left"); err == nil {
		t.Error("CleanBeforeCheckout left a file")
	}
	args["scm"].(*value.Map).Put("extensions", value.NewList(value.Pairs("$class", "SparseCheckoutPaths")))
	if _, err := th.Step(checkout(w), args, nil); err == nil || !strings.Contains(err.Error(), "SparseCheckoutPaths") {
		t.Errorf("an extension that is not there: %v", err)
	}
}

// Nothing that a repository, a URL or a branch name holds is run (T21).
func TestHostileRepositories(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	repo, _ := repository(t)
	touch := "#!/bin/sh\ntouch " + mark + "\n"
	w := hosttest.New(t)
	th := w.Node()
	ws := th.Scope().Node.Workspace.Path
	// Hooks that an earlier build left in the workspace, and those a template would bring.
	hosttest.Sh(t, ws, "git init -q")
	for _, hook := range []string{"post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"} {
		if err := os.WriteFile(filepath.Join(ws, ".git/hooks", hook), []byte(touch), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	hosttest.Sh(t, ws, "git config core.fsmonitor .git/hooks/fsmonitor-watchman; git config core.hooksPath .git/hooks")
	w.Must(th, checkout(w), gitSCM("file://"+repo, "main"))
	// A submodule whose URL would run a command.
	hosttest.Sh(t, repo, `echo '[submodule "x"]
  path = x
  url = ext::sh -c touch% `+mark+`' > .gitmodules; git add .; git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),x; git commit -qm sub`)
	w.Must(th, checkout(w), gitSCM("file://"+repo, "main"))
	for _, c := range [][2]string{
		{"ext::sh -c touch% " + mark, "main"}, {"EXT::sh -c touch% " + mark, "main"}, {"fd::17", "main"}, {"foo://host/x", "main"},
		{"--upload-pack=touch " + mark, "main"}, {"-u" + mark, "main"}, {"ssh://-oProxyCommand=touch " + mark + "/x", "main"}, {"a\nb", "main"}, {"", "main"},
		{"file://" + repo, "--upload-pack=touch " + mark}, {"file://" + repo, "-b"}, {"file://" + repo, "*/-x"}, {"file://" + repo, "a..b"},
		{"file://" + repo, "main:refs/heads/x"}, {"file://" + repo, "+main"}, {"file://" + repo, "$(touch " + mark + ")"}, {"file://" + repo, "refs/*"},
	} {
		if _, err := th.Step(checkout(w), gitSCM(c[0], c[1]), nil); err == nil {
			t.Errorf("%q %q was checked out", c[0], c[1])
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Errorf("something was run\n%s", w.Console())
	}
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	w := hosttest.New(t)
	_, err := w.Node().Step(scm.Git{}, steptest.Args{"url": "http://user:hunter2@127.0.0.1:1/x.git", "branch": "main"}, nil)
	if err == nil {
		t.Fatal("fetched from nowhere")
	}
	if strings.Contains(w.Console()+err.Error(), "hunter2") {
		t.Errorf("the password is shown: %v\n%s", err, w.Console())
	}
}

func TestCheckoutSCMOfGit(t *testing.T) {
	repo, commit := repository(t)
	w := hosttest.New(t)
	w.Source = &build.Source{Git: &build.GitSource{URL: repo, Ref: "dev"}}
	if got := vars(w.Must(w.Node(), checkout(w), theSCM())); got["GIT_COMMIT"] != commit("dev") {
		t.Errorf("%v", got)
	}
	console := w.Console()
	w.Must(w.Node(), checkout(w), theSCM()) // a replay
	if w.Console() != console || w.Started("checkout") != 1 {
		t.Errorf("replayed: %d checkouts\n%s", w.Started("checkout"), w.Console())
	}
	none := hosttest.New(t)
	if _, err := none.Node().Step(checkout(w), theSCM(), nil); err == nil {
		t.Error("checkout scm without a repository")
	}
}

func TestWorkingTree(t *testing.T) {
	src, commit := repository(t)
	hosttest.Sh(t, src, `echo changed > f; echo new > new; printf '*.o\nignored/\n' > .gitignore; touch x.o; mkdir ignored; touch ignored/y; rm sub/s; echo run > run.sh; chmod 755 run.sh; ln -s run.sh link; ln -s /etc/passwd out`)
	w := hosttest.New(t)
	w.Source = &build.Source{Dir: &build.DirSource{Path: src, Script: "Jenkinsfile"}}
	th := w.Node()
	ws := th.Scope().Node.Workspace.Path
	got := vars(w.Must(th, checkout(w), theSCM()))
	if got["GIT_COMMIT"] != commit("HEAD") || got["GIT_BRANCH"] != "main" {
		t.Errorf("%v", got)
	}
	const listing = "find . -mindepth 1 -name .git -prune -o ! -type d -print | sort; test -x run.sh; readlink link; cat f"
	if out := hosttest.Sh(t, ws, listing); out != "./.gitignore\n./f\n./link\n./new\n./run.sh\nrun.sh\nchanged\n" {
		t.Errorf("the workspace:\n%s", out)
	}
	if !strings.Contains(w.Console(), "Copying the working tree "+src+"\nLeft out: out: the link to /etc/passwd leads out of the tree\n") {
		t.Errorf("console:\n%s", w.Console())
	}
	if out := hosttest.Sh(t, ws, "git rev-parse HEAD; git branch --show-current; git describe --tags --always --dirty > /dev/null; git status --short"); out != commit("HEAD")+"\nmain\n M f\n D sub/s\n?? .gitignore\n?? link\n?? new\n?? run.sh\n" {
		t.Errorf("git in the copy:\n%s", out)
	}
	hosttest.Sh(t, ws, "git add f && git commit -qm here")
	if out := hosttest.Sh(t, src, "git log --format=%H -1"); out != commit("HEAD")+"\n" {
		t.Errorf("a commit in the copy reached the tree: %s", out)
	}
	// Within one build every checkout gives the same, whatever happens to the tree.
	hosttest.Sh(t, src, "echo later > f; rm new")
	hosttest.Sh(t, ws, "echo made > made; echo x > f")
	w.Must(th, checkout(w), theSCM())
	if out := hosttest.Sh(t, ws, listing); out != "./.gitignore\n./f\n./link\n./made\n./new\n./run.sh\nrun.sh\nchanged\n" {
		t.Errorf("the second checkout:\n%s", out)
	}
	// The next build of the workspace loses what is gone from the tree and keeps what builds made.
	w.Record.ID.Number = 2
	w.Must(th, checkout(w), theSCM())
	if out := hosttest.Sh(t, ws, listing); out != "./.gitignore\n./f\n./link\n./made\n./run.sh\nrun.sh\nlater\n" {
		t.Errorf("the next build:\n%s", out)
	}
	// A list that a build has meddled with leads nowhere.
	victim := filepath.Join(filepath.Dir(ws), "victim")
	if err := os.WriteFile(victim, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	lists, err := filepath.Glob(ws + "@scm/*")
	if err != nil || len(lists) != 1 {
		t.Fatal(lists, err)
	}
	if err := os.WriteFile(lists[0], []byte("../victim\x00"+victim+"\x00.\x00\x00made"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Must(th, checkout(w), theSCM())
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(ws + "/f"); err != nil {
		t.Error(err)
	}
}

func TestFolderThatIsNoRepository(t *testing.T) {
	src := t.TempDir()
	hosttest.Sh(t, src, "mkdir a; echo x > a/f; echo y > y")
	w := hosttest.New(t)
	w.Source = &build.Source{Dir: &build.DirSource{Path: src}}
	th := w.Node()
	if got := vars(w.Must(th, checkout(w), theSCM())); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if f := read(t, th, "a/f"); f != "x\n" {
		t.Errorf("%q", f)
	}
	w.Source.Dir.Path = src + "/gone"
	w.Record.ID.Number = 2
	if _, err := th.Step(checkout(w), theSCM(), nil); err == nil {
		t.Error("a tree that is not there was copied")
	}
}

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/e2e/world"
	"github.com/outwork-build/outwork/internal/need"
)

// Jenkinsfiles that cannot run end their build at once, with an error that says what, where and what to do.
func TestWrongJenkinsfiles(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Join("a", "linux")
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"brace", "pipeline {\n  agent any\n  stages {\n    stage('A') { steps { echo 'x' }\n", []string{"WorkflowScript: ", "line "}},
		{"step", "pipeline {\n  agent any\n  stages {\n    stage('A') { steps { ech 'x' } }\n  }\n}", []string{"ech", "echo", "line 4"}},
		{"label", "pipeline {\n  agent { label 'a &&' }\n  stages { stage('A') { steps { echo 'x' } } }\n}", []string{"a &&", "column"}},
		{"scriptedlabel", "node('a &&') { }", []string{"a &&", "column"}},
	} {
		w.Job(c.name, c.script)
		n := w.Build(c.name)
		b := w.Finish(c.name, n)
		log := w.Log(c.name, n)
		if b.Result != "FAILURE" {
			t.Errorf("%s: %s\n%s", c.name, b.Result, log)
		}
		for _, want := range c.want {
			if !strings.Contains(log, want) {
				t.Errorf("%s: the log does not say %q:\n%s", c.name, want, log)
			}
		}
		if strings.Contains(log, "Still waiting") || strings.Contains(log, "goroutine ") {
			t.Errorf("%s:\n%s", c.name, log)
		}
	}
}

// A build with parameters of the wrong kind is refused.
func TestWrongParameters(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Join("a", "linux")
	w.Job("j", "pipeline {\n  agent any\n  parameters { booleanParam(name: 'B', defaultValue: true); choice(name: 'C', choices: ['x', 'y']) }\n  stages { stage('A') { steps { echo \"${params.B} ${params.C}\" } }\n }\n}")
	if b := w.Finish("j", w.Build("j")); b.Result != "SUCCESS" {
		t.Fatalf("%s %s", b.Result, b.Message)
	}
	for _, p := range []map[string]string{{"B": "maybe"}, {"C": "z"}} {
		b, err := w.Client.StartBuild(w.Context(), "j", api.BuildCreate{Parameters: p})
		if err == nil {
			t.Errorf("%v was taken as %s#%d: %+v", p, b.Job, b.Number, b.Parameters)
			continue
		}
		t.Logf("%v: %v", p, err)
	}
}

// Sources that are not there, or not allowed.
func TestWrongSources(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Join("a", "linux")
	repository := filepath.Join(t.TempDir(), "r")
	if err := os.Mkdir(repository, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, repository, "init", "-q", "-b", "main")
	git(t, repository, "commit", "-q", "--allow-empty", "-m", "nothing")
	if _, err := w.Client.CreateJob(w.Context(), api.JobCreate{Name: "large", Source: api.Source{Script: strings.Repeat("// x\n", 1<<20)}}); err == nil {
		t.Error("a Jenkinsfile of 5 MB was taken")
	}
	for name, s := range map[string]api.GitSource{
		"absent":  {URL: "file:///does/not/exist"},
		"dash":    {URL: "file://" + repository, Ref: "--upload-pack=touch"},
		"ext":     {URL: "ext::sh -c touch% /tmp/pwned"},
		"nofile":  {URL: "file://" + repository},
		"nobody":  {URL: "http://127.0.0.1:1/r.git"},
		"outside": {URL: "file://" + repository, Path: "../../etc/passwd"},
	} {
		_, err := w.Client.CreateJob(w.Context(), api.JobCreate{Name: name, Source: api.Source{Git: &s}})
		if err != nil { // refused before anything runs: as good
			if len(err.Error()) < 10 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		n := w.Build(name)
		if b := w.Finish(name, n); b.Result != "FAILURE" || b.Message == "" {
			t.Errorf("%s: %s %q\n%s", name, b.Result, b.Message, w.Log(name, n))
		}
	}
}

// run runs the product to its end.
func run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(world.Binary(t), args...)
	cmd.Env = append(os.Environ(), "OUTWORK_URL=", "OUTWORK_TOKEN=")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// Join tokens that are wrong, used, expired: the agent says so and ends.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	agent := func(name, token string) (int, string) {
		return run(t, "agent", "--url", w.URL, "--name", name, "--root", filepath.Join(w.Dir, "machines", name), "--token", token)
	}
	expect := func(what string, code int, out string) {
		t.Helper()
		if code == 0 || !strings.Contains(out, "token") || strings.Contains(out, "goroutine ") {
			t.Errorf("%s: %d\n%s", what, code, out)
		}
		t.Logf("%s: exit code %d: %s", what, code, strings.TrimSpace(out))
	}
	code, out := agent("wrong", "owj_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	expect("wrong", code, out)
	tok, err := w.Client.CreateJoinToken(w.Context(), api.JoinTokenCreate{Node: "good"})
	if err != nil {
		t.Fatal(err)
	}
	code, out = agent("bad", tok.Secret)
	expect("another's", code, out)
	tok, err = w.Client.CreateJoinToken(w.Context(), api.JoinTokenCreate{})
	if err != nil {
		t.Fatal(err)
	}
	a := w.JoinWith(tok.Secret, "first")
	a.AwaitOnline()
	code, out = agent("second", tok.Secret)
	expect("used", code, out)
	tok, err = w.Client.CreateJoinToken(w.Context(), api.JoinTokenCreate{TTL: "1ns"})
	if err == nil {
		code, out = agent("late", tok.Secret)
		expect("expired", code, out)
	}
	// As a node that is there, with a token that does not name it: the agent that is there does not notice.
	tok, err = w.Client.CreateJoinToken(w.Context(), api.JoinTokenCreate{})
	if err != nil {
		t.Fatal(err)
	}
	code, out = run(t, "agent", "--url", w.URL, "--name", "first", "--root", filepath.Join(w.Dir, "machines", "other"), "--token", tok.Secret)
	expect("a taken name", code, out)
	if n, err := w.Client.Node(w.Context(), "first"); err != nil || n.State != "online" || !strings.Contains(out, "outwork node token --node first") {
		t.Errorf("%+v %v\n%s", n, err, out)
	}
	if code, _, errs := w.CLI("--token", "owt_wrong", "job", "list"); code == 0 || !strings.Contains(errs, "token") {
		t.Errorf("a wrong API token: %d %s", code, errs)
	}
}

// A port or a folder that is in use, and a folder that a newer version wrote.
func TestWrongStart(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	address := strings.TrimPrefix(w.URL, "http://")
	code, out := run(t, "server", "--data", t.TempDir(), "--listen", address)
	if code == 0 || !strings.Contains(out, address) || !strings.Contains(out, "another program has this port") {
		t.Errorf("port in use: %d\n%s", code, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	code, out = run(t, "server", "--data", w.Data(), "--listen", free)
	if code == 0 || !strings.Contains(out, w.Data()) {
		t.Errorf("folder in use: %d\n%s", code, out)
	}
	w.StopController()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		need.Lack(t, "the command sqlite3 is not there (apt-get install sqlite3)")
	}
	files, _ := filepath.Glob(filepath.Join(w.Data(), "*.db"))
	if len(files) != 1 {
		t.Fatalf("ledgers: %v", files)
	}
	if out, err := exec.Command("sqlite3", files[0], "insert into goose_db_version(version_id, is_applied) values (99999, 1)").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	code, out = run(t, "server", "--data", w.Data(), "--listen", free)
	if code == 0 || !strings.Contains(out, "newer") {
		t.Errorf("a newer version's folder: %d\n%s", code, out)
	}
}

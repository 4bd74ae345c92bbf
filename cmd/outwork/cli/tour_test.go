package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/server/servertest"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/websocket"
)

// asProgram makes the test binary the program outwork.
const asProgram = "OUTWORK_CLI_TEST"

func TestMain(m *testing.M) {
	servertest.Main()
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// shell runs verbs with one person's login.
type shell struct {
	t    *testing.T
	vars map[string]string
}

func newShell(t *testing.T) *shell {
	return &shell{t, map[string]string{"OUTWORK_CONFIG": filepath.Join(t.TempDir(), "conf", "logins.json"), "USER": "tester"}}
}

// try runs a verb and returns its exit code and what it wrote.
func (s *shell) try(stdin string, args ...string) (code int, out, errw string) {
	s.t.Helper()
	e, o, w := testEnv(s.vars)
	e.in = strings.NewReader(stdin)
	ctx, cancel := context.WithTimeout(s.t.Context(), servertest.Patience)
	defer cancel()
	code = run(ctx, args, e)
	return code, o.String(), w.String()
}

// ok runs a verb that must succeed and say something.
func (s *shell) ok(says string, args ...string) string {
	s.t.Helper()
	return s.fed("", says, args...)
}

func (s *shell) fed(stdin, says string, args ...string) string {
	s.t.Helper()
	code, out, errw := s.try(stdin, args...)
	if code != exitOK || !strings.Contains(out+errw, says) {
		s.t.Errorf("outwork %s: exit %d, expected %q\n%s%s", strings.Join(args, " "), code, says, out, errw)
	}
	return out
}

// fails runs a verb that must end with a code and a reason.
func (s *shell) fails(code int, says string, args ...string) {
	s.t.Helper()
	got, out, errw := s.try("", args...)
	if got != code || !strings.Contains(errw, says) {
		s.t.Errorf("outwork %s: exit %d, expected %d and %q\n%s%s", strings.Join(args, " "), got, code, says, out, errw)
	}
}

// json runs a verb with --json, whose output must be one JSON value and nothing else.
func (s *shell) json(args ...string) any {
	s.t.Helper()
	args = append(args, "--json")
	code, out, errw := s.try("", args...)
	var v any
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(&v); err != nil || code != exitOK {
		s.t.Errorf("outwork %s: exit %d, %v\n%s%s", strings.Join(args, " "), code, err, out, errw)
		return nil
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		s.t.Errorf("outwork %s: more than one value:\n%s", strings.Join(args, " "), out)
	}
	return v
}

const greets = `pipeline { agent { label 'linux' }
  parameters { string(name: 'WHO', defaultValue: 'world') }
  stages { stage('Greet') { steps { echo "hello ${params.WHO}"; sh 'set +x; mkdir -p out; echo text > out/f.txt; echo an error was seen'; archiveArtifacts 'out/*' } } } }
`

// The tour of README.md, verb by verb, against a real controller and agent.
func TestTheTour(t *testing.T) {
	f := servertest.New(t, "linux docker")
	f.Online()
	s, dir := newShell(t), t.TempDir()
	file := filepath.Join(dir, "Jenkinsfile")
	if err := os.WriteFile(file, []byte(greets), 0o644); err != nil {
		t.Fatal(err)
	}
	s.fails(exitAuth, "outwork login", "whoami")
	if code, _, errw := s.try("wrong\n", "login", "--url", f.URL(), "--password-stdin"); code != exitAuth || !strings.Contains(errw, "wrong user or password") {
		t.Errorf("%d %s", code, errw)
	}
	s.fed(f.Password()+"\n", "Logged in to "+f.URL()+" as admin.", "login", "--url", f.URL(), "--user", "admin", "--password-stdin")
	if st, err := os.Stat(s.vars["OUTWORK_CONFIG"]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the logins: %v, %v", st, err)
	}
	s.ok("admin at "+f.URL(), "whoami")

	s.ok("Made job team/hello.", "job", "create", "team/hello", "--file", file)
	s.fails(exitConflict, "team/hello", "job", "create", "team/hello", "--file", file)
	s.ok("Changed job", "job", "update", "team/hello", "--description", "greets", "--priority", "2")
	s.ok("Changed job", "job", "disable", "team/hello")
	s.fails(exitConflict, "disabled", "job", "build", "team/hello")
	s.ok("Changed job", "job", "enable", "team/hello")
	s.ok("team/hello", "job", "list")
	s.ok("Finished: SUCCESS", "job", "build", "team/hello", "--follow", "-p", "WHO=tour")
	s.ok("WHO (string)", "job", "show", "team/hello")
	s.fails(exitNotFound, "nothing", "job", "show", "nothing")
	s.ok("team/hello#1", "build", "list", "--job", "team/hello")
	s.ok("Greet", "build", "show", "team/hello#1")
	whole := s.ok("hello tour", "build", "logs", "team/hello#1")
	if again := s.ok("", "build", "logs", "team/hello#1", "--follow"); again != whole {
		t.Errorf("followed:\n%s\nshown:\n%s", again, whole)
	}
	if out := s.ok(": an error was seen", "build", "logs", "team/hello#1", "--grep", "err.r"); strings.Count(out, "\n") != 1 {
		t.Errorf("grep: %s", out)
	}
	s.fails(exitUsage, "a(", "build", "logs", "team/hello#1", "--grep", "a(")
	s.ok("out/f.txt", "build", "artifacts", "team/hello#1", "--download", filepath.Join(dir, "got"))
	if b, err := os.ReadFile(filepath.Join(dir, "got", "out", "f.txt")); err != nil || string(b) != "text\n" {
		t.Errorf("%q, %v", b, err)
	}
	s.ok("hello tour", "build", "rebuild", "team/hello#1", "--follow")
	s.fails(exitConflict, "finished", "build", "abort", "team/hello#1")
	s.fails(exitUsage, "--yes", "build", "delete", "team/hello#2")
	s.ok("", "build", "delete", "team/hello#2", "--yes")
	s.fails(exitNotFound, "team/hello#2", "build", "show", "team/hello#2")

	for _, bad := range []struct{ name, script, result string }{{"fails", "node { sh 'exit 3' }", "FAILURE"}, {"shaky", "node { unstable 'so so' }", "UNSTABLE"}} {
		other := filepath.Join(dir, bad.name)
		if err := os.WriteFile(other, []byte(bad.script), 0o644); err != nil {
			t.Fatal(err)
		}
		s.ok("", "job", "create", bad.name, "--file", other)
		if code, out, errw := s.try("", "job", "build", bad.name, "--follow"); code != exitFailed || !strings.Contains(out, "Finished: "+bad.result) {
			t.Errorf("%s: %d\n%s%s", bad.name, code, out, errw)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "gpu"), []byte("node('gpu') { }"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.ok("", "job", "create", "waits", "--file", filepath.Join(dir, "gpu"))
	s.ok("Started waits#1", "job", "build", "waits")
	f.Await("it waits", func() bool { return len(f.Queue().Snapshot()) == 1 })
	s.ok("gpu", "queue", "list")
	s.ok("gpu", "queue", "why", "waits#1")
	s.fails(exitNotFound, "nothing", "queue", "why", "nothing")
	s.json("queue", "list")
	s.json("queue", "why", "waits#1")
	s.ok("doesn’t have label", "queue", "explain", "waits#1")
	s.ok("would take it", "explain", "waits#1", "--if", "node n1 label gpu")
	s.fails(exitNotFound, "nothing", "explain", "nothing")
	s.json("explain", "waits#1")
	s.ok("Asked waits#1 to end.", "build", "abort", "waits#1")
	f.Ended(api.Build{Job: "waits", Number: 1})
	s.ok("Deleted job waits.", "job", "delete", "waits", "--yes")

	s.ok("online", "node", "list")
	s.ok("docker", "node", "show", "n1")
	s.ok("", "node", "offline", "n1", "--reason", "new disk")
	s.ok("new disk", "node", "show", "n1")
	s.ok("", "node", "online", "n1")
	s.ok("Changed node n1.", "node", "update", "n1", "--labels", "linux,gpu", "--executors", "3", "--description", "d", "--mode", "exclusive")
	s.fails(exitUsage, "mode", "node", "update", "n1", "--mode", "odd")
	s.ok("Starting", "node", "log", "n1")
	join := s.ok("outwork agent --url "+f.URL(), "node", "token", "--ttl", "10m", "--node", "new")
	token := regexp.MustCompile(`owj_\S+`).FindString(join)
	if _, err := f.As("").Join(t.Context(), api.Join{Token: token, Name: "new"}); err != nil {
		t.Errorf("the printed token: %v", err)
	}

	read := strings.TrimSpace(s.ok("owt_", "token", "create", "ci", "--scopes", "read"))
	s.ok("ci", "token", "list")
	s.fails(exitAuth, `"write"`, "job", "build", "team/hello", "--token", read)
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(read+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ok("team/hello", "job", "list", "--token", "@"+filepath.Join(dir, "token"))
	made := s.json("token", "create", "more").(map[string]any)
	s.ok("", "token", "revoke", made["id"].(string))
	s.fails(exitNotFound, made["id"].(string), "token", "revoke", made["id"].(string))
	s.fed("a password\n", "Made user eve (viewer).", "user", "create", "eve", "--role", "viewer", "--password-stdin")
	s.ok("eve", "user", "list")
	s.fed(f.Password()+"\nnew password\n", "Changed your password.", "user", "password", "--password-stdin")
	s.ok("a valid declarative pipeline", "pipeline", "check", file)
	if err := os.WriteFile(filepath.Join(dir, "bad"), []byte("pipeline {"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := s.try("", "pipeline", "check", filepath.Join(dir, "bad")); code != exitFailed || !strings.Contains(out, "bad:1:") {
		t.Errorf("%d %s", code, out)
	}
	s.ok("Wrote", "admin", "backup", filepath.Join(dir, "backup.db"))
	s.fails(exitConflict, "backup.db", "admin", "backup", filepath.Join(dir, "backup.db"))
	s.ok("Wrote", "admin", "backup", filepath.Join(dir, "backup.db"), "--force")

	for _, verb := range [][]string{
		{"whoami"}, {"job", "list"}, {"job", "show", "team/hello"}, {"job", "update", "team/hello", "--priority", "1"}, {"job", "build", "team/hello"},
		{"job", "build", "team/hello", "--follow"}, {"job", "disable", "fails"}, {"job", "create", "json", "--file", file}, {"job", "delete", "json", "--yes"},
		{"build", "list"}, {"build", "show", "team/hello#1"}, {"build", "logs", "team/hello#1"}, {"build", "logs", "team/hello#1", "--grep", "x"},
		{"build", "logs", "team/hello#1", "--follow"}, {"build", "artifacts", "team/hello#1"}, {"build", "rebuild", "team/hello#1", "--follow"}, {"build", "delete", "shaky#1", "--yes"},
		{"node", "list"}, {"node", "show", "n1"}, {"node", "offline", "n1"}, {"node", "online", "n1"}, {"node", "update", "n1", "--mode", "normal"}, {"node", "log", "n1"}, {"node", "token"},
		{"queue", "list"}, {"token", "list"}, {"user", "list"}, {"pipeline", "check", file}, {"admin", "backup", filepath.Join(dir, "b2.db")}, {"version"},
	} {
		s.json(verb...)
	}
	for complete, want := range map[string]string{"job show": "team/hello", "node show": "n1", "build show": "team/hello#1"} {
		if out := s.ok("", append(append([]string{"__complete"}, strings.Fields(complete)...), "")...); !slices.Contains(strings.Split(out, "\n"), want) {
			t.Errorf("completing %s: %q", complete, out)
		}
	}
	s.ok("", "node", "delete", "new", "--yes")
	s.ok("Logged out of "+f.URL(), "logout")
	s.fails(exitAuth, "outwork login", "job", "list")
}

// slow is written to and waited on by a test.
type slow struct {
	mu   sync.Mutex
	b    bytes.Buffer
	news chan struct{}
}

func (w *slow) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
	return w.b.Write(p)
}

func (w *slow) String() string { w.mu.Lock(); defer w.mu.Unlock(); return w.b.String() }

func (w *slow) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.After(servertest.Patience); !strings.Contains(w.String(), text); {
		select {
		case <-w.news:
		case <-deadline:
			t.Fatalf("no %q in\n%s", text, w)
		}
	}
}

// --follow goes on where it was when the controller comes back, and repeats or loses nothing.
func TestFollowOverARestartOfTheController(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Job("long", `node { sh 'set +x; for i in $(seq 500); do echo before $i; done; while ! test -e go; do sleep 0.02; done; for i in $(seq 500); do echo after $i; done' }`)
	b := f.Build("long")
	e, _, errw := testEnv(map[string]string{"OUTWORK_URL": f.URL(), "OUTWORK_TOKEN": f.Token, "OUTWORK_CONFIG": filepath.Join(t.TempDir(), "x")})
	out := &slow{news: make(chan struct{}, 1)}
	e.out = out
	ended := make(chan int, 1)
	go func() { ended <- run(t.Context(), []string{"build", "logs", "long#1", "--follow"}, e) }()
	out.await(t, "before 500\n")
	f.Stop()
	f.Start()
	if err := os.WriteFile(filepath.Join(f.Config.Data, "agents", "n1", "workspace", "long", "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != exitOK {
		t.Fatalf("exit %d\n%s", code, errw)
	}
	r, err := f.Client.Log(f.Context(), "long", b.Number, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if whole, err := io.ReadAll(r); err != nil || string(whole) != out.String() || strings.Count(out.String(), "after 500\n") != 1 {
		t.Errorf("followed %d bytes, the log has %d (%v)", len(out.String()), len(whole), err)
	}
}

func TestExitCodesOfTheServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newShell(t)
	s.fails(exitConflict, "another program has this port", "server", "--data", t.TempDir(), "--listen", l.Addr().String())
	f := servertest.New(t)
	s.fails(exitConflict, f.Config.Data, "server", "--data", f.Config.Data, "--listen", "127.0.0.1:0")
}

func TestExitCodesOfTheAgent(t *testing.T) {
	f := servertest.New(t)
	s := newShell(t)
	s.fails(exitAuth, "join token is not known", "agent", "--url", f.URL(), "--token", "owj_"+strings.Repeat("A", 43), "--name", "a", "--root", t.TempDir())
	future := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/agents/join" {
			w.WriteHeader(http.StatusCreated)
			json.NewEncoder(w).Encode(api.Joined{Name: "a", Credential: "owa_x"})
			return
		}
		link, err := websocket.Accept(w, r)
		if err == nil {
			wire.Handshake(r.Context(), link, wire.Hello{Protocol: 99, MinProtocol: 99, Version: "v99.0.0"})
		}
	}))
	defer future.Close()
	s.fails(exitVersion, "v99.0.0", "agent", "--url", future.URL, "--token", "owj_x", "--name", "a", "--root", t.TempDir())
}

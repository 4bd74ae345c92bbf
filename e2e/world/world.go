// Package world builds a farm of real processes for scenarios: a controller, agents, and a client that is logged in.
//
// The binary is built once a test run, from this tree. Everything lives in a folder of the test's and listens on loopback; at the
// test's end every process that the world started is killed, its shims included, and nothing may be left. A World's methods are
// called by the test's goroutine; Controller and Agent may be killed and started again at will.
package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
)

// patience is how long anything may take before a scenario gives up. Machines that run tests are slow at times.
const patience = 5 * time.Minute

// binary builds cmd/outwork once.
var binary = sync.OnceValues(func() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	dir, err := os.MkdirTemp("", "outwork-e2e-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "outwork")
	cmd := exec.Command("go", "build", "-o", out, "./cmd/outwork")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("go build: %w\n%s", err, text)
	}
	return out, nil
})

// Main runs the tests of a package and removes the binary afterwards. Call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if b, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(b))
	}
	os.Exit(code)
}

// Root is the module's root folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// World is a farm.
type World struct {
	T      testing.TB
	Binary string
	Dir    string
	Client *client.Client
	URL    string
	Token  string // the admin's
	args   []string
	data   string
	ctl    *process
	agents []*Agent
}

// New starts a controller. args are added to `outwork server`.
func New(t testing.TB, args ...string) *World {
	t.Helper()
	return NewAt(t, "", args...)
}

// NewAt is New with a data folder of the test's choice; "" is one in the world's folder.
func NewAt(t testing.TB, data string, args ...string) *World {
	t.Helper()
	return newAt(t, "127.0.0.1", data, args...)
}

func newAt(t testing.TB, host, data string, args ...string) *World {
	t.Helper()
	b, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w := &World{T: t, Binary: b, Dir: t.TempDir(), args: args, data: data}
	if w.data == "" {
		w.data = filepath.Join(w.Dir, "data")
	}
	w.URL = fmt.Sprintf("http://%s:%d", host, freePort(t, host))
	t.Cleanup(w.end)
	w.StartController()
	first := regexp.MustCompile(`password (\S+)`).FindStringSubmatch(w.ctl.Output())
	if first == nil {
		t.Fatalf("the first start printed no password:\n%s", w.ctl.Output())
	}
	anonymous, err := client.New(w.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := anonymous.Login(w.Context(), api.Login{User: "admin", Password: first[1]})
	if err != nil {
		t.Fatal(err)
	}
	w.Token = tok.Secret
	if w.Client, err = client.New(w.URL, w.Token, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

func freePort(t testing.TB, host string) int {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Context ends with the world's patience.
func (w *World) Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.T.Cleanup(cancel)
	return ctx
}

// StartController starts the controller, and waits until it answers.
func (w *World) StartController() {
	w.T.Helper()
	w.LaunchController()
	w.ctl.await(w.T, "To join an agent")
}

// LaunchController starts the controller and does not wait.
func (w *World) LaunchController() {
	w.T.Helper()
	address := strings.TrimPrefix(w.URL, "http://")
	w.ctl = start(w.T, w.Binary, append([]string{"server", "--data", w.Data(), "--listen", address, "--log-level", "debug"}, w.args...)...)
}

// Data is the controller's data folder.
func (w *World) Data() string { return w.data }

// KillController ends the controller as a power failure would, but for the disk's caches.
func (w *World) KillController() { w.ctl.signal(w.T, syscall.SIGKILL); w.ctl.wait() }

// StopController asks the controller to end.
func (w *World) StopController() {
	w.T.Helper()
	w.ctl.signal(w.T, syscall.SIGTERM)
	w.ctl.wait()
	if code := w.ctl.cmd.ProcessState.ExitCode(); code != 0 && code != 130 {
		w.T.Fatalf("the controller ended with %d:\n%s", code, w.ctl.Output())
	}
}

// ControllerLog is what the controller has printed since it was started last.
func (w *World) ControllerLog() string { return w.ctl.Output() }

// ControllerPID is the controller's process.
func (w *World) ControllerPID() int { return w.ctl.cmd.Process.Pid }

// Agent is an agent process and the machine's folder that outlives it.
type Agent struct {
	w    *World
	Name string
	Root string
	// Binary is what Start starts; a test may put another in its place.
	Binary string
	within []string // the command that the agent's is given to; none is nil
	args   []string
	*process
}

// Join starts an agent with a one-use token and waits until its node is online.
func (w *World) Join(name, labels string, args ...string) *Agent {
	w.T.Helper()
	return w.JoinAt(w.URL, name, labels, args...)
}

// JoinAt is Join for an agent that reaches the controller at another address.
func (w *World) JoinAt(address, name, labels string, args ...string) *Agent {
	w.T.Helper()
	return w.join(nil, address, name, labels, args...)
}

func (w *World) join(within []string, address, name, labels string, args ...string) *Agent {
	w.T.Helper()
	tok, err := w.Client.CreateJoinToken(w.Context(), api.JoinTokenCreate{})
	if err != nil {
		w.T.Fatal(err)
	}
	a := &Agent{w: w, Name: name, Root: filepath.Join(w.Dir, "machines", name), Binary: w.Binary, within: within}
	a.args = append([]string{"agent", "--url", address, "--name", name, "--root", a.Root, "--log-level", "debug"}, args...)
	w.agents = append(w.agents, a)
	a.launch("--token", tok.Secret, "--labels", labels)
	a.AwaitOnline()
	return a
}

// JoinIn is Join for an agent whose folder is below dir.
func (w *World) JoinIn(dir, name, labels string) *Agent {
	w.T.Helper()
	a := w.JoinAt(w.URL, name, labels, "--root", filepath.Join(dir, name))
	a.Root = filepath.Join(dir, name)
	return a
}

// JoinWith starts an agent with a token and does not wait.
func (w *World) JoinWith(token, name string) *Agent {
	w.T.Helper()
	a := &Agent{w: w, Name: name, Root: filepath.Join(w.Dir, "machines", name), Binary: w.Binary}
	a.args = []string{"agent", "--url", w.URL, "--name", name, "--root", a.Root, "--log-level", "debug"}
	w.agents = append(w.agents, a)
	a.process = start(w.T, w.Binary, append(a.args, "--token", token)...)
	return a
}

// Start starts the agent again, over the same folder.
func (a *Agent) Start() { a.launch() }

func (a *Agent) launch(more ...string) {
	a.w.T.Helper()
	command := slices.Concat(a.within, []string{a.Binary}, a.args, more)
	a.process = start(a.w.T, command[0], command[1:]...)
}

// AwaitSaid waits until the agent has printed a text since it was started last.
func (a *Agent) AwaitSaid(text string) { a.w.T.Helper(); a.process.await(a.w.T, text) }

// AwaitOnline waits until the node is online.
func (a *Agent) AwaitOnline() {
	a.w.T.Helper()
	a.w.Await("node "+a.Name+" online", func() bool {
		n, err := a.w.Client.Node(a.w.Context(), a.Name)
		return err == nil && n.State == "online"
	})
}

// Kill ends the agent at once; its shims live on.
func (a *Agent) Kill() { a.process.signal(a.w.T, syscall.SIGKILL); a.process.wait() }

// Signal sends the agent a signal.
func (a *Agent) Signal(s syscall.Signal) { a.process.signal(a.w.T, s) }

// Destroy ends the agent and everything that it ever started, as the loss of the machine does.
func (a *Agent) Destroy() {
	a.Kill()
	killBelow(a.w.T, a.Root)
}

// Await waits for something that has no event to wait on from outside: it asks again at short intervals.
func (w *World) Await(what string, done func() bool) {
	w.T.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			said := tail(w.ctl.Output())
			w.ctl.dump()
			w.T.Fatalf("gave up waiting for %s\ncontroller:\n%s\nits goroutines:\n%s", what, said, stacks(w.ctl.Output()))
		}
	}
}

// stacks is what follows a SIGQUIT.
func stacks(s string) string {
	_, after, _ := strings.Cut(s, "SIGQUIT: quit")
	return after
}

func tail(s string) string {
	if len(s) > 8000 {
		return "…" + s[len(s)-8000:]
	}
	return s
}

// Job makes a job of a Jenkinsfile's text.
func (w *World) Job(name, script string) {
	w.T.Helper()
	if _, err := w.Client.CreateJob(w.Context(), api.JobCreate{Name: name, Source: api.Source{Script: script}}); err != nil {
		w.T.Fatal(err)
	}
}

// Build starts a build.
func (w *World) Build(job string) int {
	w.T.Helper()
	b, err := w.Client.StartBuild(w.Context(), job, api.BuildCreate{})
	if err != nil {
		w.T.Fatal(err)
	}
	return b.Number
}

// AwaitLog waits until the log of a build contains a text.
func (w *World) AwaitLog(job string, number int, text string) {
	w.T.Helper()
	w.Await(fmt.Sprintf("%q in the log of %s#%d", text, job, number), func() bool { return strings.Contains(w.Log(job, number), text) })
}

// Log returns the console log; "" while the controller does not answer.
func (w *World) Log(job string, number int) string {
	w.T.Helper()
	r, err := w.Client.Log(w.Context(), job, number, 0, false)
	if fault.Is(err, fault.Unavailable) {
		return ""
	}
	if err != nil {
		w.T.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return ""
	}
	return string(b)
}

// Finish waits until a build has ended and returns it.
func (w *World) Finish(job string, number int) api.Build {
	w.T.Helper()
	var b api.Build
	w.Await(fmt.Sprintf("the end of %s#%d", job, number), func() bool {
		var err error
		b, err = w.Client.Build(w.Context(), job, number)
		if err != nil && !fault.Is(err, fault.Unavailable) {
			w.T.Fatal(err)
		}
		return err == nil && b.State == "finished"
	})
	return b
}

// CLI runs the command line against this world and returns its exit code and output.
func (w *World) CLI(args ...string) (code int, stdout, stderr string) {
	w.T.Helper()
	cmd := exec.Command(w.Binary, args...)
	cmd.Env = append(os.Environ(), "OUTWORK_URL="+w.URL, "OUTWORK_TOKEN="+w.Token, "OUTWORK_CONFIG="+filepath.Join(w.Dir, "logins.json"))
	cmd.Dir = w.Dir
	var out, errw bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errw
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.T.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errw.String()
}

// end kills what the world started and says what should not have been there.
func (w *World) end() {
	for _, a := range w.agents {
		if a.process != nil {
			a.process.cmd.Process.Kill()
			a.process.wait()
		}
	}
	if w.ctl != nil {
		w.ctl.cmd.Process.Kill()
		w.ctl.wait()
	}
	killBelow(w.T, w.Dir)
	for _, a := range w.agents {
		killBelow(w.T, a.Root) // it may be elsewhere
	}
	if w.T.Failed() {
		w.T.Logf("controller:\n%s", tail(w.ctl.Output()))
		for _, a := range w.agents {
			w.T.Logf("agent %s:\n%s", a.Name, tail(a.process.Output()))
		}
	}
}

// Binary is the product, built once a test run.
func Binary(t testing.TB) string {
	t.Helper()
	b, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

//go:build unix

package serve_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/remote"
)

// released are agents as two releases have them.
var released = sync.OnceValues(func() (agents [2][]byte, err error) {
	dir, err := os.MkdirTemp("", "outwork-agents-")
	if err != nil {
		return agents, err
	}
	defer os.RemoveAll(dir)
	for i, version := range []string{"1", "2"} {
		file := filepath.Join(dir, version)
		cmd := exec.Command("go", "build", "-ldflags", "-s -w -X github.com/outwork-build/outwork/internal/version.number="+version,
			"-o", file, "github.com/outwork-build/outwork/cmd/outwork-agent")
		if out, err := cmd.CombinedOutput(); err != nil {
			return agents, fmt.Errorf("%w: %s", err, out)
		}
		if agents[i], err = os.ReadFile(file); err != nil {
			return agents, err
		}
	}
	return agents, nil
})

// depot is a controller that hands out an agent.
type depot struct {
	*controller
	front *httptest.Server

	mu     sync.Mutex
	offer  []byte
	asked  int // times that the digest was asked for; guarded by mu
	sent   int // times that the file was sent; guarded by mu
	broken bool
}

func newDepot(t *testing.T) *depot {
	d := &depot{controller: newController(t, false)}
	d.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := "/agent/" + runtime.GOOS + "/" + runtime.GOARCH
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case r.URL.Path == path+".sha256":
			d.asked++
			fmt.Fprintf(w, "%x  outwork-agent\n", sha256.Sum256(d.offer))
		case r.URL.Path == path && d.broken:
			d.sent++
			w.Write(d.offer[:len(d.offer)/2])
		case r.URL.Path == path:
			d.sent++
			w.Write(d.offer)
		default:
			d.mu.Unlock()
			d.controller.Config.Handler.ServeHTTP(w, r)
			d.mu.Lock()
		}
	}))
	t.Cleanup(d.front.Close)
	return d
}

func (d *depot) set(offer []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offer = offer
}

func (d *depot) counts() (asked, sent int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked, d.sent
}

// installed is an agent of release 1 in a folder of its own, running.
type installed struct {
	*process
	file string
	root string
	one  []byte
	two  []byte
}

func install(t *testing.T, d *depot, args ...string) *installed {
	t.Helper()
	both, err := released()
	if err != nil {
		t.Fatal(err)
	}
	a := &installed{file: filepath.Join(t.TempDir(), "outwork-agent"), root: t.TempDir(), one: both[0], two: both[1]}
	if err := os.WriteFile(a.file, a.one, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &process{log: &buffer{}, ended: make(chan struct{})}
	p.Cmd = exec.Command(a.file, append([]string{"--url", d.front.URL, "--token", "owj_good", "--name", "n", "--root", a.root}, args...)...)
	p.Stderr, p.Stdout, p.WaitDelay = p.log, p.log, time.Second
	d.set(a.one)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("agent:\n%s", p.log)
		}
	})
	a.process = p
	return a
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// release connects the agent anew, as an upgraded controller does, and hands out another agent from then on.
func (d *depot) release(t *testing.T, conn *remote.Conn, offer []byte) *remote.Conn {
	t.Helper()
	d.set(offer)
	conn.Close()
	return d.next(t)
}

// version is that of the process's next connection: a program on trial, which comes and goes, is a process of its own.
func (d *depot) version(t *testing.T, a *installed) (string, *remote.Conn) {
	t.Helper()
	for {
		conn := d.next(t)
		m, err := conn.Machine().Describe(t.Context())
		if err == nil && m.PID == a.Process.Pid {
			return m.Version, conn
		}
	}
}

// S1-30, S1-111: an agent of another build than its controller's gives way to the controller's when nothing runs on it, as the same
// process with the same arguments. What runs is not touched.
func TestUpdate(t *testing.T) {
	d := newDepot(t)
	a := install(t, d)
	first := d.next(t)
	ctx, l := t.Context(), agent.Lease{Item: "i", Epoch: 1}
	if _, err := first.Machine().Open(ctx, agent.OpenRequest{Lease: l, Job: "job"}); err != nil {
		t.Fatal(err)
	}
	if err := first.Machine().Start(ctx, agent.StartRequest{Lease: l, Step: "s", Script: []byte("#!/bin/sh\nwhile ! test -e go; do sleep 0.02; done; echo ran")}); err != nil {
		t.Fatal(err)
	}
	busy := d.release(t, first, a.two)
	a.log.await(t, "it takes over when nothing runs here")
	if err := busy.Machine().WriteFile(ctx, l, "go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := ""
	if e, err := busy.Machine().Follow(ctx, l, "s", 0, func(o agent.Output) error { out += string(o.Data); return nil }); err != nil || e.Code != 0 || out != "ran\n" {
		t.Fatalf("the step: %q, %+v, %v", out, e, err)
	}
	if m, err := busy.Machine().Describe(ctx); err != nil || m.Version != "1" {
		t.Fatalf("while it works: %+v, %v", m, err)
	}
	if err := busy.Machine().Close(ctx, l); err != nil {
		t.Fatal(err)
	}
	within(t, "the agent leaves", patience, busy.Done())
	version, conn := d.version(t, a)
	if version != "2" {
		t.Errorf("version %s, want 2", version)
	}
	if string(contents(t, a.file)) != string(a.two) || string(contents(t, a.file+".old")) != string(a.one) {
		t.Error("the files are not the new agent and, as .old, the old one")
	}
	l.Epoch++
	if _, err := conn.Machine().Open(ctx, agent.OpenRequest{Lease: l, Job: "job"}); err != nil {
		t.Errorf("the new agent takes no work: %v", err)
	}
	if err := conn.Machine().Close(ctx, l); err != nil {
		t.Error(err)
	}
	if _, sent := d.counts(); sent != 1 {
		t.Errorf("downloaded %d times", sent)
	}
}

// S1-111: a new agent that does not reach the controller is not taken, and not tried again.
func TestBadUpdate(t *testing.T) {
	for name, bad := range map[string]string{
		"crashes":    "#!/bin/sh\necho no good >&2; exit 3\n",
		"hangs":      "#!/bin/sh\nexec sleep 600\n",
		"no program": "\x7fELF, but no more of it",
		"ends":       "#!/bin/sh\nexit 0\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t)
			a := install(t, d, "--update-wait", "3s")
			d.release(t, d.next(t), []byte(bad))
			a.log.await(t, "is no good here")
			version, conn := d.version(t, a)
			if version != "1" || string(contents(t, a.file)) != string(a.one) {
				t.Errorf("version %s, or the file is not the old one", version)
			}
			if got := strings.TrimSpace(string(contents(t, filepath.Join(a.root, "update-bad")))); got != fmt.Sprintf("%x", sha256.Sum256([]byte(bad))) {
				t.Errorf("remembered: %s", got)
			}
			conn.Close()
			conn = d.next(t)
			a.log.await(t, "did not work on this machine")
			if _, sent := d.counts(); sent != 1 {
				t.Errorf("downloaded %d times", sent)
			}
			conn = d.release(t, conn, a.two) // the next release is taken again
			within(t, "the agent leaves", patience, conn.Done())
			if version, _ := d.version(t, a); version != "2" {
				t.Errorf("version %s after a good release", version)
			}
		})
	}
}

// What did not arrive whole is not tried.
func TestUpdateIsWhole(t *testing.T) {
	d := newDepot(t)
	a := install(t, d)
	first := d.next(t)
	d.mu.Lock()
	d.broken = true
	d.mu.Unlock()
	d.release(t, first, a.two)
	a.log.await(t, "what came has the SHA-256")
	files, err := os.ReadDir(filepath.Dir(a.file))
	if err != nil || len(files) != 1 {
		t.Errorf("left: %v, %v", files, err)
	}
}

func TestNoUpdate(t *testing.T) {
	d := newDepot(t)
	a := install(t, d, "--no-update")
	conn := d.release(t, d.next(t), a.two)
	if m, err := conn.Machine().Describe(t.Context()); err != nil || m.Version != "1" {
		t.Errorf("%+v, %v", m, err)
	}
	if asked, _ := d.counts(); asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}

// S1-95, S1-99: a second agent over the same folder is refused and told who works there; with a folder of its own it works.
func TestFolderInUse(t *testing.T) {
	c := newController(t, false)
	root := t.TempDir()
	first := startAgent(t, nil, "--url", c.URL, "--token", "owj_good", "--name", "a", "--root", root)
	c.next(t)
	second := startAgent(t, nil, "--url", c.URL, "--token", "owj_good", "--name", "b", "--root", root)
	if code := second.code(t); code != 1 || !strings.Contains(second.log.String(), fmt.Sprintf("work dir in use by pid %d (agent a)", first.Process.Pid)) {
		t.Errorf("exit %d: %s", code, second.log)
	}
	c.mu.Lock()
	c.tokens["owj_b"] = true
	c.mu.Unlock()
	startAgent(t, nil, "--url", c.URL, "--token", "owj_b", "--name", "b", "--root", t.TempDir())
	c.next(t)
}

// S1-96: agents of two controllers live on one machine.
func TestTwoControllers(t *testing.T) {
	for range 2 {
		c := newController(t, false)
		startAgent(t, nil, "--url", c.URL, "--token", "owj_good", "--name", "n", "--root", t.TempDir())
		m, err := c.next(t).Machine().Describe(t.Context())
		if err != nil || m.PID == 0 {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

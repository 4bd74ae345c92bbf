package winrm_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/winrm"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/websocket"
)

func TestMain(m *testing.M) { launchtest.Main(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

const (
	testUser     = "Administrator"
	testPassword = "correct horse battery"
	serviceID    = "outwork-agent-win-1" // of node
)

// controller is what the launcher needs of one: it hands out the agent's program, gives out credentials and takes the links of agents.
type controller struct {
	*httptest.Server
	hub     *inbound.Hub
	program dist.Binary // for every machine

	mu      sync.Mutex
	given   map[string]fleet.NodeName // by credential; guarded by mu
	last    string                    // credential; guarded by mu
	fetched int                       // guarded by mu
	closed  bool                      // hands out nothing and takes nobody; guarded by mu
	link    wire.Link                 // that was taken last; guarded by mu
}

// Launch is the hub's, but for that the link is remembered.
func (c *controller) Launch(ctx context.Context, n fleet.Node, log io.Writer) (wire.Link, error) {
	l, err := c.hub.Launch(ctx, n, log)
	if err == nil {
		c.mu.Lock()
		c.link = l
		c.mu.Unlock()
	}
	return l, err
}

// cut breaks the link below the launcher's, and waits until that is noticed.
func (c *controller) cut(t testing.TB, done <-chan struct{}) {
	t.Helper()
	c.mu.Lock()
	link := c.link
	c.mu.Unlock()
	link.Close()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the end of the link was not noticed")
	}
}

func newController(t testing.TB, program dist.Binary) *controller {
	c := &controller{hub: inbound.New(inbound.Config{}), program: program, given: map[string]fleet.NodeName{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	node, known := c.given[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	closed := c.closed
	c.mu.Unlock()
	switch {
	case closed:
		http.Error(w, "closed", http.StatusServiceUnavailable)
	case r.URL.Path == "/agent/":
	case strings.HasSuffix(r.URL.Path, ".sha256"):
		fmt.Fprintf(w, "%s  %s\n", c.program.SHA256, c.program.Name)
	case strings.HasPrefix(r.URL.Path, "/agent/"):
		c.mu.Lock()
		c.fetched++
		c.mu.Unlock()
		http.ServeFile(w, r, c.program.Path)
	case !known:
		http.Error(w, "no credential", http.StatusUnauthorized)
	default:
		if l, err := websocket.Accept(w, r); err == nil {
			_ = c.hub.Deliver(r.Context(), node, l)
		}
	}
}

// Open implements winrm.Agents.
func (c *controller) Open(goos, arch string) (dist.Binary, error) {
	b := c.program
	b.OS, b.Arch = goos, arch
	return b, nil
}

// credential gives one out and ends the others of the node.
func (c *controller) credential(_ context.Context, n fleet.NodeName) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range c.given {
		if v == n {
			delete(c.given, k)
		}
	}
	c.last = "owa_" + string(n) + "_" + strconv.Itoa(time.Now().Nanosecond()) + "_secret"
	c.given[c.last] = n
	return c.last, nil
}

func (c *controller) fetches() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fetched
}

// secretOf is the newest credential.
func (c *controller) secretOf() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// shut makes the controller one that cannot be reached, or can be again.
func (c *controller) shut(closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = closed
}

func (c *controller) launcher(t testing.TB, change ...func(*winrm.Config)) *winrm.Launcher {
	t.Helper()
	cfg := winrm.Config{Agents: c, Inbound: c, Credential: c.credential, URL: func() string { return c.URL }}
	for _, f := range change {
		f(&cfg)
	}
	l, err := winrm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// node is one whose machine is at an address; config are further settings, key and value.
func node(t testing.TB, address string, config ...string) fleet.Node {
	t.Helper()
	t.Setenv("WINRM_TEST_PASSWORD", testPassword)
	host, port, _ := strings.Cut(address, ":")
	m := map[string]string{"host": host, "port": port, "user": testUser, "password": "env:WINRM_TEST_PASSWORD"}
	for i := 0; i < len(config); i += 2 {
		m[config[i]] = config[i+1]
		if config[i+1] == "" {
			delete(m, config[i])
		}
	}
	return fleet.Node{Name: "win-1", Executors: 1, Launcher: fleet.LauncherSpec{Kind: winrm.Kind, Config: m}}
}

// connect launches a node and does what the roster does then.
func connect(t testing.TB, l *winrm.Launcher, n fleet.Node, log *launchtest.Log) *remote.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	link, err := l.Launch(ctx, n, log)
	if err != nil {
		t.Fatalf("launch: %v\nthe node's log:\n%s", err, log)
	}
	conn, err := remote.Connect(ctx, link, remote.Options{Name: "controller", Version: "test"})
	if err != nil {
		t.Fatalf("handshake: %v\nthe node's log:\n%s", err, log)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func describe(t testing.TB, conn *remote.Conn) agent.Description {
	t.Helper()
	d, err := conn.Machine().Describe(t.Context())
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	return d
}

func contains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s has no %q:\n%s", what, p, text)
		}
	}
}

func lacks(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(text, p) {
			t.Errorf("%s has %q:\n%s", what, p, text)
		}
	}
}

// binary finds the digest of a program.
func binary(t testing.TB, dir, goos, arch string) dist.Binary {
	t.Helper()
	b, err := dist.New(dist.Config{Folder: dir}).Open(goos, arch)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// only has one program, whatever is asked for.
type only struct{ dist.Binary }

func (o only) Open(string, string) (dist.Binary, error) { return o.Binary, nil }

// files lists a folder of the machine.
func files(t testing.TB, path string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		names = append(names, f.Name())
	}
	return names
}

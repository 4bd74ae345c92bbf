package serve_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/reapi"
	"github.com/outwork-build/outwork/wire/tcp"
	"github.com/outwork-build/outwork/wire/websocket"
)

// roleEnv makes the test binary the agent.
const roleEnv = "SERVE_TEST_ROLE"

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// busy is what a busy machine may add to what is to take seconds; less than the two heartbeats of who says none.
const busy = 10 * time.Second

func TestMain(m *testing.M) {
	host.MaybeShim()
	switch os.Getenv(roleEnv) {
	case "":
		goleak.VerifyTestMain(m)
	case "agent":
		os.Exit(serve.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	case "controller":
		fmt.Fprintln(os.Stderr, controllerProcess())
		os.Exit(1)
	}
}

// controllerProcess takes any agent, prints its address and works until it is killed.
func controllerProcess() error {
	heartbeat, err := time.ParseDuration(os.Getenv("HEARTBEAT"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/agents/join", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(api.Joined{Name: "n", Credential: "c"})
	})
	mux.HandleFunc("GET /api/v1/agents/connect", func(w http.ResponseWriter, r *http.Request) {
		link, err := websocket.Accept(w, r)
		if err != nil {
			return
		}
		if conn, err := remote.Connect(r.Context(), link, remote.Options{Heartbeat: heartbeat}); err == nil {
			<-conn.Done()
		}
	})
	return http.Serve(l, mux)
}

// controller is the far side: the two addresses an agent calls, and storage. Connections arrive on conns.
type controller struct {
	*httptest.Server
	t     testing.TB
	conns chan *remote.Conn

	connecting sync.WaitGroup // handlers: the HTTP server does not wait for those whose connection was taken over

	mu       sync.Mutex // guards the rest
	options  remote.Options
	tokens   map[string]bool // token → not used yet
	creds    map[string]string
	joins    []api.Join
	refusal  func(w http.ResponseWriter) bool // answers instead when it says so
	endpoint tcp.Endpoint                     // as the controller tells it
	future   atomic.Bool                      // greets as a version does that this one cannot speak with
}

func newController(t testing.TB, tls bool) *controller {
	store := memory.New(memory.Config{})
	c := &controller{t: t, conns: make(chan *remote.Conn, 64), tokens: map[string]bool{"owj_good": true}, creds: map[string]string{}}
	c.options = remote.Options{Name: "controller", Version: "9.9", Register: func(r grpc.ServiceRegistrar) {
		reapi.New(reapi.Config{Store: store}).Register(r)
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/agents/join", c.join)
	mux.HandleFunc("GET /api/v1/agents/connect", c.connect)
	mux.HandleFunc("GET "+tcp.EndpointPath, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.endpoint.ServeHTTP(w, r)
	})
	c.Server = httptest.NewUnstartedServer(mux)
	c.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	if tls {
		c.StartTLS()
	} else {
		c.Start()
	}
	t.Cleanup(func() {
		c.Close()
		c.connecting.Wait()
		for len(c.conns) > 0 { // those that no test asked for
			(<-c.conns).Close()
		}
	})
	return c
}

func (c *controller) join(w http.ResponseWriter, r *http.Request) {
	var j api.Join
	err := json.NewDecoder(r.Body).Decode(&j)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || !c.tokens[j.Token] {
		w.WriteHeader(http.StatusUnauthorized)
		json.NewEncoder(w).Encode(api.Failure{Kind: "unauthenticated", Message: "the join token is wrong or was used"})
		return
	}
	c.tokens[j.Token] = false
	c.joins = append(c.joins, j)
	cred := "owa_" + j.Name + strings.Repeat("x", len(c.joins))
	c.creds[cred] = j.Name
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(api.Joined{Name: j.Name, Credential: cred})
}

func (c *controller) connect(w http.ResponseWriter, r *http.Request) {
	c.connecting.Add(1)
	defer c.connecting.Done()
	c.mu.Lock()
	_, known := c.creds[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	refusal, options := c.refusal, c.options
	c.mu.Unlock()
	if refusal != nil && refusal(w) {
		return
	}
	if !known {
		http.Error(w, "the credential was revoked", http.StatusUnauthorized)
		return
	}
	link, err := websocket.Accept(w, r)
	if err != nil {
		return
	}
	if c.future.Load() {
		greetFromTheFuture(c.t, link)
		return
	}
	conn, err := remote.Connect(r.Context(), link, options)
	if err != nil {
		c.t.Logf("connect: %v", err)
		return
	}
	c.conns <- conn
}

func (c *controller) refuse(f func(http.ResponseWriter) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusal = f
}

func (c *controller) heartbeat(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.options.Heartbeat = d
}

func (c *controller) revoke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.creds)
}

// next waits for a connection. It is closed with the test.
func (c *controller) next(t testing.TB) *remote.Conn {
	t.Helper()
	select {
	case conn := <-c.conns:
		t.Cleanup(func() { conn.Close() })
		return conn
	case <-time.After(patience):
		t.Fatal("no agent has connected")
		return nil
	}
}

// caFile is the controller's certificate, for SSL_CERT_FILE.
func (c *controller) caFile(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a real agent process.
type process struct {
	*exec.Cmd
	log   *buffer
	ended chan struct{}
}

// startAgent starts the test binary as an agent. It is killed with the test.
func startAgent(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), log: &buffer{}, ended: make(chan struct{})}
	p.Env = append(append(os.Environ(), roleEnv+"=agent"), env...)
	p.Stderr, p.Stdout = p.log, p.log
	p.WaitDelay = time.Second
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("agent %d:\n%s", p.Process.Pid, p.log)
		}
	})
	return p
}

func (p *process) kill() {
	p.Process.Kill()
	<-p.ended
}

// code waits for the process to end by itself.
func (p *process) code(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the agent has not ended: %s", p.log)
		return 0
	}
}

// buffer is a bytes.Buffer for two goroutines.
type buffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	grown chan struct{} // closed and dropped when buf grows; nil while nobody waits
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown != nil {
		close(b.grown)
		b.grown = nil
	}
	return b.buf.Write(p)
}

// await waits until the buffer contains a text.
func (b *buffer) await(t testing.TB, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		if strings.Contains(b.buf.String(), text) {
			b.mu.Unlock()
			return
		}
		if b.grown == nil {
			b.grown = make(chan struct{})
		}
		grown := b.grown
		b.mu.Unlock()
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("%q was never said:\n%s", text, b)
		}
	}
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// startProxy is an HTTP proxy that knows CONNECT, and takes every name for this computer.
func startProxy(t testing.TB) (address string, used func() int) {
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		mu.Lock()
		n++
		mu.Unlock()
		_, port, _ := net.SplitHostPort(r.Host)
		up, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		down, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			up.Close()
			return
		}
		io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
		done := make(chan struct{})
		go func() { io.Copy(up, rw.Reader); up.(*net.TCPConn).CloseWrite(); close(done) }()
		io.Copy(down, up)
		down.(*net.TCPConn).CloseWrite()
		<-done
		up.Close()
		down.Close()
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

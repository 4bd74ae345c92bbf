package serve_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/tcp"
)

// openPort gives the controller a port for agents, told at its HTTP port. It returns the port's address and pin.
func (c *controller) openPort(t testing.TB) (address string, pin tcp.Pin) {
	t.Helper()
	cert, pin, err := tcp.Identity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := tcp.NewServer(tcp.Config{
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
		Admit: func(_ context.Context, caller tcp.Caller) (string, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			name, known := c.creds[caller.Credential]
			if !known {
				return "", fault.New(fault.Unauthenticated, "the credential was revoked")
			}
			return name, nil
		},
		Deliver: func(ctx context.Context, _ string, l wire.Link) error {
			conn, err := remote.Connect(ctx, l, c.options)
			if err == nil {
				c.conns <- conn
			}
			return err
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-served })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endpoint = tcp.Endpoint{Port: l.Addr().(*net.TCPAddr).Port, Pin: pin}
	return l.Addr().String(), pin
}

// over returns how the agent's connection came: the address its end has.
func over(t *testing.T, log *buffer, address string) {
	t.Helper()
	log.await(t, "peer="+address)
}

// S1-12, S1-38: the HTTP port tells of the port for agents, whose key is kept with the credential.
func TestTCP(t *testing.T) {
	c := newController(t, false)
	address, pin := c.openPort(t)
	root, log := t.TempDir(), &buffer{}
	config := serve.Config{URL: c.URL, TCP: true, Token: "owj_good", Name: "n", Root: root, Logger: logTo(log)}
	stop := startHere(t, config)
	if _, err := c.next(t).Machine().Describe(t.Context()); err != nil {
		t.Error(err)
	}
	over(t, log, address)
	log.await(t, "taken on trust")
	if err := stop(); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "credential.json"))
	if err != nil || !strings.Contains(string(b), string(pin)) {
		t.Errorf("credential: %s, %v", b, err)
	}
	// Another key, told by the same address: not taken.
	c.openPort(t)
	err = serve.Run(t.Context(), config)
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), string(pin)) || serve.ExitCode(err) != serve.ExitRefused {
		t.Errorf("another key: %v", err)
	}
}

// S1-38: the three forms of a tunnel; the tutorial's comma is refused with the right form.
func TestTunnel(t *testing.T) {
	c := newController(t, false)
	address, pin := c.openPort(t)
	gate := newPathAt(t, "127.0.0.1:0", "http://"+address)
	_, port, _ := net.SplitHostPort(address)
	_, gatePort, _ := net.SplitHostPort(strings.TrimPrefix(gate.url(), "http://"))
	for tunnel, told := range map[string]int{
		"127.0.0.1:" + gatePort: 1,
		":" + gatePort:          1,
		"127.0.0.1:":            0, // the port itself
	} {
		t.Run(tunnel, func(t *testing.T) {
			if told != 0 { // a port that is not to be dialled
				c.mu.Lock()
				c.endpoint.Port = told
				c.mu.Unlock()
			} else {
				c.mu.Lock()
				c.endpoint.Port, _ = strconv.Atoi(port)
				c.mu.Unlock()
			}
			c.mu.Lock()
			c.tokens["owj_good"] = true
			c.mu.Unlock()
			stop := startHere(t, serve.Config{URL: c.URL, Tunnel: tunnel, Pin: string(pin), Token: "owj_good", Name: "n", Root: t.TempDir()})
			c.next(t)
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
	err := serve.Run(t.Context(), serve.Config{URL: c.URL, Tunnel: "gate.test,50000", Root: t.TempDir()})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `did you mean "gate.test:50000"?`) {
		t.Errorf("a comma: %v", err)
	}
}

// The agent asks nobody for the port, and keeps no credential.
func TestDirect(t *testing.T) {
	c := newController(t, false)
	address, pin := c.openPort(t)
	c.mu.Lock()
	c.creds["owa_given"] = "n"
	c.mu.Unlock()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("owa_given\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	stop := startHere(t, serve.Config{Direct: address, Pin: string(pin), Secret: "@" + file, Name: "n", Root: root})
	if h := c.next(t).Hello(); h.Name != "n" {
		t.Errorf("%+v", h)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(root, "credential.json")); !os.IsNotExist(err) {
		t.Errorf("a credential was kept: %v", err)
	}
	for says, config := range map[string]serve.Config{
		"--secret":           {Direct: address},
		"no such file":       {Direct: address, Secret: "@/nonexistent/secret"},
		"--pin":              {Direct: address, Secret: "owa_given", Pin: "x"},
		"expected HOST:PORT": {Direct: "nowhere", Secret: "owa_given"},
		"somebody stands in": {Direct: address, Secret: "owa_given", Pin: "sha256:" + strings.Repeat("00", 32)},
	} {
		config.Root, config.Name = t.TempDir(), "n"
		if err := serve.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), says) || serve.ExitCode(err) != serve.ExitRefused {
			t.Errorf("%+v: %v, expected %q", config, err, says)
		}
	}
}

// A revoked credential, over TCP.
func TestTCPRevoked(t *testing.T) {
	c := newController(t, false)
	c.openPort(t)
	err := serve.Run(t.Context(), serve.Config{URL: c.URL, TCP: true, Secret: "owa_unknown", Name: "n", Root: t.TempDir()})
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "make a new token") {
		t.Errorf("%v", err)
	}
}

// A controller without such a port says so.
func TestNoPortForAgents(t *testing.T) {
	c := newController(t, false)
	err := serve.Run(t.Context(), serve.Config{URL: c.URL, TCP: true, Token: "owj_good", Name: "n", Root: t.TempDir()})
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "--agent-listen") {
		t.Errorf("%v", err)
	}
}

// A pin is as good as a CA for HTTPS.
func TestPinOverHTTPS(t *testing.T) {
	c := newController(t, true)
	stop := startHere(t, serve.Config{URL: c.URL, Pin: string(tcp.PinOf(c.Certificate())), Token: "owj_good", Name: "n", Root: t.TempDir()})
	c.next(t)
	if err := stop(); err != nil {
		t.Error(err)
	}
	once := serve.Config{URL: c.URL, Pin: "sha256:" + strings.Repeat("00", 32), Token: "owj_good", Name: "n", Root: t.TempDir(), Once: true}
	if err := serve.Run(t.Context(), once); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another key: %v", err)
	}
}

// The controller ends and comes again, over TCP. S1-40
func TestTCPComesBack(t *testing.T) {
	c := newController(t, false)
	address, pin := c.openPort(t)
	p := newPathAt(t, "127.0.0.1:0", "http://"+address)
	tunnel := strings.TrimPrefix(p.url(), "http://")
	startHere(t, serve.Config{URL: c.URL, Tunnel: tunnel, Pin: string(pin), Token: "owj_good", Name: "n", Root: t.TempDir(), MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond})
	for range 3 {
		c.next(t)
		p.cut()
	}
	c.next(t)
}

// What Jenkins' agent takes.
func TestCompat(t *testing.T) {
	for line, want := range map[string]string{
		"-url http://ci -secret s -name n -workDir /w -tunnel :7":                  "--url=http://ci --secret=s --name=n --root=/w --tunnel=:7",
		"-jnlpUrl http://ci:8080/x/computer/a%20b/jenkins-agent.jnlp -noReconnect": "--url=http://ci:8080/x --name=a b --once",
		"-jnlpUrl https://ci/computer/n/slave-agent.jnlp -secret @f":               "--url=https://ci --name=n --secret=@f",
		"-direct h:1 -instanceIdentity XY= -protocols JNLP4-connect":               "--direct=h:1 | -instanceIdentity -protocols",
		"-webSocket -webSocketHeader A=b=c -headless -jar-cache /c -text":          "--tcp=false --header=A=b=c --text | -headless -jar-cache",
		"--url http://ci -once":                           "--url http://ci -once",
		"-url=http://ci -- -secret":                       "--url=http://ci -- -secret",
		"-noCertificateCheck -agentLog /l -internalDir r": " | -noCertificateCheck -agentLog -internalDir",
	} {
		own, ignored, err := serve.Compat(strings.Fields(line))
		got := strings.Join(own, " ")
		if len(ignored) > 0 {
			got += " | " + strings.Join(ignored, " ")
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, expected %q", line, got, err, want)
		}
	}
	for line, says := range map[string]string{
		"-secret":                       "expected a value after it",
		"-jnlpUrl http://ci/":           "computer/NAME",
		"-jnlpUrl http://ci/computer/n": "computer/NAME",
	} {
		if _, _, err := serve.Compat(strings.Fields(line)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected %q", line, err, says)
		}
	}
}

// A real agent process, started as Jenkins' inbound agent images start theirs. S0-24, S1-40
func TestStartedLikeJenkins(t *testing.T) {
	for name, s := range map[string]struct {
		env, args []string
		ignored   string // what is said to mean nothing
	}{
		"environment":         {env: []string{"JENKINS_URL=$URL", "JENKINS_SECRET=owa_given", "JENKINS_AGENT_NAME=n", "JENKINS_WEB_SOCKET=true", "JENKINS_JAVA_OPTS=-Xmx1g"}, ignored: "JENKINS_JAVA_OPTS"},
		"arguments":           {args: []string{"-url", "$URL", "-workDir", t.TempDir(), "-jar-cache", "/x", "owa_given", "n"}, ignored: "-jar-cache"},
		"options":             {args: []string{"-jnlpUrl", "$URL/computer/n/jenkins-agent.jnlp", "-secret", "owa_given", "-loggingConfig", "x"}, ignored: "-loggingConfig"},
		"tunnel":              {env: []string{"JENKINS_TUNNEL=$ADDRESS", "OUTWORK_PIN=$PIN", "JENKINS_SECRET=owa_given"}, args: []string{"-url", "$URL", "-name", "n", "-secret", "owa_given", "-protocols", "JNLP4-connect"}, ignored: "-protocols"},
		"direct, environment": {env: []string{"JENKINS_DIRECT_CONNECTION=$ADDRESS", "JENKINS_INSTANCE_IDENTITY=MIIB", "JENKINS_SECRET=owa_given", "JENKINS_NAME=n", "OUTWORK_PIN=$PIN"}, ignored: "JENKINS_INSTANCE_IDENTITY"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newController(t, false)
			address, pin := c.openPort(t)
			c.mu.Lock()
			c.creds["owa_given"] = "n"
			c.mu.Unlock()
			fill := strings.NewReplacer("$URL", c.URL, "$ADDRESS", address, "$PIN", string(pin))
			for _, words := range [][]string{s.env, s.args} {
				for i := range words {
					words[i] = fill.Replace(words[i])
				}
			}
			p := startAgent(t, append(s.env, "OUTWORK_ROOT="+t.TempDir()), s.args...)
			if h := c.next(t).Hello(); h.Name != "n" {
				t.Errorf("the agent is %s", h.Name)
			}
			if log := p.log.String(); strings.Count(log, "mean nothing here") != 1 || !strings.Contains(log, s.ignored) {
				t.Errorf("%s was not said once: %s", s.ignored, log)
			}
		})
	}
	if p := startAgent(t, nil, "-url", "http://127.0.0.1:1", "one"); p.code(t) != serve.ExitRefused {
		t.Errorf("one argument: %s", p.log)
	}
}

// A header that a reverse proxy wants goes with every request.
func TestHeader(t *testing.T) {
	c := newController(t, false)
	var missing []string
	inner := c.Config.Handler
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Gate") != "open" {
			c.mu.Lock()
			missing = append(missing, r.URL.Path)
			c.mu.Unlock()
		}
		inner.ServeHTTP(w, r)
	})
	stop := startHere(t, serve.Config{URL: c.URL, Header: http.Header{"X-Gate": {"open"}}, Token: "owj_good", Name: "n", Root: t.TempDir()})
	c.next(t)
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(missing) > 0 {
		t.Errorf("without the header: %v", missing)
	}
}

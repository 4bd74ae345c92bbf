package serve_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/wire/tcp"
)

// need finds a program, which CI must have.
func need(t *testing.T, debian string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("OUTWORK_CI") != "" {
		t.Fatalf("%s is missing: install %s", names[0], debian)
	}
	t.Skipf("%s is missing: install %s", names[0], debian)
	return ""
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// program starts a server and waits until it takes connections. It ends with the test.
func program(t *testing.T, address string, argv ...string) {
	t.Helper()
	cmd, log := exec.Command(argv[0], argv[1:]...), &buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	deadline, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("%s has ended: %s", argv[0], log)
		case <-deadline:
			t.Fatalf("%s takes no connections: %s", argv[0], log)
		}
	}
}

// nginx is a reverse proxy with TLS that shows the controller below /ci/.
func nginx(t *testing.T, upstream string) (url string, pin tcp.Pin) {
	t.Helper()
	binary := need(t, "nginx-light", "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	_, pin, err := tcp.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server {
    listen 127.0.0.1:%[2]s ssl; ssl_certificate %[1]s/identity.pem; ssl_certificate_key %[1]s/identity.pem;
    location /ci/ {
      proxy_pass %[3]s/; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
      proxy_set_header Host $host; proxy_read_timeout 1h; proxy_buffering off;
    }
  }
}
`, dir, port, upstream)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	program(t, "127.0.0.1:"+port, binary, "-p", dir, "-c", path, "-e", "stderr")
	return "https://127.0.0.1:" + port + "/ci/", pin
}

// S1-39: TLS, a path prefix and the upgrade to a WebSocket through a real reverse proxy; and S1-38: the port for agents through a
// tunnel of which only the agent knows.
func TestBehindNginx(t *testing.T) {
	c := newController(t, false)
	var direct atomic.Int64
	inner := c.Config.Handler
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/ci") {
			direct.Add(1)
		}
		inner.ServeHTTP(w, r)
	})
	url, pin := nginx(t, c.URL)
	t.Run("websocket", func(t *testing.T) {
		log := &buffer{}
		stop := startHere(t, serve.Config{URL: url, Pin: string(pin), Token: "owj_good", Name: "n", Root: t.TempDir(), Logger: logTo(log)})
		if _, err := c.next(t).Machine().Describe(t.Context()); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		over(t, log, strings.TrimSuffix(strings.TrimPrefix(url, "https://"), "/ci/"))
	})
	t.Run("tunnel", func(t *testing.T) {
		socat := need(t, "socat", "socat")
		address, _ := c.openPort(t)
		c.mu.Lock()
		c.endpoint.Port = 1 // behind the firewall
		c.tokens["owj_second"] = true
		c.mu.Unlock()
		port := freePort(t)
		program(t, "127.0.0.1:"+port, socat, "TCP-LISTEN:"+port+",bind=127.0.0.1,reuseaddr,fork", "TCP:"+address)
		// The front's key is not the controller's: over HTTPS a file of roots vouches for the former.
		t.Setenv("NO_PROXY", "127.0.0.1")
		stop := startHere(t, serve.Config{URL: url, TLS: pin.Only(nil), Tunnel: ":" + port, Token: "owj_second", Name: "n", Root: t.TempDir()})
		if _, err := c.next(t).Machine().Describe(t.Context()); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if direct.Load() > 0 {
		t.Error("the prefix was not taken off by the proxy")
	}
}

package serve_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/wire/tcp"
)

// nginx is a reverse proxy with TLS that shows the controller below /ci/.
func nginx(t *testing.T, upstream string) (url string, pin tcp.Pin) {
	t.Helper()
	dir := t.TempDir()
	_, pin, err := tcp.Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	port := need.Nginx(t, filepath.Join(dir, "identity.pem"), `location /ci/ {
      proxy_pass `+upstream+`/; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
      proxy_set_header Host $host; proxy_read_timeout 1h; proxy_buffering off;
    }`)
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
		socat := need.Program(t, "socat", "socat")
		address, _ := c.openPort(t)
		c.mu.Lock()
		c.endpoint.Port = 1 // behind the firewall
		c.tokens["owj_second"] = true
		c.mu.Unlock()
		port := need.Port(t)
		need.Server(t, "127.0.0.1:"+port, socat, "TCP-LISTEN:"+port+",bind=127.0.0.1,reuseaddr,fork", "TCP:"+address)
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

package serve_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

func TestJoinOnce(t *testing.T) {
	c := newController(t, false)
	root := filepath.Join(t.TempDir(), "made", "below")
	config := serve.Config{URL: c.URL + "/", Token: "owj_good", Name: "n", Root: root, Labels: []string{"a", "b"}, Executors: 3, Description: "d", Version: "1.2"}
	stop := startHere(t, config)
	conn := c.next(t)
	if h := conn.Hello(); h.Name != "n" || h.Version != "1.2" {
		t.Errorf("hello %+v", h)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	c.mu.Lock()
	j := c.joins[0]
	c.mu.Unlock()
	if j.Name != "n" || !slices.Equal(j.Labels, config.Labels) || j.Executors != 3 || j.Description != "d" {
		t.Errorf("joined as %+v", j)
	}
	info, err := os.Stat(filepath.Join(root, "credential.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("credential: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(root); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("root: %v, %v", info.Mode(), err)
	}
	// Again, with the token that is used up: the credential is there, nothing is joined.
	stop = startHere(t, config)
	c.next(t)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := len(c.joins); n != 1 {
		t.Errorf("joined %d times", n)
	}
	// Another controller is not given it.
	other := newController(t, false)
	config.URL, config.Token = other.URL, ""
	if err := serve.Run(t.Context(), config); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "--token") {
		t.Errorf("another controller: %v", err)
	}
}

func TestWrongToken(t *testing.T) {
	c := newController(t, false)
	err := serve.Run(t.Context(), serve.Config{URL: c.URL, Token: "owj_bad", Name: "n", Root: t.TempDir()})
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "wrong or was used") || serve.ExitCode(err) != serve.ExitRefused {
		t.Errorf("%v", err)
	}
}

func TestRevokedCredential(t *testing.T) {
	c := newController(t, false)
	config := serve.Config{URL: c.URL, Token: "owj_good", Name: "n", Root: t.TempDir(), MaxBackoff: 10 * time.Millisecond}
	stop := startHere(t, config)
	c.next(t)
	stop()
	c.revoke()
	config.Token = ""
	err := serve.Run(t.Context(), config)
	if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "make a new token") || serve.ExitCode(err) != serve.ExitRefused {
		t.Errorf("without a token: %v", err)
	}
	// A fresh token is the way back.
	c.mu.Lock()
	c.tokens["owj_fresh"] = true
	c.mu.Unlock()
	config.Token = "owj_fresh"
	stop = startHere(t, config)
	c.next(t)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// With Retry a refusal is not the end: the credential may be given back.
func TestRetry(t *testing.T) {
	c := newController(t, false)
	refused := make(chan struct{}, 100)
	c.refuse(func(w http.ResponseWriter) bool {
		http.Error(w, "not now", http.StatusForbidden)
		refused <- struct{}{}
		return true
	})
	startHere(t, serve.Config{URL: c.URL, Token: "owj_good", Name: "n", Root: t.TempDir(), Retry: true, MaxBackoff: 10 * time.Millisecond})
	for range 3 {
		<-refused
	}
	c.refuse(nil)
	c.next(t)
}

func TestRetryAfterIsObeyed(t *testing.T) {
	c := newController(t, false)
	attempts := make(chan time.Time, 10)
	c.refuse(func(w http.ResponseWriter) bool {
		attempts <- time.Now()
		if len(attempts) > 1 {
			return false
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return true
	})
	startHere(t, serve.Config{URL: c.URL, Token: "owj_good", Name: "n", Root: t.TempDir(), MaxBackoff: time.Millisecond})
	c.next(t)
	if d := -(<-attempts).Sub(<-attempts); d < time.Second || d > 20*time.Second {
		t.Errorf("came back after %v", d)
	}
}

func TestOnce(t *testing.T) {
	c := newController(t, false)
	done := make(chan error, 1)
	config := serve.Config{URL: c.URL, Token: "owj_good", Name: "n", Root: t.TempDir(), Once: true}
	go func() { done <- serve.Run(t.Context(), config) }()
	c.next(t).Close()
	if err := <-done; err != nil {
		t.Errorf("closed in good order: %v", err)
	}
	c.Close()
	if err := serve.Run(t.Context(), config); !fault.Is(err, fault.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

// An agent of another generation is told so and stays away.
func TestIncompatibleController(t *testing.T) {
	c := newController(t, false)
	p := newPath(t, c.URL)
	config := serve.Config{URL: p.url(), Token: "owj_good", Name: "n", Root: t.TempDir()}
	stop := startHere(t, config)
	c.next(t)
	stop()
	c.future.Store(true)
	err := serve.Run(t.Context(), config)
	if !fault.Is(err, fault.Incompatible) || !strings.Contains(err.Error(), "upgrade this side") || serve.ExitCode(err) != serve.ExitRefused {
		t.Errorf("%v", err)
	}
}

// greetFromTheFuture is a controller two protocols ahead.
func greetFromTheFuture(t testing.TB, l wire.Link) {
	_, err := wire.Handshake(t.Context(), l, wire.Hello{Protocol: wire.Protocol + 2, MinProtocol: wire.Protocol + 1, Version: "99"})
	if !fault.Is(err, fault.Incompatible) || !strings.Contains(err.Error(), "upgrade the peer") {
		t.Errorf("the controller's side: %v", err)
	}
}

func TestDamagedCredential(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "credential.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := serve.Run(t.Context(), serve.Config{URL: "http://127.0.0.1:1", Root: root})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), root) {
		t.Errorf("%v", err)
	}
}

// A controller that is away for a while is dialled again and again.
func TestControllerComesLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	log := &buffer{}
	startHere(t, serve.Config{URL: "http://" + address, Token: "owj_good", Name: "n", Root: t.TempDir(), MaxBackoff: 20 * time.Millisecond, Logger: logTo(log)})
	c := newController(t, false)
	p := newPathAt(t, address, c.URL)
	c.next(t)
	p.cut()
	c.next(t)
}

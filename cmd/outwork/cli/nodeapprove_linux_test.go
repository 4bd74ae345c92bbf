package cli

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outwork-build/outwork/server/servertest"
)

// way leads from a port of loopback to another, which can be changed: a machine that is installed anew under its old address.
type way struct {
	port int
	to   atomic.Int64
}

func newWay(t *testing.T) *way {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{port: l.Addr().(*net.TCPAddr).Port}
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", w.to.Load()))
			if err != nil {
				near.Close()
				continue
			}
			for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
				copying.Go(func() {
					_, _ = io.Copy(ends[0], ends[1])
					near.Close()
					far.Close()
				})
			}
		}
	})
	t.Cleanup(func() { l.Close(); copying.Wait() })
	return w
}

// S1-16: the first key of a machine, and another later, are let in by a verb that shows them; the reason of the node names the verb, and
// the history who used it.
func TestApprovingAHostKey(t *testing.T) {
	first, firstKey, key := sshd(t)
	second, secondKey, other := sshd(t)
	pub, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other+".pub", pub, 0o600); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	w := newWay(t)
	w.to.Store(int64(first))
	f := servertest.New(t)
	s, _ := nodeShell(t, f)
	s.fails(exitUnavailable, "awaits approval", "node", "add", "far", "--ssh", fmt.Sprintf("%s@127.0.0.1:%d", me.Username, w.port), "--key", key, "--host-key", "first-use",
		"--launcher-config", "approve=true", "--remote-root", filepath.Join(t.TempDir(), "far"))
	s.ok("outwork node approve 'far' --fingerprint "+firstKey, "node", "show", "far")
	s.fails(exitUsage, "say --fingerprint "+firstKey, "node", "approve", "far")
	s.fails(exitConflict, firstKey+" awaits approval", "node", "approve", "far", "--fingerprint", secondKey)
	s.ok("Approved "+firstKey, "node", "approve", "far", "--fingerprint", firstKey)
	s.ok("far: online.", "node", "wait-online", "far", "--timeout", "1m")
	if rs := fmt.Sprint(s.json("node", "history", "far")); !strings.Contains(rs, firstKey+" of 127.0.0.1:"+fmt.Sprint(w.port)+" approved by admin") {
		t.Errorf("%s", rs)
	}
	s.fails(exitConflict, "let in is 127.0.0.1", "node", "approve", "far", "--yes")

	w.to.Store(int64(second))
	s.ok("", "node", "reconnect", "far")
	s.ok("far: offline.", "node", "wait-offline", "far", "--timeout", "1m")
	for !strings.Contains(s.ok("", "node", "show", "far"), "outwork node approve 'far' --fingerprint "+secondKey) {
		s.ok("", "node", "reconnect", "far")
		s.ok("far: offline.", "node", "wait-offline", "far", "--timeout", "1m")
	}
	code, out, errw := s.try("", "node", "approve", "far", "--yes")
	for _, says := range []string{"CHANGED", firstKey, secondKey, "ssh_host_ed25519_key.pub", "Approved"} {
		if code != exitOK || !strings.Contains(out+errw, says) {
			t.Errorf("%d, no %q in\n%s%s", code, says, out, errw)
		}
	}
	s.ok("far: online.", "node", "wait-online", "far", "--timeout", "1m")
	if rs := fmt.Sprint(s.json("node", "history", "far")); !strings.Contains(rs, secondKey+" of ") || !strings.Contains(rs, "in place of "+firstKey) {
		t.Errorf("%s", rs)
	}
	s.fails(exitNotFound, "nobody", "node", "approve", "nobody")
}

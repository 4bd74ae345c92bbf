//go:build unix

package winrm_test

import (
	"crypto/rand"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/winrm"
	"github.com/outwork-build/outwork/fleet/launch/winrm/winrmtest"
	"github.com/outwork-build/outwork/internal/fault"
)

// world is a controller and a fake machine that it can set up.
type world struct {
	*controller
	*fake
	server  *winrmtest.Server
	address string
	cert    *httptest.Server // of https; nil without
}

// newWorld starts both. tls gives WinRM a certificate of its own.
func newWorld(t testing.TB, tls bool, change ...func(*winrmtest.Config)) *world {
	t.Helper()
	dir := t.TempDir()
	program := make([]byte, 300_001)
	_, _ = rand.Read(program)
	if err := os.WriteFile(filepath.Join(dir, "outwork-agent-windows-amd64.exe"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{controller: newController(t, binary(t, dir, "windows", "amd64")), fake: newFake(t)}
	c := winrmtest.Config{Runner: w.fake, User: testUser, Password: testPassword, NoBasic: true}
	for _, f := range change {
		f(&c)
	}
	w.server = winrmtest.New(c)
	s := httptest.NewUnstartedServer(w.server)
	s.Config.ConnContext, s.Config.ErrorLog = w.server.ConnContext, log.New(io.Discard, "", 0)
	if tls {
		s.StartTLS()
		w.cert = s
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	w.address = s.Listener.Addr().String()
	return w
}

// replace gives the controller another program.
func (w *world) replace(t testing.TB) {
	t.Helper()
	program := make([]byte, 200_003)
	_, _ = rand.Read(program)
	if err := os.WriteFile(w.controller.program.Path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	w.controller.program = binary(t, filepath.Dir(w.controller.program.Path), "windows", "amd64")
}

// deaf is an address where connections are taken and nothing is said.
func deaf(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// S1-23: the suite of all launchers, on a fake machine.
func TestSuite(t *testing.T) {
	set := func(key, value string) func(*fleet.Node) {
		return func(n *fleet.Node) { n.Launcher.Config[key] = value }
	}
	launchtest.Run(t, launchtest.Maker{
		New: func(t testing.TB) launchtest.Rig {
			w := newWorld(t, false)
			return launchtest.Rig{
				Launcher: w.launcher(t, func(c *winrm.Config) { c.Again = 10 * time.Millisecond }), Node: node(t, w.address),
				Says: []string{"Logging in as " + testUser + " at http://" + w.address, "echo arch=%PROCESSOR_ARCHITECTURE%", "windows/amd64 (Microsoft Windows [Version 10.0.20348.2113])",
					"install --url", "Agent connected from 127.0.0.1"},
				Stuck: func(t testing.TB) fleet.Node { return node(t, deaf(t)) },
			}
		},
		Wrong: []launchtest.Wrong{
			{Name: "setting", Change: set("hots", "h"), Kind: fault.Invalid, Says: "launcher.config.hots: is not a setting"},
			{Name: "user", Change: set("user", ""), Kind: fault.Invalid, Says: "launcher.config.user: is missing"},
			{Name: "basic in the clear", Change: set("auth", "basic"), Kind: fault.Invalid, Says: "sends the password in the clear"},
			{Name: "auth", Change: set("auth", "kerberos"), Kind: fault.Invalid, Says: "expected ntlm or basic"},
			{Name: "timeout", Change: set("timeout", "soon"), Kind: fault.Invalid, Says: "expected a time like 30s"},
			{Name: "port", Change: set("port", "x"), Kind: fault.Invalid, Says: "expected a number"},
			{Name: "pinned", Change: func(n *fleet.Node) { set("https", "true")(n); set("pinned", "sha256:AB")(n) }, Kind: fault.Invalid, Says: "64 hexadecimal digits"},
			{Name: "certificate without https", Change: set("insecure", "true"), Kind: fault.Invalid, Says: "about certificates"},
			{Name: "url", Change: set("url", "ftp://x"), Kind: fault.Invalid, Says: "launcher.config.url"},
			{Name: "url that cmd.exe would read", Change: set("url", `http://x/"&calc&"`), Kind: fault.Invalid, Says: "launcher.config.url"},
			{Name: "service", Change: set("service", "a b"), Kind: fault.Invalid, Says: "launcher.config.service"},
			{Name: "runAs without a password", Change: set("runAs", "ci"), Kind: fault.Invalid, Says: "or neither"},
			{Name: "remote root", Change: func(n *fleet.Node) { n.RemoteRoot = "/var/lib" }, Kind: fault.Invalid, Says: "remoteRoot"},
			{Name: "remote root that cmd.exe would read", Change: func(n *fleet.Node) { n.RemoteRoot = `C:\%TEMP%` }, Kind: fault.Invalid, Says: "remoteRoot"},
			{Name: "secret", Change: set("password", "env:NO_SUCH_VARIABLE"), Kind: fault.NotFound, Says: "NO_SUCH_VARIABLE"},
			{Name: "ca", Change: func(n *fleet.Node) { set("https", "true")(n); set("ca", "/nowhere")(n) }, Kind: fault.Invalid, Says: "/nowhere"},
		},
	})
}

// What a person writes is kept from meaning something to cmd.exe.
func TestServiceNames(t *testing.T) {
	w := newWorld(t, false)
	l := w.launcher(t)
	n := node(t, w.address)
	n.Name = "Büro 7"
	log := &launchtest.Log{}
	conn := connect(t, l, n, log)
	if d := describe(t, conn); !strings.HasSuffix(d.Root, "/agents/B-ro-7") {
		t.Errorf("the agent's folder is %s", d.Root)
	}
	if st := w.state("outwork-agent-B-ro-7"); st != "running" {
		t.Errorf("the service is %s\n%s", st, log)
	}
	conn.Close()
}

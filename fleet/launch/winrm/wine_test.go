//go:build linux

package winrm_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/winrm"
	"github.com/outwork-build/outwork/internal/need"
)

// wine is a Windows machine with a service manager: a prefix, in which winrmtest/host serves WinRM.
type wine struct {
	t       testing.TB
	prefix  string
	env     []string
	tools   string
	address string
}

// newWine starts the machine. WINEPREFIX names a prefix to use; without, the test makes one.
func newWine(t testing.TB) *wine {
	t.Helper()
	if testing.Short() {
		t.Skip("long")
	}
	need.Programs(t, "wine64 wine", "wine", "wineserver")
	prefix := os.Getenv("WINEPREFIX")
	own := prefix == ""
	if own {
		prefix = filepath.Join(t.TempDir(), "prefix")
	}
	w := &wine{t: t, prefix: prefix, tools: t.TempDir()}
	w.env = append(os.Environ(), "WINEPREFIX="+prefix, "WINEPATH=Z:"+strings.ReplaceAll(w.tools, "/", `\`), "WINEARCH=win64", "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "DISPLAY=")
	if own {
		w.makePrefix()
	}
	for _, name := range []string{"host", "certutil", "findstr", "curl"} {
		exe := filepath.Join(w.tools, name+".exe")
		if name == "host" {
			crossBuild(t, exe, "./winrmtest/host")
		} else if err := os.Link(filepath.Join(w.tools, "host.exe"), exe); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	return w
}

// makePrefix also brings a bcryptprimitives.dll, which Go's programs need and which Wine 8 has not.
func (w *wine) makePrefix() {
	w.t.Helper()
	gcc := need.Program(w.t, "gcc-mingw-w64-x86-64-win32", "x86_64-w64-mingw32-gcc")
	w.run("wine", "wineboot", "-i")
	w.t.Cleanup(func() { w.run("wineserver", "-k", "-w") })
	dll := filepath.Join(w.prefix, "drive_c", "windows", "system32", "bcryptprimitives.dll")
	if _, err := os.Stat(dll); err != nil {
		w.run(gcc, "-shared", "-O2", "-s", "-o", dll, filepath.Join("testdata", "bcryptprimitives.c"), "-ladvapi32")
	}
}

func (w *wine) run(argv ...string) string {
	w.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.WaitDelay = w.env, time.Second
	out, err := cmd.CombinedOutput()
	if err != nil && argv[0] != "wineserver" && err != exec.ErrWaitDelay {
		w.t.Errorf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// start starts WinRM. It also keeps Wine alive, which ends its services with the last program.
func (w *wine) start() {
	w.t.Helper()
	cmd := exec.Command("wine", filepath.Join(w.tools, "host.exe"), "--user", testUser, "--password", testPassword)
	cmd.Env, cmd.WaitDelay = w.env, time.Second
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		w.t.Fatalf("WinRM did not start: %v", err)
	}
	w.address = strings.TrimSpace(line)
}

// service is what Windows says of one.
func (w *wine) service(name string) string {
	cmd := exec.Command("wine", "sc", "query", name)
	cmd.Env, cmd.WaitDelay = w.env, time.Second
	out, _ := cmd.CombinedOutput() // fails when there is none
	return string(out)
}

func crossBuild(t testing.TB, to, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", pkg, err, out)
	}
}

// S1-23: the real agent, set up over WinRM in a Windows that is Wine: the commands are run by its cmd.exe, the service by its service
// manager, and the agent dials the controller.
func TestUnderWine(t *testing.T) {
	w := newWine(t)
	dir := t.TempDir()
	crossBuild(t, filepath.Join(dir, "outwork-agent-windows-amd64.exe"), "../../../cmd/outwork-agent")
	c := newController(t, binary(t, dir, "windows", "amd64"))
	l := c.launcher(t, func(c *winrm.Config) { c.Grace = time.Minute })
	n := node(t, w.address)
	for _, dir := range []string{"ProgramData/Outwork/agents/win-1", "Agents of Outwork (x86)"} { // of an earlier run
		if err := os.RemoveAll(filepath.Join(w.prefix, "drive_c", dir)); err != nil {
			t.Fatal(err)
		}
	}
	for _, upload := range []string{"", "true"} {
		n.Launcher.Config["upload"] = upload
		if upload != "" {
			n.RemoteRoot = `C:\Agents of Outwork (x86)\a & b`
		}
		log := &launchtest.Log{}
		start := time.Now()
		conn := connect(t, l, n, log)
		t.Logf("launched in %v, upload %q", time.Since(start), upload)
		d := describe(t, conn)
		if d.OS != "windows" || d.Arch != "amd64" {
			t.Errorf("the machine says %+v", d)
		}
		contains(t, "the service", w.service(serviceID), "RUNNING")
		contains(t, "the log", log.String(), " certutil -hashfile ", "set /p OUTWORK_SECRET=&&call ", "Agent connected from 127.0.0.1")
		lacks(t, "the log", log.String(), c.secretOf(), testPassword)
		conn.Close()
		contains(t, "the service after the close", w.service(serviceID), "STOPPED")

		log = &launchtest.Log{}
		start = time.Now()
		conn = connect(t, l, n, log)
		t.Logf("launched again in %v", time.Since(start))
		if again := describe(t, conn); again.PID == d.PID || again.Root != d.Root {
			t.Errorf("the machine says %+v, before %+v", again, d)
		}
		contains(t, "the log", log.String(), "is current")
		conn.Close()
		if err := l.Remove(t.Context(), n, log); err != nil {
			t.Errorf("remove: %v\n%s", err, log)
		}
		if st := w.service(serviceID); strings.Contains(st, "RUNNING") || strings.Contains(st, "STOPPED") {
			t.Errorf("the service is there after the node is gone: %s", st)
		}
		if t.Failed() {
			t.Log(log)
		}
	}
	if c.fetches() != 1 {
		t.Errorf("the agent's program was fetched %d times, expected once", c.fetches())
	}
}

//go:build linux

package winrmtest

import (
	"bufio"
	_ "embed"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/need"
)

// Wine is a Windows machine with a service manager: a prefix of Wine, in which the program host serves WinRM.
type Wine struct {
	Address string // HOST:PORT of its WinRM
	Drive   string // the folder that is C:

	t      testing.TB
	prefix string
	env    []string
	tools  string
}

//go:embed testdata/bcryptprimitives.c
var bcryptprimitives string

// NewWine starts the machine; it ends with the test. WINEPREFIX names a prefix to use; without, the test makes one. What an earlier test has left
// in folders of C: is removed.
func NewWine(t testing.TB, user, password string, folders ...string) *Wine {
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
	w := &Wine{Drive: filepath.Join(prefix, "drive_c"), t: t, prefix: prefix, tools: t.TempDir()}
	w.env = append(os.Environ(), "WINEPREFIX="+prefix, "WINEPATH=Z:"+strings.ReplaceAll(w.tools, "/", `\`), "WINEARCH=win64", "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "DISPLAY=")
	if own {
		w.makePrefix()
	}
	for _, dir := range folders {
		if err := os.RemoveAll(filepath.Join(w.Drive, dir)); err != nil {
			t.Fatal(err)
		}
	}
	host := filepath.Join(w.tools, "host.exe")
	BuildForWindows(t, host, "github.com/outwork-build/outwork/fleet/launch/winrm/winrmtest/host")
	for _, name := range []string{"certutil", "findstr", "curl"} {
		if err := os.Link(host, filepath.Join(w.tools, name+".exe")); err != nil {
			t.Fatal(err)
		}
	}
	w.start(host, user, password)
	return w
}

// makePrefix also brings a bcryptprimitives.dll, which Go's programs need and which Wine 8 has not.
func (w *Wine) makePrefix() {
	w.t.Helper()
	gcc := need.Program(w.t, "gcc-mingw-w64-x86-64-win32", "x86_64-w64-mingw32-gcc")
	w.run("wine", "wineboot", "-i")
	w.run("wineserver", "-w") // until all that makes the prefix has ended: it is not whole when wineboot is back, and forgets a service made now
	w.t.Cleanup(func() { w.run("wineserver", "-k", "-w") })
	dll := filepath.Join(w.Drive, "windows", "system32", "bcryptprimitives.dll")
	if _, err := os.Stat(dll); err == nil {
		return
	}
	source := filepath.Join(w.t.TempDir(), "bcryptprimitives.c")
	if err := os.WriteFile(source, []byte(bcryptprimitives), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.run(gcc, "-shared", "-O2", "-s", "-o", dll, source, "-ladvapi32")
}

func (w *Wine) command(argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.WaitDelay = w.env, time.Second
	return cmd
}

func (w *Wine) run(argv ...string) {
	w.t.Helper()
	out, err := w.command(argv...).CombinedOutput()
	if err != nil && argv[0] != "wineserver" && !errors.Is(err, exec.ErrWaitDelay) {
		w.t.Errorf("%q: %v: %s", argv, err, out)
	}
}

// start starts WinRM. It also keeps Wine alive, which ends its services with the last program.
func (w *Wine) start(host, user, password string) {
	w.t.Helper()
	cmd := w.command("wine", host, "--user", user, "--password", password)
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
	w.Address = strings.TrimSpace(line)
}

// Service is what Windows says of a service.
func (w *Wine) Service(name string) string {
	out, _ := w.command("wine", "sc", "query", name).CombinedOutput() // fails when there is none
	return string(out)
}

// BuildForWindows builds a package for windows/amd64.
func BuildForWindows(t testing.TB, to, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", pkg, err, out)
	}
}

package jenkins_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server/servertest"
)

func TestMain(m *testing.M) {
	servertest.Main()
	os.Exit(m.Run())
}

// run runs a client's script to its end.
func run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
		t.Errorf("%s: %v\n%s", filepath.Base(program), err, out)
	}
}

// The npm package jenkins drives a controller: jobs, queue, logs, nodes (S1-31, S1-76, S1-103).
func TestNPMClient(t *testing.T) {
	node, err := exec.LookPath("node")
	npm, err2 := exec.LookPath("npm")
	if err != nil || err2 != nil {
		need.Lack(t, "no node and npm here")
	}
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), npm, "install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", "--prefix", dir, "jenkins@1.1.0", "papi@1.1.0")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		need.Lack(t, "npm cannot install jenkins@1.1.0: %v\n%s", err, out)
	}
	script, err := os.ReadFile("testdata/client.js")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "client.js"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	f := servertest.New(t, "linux")
	f.Online()
	run(t, dir, node, "client.js", strings.Replace(f.URL(), "://", "://admin:"+f.Token+"@", 1))
}

// python-jenkins drives a controller.
func TestPythonClient(t *testing.T) {
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import jenkins").CombinedOutput(); err != nil {
		need.Lack(t, "no Debian package python3-jenkins here: %v %s", err, out)
	}
	script, err := filepath.Abs("testdata/client.py")
	if err != nil {
		t.Fatal(err)
	}
	f := servertest.New(t, "linux")
	f.Online()
	run(t, t.TempDir(), python, script, f.URL(), "admin", f.Password())
}

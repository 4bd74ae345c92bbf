package agents_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server/agents"
)

// world is a controller that hands out what is in folder.
type world struct {
	*httptest.Server
	folder string

	mu   sync.Mutex
	gets map[string]int // by path; guarded by mu
}

func (w *world) count(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gets[path]
}

func newWorld(t *testing.T, options string) *world {
	t.Helper()
	w := &world{folder: t.TempDir(), gets: map[string]int{}}
	mux := http.NewServeMux()
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.gets[r.URL.Path]++
		w.mu.Unlock()
		mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	agents.Route(mux, agents.Config{Binaries: dist.New(dist.Config{Folder: w.folder}), URL: func() string { return w.URL },
		Options: func(string) string { return options }})
	return w
}

func (w *world) put(t *testing.T, platform, text string) string {
	t.Helper()
	path := filepath.Join(w.folder, "outwork-agent-"+platform)
	if err := os.WriteFile(path+".new", []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (w *world) get(t *testing.T, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// S1-28: the agent that the controller hands out is the one of its own build, and a machine that has it does not fetch it again.
func TestHandOut(t *testing.T) {
	w := newWorld(t, "")
	sum := w.put(t, "linux-arm64", "an agent of some length")
	w.put(t, "windows-amd64.exe", "MZ")
	for _, path := range []string{"/agent/linux/arm64", "/download/agent/linux/arm64", "/agent/Linux/aarch64"} {
		resp, body := w.get(t, path)
		if resp.StatusCode != 200 || body != "an agent of some length" || resp.Header.Get("ETag") != `"`+sum+`"` || resp.Header.Get("X-Checksum-Sha256") != sum {
			t.Errorf("%s: %s %q %v", path, resp.Status, body, resp.Header)
		}
		if resp, body := w.get(t, path+".sha256"); resp.StatusCode != 200 || body != sum+"  outwork-agent\n" {
			t.Errorf("%s.sha256: %s %q", path, resp.Status, body)
		}
	}
	if resp, body := w.get(t, "/agent/linux/arm64", "If-None-Match", `"`+sum+`"`); resp.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("If-None-Match: %s %q", resp.Status, body)
	}
	if resp, body := w.get(t, "/agent/linux/arm64", "Range", "bytes=3-7"); resp.StatusCode != http.StatusPartialContent || body != "agent" {
		t.Errorf("Range: %s %q", resp.Status, body)
	}
	if resp, _ := w.get(t, "/agent/windows/amd64"); resp.Header.Get("Content-Disposition") != `attachment; filename="outwork-agent.exe"` {
		t.Errorf("%v", resp.Header)
	}
	if _, body := w.get(t, "/agent/"); !strings.Contains(body, sum+"  linux/arm64\n") || !strings.Contains(body, "windows/amd64") {
		t.Errorf("list: %q", body)
	}
	now := w.put(t, "linux-arm64", "a newer agent")
	if resp, body := w.get(t, "/agent/linux/arm64", "If-None-Match", `"`+sum+`"`); resp.StatusCode != 200 || body != "a newer agent" || resp.Header.Get("ETag") != `"`+now+`"` {
		t.Errorf("after an upgrade: %s %q", resp.Status, body)
	}
}

func TestNothingToHandOut(t *testing.T) {
	w := newWorld(t, "")
	for path, want := range map[string]int{
		"/agent/linux/riscv64": 404, "/agent/linux/riscv64.sha256": 404, "/agent/linux/..": 400, "/agent/a.b/amd64": 400, "/agent.sh?node=a%0Ab": 400,
	} {
		if path == "/agent/linux/.." {
			path = "/agent/linux/%2e%2e%2fx"
		}
		if resp, body := w.get(t, path); resp.StatusCode != want || strings.TrimSpace(body) == "" {
			t.Errorf("%s: %s %q, want %d", path, resp.Status, body, want)
		}
	}
}

// fake is an agent that says how it was started.
const fake = `#!/bin/sh
[ "$1" = --version ] && { echo 1; exit; }
echo "VERSION agent url=$OUTWORK_URL name=${OUTWORK_NAME:-} token=${OUTWORK_TOKEN:-}"
for a in "$@"; do echo "[$a]"; done
`

// S1-29: the script fetches the agent only when its digest changed, checks what came, and becomes the agent.
func TestScript(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		need.Program(t, "curl", "curl")
	}
	platform := runtime.GOOS + "-" + runtime.GOARCH
	binary := "/agent/" + runtime.GOOS + "/" + runtime.GOARCH
	w := newWorld(t, " --tcp --pin sha256:00")
	w.put(t, platform, strings.ReplaceAll(fake, "VERSION", "first"))
	home := t.TempDir()
	run := func(command string) string {
		t.Helper()
		cmd := exec.Command("sh", "-c", command)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "URL=" + w.URL}
		cmd.Dir = home
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
	out := run(`curl -fsS "$URL/agent.sh?node=it%27s+me" | sh -s -- --token owj_x --labels 'a b'`)
	if want := "first agent url=" + w.URL + " name=it's me token=\n[--token]\n[owj_x]\n[--labels]\n[a b]\n[--tcp]\n[--pin]\n[sha256:00]\n"; !strings.HasSuffix(out, want) {
		t.Errorf("%q, want at its end %q", out, want)
	}
	out = run(`curl -fsS "$URL/agent.sh" | OUTWORK_TOKEN=owj_y sh`)
	if !strings.Contains(out, "token=owj_y") || strings.Contains(out, "fetching") || w.count(binary) != 1 {
		t.Errorf("again: %q, %d downloads", out, w.count(binary))
	}
	w.put(t, platform, strings.ReplaceAll(fake, "VERSION", "second"))
	if out = run(`curl -fsS "$URL/agent.sh" | sh -s -- status`); !strings.HasSuffix(out, "second agent url="+w.URL+" name= token=\n[status]\n") || w.count(binary) != 2 {
		t.Errorf("after an upgrade: %q, %d downloads", out, w.count(binary))
	}
	if out = run(`curl -fsS "$URL/agent.sh" | OUTWORK_URL="$URL/elsewhere" sh`); !strings.Contains(out, "has no agent for "+runtime.GOOS+"/"+runtime.GOARCH) {
		t.Errorf("another address: %q", out)
	}
	files, err := os.ReadDir(filepath.Join(home, ".outwork", "bin"))
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

// lying tells the wrong digest, as a download does that is not whole.
type lying struct{ agents.Binaries }

func (l lying) Open(goos, goarch string) (dist.Binary, error) {
	b, err := l.Binaries.Open(goos, goarch)
	b.SHA256 = strings.Repeat("0", 64)
	return b, err
}

func TestScriptChecksWhatCame(t *testing.T) {
	folder, home := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "outwork-agent-"+runtime.GOOS+"-"+runtime.GOARCH), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	agents.Route(mux, agents.Config{Binaries: lying{dist.New(dist.Config{Folder: folder})}, URL: func() string { return s.URL }})
	resp, err := http.Get(s.URL + "/agent.sh")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cmd := exec.Command("sh")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	cmd.Stdin = resp.Body
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "it is not started") {
		t.Errorf("%v: %s", err, out)
	}
	if files, _ := os.ReadDir(filepath.Join(home, ".outwork", "bin")); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

// The script for Windows has the address as a literal. PowerShell is not at hand here, so its grammar is not tried.
func TestPowerShellScript(t *testing.T) {
	w := newWorld(t, "")
	resp, body := w.get(t, "/agent.ps1?node=o%27neil%E2%80%99s")
	if resp.StatusCode != 200 || !strings.Contains(body, "{ '"+w.URL+"' }") || !strings.Contains(body, "$node = 'o''neil’’s'\n") || strings.Contains(body, "@URL@") {
		t.Errorf("%s: %s", resp.Status, body)
	}
}

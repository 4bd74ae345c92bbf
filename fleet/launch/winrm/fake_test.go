//go:build unix

package winrm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/outwork-build/outwork/fleet/launch/launchtest"
)

// fake is a Windows machine that is a folder: it understands the commands of the launcher and what they stand on, and nothing else. Its
// services are real agents of this computer.
type fake struct {
	t       testing.TB
	drive   string // C:
	program string // what runs when the agent's program is started
	arch    string // as PROCESSOR_ARCHITECTURE says it

	mu       sync.Mutex
	room     int64             // of the drive, in bytes; guarded by mu
	lacks    map[string]bool   // programs that are not there; guarded by mu
	breaks   map[string]string // verbs of the agent that fail, and what they say; guarded by mu
	dials    string            // OUTWORK_URL of services, instead of their own; guarded by mu
	ran      []string          // guarded by mu
	runAs    string            // user and password of the newest service; guarded by mu
	looked   int               // installs that fail because somebody looks at the old service; guarded by mu
	services map[string]*service
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, drive: t.TempDir(), program: launchtest.Program(t), arch: "AMD64", room: 1 << 30,
		lacks: map[string]bool{}, breaks: map[string]string{}, services: map[string]*service{}}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, s := range f.services {
			s.stop()
		}
	})
	return f
}

// path is where a file of the machine is.
func (f *fake) path(p string) string {
	rest, ok := strings.CutPrefix(p, `C:`)
	if !ok {
		f.t.Errorf("%q is on no drive", p)
	}
	return filepath.Join(f.drive, strings.ReplaceAll(rest, `\`, "/"))
}

// change changes what the machine can.
func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// commands are those that were run.
func (f *fake) commands() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.ran, "\n")
}

func (f *fake) state(service string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch s := f.services[service]; {
	case s == nil:
		return "missing"
	case s.running():
		return "running"
	}
	return "stopped"
}

// run is a command that runs: its environment, and where its output goes.
type run struct {
	f        *fake
	ctx      context.Context
	env      map[string]string
	stdin    io.Reader
	out, err io.Writer
}

// Run implements winrmtest.Runner.
func (f *fake) Run(ctx context.Context, line string, stdin io.Reader, stdout, stderr io.Writer) int {
	f.change(func() { f.ran = append(f.ran, line) })
	r := &run{f: f, ctx: ctx, stdin: stdin, out: stdout, err: stderr,
		env: map[string]string{"PROCESSOR_ARCHITECTURE": f.arch, "ProgramData": `C:\ProgramData`}}
	return r.line(line)
}

var (
	condition = regexp.MustCompile(`^if (not )?exist "([^"]*)" (.*)$`)
	redirect  = regexp.MustCompile(`^(.*?) ?>"([^"]*)"$`)
	variable  = regexp.MustCompile(`%(\w+)%`)
	word      = regexp.MustCompile(`"[^"]*"|[^" ]+`)
	fetching  = regexp.MustCompile(`DownloadFile\('([^']*)','([^']*)'\)`)
	hashing   = regexp.MustCompile(`Get-FileHash -Algorithm SHA256 -LiteralPath '([^']*)'`)
	decoding  = regexp.MustCompile(`WriteAllBytes\('([^']*)',\[Convert\]::FromBase64String\(\[IO.File\]::ReadAllText\('([^']*)'\)\)\)`)
)

// line runs what cmd.exe's line says: conditions, &&, &, and redirection.
func (r *run) line(line string) (code int) {
	line = strings.TrimSuffix(line, " 2>nul")
	if c := condition.FindStringSubmatch(line); c != nil {
		_, err := os.Stat(r.f.path(c[2]))
		if (err == nil) == (c[1] != "") {
			return 0
		}
		return r.line(strings.TrimSuffix(strings.TrimPrefix(c[3], "("), ")"))
	}
	for rest, more := line, true; more; {
		var part string
		and := false
		part, rest, and, more = cut(rest)
		if code = r.one(part); code != 0 && and {
			return code
		}
	}
	return code
}

// cut takes the first command off a line.
func cut(line string) (part, rest string, and, more bool) {
	quoted := false
	for i, c := range line {
		if c == '"' {
			quoted = !quoted
		}
		if c == '&' && !quoted {
			rest, and = strings.CutPrefix(line[i+1:], "&")
			return line[:i], rest, and, true
		}
	}
	return line, "", false, false
}

func (r *run) one(line string) int {
	if to := redirect.FindStringSubmatch(line); to != nil {
		return r.redirected(to[1], to[2])
	}
	if text, ok := strings.CutPrefix(line, "echo "); ok {
		fmt.Fprintf(r.out, "%s\r\n", variable.ReplaceAllStringFunc(text, func(v string) string {
			if known := r.env[strings.Trim(v, "%")]; known != "" {
				return known
			}
			return v
		}))
		return 0
	}
	if name, ok := strings.CutPrefix(line, "set /p "); ok {
		if r.f.gone("set") {
			return 1
		}
		b, _ := io.ReadAll(r.stdin)
		r.env[strings.TrimSuffix(name, "=")] = strings.TrimRight(string(b), "\r\n")
		return 0
	}
	var words []string
	for _, w := range word.FindAllString(line, -1) {
		words = append(words, strings.Trim(w, `"`))
	}
	return r.program(line, words)
}

func (r *run) redirected(line, to string) int {
	var b bytes.Buffer
	code := (&run{f: r.f, ctx: r.ctx, env: r.env, stdin: r.stdin, out: &b, err: r.err}).line(line)
	if code != 0 {
		return code
	}
	return r.save(to, b.Bytes())
}

// save writes a file if there is room for it.
func (r *run) save(path string, data []byte) int {
	if int64(len(data)) > r.f.free() {
		return r.fail(1, "There is not enough space on the disk.")
	}
	if err := os.WriteFile(r.f.path(path), data, 0o600); err != nil {
		return r.fail(1, "The system cannot find the path specified.")
	}
	return 0
}

func (r *run) fail(code int, format string, args ...any) int {
	fmt.Fprintf(r.err, format+"\r\n", args...)
	return code
}

// free is what files leave of the drive.
func (f *fake) free() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	free := f.room
	_ = filepath.WalkDir(f.drive, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				free -= st.Size()
			}
		}
		return nil
	})
	return free
}

func (f *fake) gone(program string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lacks[program]
}

func (r *run) program(line string, w []string) int {
	f := r.f
	if f.gone(w[0]) {
		return r.fail(1, "'%s' is not recognized as an internal or external command,\r\noperable program or batch file.", w[0])
	}
	switch w[0] {
	case "ver":
		fmt.Fprint(r.out, "\r\nMicrosoft Windows [Version 10.0.20348.2113]\r\n")
		return 0
	case "mkdir":
		if err := os.MkdirAll(f.path(w[1]), 0o700); err != nil {
			return r.fail(1, "Access is denied.")
		}
		return 0
	case "icacls":
		fmt.Fprintf(r.out, "processed file: %s\r\nSuccessfully processed 1 files; Failed processing 0 files\r\n", w[1])
		return 0
	case "dir":
		fmt.Fprintf(r.out, " Volume in drive C has no label.\r\n\r\n Directory of C:\\\r\n\r\n               2 Dir(s)  %d bytes free\r\n", f.free())
		return 0
	case "del":
		return r.del(w[len(w)-1])
	case "move":
		if err := os.Rename(f.path(w[2]), f.path(w[3])); err != nil {
			return r.fail(1, "Access is denied.")
		}
		fmt.Fprint(r.out, "        1 file(s) moved.\r\n")
		return 0
	case "findstr":
		return r.findstr(w)
	case "certutil":
		if w[2] == "-decode" {
			return r.decode(w[3], w[4])
		}
		return r.hash(w[2], "SHA256 hash of file:\r\n%x\r\nCertUtil: -hashfile command completed successfully.\r\n")
	case "curl":
		return r.fetch(w[len(w)-1], w[5])
	case "powershell":
		return r.power(line)
	case "call":
		return r.agent(w[1], w[2:])
	}
	f.t.Errorf("the machine does not understand %q", line)
	return 1
}

func (r *run) del(pattern string) int {
	all, err := filepath.Glob(r.f.path(pattern))
	if err != nil || len(all) == 0 {
		return 0
	}
	for _, p := range all {
		os.Remove(p)
	}
	return 0
}

func (r *run) findstr(w []string) int {
	in := r.stdin
	if len(w) == 3 {
		b, err := os.ReadFile(r.f.path(w[2]))
		if err != nil {
			return r.fail(1, "FINDSTR: Cannot open %s", w[2])
		}
		in = bytes.NewReader(b)
	}
	b, _ := io.ReadAll(in)
	code := 1
	for line := range strings.Lines(string(b)) {
		if w[1] == "^" || slices.ContainsFunc(strings.Fields(w[1]), func(s string) bool { return strings.Contains(line, s) }) {
			code = 0
			io.WriteString(r.out, line)
		}
	}
	return code
}

func (r *run) hash(path, format string) int {
	b, err := os.ReadFile(r.f.path(path))
	if err != nil {
		return r.fail(1, "The system cannot find the file specified.")
	}
	fmt.Fprintf(r.out, format, sha256.Sum256(b))
	return 0
}

func (r *run) decode(from, to string) int {
	b, err := os.ReadFile(r.f.path(from))
	if err != nil {
		return r.fail(1, "The system cannot find the file specified.")
	}
	data, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(string(b)))
	if err != nil {
		return r.fail(1, "DecodeFile returned The data is invalid.")
	}
	return r.save(to, data)
}

func (r *run) fetch(url, to string) int {
	resp, err := http.Get(url)
	if err != nil {
		return r.fail(7, "curl: (7) Failed to connect")
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 400 {
		return r.fail(22, "curl: (22) The requested URL returned error: %d", resp.StatusCode)
	}
	if to == "NUL" {
		return 0
	}
	if r.save(to, b) != 0 {
		return r.fail(23, "curl: (23) Failure writing output to destination")
	}
	return 0
}

func (r *run) power(line string) int {
	if m := hashing.FindStringSubmatch(line); m != nil {
		return r.hash(m[1], "%X\r\n")
	}
	if m := fetching.FindStringSubmatch(line); m != nil {
		return r.fetch(m[1], m[2])
	}
	if m := decoding.FindStringSubmatch(line); m != nil {
		return r.decode(m[2], m[1])
	}
	r.f.t.Errorf("PowerShell does not understand %q", line)
	return 1
}

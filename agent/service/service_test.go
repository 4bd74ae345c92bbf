package service

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

var rewrite = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, want)
	}
}

func specs() map[string]Spec {
	return map[string]Spec{
		"small": {Name: "gpu-7", Root: "/var/lib/outwork-agent/gpu-7", User: "builder", Env: map[string]string{"OUTWORK_URL": "https://ci.example.org", "OUTWORK_TOKEN": "owj_secret"}},
		"whole": {Name: "mac.1", Root: "/Users/ci/Out work & more", Verb: "agent", Env: map[string]string{"OUTWORK_URL": "https://ci.example.org"}},
	}
}

// S1-35: the texts that managers of services read. No secret is among them.
func TestTexts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("systemd and launchd, whose texts these are, have no Windows paths")
	}
	for name, s := range specs() {
		golden(t, name+".service", systemdUnit(s, false))
		golden(t, name+".user.service", systemdUnit(s, true))
		list := launchdList(s)
		golden(t, name+".plist", list)
		if err := xml.Unmarshal([]byte(list), new(struct{ XMLName xml.Name })); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(systemdUnit(s, false)+list, "owj_") {
			t.Errorf("%s: a secret", name)
		}
	}
}

// S1-35, S1-114: systemd takes the unit, and would start the agent again whenever it ends.
func TestSystemdTakesTheUnit(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no systemd on Windows")
	}
	verify := need.Program(t, "systemd", "systemd-analyze")
	for name, root := range map[string]string{"gpu-7": "plain", "x.y_z": "with blank"} {
		s := Spec{Name: name, Root: filepath.Join(t.TempDir(), root), User: "root", Env: map[string]string{"OUTWORK_URL": "http://x"}, Program: os.Args[0]}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		if err := s.place(); err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(t.TempDir(), ID(s.Name)+".service")
		text := systemdUnit(s, false)
		for _, bad := range []bool{false, true} {
			if bad {
				text = strings.Replace(text, "KillMode=process", "KillMood=process\nRestart=never", 1)
			}
			if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(verify, "verify", "--man=no", unit).CombinedOutput()
			about := ""
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, ID(s.Name)) {
					about += line
				}
			}
			if (about != "") != bad {
				t.Errorf("%s, spoilt %v: %v, %s", name, bad, err, out)
			}
		}
	}
}

// What is secret stands in a file that only its user reads, and comes out of it as it went in.
func TestSecretFile(t *testing.T) {
	s := Spec{Name: "a", Root: t.TempDir(), Program: os.Args[0], Env: map[string]string{
		"OUTWORK_URL": "http://x", "OUTWORK_TOKEN": `owj_"$HOME"\` + "`id`", "OUTWORK_LABELS": "linux 'gpu'"}}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.secrets(), nil, 0o644); err != nil { // one that all can read is not kept
		t.Fatal(err)
	}
	if err := s.place(); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(s.secrets())
	if err != nil || (runtime.GOOS != "windows" && st.Mode() != 0o600) {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if st, err := os.Stat(s.program()); err != nil || (runtime.GOOS != "windows" && st.Mode()&0o111 != 0o111) {
		t.Errorf("%v, %v", st, err)
	}
	for _, k := range []string{"OUTWORK_URL", "OUTWORK_TOKEN", "OUTWORK_LABELS", "OUTWORK_NAME", "OUTWORK_ROOT"} {
		t.Setenv(k, "")
	}
	if err := LoadEnvironment(s.secrets()); err != nil {
		t.Fatal(err)
	}
	for k, want := range s.Env {
		if got := os.Getenv(k); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
	if os.Getenv("OUTWORK_NAME") != "a" || os.Getenv("OUTWORK_ROOT") != s.Root {
		t.Errorf("%s, %s", os.Getenv("OUTWORK_NAME"), os.Getenv("OUTWORK_ROOT"))
	}
}

func TestBadSpecs(t *testing.T) {
	url := map[string]string{"OUTWORK_URL": "http://x"}
	for what, s := range map[string]Spec{
		"--name":        {Name: "a b", Env: url},
		`--name ""`:     {Env: url},
		`"../x"`:        {Name: "../x", Env: url},
		"--url":         {Name: "a"},
		"OUTWORK_TOKEN": {Name: "a", Env: map[string]string{"OUTWORK_URL": "http://x", "OUTWORK_TOKEN": "a\nb"}},
	} {
		if _, err := Install(context.Background(), s); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCommand(t *testing.T) {
	c := Command{Stdout: io.Discard, Stderr: io.Discard, Settings: func([]string, func(*flag.FlagSet)) (map[string]string, error) {
		return map[string]string{"OUTWORK_NAME": "no/name"}, nil
	}}
	for _, args := range [][]string{nil, {"--url", "http://x"}, {"secret", "name"}, {"run-service"}} {
		if _, mine, err := c.Main(t.Context(), args); mine || err != nil {
			t.Errorf("%q: %v, %v", args, mine, err)
		}
	}
	for _, v := range Verbs() {
		if _, mine, err := c.Main(t.Context(), []string{v[0]}); !mine || !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, %v", v[0], mine, err)
		}
	}
	file := filepath.Join(t.TempDir(), "agent.env")
	if _, mine, err := c.Main(t.Context(), []string{"run-service", file}); !mine || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, %v", mine, err)
	}
	t.Setenv("OUTWORK_NAME", "")
	if err := os.WriteFile(file, []byte("OUTWORK_NAME=\"n\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Run = func(context.Context, io.Writer) int {
		if os.Getenv("OUTWORK_NAME") != "n" {
			return 1
		}
		return 7
	}
	if code, mine, err := c.Main(t.Context(), []string{"run-service", file}); code != 7 || !mine || err != nil {
		t.Errorf("%d, %v, %v", code, mine, err)
	}
}

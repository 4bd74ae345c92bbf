package interp

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Each testdata/cases/*.groovy holds cases, apart by lines of "//// name". Beside it, .out holds what Groovy 2.4.21 prints for each.
// A case that ends with an exception prints "!! class: message" last.

type goldenCase struct{ file, name, src string }

func goldenCases(t testing.TB) []goldenCase {
	files, err := filepath.Glob("testdata/cases/*.groovy")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var out []goldenCase
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split("\n"+string(data), "\n//// ")[1:] {
			name, src, _ := strings.Cut(part, "\n")
			out = append(out, goldenCase{filepath.Base(f), name, src})
		}
	}
	return out
}

func golden(t testing.TB, file string) map[string]string {
	data, err := os.ReadFile("testdata/cases/" + strings.TrimSuffix(file, ".groovy") + ".out")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, part := range strings.Split("\n"+string(data), "\n//// ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		out[name] = strings.TrimRight(text, "\n")
	}
	return out
}

func TestGolden(t *testing.T) {
	want := map[string]map[string]string{}
	for _, c := range goldenCases(t) {
		if want[c.file] == nil {
			want[c.file] = golden(t, c.file)
		}
		t.Run(c.file+"/"+c.name, func(t *testing.T) {
			expected, ok := want[c.file][c.name]
			if !ok {
				t.Fatal("no golden output; run the oracle test with OUTWORK_UPDATE=1")
			}
			got, err := run(t, c.src, nil)
			var ex *value.Exception
			if errors.As(err, &ex) {
				got += "!! " + ex.Class + ": " + firstLine(ex.Message) + "\n"
			} else if err != nil {
				t.Fatal(err)
			}
			if got = strings.TrimRight(got, "\n"); got != expected {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.src, got, expected)
			}
		})
	}
}

func firstLine(s string) string { l, _, _ := strings.Cut(s, "\n"); return l }

// TestOracle runs every case in Groovy itself, and compares with what is kept. OUTWORK_UPDATE=1 keeps what Groovy says.
func TestOracle(t *testing.T) {
	need.Program(t, "groovy", "groovy")
	if testing.Short() {
		t.Skip("starts a JVM")
	}
	dir := t.TempDir()
	cases := goldenCases(t)
	for _, c := range cases {
		if err := os.WriteFile(filepath.Join(dir, c.file+"@"+c.name+".case"), []byte(c.src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "groovy", "testdata/oracle.groovy", dir)
	cmd.Env = append(os.Environ(), "TZ=UTC", "JAVA_OPTS=-Duser.timezone=UTC -Duser.language=en", "JAVA_HOME="+javaHome(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("groovy: %v\n%s", err, out)
	}
	said := map[string]*strings.Builder{}
	for _, c := range cases {
		data, err := os.ReadFile(filepath.Join(dir, c.file+"@"+c.name+".out"))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimRight(string(data), "\n")
		if said[c.file] == nil {
			said[c.file] = &strings.Builder{}
		}
		said[c.file].WriteString("//// " + c.name + "\n" + text + "\n")
		if os.Getenv("OUTWORK_UPDATE") == "" {
			if kept := golden(t, c.file)[c.name]; kept != text {
				t.Errorf("%s/%s: kept:\n%s\nGroovy says:\n%s", c.file, c.name, kept, text)
			}
		}
	}
	if os.Getenv("OUTWORK_UPDATE") != "" {
		for file, b := range said {
			if err := os.WriteFile("testdata/cases/"+strings.TrimSuffix(file, ".groovy")+".out", []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// javaHome is where java really is: Debian's groovy looks for a default-java that not every image has.
func javaHome(t *testing.T) string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return home
	}
	bin, err := filepath.EvalSymlinks(need.Program(t, "groovy", "java"))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(filepath.Dir(bin))
}

package jenkinsfile

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/need"
)

// answer is what Groovy says of a text.
type answer struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
	Tree  string `json:"tree"` // of texts without classes
	Late  bool   `json:"late"` // Groovy took too long
}

// groovyAnswers asks Debian's groovy 2.4 about every text, in one JVM.
func groovyAnswers(t *testing.T, texts []string) []answer {
	t.Helper()
	const jar = "/usr/share/java/groovy-all.jar"
	java := need.Program(t, "default-jre-headless", "java")
	if _, err := os.Stat(jar); err != nil {
		need.Lack(t, "%v: apt-get install groovy", err)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "cases.json"), filepath.Join(dir, "answers.json")
	data, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, java, "-Xss16m", "-cp", jar, "groovy.ui.GroovyMain", "testdata/oracle.groovy", in, out)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("groovy: %v\n%s", err, msg)
	}
	if data, err = os.ReadFile(out); err != nil {
		t.Fatal(err)
	}
	var answers []answer
	if err := json.Unmarshal(data, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(texts) {
		t.Fatalf("%d answers for %d cases", len(answers), len(texts))
	}
	return answers
}

// grammarCases reads the hand-written cases: texts with a line of three dashes between them.
func grammarCases(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/grammar.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n---\n")
}

// deviates reports whether a case is one on which we knowingly differ from Groovy: it says so in its first line.
func deviates(text string) bool { return strings.HasPrefix(text, "// differs:") }

// sameTree compares our tree with Groovy's, where there is one; it returns whether they are the same.
func sameTree(t *testing.T, text string, f *File, a answer) bool {
	t.Helper()
	if strings.HasPrefix(text, "// another tree:") {
		return true
	}
	if a.OK && a.Error != "" {
		t.Errorf("oracle: %s", a.Error)
	}
	ours := groovyTree(f)
	if a.Tree == "" || ours == "" || ours == a.Tree {
		return true
	}
	t.Errorf("another tree:\n%s\n  groovy: %s\n  ours:   %s", text, a.Tree, ours)
	return false
}

func TestGrammarAgreesWithGroovy(t *testing.T) {
	cases := grammarCases(t)
	answers := groovyAnswers(t, cases)
	late := 0
	for i, text := range cases {
		if answers[i].Late {
			late++
			continue
		}
		f, err := Parse("WorkflowScript", text)
		if agree := (err == nil) == answers[i].OK; agree == deviates(text) {
			t.Errorf("case %d:\n%s\n  groovy: ok=%v %s\n  ours:   %v", i, text, answers[i].OK, answers[i].Error, err)
		}
		if err == nil {
			sameTree(t, text, f, answers[i])
		}
	}
	t.Logf("%d hand-written cases, %d too much for Groovy", len(cases), late)
	if late > len(cases)/100 {
		t.Errorf("Groovy was too late for %d cases", late)
	}
}

// TestCorpusAgreesWithGroovy makes sure that what we take for realistic is valid.
func TestCorpusAgreesWithGroovy(t *testing.T) {
	var texts []string
	for _, path := range corpus(t) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(src))
	}
	for i, a := range groovyAnswers(t, texts) {
		if a.Late {
			t.Logf("%s: too much for Groovy", corpus(t)[i])
			continue
		}
		if !a.OK {
			t.Errorf("%s: groovy: %s", corpus(t)[i], a.Error)
			continue
		}
		if f, err := Parse("WorkflowScript", texts[i]); err == nil {
			sameTree(t, corpus(t)[i], f, a)
		}
	}
}

package rest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server/servertest"
)

// The examples of docs/api.md, run in their order as one script.
func TestTheDocumentsExamplesRun(t *testing.T) {
	need.Program(t, "curl", "curl")
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	f := servertest.New(t, "linux")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 6 {
		t.Fatalf("%d examples", len(blocks))
	}
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Patience)
	defer cancel()
	vars := append(os.Environ(), "URL="+f.URL(), "PASSWORD="+f.Password())
	for i, b := range blocks {
		script := "set -e\n" + b[1]
		if i > 0 {
			script = "TOKEN=" + f.Token + "\n" + script
		}
		cmd := exec.CommandContext(ctx, "bash", "-c", script+"\ntest -n \"$TOKEN\"")
		cmd.Env = vars
		out, err := cmd.CombinedOutput()
		if err != nil || len(out) == 0 {
			t.Errorf("example %d: %v\n%s\n%s", i+1, err, b[1], out)
		}
		if strings.Contains(b[1], "-X POST") && strings.Contains(b[1], "/builds") {
			f.Ended(api.Build{Job: "team/hello", Number: 1})
		}
	}
}

// Every path that the document names is one of the API, or stands beside it.
func TestTheDocumentNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, d := fetch(t, servertest.New(t))
	var known []*regexp.Regexp
	d.each(func(_, path string, _ operation) {
		known = append(known, regexp.MustCompile("^"+regexp.MustCompile(`\\\{[^}]*\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`)+"$"))
	})
	beside := []string{"/api/v1", "/api/v1/openapi.json", "/api/v1/agents/connect", "/api/v1/agents/endpoint"}
	for _, p := range regexp.MustCompile(`/api/v1[^\s"?`+"`"+`,;:]*`).FindAllString(string(text), -1) {
		found := false
		for _, b := range beside {
			found = found || p == b
		}
		for _, k := range known {
			found = found || k.MatchString(p)
		}
		if !found {
			t.Errorf("docs/api.md names %s, which does not exist", p)
		}
	}
}

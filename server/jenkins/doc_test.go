package jenkins

import (
	"os"
	"strings"
	"testing"
)

// Every path that is answered, and every one that is refused, stands in the documentation.
func TestEveryPathIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/jenkins-api.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, p := range paths {
		if !strings.Contains(doc, "`"+strings.TrimSuffix(p, "/")) {
			t.Errorf("docs/jenkins-api.md says nothing of %s", p)
		}
	}
	for _, name := range append(linkNames, "X-Jenkins` ("+Version) {
		if !strings.Contains(doc, "`"+name) {
			t.Errorf("docs/jenkins-api.md says nothing of %s", name)
		}
	}
	for first := range refused {
		mounted := false
		for _, p := range paths {
			mounted = mounted || strings.Trim(p, "/") == first
		}
		if !mounted {
			t.Errorf("/%s is refused and not mounted: the page answers", first)
		}
	}
}

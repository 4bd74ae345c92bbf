package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// examples are the blocks of YAML in a document that are whole files.
func examples(t *testing.T, name string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(m[1], "version:") {
			all = append(all, m[1])
		}
	}
	return all
}

func TestTheExamplesOfTheDocumentsAreInOrder(t *testing.T) {
	for name, least := range map[string]int{"configuration.md": 1, "notifications.md": 2, "tools.md": 2} {
		all := examples(t, name)
		if len(all) < least {
			t.Errorf("%s: %d examples", name, len(all))
		}
		for _, text := range all {
			d, err := Parse(name, text, nil)
			if err != nil {
				t.Error(err)
				continue
			}
			if _, err := Parse(name, d.Write(), nil); err != nil {
				t.Errorf("%s, written again: %v", name, err)
			}
		}
	}
}

// TestTheCompleteExampleHasEveryKey: a key of the schema that the document does not show fails this.
func TestTheCompleteExampleHasEveryKey(t *testing.T) {
	r, body := open("configuration.md", examples(t, "configuration.md")[0])
	r.offered, r.used = map[string]bool{}, map[string]bool{}
	r.document(&Document{}, body)
	var missing []string
	for key := range r.offered {
		if !r.used[key] && !strings.Contains(key, "notify.webhooks[].builds") { // as those of mail
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 || len(r.offered) < 40 {
		t.Errorf("%d keys, not shown: %v", len(r.offered), missing)
	}
}

package recipe

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the reference in docs/tasks.md anew")

// TestTheReferenceIsWritten pairs the table of attributes in docs/tasks.md with those that there are.
func TestTheReferenceIsWritten(t *testing.T) {
	const file, from, to = "../../docs/tasks.md", "<!-- attributes: written by go test ./task/recipe -update -->\n", "<!-- end of attributes -->\n"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the attributes", file)
	}
	var table strings.Builder
	table.WriteString("| attribute of `task()` | |\n| --- | --- |\n")
	for _, a := range attributes {
		fmt.Fprintf(&table, "| `%s` | %s |\n", a.name, a.doc)
	}
	want := before + from + table.String() + to + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(b) {
		t.Errorf("%s does not say what the attributes are: go test ./task/recipe -update", file)
	}
}

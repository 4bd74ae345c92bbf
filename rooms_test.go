package outwork

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/outwork-build/outwork"

// rooms from left to right: a room imports only itself and rooms to its right. e2e, bench and examples stand left of all.
var rooms = []string{"cmd", "server", "store", "pipeline", "task", "queue", "fleet", "agent", "secret", "build", "cas", "wire", "api", "internal"}

var outside = []string{"e2e", "bench", "examples", "docs", "deploy"}

// implementations lists the folders whose children implement one interface and so never import each other. A child may
// import what is below itself.
var implementations = []string{"fleet/launch", "cas", "wire", "pipeline/step", "store", "agent"}

// shared are the children of such a folder that its siblings may import: they are tools, not implementations.
var shared = map[string][]string{
	"cas":           {"action", "tree", "castest", "memory"},
	"wire":          {"mux", "rpc", "wiretest"},
	"agent":         {"ant", "host", "remote", "update", "agenttest"},
	"pipeline/step": {"steptest", "executor"},
	"store":         {"storetest"},
	"fleet/launch":  {"kit", "launchtest"},
}

type source struct {
	dir, file string
	test      bool
	imports   []string
	doc       bool
	pkg       string
}

// sources reads every Go file through os, so that the test cache sees each change.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); p != "." && (strings.HasPrefix(n, ".") || n == "testdata" || n == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		s := source{dir: path.Dir(filepath.ToSlash(p)), file: p, test: strings.HasSuffix(p, "_test.go"), doc: hasDoc(f.Doc), pkg: f.Name.Name}
		for _, im := range f.Imports {
			s.imports = append(s.imports, strings.Trim(im.Path.Value, `"`))
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d Go files: the test must run in the module's root", len(all))
	}
	return all
}

func hasDoc(c *ast.CommentGroup) bool { return c != nil && strings.TrimSpace(c.Text()) != "" }

func room(dir string) string { r, _, _ := strings.Cut(dir, "/"); return r }

// upward says why a file in folder from may not import folder to; "" when it may.
func upward(from, to string, test bool) string {
	a, b := room(from), room(to)
	if slices.Contains(outside, a) || a == "." {
		return ""
	}
	if slices.Contains(outside, b) {
		return "nothing imports " + b
	}
	i, j := slices.Index(rooms, a), slices.Index(rooms, b)
	switch {
	case i < 0:
		return "room " + a + " is not in the design"
	case j < 0:
		return "room " + b + " is not in the design"
	case j < i:
		return b + " stands left of " + a
	}
	if a == b && !test {
		if parent, sibling := siblings(from, to); parent != "" && !slices.Contains(shared[parent], sibling) {
			return "implementations of " + parent + " never import each other"
		}
	}
	return ""
}

// siblings reports the folder of implementations in which from and to stand side by side, and to's name in it.
func siblings(from, to string) (parent, sibling string) {
	for _, p := range implementations {
		x, okx := strings.CutPrefix(from, p+"/")
		y, oky := strings.CutPrefix(to, p+"/")
		if okx && oky && room(x) != room(y) {
			return p, room(y)
		}
	}
	return "", ""
}

func TestImportsPointRight(t *testing.T) {
	for _, s := range sources(t) {
		for _, im := range s.imports {
			to, ok := strings.CutPrefix(im, module+"/")
			if !ok {
				continue
			}
			if why := upward(s.dir, to, s.test); why != "" {
				t.Errorf("%s imports %s: %s", s.file, to, why)
			}
		}
	}
}

func TestUpwardArrowsAreSeen(t *testing.T) {
	for _, c := range []struct {
		from, to string
		bad      bool
	}{
		{"queue", "fleet", false}, {"fleet", "queue", true}, {"server/rest", "pipeline/step", false}, {"cas/disk", "cas", false},
		{"cas/disk", "cas/remote", true}, {"pipeline/step/shell", "pipeline/step/flow", true}, {"pipeline/step/shell", "pipeline/step", false},
		{"agent/serve", "agent/host", false}, {"wire", "server", true}, {"build", "e2e/world", true}, {"e2e/world", "server", false},
		{"strange", "build", true},
	} {
		if got := upward(c.from, c.to, false); (got != "") != c.bad {
			t.Errorf("upward(%s, %s) = %q", c.from, c.to, got)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if s.test || strings.HasSuffix(s.pkg, "_test") {
			continue
		}
		seen[s.dir] = true
		documented[s.dir] = documented[s.dir] || s.doc
	}
	for dir := range seen {
		if !documented[dir] {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

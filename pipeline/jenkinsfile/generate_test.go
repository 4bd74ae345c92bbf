package jenkinsfile

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// generator writes random scripts: mostly valid ones, in every shape the grammar has.
type generator struct {
	r *rand.Rand
}

func (g *generator) pick(options ...string) string { return options[g.r.IntN(len(options))] }
func (g *generator) maybe(s string) string {
	if g.r.IntN(2) == 0 {
		return ""
	}
	return s
}

func (g *generator) list(n int, sep string, f func() string) string {
	parts := make([]string, g.r.IntN(n+1))
	for i := range parts {
		parts[i] = f()
	}
	return strings.Join(parts, sep)
}

func (g *generator) name() string {
	return g.pick("a", "b", "foo", "bar", "sh", "Env", "Foo", "x1", "_")
}
func (g *generator) typ() string {
	return g.pick("int", "def", "String", "List<String>", "a.B", "Map<String, List<B>>", "boolean[]", "String[]", "Foo")
}

func (g *generator) script(depth int) string {
	parts := make([]string, 1+g.r.IntN(3))
	for i := range parts {
		parts[i] = g.statement(depth)
	}
	return strings.Join(parts, g.pick("\n", "\n", "; ", "\n\n"))
}

func (g *generator) block(depth int) string {
	return "{" + g.pick(" ", "\n") + g.script(depth-1) + g.pick(" ", "\n") + "}"
}

func (g *generator) statement(depth int) string {
	if depth <= 0 {
		return g.command(0)
	}
	e := func() string { return g.expr(depth - 1) }
	switch g.r.IntN(22) {
	case 0, 1, 2, 3:
		return g.command(depth)
	case 4:
		return g.typ() + " " + g.name() + g.maybe(" = "+g.command(depth-1))
	case 5:
		return "def " + g.name() + " = " + g.pick(e(), g.command(depth-1))
	case 6:
		return g.name() + g.pick("", ".b", "[0]", "?.c") + g.pick(" = ", " += ", " -= ", " <<= ", "=") + g.command(depth-1)
	case 7:
		return "if (" + e() + ")" + g.pick(" ", "\n") + g.pick(g.block(depth), g.statement(depth-1)) +
			g.pick("", g.pick(" ", "\n", "; ")+"else "+g.pick(g.block(depth), g.statement(depth-1)))
	case 8:
		return "for (" + g.pick(g.name()+" in "+e(), "def x : "+e(), "int i = 0; i < "+e()+"; i++", ";;") + ") " + g.block(depth)
	case 9:
		return "while (" + e() + ")" + g.pick(" ", "\n") + g.pick(g.block(depth), ";")
	case 10:
		return "try " + g.block(depth) + g.pick(" ", "\n") + "catch (" + g.pick("e", "Foo e", "A | b.C e", "final e") + ") " + g.block(depth) + g.maybe(" finally "+g.block(depth))
	case 11:
		return "switch (" + e() + ") {\n" + g.list(3, "\n", func() string { return "case " + e() + ": " + g.statement(depth-1) }) + g.maybe("\ndefault: "+g.statement(depth-1)) + "\n}"
	case 12:
		return g.pick("return ", "throw ", "return\n", "assert ") + e()
	case 13:
		return "assert " + e() + g.pick(" : ", ", ") + e()
	case 14:
		return "def (" + g.name() + ", " + g.maybe("int ") + g.name() + ") = " + e()
	case 15:
		return g.name() + ": " + g.pick(g.block(depth), g.statement(depth-1))
	case 16:
		return g.pick("@Field ", "@Library('x') ", "final ", "@A(b = 1) ", "") + g.typ() + " " + g.name() + g.maybe(" = "+e())
	case 17:
		return "synchronized (" + e() + ") " + g.block(depth)
	case 18:
		return g.pick("import a.b.C", "import static a.B.*", "import a.b as C", "break", "continue", "break a")
	case 19:
		return g.pick("def ", "void ", "String ", "private ", "static ") + g.name() + "(" + g.list(2, ", ", g.param) + ") " + g.block(depth)
	case 20:
		return "class Foo " + g.maybe("extends Bar ") + "{\n" + g.list(3, "\n", func() string { return g.member(depth - 1) }) + "\n}"
	}
	return g.name() + g.pick(" ", "(", "'x', ") + g.closure(depth)
}

func (g *generator) member(depth int) string {
	return g.pick("int x = 1", "def y", "static final String Z = 'z'", "Foo(int a) { this.x = a }", "Foo() { super() }", "{ x = 2 }",
		"def f(a, b = 2) "+g.block(depth), "@Override String toString() { \"$x\" }", "abstract void g()", "enum E { A, B }")
}

func (g *generator) param() string {
	return g.pick("", "def ", "final ", "int ", "String ", "List<String> ") + g.name() + g.pick("", "", " = 1", " = [:]")
}

// command writes an expression statement.
func (g *generator) command(depth int) string {
	arg := func() string { return g.pick("", "", g.name()+": ", "'k': ", "in: ") + g.expr(depth-1) }
	switch g.r.IntN(9) {
	case 0:
		return g.name() + " " + g.expr(depth-1)
	case 1:
		return g.name() + " " + arg() + ", " + g.maybe("\n") + arg()
	case 2:
		return g.name() + g.pick(".", "?.", "*.") + g.name() + " " + arg()
	case 3:
		return g.name() + "(" + g.list(3, ", ", arg) + ")" + g.pick("", " ", "\n") + g.closure(depth)
	case 4:
		return g.name() + " " + g.name() + " " + g.name() + g.maybe(" "+g.name())
	case 5:
		return g.name() + " " + arg() + g.pick(" ", ", ") + g.closure(depth)
	}
	return g.expr(depth)
}

func (g *generator) closure(depth int) string {
	if depth <= 0 {
		return g.pick("{ }", "{ it }", "{ -> a }")
	}
	head := g.pick("", "", "", "-> ", "a -> ", "int a, b -> ", "a, b = 2 -> ", "a\n-> ")
	return "{ " + head + g.script(depth-1) + g.pick(" ", "\n") + "}"
}

func (g *generator) expr(depth int) string {
	if depth <= 0 {
		return g.pick("a", "b", "1", "2.5", "'s'", "\"t\"", "\"$a\"", "\"${b}c\"", "true", "null", "this", "[]", "[:]", "/r/", "0x1F", "'''m\nn'''", "int", "Foo", "10L")
	}
	e := func() string { return g.expr(depth - 1) }
	switch g.r.IntN(26) {
	case 0, 1, 2:
		return e() + " " + g.pick("+", "-", "*", "/", "%", "**", "==", "!=", "<", ">", "<=", ">=", "<=>", "&&", "||", "&", "|", "^", "=~", "==~", "<<", ">>", ">>>", "..", "..<", "in", "+\n", "&&\n") + " " + e()
	case 3:
		return g.pick("!", "-", "+", "~", "++", "--", "! ") + e()
	case 4:
		return e() + g.pick("++", "--")
	case 5, 6:
		return e() + g.pick(".", "?.", "*.", ".@", ".&", "\n.", ".\n") + g.pick("a", "foo", "class", "'x y'", "\"$a\"", "in", "default")
	case 7, 8:
		return e() + "(" + g.list(3, ", ", func() string { return g.pick("", "", "k: ", "*", "*: ") + e() }) + ")"
	case 9:
		return e() + "[" + e() + g.pick("", ", "+e()) + "]"
	case 10:
		return g.name() + g.pick("", " ", "()") + g.closure(depth)
	case 11:
		return e() + g.pick(" ? ", "\n? ") + e() + g.pick(" : ", "\n: ") + e()
	case 12:
		return e() + g.pick(" ?: ", "\n?: ") + e()
	case 13:
		return "[" + g.list(3, g.pick(", ", ",\n"), e) + g.pick("", "", ",") + "]"
	case 14:
		return "[" + g.pick("k", "'k'", "(a)", "1", "\"$a\"", "if") + ": " + e() + g.pick("", ", *: "+e(), ", j: "+e()) + "]"
	case 15, 16:
		return "(" + g.maybe("\n") + e() + ")"
	case 17:
		return "(" + g.pick("int", "String", "Foo", "a.B", "String[]", "a") + ") " + e()
	case 18:
		return e() + g.pick(" as ", " instanceof ") + g.pick("int", "String[]", "List<String>", "a.B")
	case 19:
		return "new " + g.pick("Foo", "a.B", "ArrayList<String>", "HashMap<>") + "(" + g.list(2, ", ", func() string { return g.maybe("k: ") + e() }) + ")" + g.pick("", "", "", " { def f() { 1 } }")
	case 20:
		return "new " + g.pick("int", "String") + "[" + e() + "]"
	case 21:
		return "\"" + g.pick("", "x ") + "${" + g.pick(e(), "", "-> a", "a; b") + "}" + g.pick("", " $a.b", "\\$") + "\""
	case 22:
		return "\"\"\"\n" + g.maybe("\"") + "${" + g.maybe("\n") + g.expr(0) + "}\"\"\""
	case 23:
		return g.pick("/x${"+g.expr(0)+"}/", "$/a$$b/$", "/\\d+\\/$/")
	case 24:
		return g.closure(depth)
	}
	return g.expr(0)
}

// mutate damages a text: it deletes, doubles, swaps or replaces pieces, most of them tokens.
func mutate(r *rand.Rand, text string, pieces []string) string {
	l := lex(text)
	var parts []string
	end := 0
	for _, t := range l.tokens {
		if int(t.start.off) < end {
			continue
		}
		parts = append(parts, text[end:t.start.off], text[t.start.off:t.end.off])
		end = int(t.end.off)
	}
	parts = append(parts, text[end:])
	for range 1 + r.IntN(2) {
		i := r.IntN(len(parts))
		switch r.IntN(5) {
		case 0:
			parts[i] = ""
		case 1:
			parts[i] += parts[i]
		case 2:
			j := r.IntN(len(parts))
			parts[i], parts[j] = parts[j], parts[i]
		case 3:
			parts[i] = pieces[r.IntN(len(pieces))]
		default:
			parts[i] += pieces[r.IntN(len(pieces))]
		}
	}
	return strings.Join(parts, "")
}

// generated returns n random texts of a seed: scripts from the grammar, and damaged ones.
func generated(seed uint64, n int, stock []string) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	g := &generator{r: r}
	pieces := strings.Fields("( ) [ ] { } , ; : . ?. *. .& @ -> = += == != < > << >> + - * / % ** ++ -- ! ~ && || ? ?: .. ..< =~ ==~ & | ^ in as instanceof " +
		"if else for while switch case default try catch finally return throw assert break continue new class interface enum def int void static final import package " +
		"this super true null a foo Bar 'x' \"y\" \"$z\" \"${w}\" /r/ 1 2.5 @A")
	pieces = append(pieces, "\n", "\n", " ", "'", "\"", "$", "/*", "//", "\\", "\"\"\"", "'''")
	out := make([]string, n)
	for i := range out {
		switch i % 4 {
		case 0, 1:
			out[i] = g.script(3)
		case 2:
			out[i] = mutate(r, g.script(2), pieces)
		default:
			out[i] = mutate(r, stock[r.IntN(len(stock))], pieces)
		}
	}
	return out
}

// corpusPieces cuts the corpus and the hand-written cases into texts to damage.
func corpusPieces(t testing.TB) []string {
	t.Helper()
	var stock []string
	for _, path := range corpus(t) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		stock = append(stock, string(src))
	}
	cases, err := os.ReadFile("testdata/grammar.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range strings.Split(string(cases), "\n---\n") {
		if !strings.HasPrefix(c, "// ") {
			stock = append(stock, c)
		}
	}
	return stock
}

// agreement is the share of generated texts that we must judge as Groovy does.
const agreement = 0.998

// TestGeneratedAgreesWithGroovy compares acceptance and trees over random texts. OUTWORK_SEED chooses others.
func TestGeneratedAgreesWithGroovy(t *testing.T) {
	seed, n := uint64(20240521), 4000
	if s := os.Getenv("OUTWORK_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatal(err)
		}
	}
	texts := generated(seed, n, corpusPieces(t))
	answers := groovyAnswers(t, texts)
	var accepted, late, differ, trees, treesDiffer int
	for i, text := range texts {
		if answers[i].Late {
			late++
			continue
		}
		f, err := Parse("WorkflowScript", text)
		if answers[i].OK {
			accepted++
		}
		if (err == nil) != answers[i].OK {
			differ++
			if differ <= 40 {
				t.Logf("differs:\n%s\n  groovy: ok=%v %s\n  ours:   %v", text, answers[i].OK, answers[i].Error, err)
			}
			continue
		}
		if err != nil || answers[i].Tree == "" {
			continue
		}
		trees++
		if ours := groovyTree(f); ours != "" && ours != answers[i].Tree {
			treesDiffer++
			if treesDiffer <= 40 {
				t.Logf("another tree:\n%s\n  groovy: %s\n  ours:   %s", text, answers[i].Tree, ours)
			}
		}
	}
	got := 1 - float64(differ)/float64(n)
	gotTrees := 1 - float64(treesDiffer)/float64(max(trees, 1))
	t.Logf("seed %d: %d texts, %d valid, %d too much for Groovy: %.2f%% judged alike; of %d trees %.2f%% alike",
		seed, n, accepted, late, 100*got, trees, 100*gotTrees)
	if late > n/20 {
		t.Errorf("Groovy was too late for %d texts", late)
	}
	if got < agreement || gotTrees < agreement {
		t.Errorf("agreement is below %.1f%%", 100*agreement)
	}
}

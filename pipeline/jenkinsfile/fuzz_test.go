package jenkinsfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/outwork-build/outwork/internal/fault"
)

// checkPlaces requires that every node of a tree lies inside of the source and says the right line and column.
func checkPlaces(t *testing.T, f *File) {
	t.Helper()
	starts := lineStarts(f.Source)
	visit := func(n Node) bool {
		s := n.Span()
		if s.Start.Offset < 0 || s.Start.Offset > s.End.Offset || s.End.Offset > len(f.Source) {
			t.Fatalf("%T: span %+v outside of %d bytes", n, s, len(f.Source))
		}
		for _, pos := range []Pos{s.Start, s.End} {
			if want := posAt(f.Source, starts, pos); pos != want {
				t.Fatalf("%T: place %+v, want %+v", n, pos, want)
			}
		}
		return true
	}
	for _, s := range f.Body {
		Walk(s, visit)
	}
	for _, i := range f.Imports {
		visit(i)
	}
}

// lineStarts returns the offsets at which lines begin.
func lineStarts(src string) []int {
	starts := []int{0}
	for i := 0; i < len(src); i++ {
		if src[i] == '\n' || src[i] == '\r' && (i+1 == len(src) || src[i+1] != '\n') {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// posAt computes line and column of an offset; pos.Line only says where to begin to look.
func posAt(src string, starts []int, pos Pos) Pos {
	if pos.Line < 1 || pos.Line > len(starts) || starts[pos.Line-1] > pos.Offset || pos.Line < len(starts) && starts[pos.Line] <= pos.Offset {
		return Pos{Offset: -1}
	}
	col := utf8.RuneCountInString(src[starts[pos.Line-1]:pos.Offset]) + 1
	return Pos{Offset: pos.Offset, Line: pos.Line, Col: col}
}

func checkErrors(t *testing.T, source string, err error) {
	t.Helper()
	var es Errors
	if !errors.As(err, &es) || len(es) == 0 || !fault.Is(err, fault.Invalid) {
		t.Fatalf("not an invalid Errors: %v", err)
	}
	lines := len(lineStarts(source))
	for _, e := range es {
		if e.Pos.Line < 1 || e.Pos.Line > lines || e.Pos.Col < 1 || e.Pos.Offset < 0 || e.Pos.Offset > len(source) {
			t.Fatalf("place %+v outside of %d lines: %v", e.Pos, lines, e)
		}
		if e.Message == "" {
			t.Fatal("an error without message")
		}
	}
	if !strings.Contains(es.Console(), "startup failed:") || !strings.Contains(es.Console(), "error") {
		t.Fatalf("console: %s", es.Console())
	}
}

// FuzzParse holds the parser, and the validator behind it, to their promises on any input.
func FuzzParse(f *testing.F) {
	for _, s := range corpusPieces(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		file, err := Parse("WorkflowScript", source)
		if err != nil {
			checkErrors(t, source, err)
			return
		}
		checkPlaces(t, file)
		if _, err := Model(file, testKnown()); err != nil {
			checkErrors(t, source, err)
		}
	})
}

// TestPlaces checks the places of all trees of the corpus and of generated scripts.
func TestPlaces(t *testing.T) {
	stock := corpusPieces(t)
	for _, text := range append(stock, generated(7, 2000, stock)...) {
		file, err := Parse("WorkflowScript", text)
		if err != nil {
			checkErrors(t, text, err)
			continue
		}
		checkPlaces(t, file)
	}
}

// TestHostile holds the parser to bounded time and stack on what is made to exhaust it.
func TestHostile(t *testing.T) {
	const n = MaxSize - 10
	cases := map[string]string{
		"parens":       strings.Repeat("(", n),
		"brackets":     strings.Repeat("[", n),
		"braces":       strings.Repeat("{", n),
		"closed":       strings.Repeat(")", n),
		"braces shut":  strings.Repeat("}", n),
		"closures":     strings.Repeat("{->", n/3),
		"casts":        strings.Repeat("(a)", n/3),
		"casts bad":    strings.Repeat("(a)", n/3) + "]",
		"casts deep":   strings.Repeat("(int)(", n/6),
		"gstrings":     strings.Repeat(`"${`, n/3),
		"plus":         strings.Repeat("a+", n/2) + "a",
		"dots":         strings.Repeat("a.", n/2) + "a",
		"calls":        "a" + strings.Repeat("()", n/2),
		"commands":     strings.Repeat("a ", n/2),
		"nots":         strings.Repeat("!", n) + "a",
		"minus":        strings.Repeat("- ", n/2) + "a",
		"ternaries":    strings.Repeat("a?", n/2) + "a",
		"elvis":        strings.Repeat("a?:", n/3) + "a",
		"assign":       strings.Repeat("a=", n/2) + "a",
		"ifs":          strings.Repeat("if(a)", n/5),
		"else ifs":     strings.Repeat("if(a){}else ", n/12) + "{}",
		"labels":       strings.Repeat("a:", n/2) + "a",
		"generics":     "A" + strings.Repeat("<A", n/2) + " b",
		"maps":         strings.Repeat("[a:", n/3),
		"labels open":  strings.Repeat("[[a]:", n/5),
		"defaults":     strings.Repeat("{a={", n/4),
		"defaults two": strings.Repeat("{ a = { b -> c }\n", n/18),
		"fors":         strings.Repeat("for(", n/4),
		"annotations":  strings.Repeat("@A(", n/3),
		"modifiers":    strings.Repeat("final ", n/6),
		"types":        strings.Repeat("A ", n/2),
		"quotes":       strings.Repeat(`"`, n),
		"news":         strings.Repeat("new A(){", n/8),
		"classes":      strings.Repeat("class A{", n/8),
		"tries":        strings.Repeat("try{", n/4),
		"commas":       "a(b" + strings.Repeat(",b", n/2) + ")",
		"lines":        strings.Repeat("x = @\n", n/6),
		"zeros":        strings.Repeat("\x00", n),
		"bad utf8":     strings.Repeat("\xff\xfe", n/2),
		"comment":      "/*" + strings.Repeat("*", n-4),
		"too big":      strings.Repeat(" ", MaxSize+1),
	}
	for name, source := range cases {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			file, err := Parse("WorkflowScript", source)
			if err == nil {
				Model(file, testKnown())
			} else {
				_ = fmt.Sprint(err)
			}
			if took := time.Since(begun); took > time.Minute { // what is quadratic takes hours at this size
				t.Errorf("took %v", took)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	var all strings.Builder
	for _, path := range corpus(b) {
		src, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		if strings.Contains(path, "release") || strings.Contains(path, "heavy") || strings.Contains(path, "library-call") {
			continue // imports and classes stand once in a script
		}
		if strings.HasPrefix(string(src), "#!") {
			all.WriteString("//")
		}
		all.Write(src)
		all.WriteByte('\n')
	}
	source := strings.Repeat(all.String(), 5)
	if _, err := Parse("WorkflowScript", source); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(source)))
	for b.Loop() {
		if _, err := Parse("WorkflowScript", source); err != nil {
			b.Fatal(err)
		}
	}
}

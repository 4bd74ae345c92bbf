package label_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct{ in, name string }{
		{"foo", "foo"},
		{"32bit.dot", "32bit.dot"},
		{"solaris-x86", "solaris-x86"},
		{"a-b", "a-b"},
		{"--a----b-c-", "--a----b-c-"},
		{"--", "--"},
		{"-", "-"},
		{"-1", "-1"},
		{"-abc-", "-abc-"},
		{"os:linux", "os:linux"},
		{"a-->b", "a-->b"},
		{"a->-b", "a->-b"},
		{"a->b", "a->b"},
		{"a -> b", "a->b"},
		{"foo ->\tbar", "foo->bar"},
		{"!foo <-> bar", "!foo<->bar"},
		{"foo||bar", "foo||bar"},
		{"foo || bar && zot", "foo||bar&&zot"},
		{"  ( foo || bar )  && zot", "(foo||bar)&&zot"},
		{"((foo))", "((foo))"},
		{"aaa&&bbb&&ccc", "aaa&&bbb&&ccc"},
		{`"abc\\\"def"`, `"abc\\\"def"`},
		{`"label1||label2"`, `"label1||label2"`},
		{`"plain"`, "plain"},
		{`"lucene.zones.apache.org (Solaris 10)"`, `"lucene.zones.apache.org (Solaris 10)"`},
		{"!!a", "!!a"},
		{"! !\n!a", "!!!a"},
		{"linux\n  && docker\r\n", "linux&&docker"},
		{"(a->b)->c", "(a->b)->c"},
		{"a->b<->c->d<->e", "a->b<->c->d<->e"},
		{`"tab\there"`, "\"tab\there\""},
		{`"line\nend"`, `"line\nend"`},
		{"größe&&日本", "größe&&日本"},
		{"", ""},
		{" \t\n", ""},
	} {
		e, err := label.Parse(tc.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tc.in, err)
			continue
		}
		if got := e.String(); got != tc.name {
			t.Errorf("Parse(%q) prints %q, want %q", tc.in, got, tc.name)
		}
	}
}

func TestAtomNames(t *testing.T) {
	for in, want := range map[string][]string{
		"a-->b":                  {"a-", "b"},
		"a->-b":                  {"-b", "a"},
		`"abc\\\"def"`:           {`abc\"def`},
		`"label1||label2"`:       {"label1||label2"},
		`b && (a || !b) <-> "c"`: {"a", "b", "c"},
		`"\b\t\n\f\r\"\'\\"`:     {"\b\t\n\f\r\"'\\"},
	} {
		e, err := label.Parse(in)
		if err != nil {
			t.Fatalf("Parse(%q): %v", in, err)
		}
		if d := cmp.Diff(want, e.Atoms()); d != "" {
			t.Errorf("atoms of %q (-want +got):\n%s", in, d)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"a &&", `"a &&": expected a label after && at column 5`},
		{"foo bar", `"foo bar": expected &&, ||, -> or <-> between foo and bar at column 5`},
		{"foo (bar)", `"foo (bar)": expected &&, ||, -> or <-> between foo and ( at column 5`},
		{"foo(bar)", `"foo(bar)": expected &&, ||, -> or <-> between foo and ( at column 4`},
		{"a <- b", `"a <- b": expected <->, found < at column 3`},
		{"a -< b", `"a -< b": expected &&, ||, -> or <-> between a and - at column 3`},
		{"a - b", `"a - b": expected &&, ||, -> or <-> between a and - at column 3`},
		{"->", `"->": expected a label, found -> at column 1`},
		{"-<", `"-<": expected <->, found < at column 2`},
		{"-!", `"-!": expected &&, ||, -> or <-> between - and ! at column 2`},
		{"a->b->c", `"a->b->c": expected parentheses around one of the two ->, which cannot be chained, at column 5`},
		{"lucene.zones.apache.org (Solaris 10)", `"lucene.zones.apache.org (Solaris 10)": expected &&, ||, -> or <-> between lucene.zones.apache.org and ( at column 25`},
		{"linux & docker", `"linux & docker": expected &&, found a single & at column 7`},
		{"linux | docker", `"linux | docker": expected ||, found a single | at column 7`},
		{"a > b", `"a > b": expected -> or <->, found > at column 3`},
		{"&& a", `"&& a": expected a label, found && at column 1`},
		{"a && || b", `"a && || b": expected a label after &&, found || at column 6`},
		{"(a || b", `"(a || b": expected ) for the ( of column 1 at column 8`},
		{"(a b)", `"(a b)": expected &&, ||, -> or <-> between a and b at column 4`},
		{"a)", `"a)": expected the end, found ) without a ( at column 2`},
		{"()", `"()": expected a label after (, found ) at column 2`},
		{"!", `"!": expected a label after ! at column 2`},
		{`"open`, `"\"open": expected a closing quote for the one at column 1`},
		{`a && "b\q"`, `"a && \"b\\q\"": expected one of \b \t \n \f \r \" \' \\ at column 8`},
		{`""`, `"\"\"": a label cannot be empty at column 1`},
		{"it's", `"it's": a label with ' in it must stand in double quotes at column 3`},
		{"a\x00b", `"a\x00b": a label with a control character in it must stand in double quotes at column 2`},
		{"größe & x", `"größe & x": expected &&, found a single & at column 7`},
	} {
		_, err := label.Parse(tc.in)
		if err == nil || err.Error() != tc.want {
			t.Errorf("Parse(%q):\n got %v\nwant %s", tc.in, err, tc.want)
		}
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("Parse(%q): kind %v, want invalid", tc.in, fault.Of(err))
		}
	}
}

func TestCaret(t *testing.T) {
	_, err := label.Parse("größe\n&& ) b")
	var se *label.SyntaxError
	if !errors.As(err, &se) {
		t.Fatalf("%v is no SyntaxError", err)
	}
	if got, want := se.Caret(), "größe && ) b\n         ^"; got != want {
		t.Errorf("caret:\n%s\nwant:\n%s", got, want)
	}
}

func TestNestingIsBounded(t *testing.T) {
	for _, in := range []string{strings.Repeat("(", 5000) + "a", strings.Repeat("!", 5000) + "a", strings.Repeat("a||", 8000) + "a"} {
		if _, err := label.Parse(in); !fault.Is(err, fault.Invalid) {
			t.Errorf("Parse(%.10q…): %v, want an invalid error", in, err)
		}
	}
}

func TestMatches(t *testing.T) {
	// For each expression, the sets of a, b that it admits: "", "a", "b", "ab".
	for in, want := range map[string]string{
		"":                 "1111",
		"a":                "0101",
		"!a":               "1010",
		"!!a":              "0101",
		"a&&b":             "0001",
		"a||b":             "0111",
		"a->b":             "1011",
		"a<->b":            "1001",
		"a||b&&a":          "0101",
		"(a||b)&&!(a&&b)":  "0110",
		"a<->b<->a":        "0011", // left associative: (a<->b)<->a
		"!a->b":            "0111",
		"a->b<->!a||b":     "1111",
		"!(a<->b)<->a||!a": "0110",
	} {
		e, err := label.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, set := range [][]string{{}, {"a"}, {"b"}, {"a", "b"}} {
			got += map[bool]string{false: "0", true: "1"}[e.Matches(label.In(set))]
		}
		if got != want {
			t.Errorf("%q admits %s, want %s", in, got, want)
		}
	}
}

// exprs draws any expression that the constructors can build.
func exprs() *rapid.Generator[*label.Expr] {
	name := rapid.OneOf(rapid.StringMatching(`[a-z0-9:.-]{1,8}`), rapid.StringN(1, 6, -1)).Filter(func(s string) bool { return s != "" })
	return rapid.Custom(func(t *rapid.T) *label.Expr { return draw(t, name, 5) })
}

func draw(t *rapid.T, name *rapid.Generator[string], depth int) *label.Expr {
	op := 0
	if depth > 0 {
		op = rapid.IntRange(0, 6).Draw(t, "op")
	}
	sub := func() *label.Expr { return draw(t, name, depth-1) }
	switch op {
	case 1:
		return label.Not(sub())
	case 2:
		return label.And(sub(), sub())
	case 3:
		return label.Or(sub(), sub())
	case 4:
		return label.Implies(sub(), sub())
	case 5:
		return label.Iff(sub(), sub())
	}
	return label.Atom(name.Draw(t, "atom"))
}

func TestPrintedExpressionsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := exprs().Draw(t, "expr")
		back, err := label.Parse(e.String())
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		if d := cmp.Diff(e, back, cmp.AllowUnexported(label.Expr{})); d != "" {
			t.Fatalf("%s reads back as %s:\n%s", e, back, d)
		}
	})
}

func TestParseLabels(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
		err  string
	}{
		{in: ""},
		{in: " linux  docker\tgpu\nlinux ", want: []string{"linux", "docker", "gpu"}},
		{in: `"a b" c`, want: []string{"a b", "c"}},
		{in: `a&&b it's`, want: []string{"a&&b", "it's"}},
		{in: `"say \"hi\""`, want: []string{`say "hi"`}},
		{in: `a "b`, err: `"a \"b": expected a closing quote for the one at column 3`},
		{in: `a"b"`, err: `"a\"b\"": expected a quote only at the beginning of a label at column 2`},
		{in: `"a"b`, err: `"\"a\"b": expected white space after the closing quote at column 4`},
	} {
		got, err := label.ParseLabels(tc.in)
		if tc.err != "" {
			if err == nil || err.Error() != tc.err {
				t.Errorf("ParseLabels(%q): got %v, want %s", tc.in, err, tc.err)
			}
			continue
		}
		if d := cmp.Diff(tc.want, got); err != nil || d != "" {
			t.Errorf("ParseLabels(%q): %v (-want +got):\n%s", tc.in, err, d)
		}
	}
}

func TestFormattedLabelsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfDistinct(rapid.StringN(1, 6, -1), rapid.ID[string]).Draw(t, "labels")
		got, err := label.ParseLabels(label.FormatLabels(in))
		if err != nil || strings.Join(got, "\x00") != strings.Join(in, "\x00") {
			t.Fatalf("%q came back as %q: %v", in, got, err)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"linux", "docker", "gpu", "windows", "os:linux"}
	for name, want := range map[string]string{
		"linx": "linux", "Linux": "linux", "dokcer": "docker", "gup": "gpu", "window": "windows", "ecs": "", "x": "", "zzzzzz": "", "linux": "",
	} {
		if got, _ := label.Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a", "a&&(b||!c)->d<->e", `"x\"y"`, "a -> b -> c", "((", "\"", "a\n||b", "-->", "<->"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := label.Parse(s)
		if err != nil {
			var se *label.SyntaxError
			if errors.As(err, &se) && (se.Offset < 0 || se.Offset > len(s) || se.Column < 1) {
				t.Fatalf("%q: error at %d, column %d", s, se.Offset, se.Column)
			}
			return
		}
		back, err := label.Parse(e.String())
		if err != nil {
			t.Fatalf("%q prints %q: %v", s, e, err)
		}
		if d := cmp.Diff(e, back, cmp.AllowUnexported(label.Expr{})); d != "" {
			t.Fatalf("%q prints %q, which reads back differently:\n%s", s, e, d)
		}
		e.Matches(label.In(e.Atoms()))
	})
}

func FuzzParseLabels(f *testing.F) {
	f.Add(`a "b c" d`)
	f.Fuzz(func(t *testing.T, s string) {
		labels, err := label.ParseLabels(s)
		if err != nil {
			return
		}
		back, err := label.ParseLabels(label.FormatLabels(labels))
		if err != nil || strings.Join(back, "\x00") != strings.Join(labels, "\x00") {
			t.Fatalf("%q gave %q, which came back as %q: %v", s, labels, back, err)
		}
	})
}

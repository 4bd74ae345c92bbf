package ant_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/outwork-build/outwork/agent/ant"
)

// The first rows are the examples of the Ant manual, "Directory-based tasks", word for word.
func TestMatch(t *testing.T) {
	for _, c := range []struct{ patterns, match, refuse string }{
		{"**/CVS/*", "CVS/Repository org/apache/CVS/Entries org/apache/jakarta/tools/ant/CVS/Entries", "org/apache/CVS/foo/bar/Entries"},
		{"org/apache/jakarta/**", "org/apache/jakarta/tools/ant/docs/index.html org/apache/jakarta/test.xml", "org/apache/xyz.java"},
		{"org/apache/**/CVS/*", "org/apache/CVS/Entries org/apache/jakarta/tools/ant/CVS/Entries", "org/apache/CVS/foo/bar/Entries"},
		{"**/test/**", "test x/test test/a a/b/test/c/d", "testing a/tests/b"},
		{"*.java", ".java x.java FooBar.java", "FooBar.xml a/x.java"},
		{"?.java", "x.java A.java é.java", ".java xyz.java"},
		{"/?abc/*/*.java", "", "xabc/foobar/test.java"},
		{"?abc/*/*.java", "xabc/foobar/test.java", "xabc/test.java abc/foobar/test.java"},
		{"**", "a a/b .x/y", ""},
		{"**/*", "a a/b", ""},
		{"**/*.jar, build/", "a.jar lib/a.jar build/x build/x/y build", "lib/a.jarx builds/x a/build/x"},
		{`target\*.jar`, "target/a.jar", "target/x/a.jar"},
		{" a b.txt ,, c ", "c", "a b.txtx"},
		{"./out/**", "out/x", "x"},
		{"a//b", "a/b", "a/c/b"},
		{"a**b", "ab axxb", "a/b a/x/b"},
		{"**/a/**/b/**/c", "a/b/c x/a/y/b/z/c a/a/b/b/c/c", "a/c b/a/c"},
		{"*a*b*c", "abc xaxbxc aabbcc", "acb abcd"},
		{"", "", "a"},
		{"A*", "Abc", "abc"},
	} {
		s, err := ant.Compile(c.patterns, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range strings.Fields(c.match) {
			if !s.Match(p) {
				t.Errorf("%q does not match %q", c.patterns, p)
			}
		}
		for _, p := range strings.Fields(c.refuse) {
			if s.Match(p) {
				t.Errorf("%q matches %q", c.patterns, p)
			}
		}
	}
	if s, _ := ant.Compile("a b.txt", false); !s.Match("a b.txt") {
		t.Error("a blank inside of a pattern is part of it")
	}
	if s, _ := ant.Compile("SRC/*.Java,É", true); !s.Match("src/X.JAVA") || !s.Match("é") {
		t.Error("case counts although it should not")
	}
}

func TestDefaultExcludes(t *testing.T) {
	s, err := ant.Compile(ant.DefaultExcludes, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"a~", "x/#y#", ".git/config", "sub/.git/HEAD", ".gitignore", "x/.DS_Store", "CVS/x", ".git", "._x", "%x%"} {
		if !s.Match(p) {
			t.Errorf("%q is not excluded", p)
		}
	}
	for _, p := range []string{"a", ".github/workflows/x", ".env", "src/main.c", "gitignore"} {
		if s.Match(p) {
			t.Errorf("%q is excluded", p)
		}
	}
	if !s.Covers(".git") || !s.Covers("a/.git/objects") || s.Covers("a") || s.Covers("") {
		t.Error("Covers does not find the folders that are wholly excluded")
	}
}

func TestMayContain(t *testing.T) {
	s, err := ant.Compile("src/*/x.c, build/", false)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{
		"": true, ".": true, "src": true, "src/a": true, "src/a/b": false, "build": true, "build/q/r": true, "lib": false, "src/a/x.c": false,
	} {
		if got := s.MayContain(dir); got != want {
			t.Errorf("MayContain(%q) = %v", dir, got)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, p := range []string{"a\x00b", strings.Repeat("x", 65<<10)} {
		if _, err := ant.Compile(p, false); err == nil {
			t.Errorf("%.10q was taken", p)
		}
	}
}

// FuzzMatch holds the matcher to the plain recursive definition, and pruning to what Match says.
func FuzzMatch(f *testing.F) {
	f.Add("**/a*/?", "b/ab/c")
	f.Add("a/**/**/b/", "a/b/c")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if len(pattern) > 40 || len(path) > 40 || strings.ContainsAny(pattern, ",\\\x00") || strings.TrimSpace(pattern) != pattern ||
			strings.HasPrefix(pattern, "/") || strings.Contains("/"+path+"/", "//") || strings.Contains("/"+path+"/", "/./") || path == "" || !utf8.ValidString(pattern+"/"+path) {
			t.Skip()
		}
		s, err := ant.Compile(pattern, false)
		if err != nil {
			t.Fatal(err)
		}
		var segs []string
		if strings.HasSuffix(pattern, "/") {
			pattern += "**"
		}
		for seg := range strings.SplitSeq(pattern, "/") {
			if seg != "" && seg != "." {
				segs = append(segs, seg)
			}
		}
		want := len(segs) > 0 && slow(segs, strings.Split(path, "/"))
		if got := s.Match(path); got != want && pattern != "" {
			t.Fatalf("Match(%q, %q) = %v", pattern, path, got)
		}
		if i := strings.LastIndexByte(path, '/'); i > 0 && want && !s.MayContain(path[:i]) {
			t.Fatalf("%q matches %q but MayContain(%q) is false", pattern, path, path[:i])
		}
	})
}

func slow(p, s []string) bool {
	if len(p) == 0 {
		return len(s) == 0
	}
	if p[0] == "**" {
		return slow(p[1:], s) || len(s) > 0 && slow(p, s[1:])
	}
	return len(s) > 0 && slowName([]rune(p[0]), []rune(s[0])) && slow(p[1:], s[1:])
}

func slowName(p, s []rune) bool {
	if len(p) == 0 {
		return len(s) == 0
	}
	if p[0] == '*' {
		return slowName(p[1:], s) || len(s) > 0 && slowName(p, s[1:])
	}
	return len(s) > 0 && (p[0] == '?' || p[0] == s[0]) && slowName(p[1:], s[1:])
}

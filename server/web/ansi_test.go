package web

import (
	"flag"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testdata/ansi.txt holds lines as Go strings see them, testdata/ansi.html what they become, a line each.
func TestANSI(t *testing.T) {
	in, err := os.ReadFile(filepath.Join("testdata", "ansi.txt"))
	if err != nil {
		t.Fatal(err)
	}
	unquote := strings.NewReplacer(`\S`, "\x1b\\", `\e`, "\x1b", `\r`, "\r", `\0`, "\x00", `\a`, "\a", `\b`, "\b", `\9b`, "\xc2\x9b", `\xff`, "\xff")
	lines := strings.Split(strings.TrimSuffix(string(in), "\n"), "\n")
	var got []string
	for _, l := range lines {
		got = append(got, string(ansi(unquote.Replace(l))))
	}
	file := filepath.Join("testdata", "ansi.html")
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(want) != len(got) {
		t.Fatalf("%d lines, expected %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("line %d, %s:\n got %s\nwant %s", i+1, lines[i], got[i], want[i])
		}
	}
}

// plain is what a line reads without its tags, and whether the tags are ours alone and closed.
func plain(h template.HTML) (text string, ok bool) {
	s := string(h)
	var b strings.Builder
	open := 0
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch {
		case strings.HasPrefix(s, "</span>"):
			open--
			s = s[len("</span>"):]
		case strings.HasPrefix(s, `<span class="`):
			end := strings.Index(s, `">`)
			if end < 0 || strings.Trim(s[len(`<span class="`):end], "abcdefghijklmnopqrstuvwxyz0123456789 ") != "" {
				return "", false
			}
			open++
			s = s[end+2:]
		default:
			return "", false
		}
		if open < 0 || open > 1 {
			return "", false
		}
	}
	return b.String(), open == 0
}

func FuzzANSI(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[31mred\x1b[0m", "\x1b[38;5;9mx", "\x1b]8;;http://x\x07link\x1b]8;;\x1b\\", "a\rb", "<b>\x1b[1m&", "\x1b", "\x1b[", "\x9b31m", "\x1b[31;;1mé"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") {
			t.Skip("a line has no newline")
		}
		h := ansi(line)
		text, ok := plain(h)
		if !ok {
			t.Fatalf("%q becomes %q", line, h)
		}
		for _, c := range text {
			if c == 0x1b || c == 0x9b || c == 0 || c == '"' || c == '<' || c == '>' {
				t.Fatalf("%q becomes %q: %q stands in it", line, h, c)
			}
		}
		if !strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0xfffd }) && text != template.HTMLEscapeString(line) {
			t.Fatalf("%q loses text: %q", line, h)
		}
	})
}

package label

import (
	"strings"
	"unicode"

	"github.com/outwork-build/outwork/internal/near"
)

// ParseLabels splits a node's label string at white space. A label with white space in it stands in double quotes, with the
// escapes of the expression language. Each label comes once, in the order of the text. The error is a *SyntaxError.
func ParseLabels(s string) ([]string, error) {
	var labels []string
	seen := map[string]bool{}
	for i := 0; i < len(s); {
		if strings.IndexByte(" \t\r\n", s[i]) >= 0 {
			i++
			continue
		}
		tok, err := scanLabel(s, i)
		if err != nil {
			return nil, err
		}
		if !seen[tok.name] {
			seen[tok.name] = true
			labels = append(labels, tok.name)
		}
		i += len(tok.text)
	}
	return labels, nil
}

// scanLabel reads the label at i: quoted, or all up to the next white space, whatever operators are in it.
func scanLabel(s string, i int) (token, error) {
	if s[i] == '"' {
		tok, err := scanString(s, i)
		if next := i + len(tok.text); err == nil && next < len(s) && !isSpace(s[next]) {
			return token{}, wrong(s, next, "expected white space after the closing quote")
		}
		return tok, err
	}
	j := i
	for j < len(s) && !isSpace(s[j]) {
		if s[j] == '"' {
			return token{}, wrong(s, j, "expected a quote only at the beginning of a label")
		}
		if s[j] < ' ' || s[j] == 0x7f {
			return token{}, wrong(s, j, "%s", stray(s[j]))
		}
		j++
	}
	return token{kind: word, at: i, text: s[i:j], name: s[i:j]}, nil
}

func isSpace(c byte) bool { return strings.IndexByte(" \t\r\n", c) >= 0 }

// FormatLabels joins labels to a string that ParseLabels reads back.
func FormatLabels(labels []string) string {
	out := make([]string, len(labels))
	for i, l := range labels {
		out[i] = quoted(l, isPlain)
	}
	return strings.Join(out, " ")
}

// isPlain reports whether a label may stand in a label string without quotes.
func isPlain(l string) bool {
	return l != "" && strings.IndexFunc(l, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) < 0
}

// Nearest returns the known label that is nearest to a name that is not among them, if one is near enough to be what was
// meant: of the same letters in another case, or at an edit distance of at most a third of its length, or one if that is less
// than all of it.
func Nearest(name string, known []string) (string, bool) {
	length := len([]rune(name))
	best, least := "", min(max(1, length/3)+1, length)
	for _, k := range known {
		d := near.Distance(fold(name), fold(k), least)
		if k != name && (d < least || d == least && best != "" && k < best) {
			best, least = k, d
		}
	}
	return best, best != ""
}

func fold(s string) string { return strings.Map(unicode.ToLower, s) }

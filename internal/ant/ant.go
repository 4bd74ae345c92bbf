// Package ant matches slash-separated names against the patterns of Apache Ant.
//
// `?` is one character, `*` any number of them within a segment, `**` any number of whole segments; a pattern that ends in a
// slash has `**` added. Source: Apache Ant manual, "Directory-based tasks", section Patterns. All functions are pure.
package ant

import (
	"strings"
	"unicode/utf8"
)

// Match reports whether the whole of name matches pattern. With fold, letters are compared without regard to case.
func Match(pattern, name string, fold bool) bool {
	if fold {
		pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	}
	if strings.HasSuffix(pattern, "/") {
		pattern += "**"
	}
	if strings.HasPrefix(pattern, "/") != strings.HasPrefix(name, "/") {
		return false
	}
	return segments(strings.Split(strings.Trim(pattern, "/"), "/"), strings.Split(strings.Trim(name, "/"), "/"))
}

// MatchAny reports whether name matches one of the patterns, which are separated by commas or spaces as in Ant's attributes.
func MatchAny(patterns, name string, fold bool) bool {
	for _, p := range strings.FieldsFunc(patterns, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		if Match(p, name, fold) {
			return true
		}
	}
	return false
}

// segments matches lists of segments greedily, going back only to the last `**`: linear in pattern times name.
func segments(pat, name []string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pat) && pat[p] == "**":
			star, mark = p, n
			p++
		case p < len(pat) && segment(pat[p], name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pat) && pat[p] == "**" {
		p++
	}
	return p == len(pat)
}

// segment matches `*` and `?` within one segment, in the same way.
func segment(pat, s string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(s) {
		_, w := utf8.DecodeRuneInString(s[n:])
		switch {
		case p < len(pat) && pat[p] == '*':
			star, mark = p, n
			p++
		case p < len(pat) && pat[p] == '?':
			p++
			n += w
		case p < len(pat) && pat[p] == s[n]:
			p++
			n++
		case star >= 0:
			_, w := utf8.DecodeRuneInString(s[mark:])
			mark += w
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pat[p:], "*") == ""
}

// Package ant matches paths against patterns as Apache Ant's filesets do: "**/*.jar, build/".
//
// In a pattern, ? stands for one character of a name, * for any number of them, and ** as a whole segment for any number of
// folders, none included. A pattern that ends in a slash means all below that folder. Paths are relative and use slashes; a
// backslash in a pattern is a slash. The package touches no files. A Set may be used concurrently.
//
// Source: Apache Ant manual, "Directory-based tasks"; commas separate patterns and blanks around them do not count, as in
// Jenkins (Ant itself also splits at blanks).
package ant

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultExcludes are the patterns that Ant leaves out unless told otherwise: files of editors and of version control.
const DefaultExcludes = "**/*~,**/#*#,**/.#*,**/%*%,**/._*," +
	"**/CVS,**/CVS/**,**/.cvsignore,**/SCCS,**/SCCS/**,**/vssver.scc,**/.svn,**/.svn/**," +
	"**/.git,**/.git/**,**/.gitattributes,**/.gitignore,**/.gitmodules," +
	"**/.hg,**/.hg/**,**/.hgignore,**/.hgsub,**/.hgsubstate,**/.hgtags," +
	"**/.bzr,**/.bzr/**,**/.bzrignore,**/.DS_Store"

// maxPatterns is the longest text of patterns, in bytes; it bounds the work of one match.
const maxPatterns = 64 << 10

// Set is a compiled list of patterns. A path matches when any pattern does. The zero value matches nothing.
type Set struct {
	patterns []pattern
	fold     bool
}

// pattern is a list of segments; anySegments stands for **.
type pattern []string

const anySegments = "**"

// Compile reads comma-separated patterns; empty ones are left out, so "" matches nothing. It refuses patterns that no path
// could match for being broken (a NUL byte) and texts of more than 64 KiB.
func Compile(patterns string, caseInsensitive bool) (*Set, error) {
	if len(patterns) > maxPatterns {
		return nil, fmt.Errorf("file patterns of %d bytes: expected at most %d", len(patterns), maxPatterns)
	}
	s := &Set{fold: caseInsensitive}
	for text := range strings.SplitSeq(patterns, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		if strings.ContainsRune(text, 0) {
			return nil, fmt.Errorf("file pattern %q: a NUL byte cannot be part of a path", text)
		}
		s.patterns = append(s.patterns, s.compile(text))
	}
	return s, nil
}

func (s *Set) compile(text string) pattern {
	text = strings.ReplaceAll(text, `\`, "/")
	if strings.HasSuffix(text, "/") {
		text += anySegments
	}
	if s.fold {
		text = fold(text)
	}
	var p pattern
	if strings.HasPrefix(text, "/") {
		p = append(p, "") // an absolute pattern: no relative path has an empty first segment
	}
	for seg := range strings.SplitSeq(text, "/") {
		if seg == "" || seg == "." || seg == anySegments && len(p) > 0 && p[len(p)-1] == anySegments {
			continue
		}
		p = append(p, seg)
	}
	return p
}

// Empty reports whether the set has no patterns.
func (s *Set) Empty() bool { return len(s.patterns) == 0 }

// Match reports whether any pattern matches the whole path.
func (s *Set) Match(path string) bool {
	segs := s.split(path)
	for _, p := range s.patterns {
		if p.match(segs) {
			return true
		}
	}
	return false
}

// MayContain reports whether a path below dir could match: a walk need not enter a folder for which it is false.
// "" and "." are the folder that paths are relative to.
func (s *Set) MayContain(dir string) bool {
	segs := s.split(dir)
	for _, p := range s.patterns {
		if p.mayStart(segs) {
			return true
		}
	}
	return false
}

// Covers reports whether every path below dir matches: a walk that excludes the set need not enter such a folder.
func (s *Set) Covers(dir string) bool {
	segs := s.split(dir)
	for _, p := range s.patterns {
		if len(p) > 0 && p[len(p)-1] == anySegments && p.match(segs) {
			return true
		}
	}
	return false
}

func (s *Set) split(path string) []string {
	if path == "" || path == "." {
		return nil
	}
	if s.fold {
		path = fold(path)
	}
	return strings.Split(path, "/")
}

// fold maps rune by rune, so that ? still stands for one character of the path as it was.
func fold(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, s)
}

// match walks both lists once, going back only to the last **: time is at most the product of the lengths.
func (p pattern) match(segs []string) bool {
	i, j, star, from := 0, 0, -1, 0
	for j < len(segs) {
		switch {
		case i < len(p) && p[i] == anySegments:
			star, from = i, j
			i++
		case i < len(p) && matchSegment(p[i], segs[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i] == anySegments {
		i++
	}
	return i == len(p)
}

func (p pattern) mayStart(segs []string) bool {
	for i, seg := range segs {
		switch {
		case i == len(p):
			return false
		case p[i] == anySegments:
			return true
		case !matchSegment(p[i], seg):
			return false
		}
	}
	return len(segs) < len(p)
}

// matchSegment matches one name against a pattern of *, ? and characters, in the same way as match does segments.
func matchSegment(p, s string) bool {
	i, j, star, from := 0, 0, -1, 0
	for j < len(s) {
		pr, pn := utf8.DecodeRuneInString(p[i:])
		sr, sn := utf8.DecodeRuneInString(s[j:])
		switch {
		case pn > 0 && pr == '*':
			star, from = i, j
			i++
		case pn > 0 && (pr == '?' || pr == sr && (pr != utf8.RuneError || p[i:i+pn] == s[j:j+sn])):
			i += pn
			j += sn
		case star >= 0:
			_, n := utf8.DecodeRuneInString(s[from:])
			from += n
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}

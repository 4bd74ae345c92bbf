package value

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// MatchTimeout bounds one match: a pattern that backtracks for longer fails.
const MatchTimeout = 2 * time.Second

// Regex is java.util.regex.Pattern.
type Regex struct {
	Source string
	re     *regexp2.Regexp
	names  []string
}

var groupName = regexp.MustCompile(`\(\?<([A-Za-z][A-Za-z0-9]*)>`)

// CompileRegex compiles a pattern written for Java.
func CompileRegex(source string) (*Regex, error) {
	if len(source) > 64<<10 {
		return nil, fmt.Errorf("pattern of %d bytes: at most 64 KiB", len(source))
	}
	re, err := regexp2.Compile(fromJava(source), regexp2.None)
	if err != nil {
		return nil, &Exception{Class: "java.util.regex.PatternSyntaxException", Message: strings.TrimPrefix(err.Error(), "error parsing regexp: ") + " near index 0\n" + source}
	}
	re.MatchTimeout = MatchTimeout
	r := &Regex{Source: source, re: re}
	for _, m := range groupName.FindAllStringSubmatch(source, -1) {
		r.names = append(r.names, m[1])
	}
	return r, nil
}

// Groups is the number of capturing groups.
func (r *Regex) Groups() int { return len(r.re.GetGroupNumbers()) - 1 }

// Match is one match: its groups and where they stand, in runes. A group that took no part has Start -1.
type Match struct {
	Text       []string
	Start, End []int
}

func (r *Regex) convert(m *regexp2.Match) *Match {
	out := &Match{}
	// Numbered groups stand before named ones in regexp2; Java counts them by their opening parenthesis, so they are put in that order.
	for _, g := range r.groupOrder(m) {
		if len(g.Captures) == 0 {
			out.Text, out.Start, out.End = append(out.Text, ""), append(out.Start, -1), append(out.End, -1)
			continue
		}
		out.Text = append(out.Text, g.String())
		out.Start, out.End = append(out.Start, g.Index), append(out.End, g.Index+g.Length)
	}
	return out
}

func (r *Regex) groupOrder(m *regexp2.Match) []regexp2.Group {
	gs := m.Groups()
	if len(r.names) == 0 {
		return gs
	}
	ordered := gs[:1:1]
	numbered := 1
	for _, name := range r.openings() {
		if name != "" {
			if g := m.GroupByName(name); g != nil {
				ordered = append(ordered, *g)
			}
			continue
		}
		if numbered < len(gs) {
			ordered = append(ordered, gs[numbered])
			numbered++
		}
	}
	return ordered
}

// openings lists the capturing groups in order: their names, "" for a plain one.
func (r *Regex) openings() []string {
	var out []string
	s, class := r.Source, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case class:
			class = s[i] != ']'
		case s[i] == '[':
			class = true
		case s[i] == '(' && !strings.HasPrefix(s[i:], "(?"):
			out = append(out, "")
		case s[i] == '(':
			if m := groupName.FindStringSubmatchIndex(s[i:]); m != nil && m[0] == 0 {
				out = append(out, s[i+m[2]:i+m[3]])
			}
		}
	}
	return out
}

// Name returns the number of a named group, 0 when there is none.
func (r *Regex) Name(name string) int {
	for i, n := range r.openings() {
		if n == name {
			return i + 1
		}
	}
	return 0
}

// All finds every match in a text, at most limit of them (0: all). A match that takes too long is an error.
func (r *Regex) All(text string, limit int) ([]*Match, error) {
	var out []*Match
	m, err := r.re.FindStringMatch(text)
	for ; err == nil && m != nil; m, err = r.re.FindNextMatch(m) {
		out = append(out, r.convert(m))
		if limit > 0 && len(out) >= limit {
			break
		}
	}
	if err != nil {
		return nil, r.timeout()
	}
	return out, nil
}

func (r *Regex) timeout() error {
	return &Exception{Class: "java.lang.StackOverflowError", Message: fmt.Sprintf("the pattern %q took more than %s to match", r.Source, MatchTimeout)}
}

// Full reports whether the whole text matches (==~, String.matches).
func (r *Regex) Full(text string) (*Match, error) {
	whole, err := regexp2.Compile(`\A(?:`+fromJava(r.Source)+`)\z`, regexp2.None)
	if err != nil {
		return nil, err
	}
	whole.MatchTimeout = MatchTimeout
	m, err := whole.FindStringMatch(text)
	if err != nil {
		return nil, r.timeout()
	}
	if m == nil {
		return nil, nil
	}
	return r.convert(m), nil
}

// Matcher is java.util.regex.Matcher: a pattern over a text, and where it stands.
type Matcher struct {
	Regex *Regex
	Text  string
	all   []*Match
	found bool
	next  int    // index of the match that find() will give
	Cur   *Match // the match that group() reads; nil before find or matches
}

// NewMatcher is text =~ regex.
func NewMatcher(r *Regex, text string) *Matcher { return &Matcher{Regex: r, Text: text} }

// Matches returns every match.
func (m *Matcher) Matches() ([]*Match, error) {
	if !m.found {
		all, err := m.Regex.All(m.Text, 0)
		if err != nil {
			return nil, err
		}
		m.all, m.found = all, true
	}
	return m.all, nil
}

// Find goes to the next match.
func (m *Matcher) Find() (bool, error) {
	all, err := m.Matches()
	if err != nil {
		return false, err
	}
	if m.next >= len(all) {
		m.Cur = nil
		return false, nil
	}
	m.Cur = all[m.next]
	m.next++
	return true, nil
}

// Probe is Groovy truth of a matcher: it goes to the first match, like find.
func (m *Matcher) Probe() (bool, error) {
	return m.Find()
}

// Reset starts again before the first match.
func (m *Matcher) Reset() { m.next, m.Cur = 0, nil }

// Full tries the whole text.
func (m *Matcher) Full() (bool, error) {
	c, err := m.Regex.Full(m.Text)
	m.Cur = c
	return c != nil, err
}

// String is what Java prints for a matcher.
func (m *Matcher) String() string {
	last := ""
	if m.Cur != nil {
		last = m.Cur.Text[0]
	}
	return fmt.Sprintf("java.util.regex.Matcher[pattern=%s region=0,%d lastmatch=%s]", m.Regex.Source, len([]rune(m.Text)), last)
}

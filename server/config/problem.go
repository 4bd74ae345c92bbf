package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Problem is one thing that is wrong with a file. Line and Column count from 1; 0 when it is of no place.
type Problem struct {
	Line, Column int
	Path         string // "nodes[2].executors"
	Message      string
}

// Problems is all that is wrong with a file. As an error it shows each with its line and a caret.
type Problems struct {
	File  string
	List  []Problem
	lines []string
}

func (p *Problems) Error() string {
	var b strings.Builder
	for i, one := range p.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, one.Line, one.Column)
		if one.Path != "" {
			b.WriteString(one.Path + ": ")
		}
		b.WriteString(one.Message)
		if one.Line < 1 || one.Line > len(p.lines) {
			continue
		}
		line := p.lines[one.Line-1]
		if len(line) > 300 || one.Column > 300 { // nobody would find the caret
			continue
		}
		var pad strings.Builder
		for k, r := range []rune(line) {
			if k >= one.Column-1 {
				break
			}
			if r != '\t' {
				r = ' '
			}
			pad.WriteRune(r)
		}
		fmt.Fprintf(&b, "\n%5d | %s\n      | %s^", one.Line, line, pad.String())
	}
	if n := len(p.List); n > 1 {
		fmt.Fprintf(&b, "\n%d problems: nothing was applied", n)
	}
	return b.String()
}

// err is nil when there is no problem.
func (p *Problems) err() error {
	if len(p.List) == 0 {
		return nil
	}
	slices.SortStableFunc(p.List, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return fault.With(fault.Invalid, p)
}

// near returns those names that look like a wrong one, for "did you mean".
func near(wrong string, names []string) string {
	best, limit := "", max(1, len(wrong)/3)
	for _, n := range names {
		if d := distance(strings.ToLower(wrong), strings.ToLower(n)); d <= limit {
			best, limit = n, d-1
		}
	}
	return best
}

// distance is Levenshtein's, a swap of neighbours counting one.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 100 || len(y) > 100 {
		return 100
	}
	d := make([][]int, len(x)+1)
	for i := range d {
		d[i] = make([]int, len(y)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(x)][len(y)]
}

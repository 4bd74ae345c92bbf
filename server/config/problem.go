package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/near"
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

// nearest returns the name that looks most like a wrong one, for "did you mean"; "" when none does.
func nearest(wrong string, names []string) string {
	best, limit := "", max(1, len(wrong)/3)
	for _, n := range names {
		if d := near.Distance(strings.ToLower(wrong), strings.ToLower(n), limit); d <= limit {
			best, limit = n, d-1
		}
	}
	return best
}

// Package cron reads Jenkins' crontab syntax and says when it comes true.
//
// A table is a text of lines, each of five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12) and day of
// week (0-7, where 0 and 7 are Sunday). Blank lines and lines that begin with # say nothing. The first line may be
// TZ=Area/City. A field is a list, divided by commas, of
//
//	N  A-B  A-B/STEP  *  */STEP  H  H(A-B)  H/STEP  H(A-B)/STEP
//
// where H stands for a value that depends on the seed (see Hash), so that not everything starts at once. In place of the five
// fields may stand @yearly, @annually, @monthly, @weekly, @daily, @midnight or @hourly. A minute matches a line when all five
// fields match (both day fields: unlike cron, as in Jenkins). Beyond Jenkins, months and days may be written jan … dec and
// sun … sat.
//
// A table speaks of the minutes that a clock on the wall shows. A minute that the change to summer time leaves out does not
// come (but see Options.CatchUp), and one that the change back repeats comes twice.
//
// A Table does not change and may be used concurrently.
package cron

import (
	"fmt"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// maxText is the longest table, in bytes.
const maxText = 64 << 10

// Options say how a table is read. The zero value is one.
type Options struct {
	Hash Hash           // of H; nil makes each H its lowest value
	Zone *time.Location // where the clock hangs, unless the table begins with TZ=; nil is time.Local
	// CatchUp counts a minute that the change to summer time leaves out as the first minute after the change.
	CatchUp bool
}

// Table is a crontab that was read.
type Table struct {
	lines   []line
	zone    *time.Location
	named   bool // zone stands in the text
	catchUp bool
}

// line is one line of a table. A set bit is a value that matches.
type line struct {
	number int // of the line in the text, from 1
	text   string
	fields [5]uint64
}

const (
	minute = iota
	hour
	monthDay
	month
	weekDay
)

// Error is a fault of a table. It is fault.Invalid.
type Error struct {
	Line, Column int // from 1; the column counts characters
	Problem      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
}

// Parse reads a table. Its error is an *Error.
func Parse(text string, o Options) (*Table, error) {
	t := &Table{zone: o.Zone, catchUp: o.CatchUp}
	if t.zone == nil {
		t.zone = time.Local
	}
	if o.Hash == nil {
		o.Hash = func(int) int { return 0 }
	}
	if len(text) > maxText {
		return nil, invalid(1, 1, "the table has %d bytes: at most %d are read", len(text), maxText)
	}
	for i, raw := range strings.Split(text, "\n") {
		s := strings.TrimSpace(raw)
		at := position{line: i + 1, column: 1 + len([]rune(raw)) - len([]rune(strings.TrimLeft(raw, " \t\r\v\f")))}
		switch name, zone := strings.CutPrefix(s, "TZ="); {
		case zone && i == 0:
			var err error
			if t.zone, err = location(strings.TrimSpace(name), at); err != nil {
				return nil, err
			}
			t.named = true
		case zone:
			return nil, at.errorf(0, "TZ= is read in the first line only")
		case s == "" || s[0] == '#':
		default:
			fields, err := parseLine(s, at, o.Hash)
			if err != nil {
				return nil, err
			}
			t.lines = append(t.lines, line{number: i + 1, text: s, fields: fields})
		}
	}
	return t, nil
}

// Zone returns the time zone, and whether the table itself names it.
func (t *Table) Zone() (zone *time.Location, named bool) { return t.zone, t.named }

// Empty reports whether the table has no lines: it never comes true.
func (t *Table) Empty() bool { return len(t.lines) == 0 }

func location(name string, at position) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, at.errorf(3, "Invalid or unsupported timezone '%s': expected a name such as Europe/Berlin", name)
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, at.errorf(3, "Invalid or unsupported timezone '%s': expected a name such as Europe/Berlin", name)
	}
	return l, nil
}

// position is where a line's text begins.
type position struct{ line, column int }

// errorf is an error at the nth character of the line's text.
func (p position) errorf(n int, format string, args ...any) error {
	return invalid(p.line, p.column+n, format, args...)
}

func invalid(line, column int, format string, args ...any) error {
	return fault.With(fault.Invalid, &Error{Line: line, Column: column, Problem: fmt.Sprintf(format, args...)})
}

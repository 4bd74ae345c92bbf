package jenkinsfile

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Error is one thing that is wrong with a script, and where.
type Error struct {
	Pos     Pos
	Message string // may have several lines
	File    string // the name the script was parsed under
	Line    string // the source line of Pos, without its line ending
}

// Error prints the message with its place, the source line and a caret below it:
//
//	WorkflowScript: 3: Missing required section "agent" @ line 3, column 5.
//	       stages {
//	       ^
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d: %s @ line %d, column %d.", e.File, e.Pos.Line, e.Message, e.Pos.Line, e.Pos.Col)
	if text, marker := e.sample(); text != "" {
		fmt.Fprintf(&b, "\n   %s\n   %s^", text, marker)
	}
	return b.String()
}

// Columns shown to the left and right of the caret of a long line.
const (
	sampleLong  = 40
	sampleLeft  = 30
	sampleRight = 10
)

// sample returns the source line, cut when the caret stands far to the right, and the blanks before the caret: tabs below
// tabs, so that they are as wide.
func (e *Error) sample() (text, marker string) {
	col := e.Pos.Col - 1
	if e.Line == "" || col < 0 {
		return "", ""
	}
	runes := []rune(e.Line)
	col = min(col, len(runes))
	from, to := 0, len(runes)
	if e.Pos.Col > sampleLong {
		from, to = max(col-sampleLeft, 0), min(col+sampleRight, len(runes))
	} else if to > 4*sampleLong {
		to = 4 * sampleLong
	}
	var b strings.Builder
	for _, r := range runes[from:col] {
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return string(runes[from:to]), b.String()
}

// Errors are all errors of one script, in the order of their places. It is never empty when it is returned as an error.
type Errors []*Error

// Error prints every error, each as Error.Error does, one below the other.
func (es Errors) Error() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "\n")
}

// Console renders the errors as the console of a build shows them: the exception's name, every error with its place, and
// their number.
func (es Errors) Console() string {
	var b strings.Builder
	b.WriteString("org.codehaus.groovy.control.MultipleCompilationErrorsException: startup failed:\n")
	for _, e := range es {
		b.WriteString(e.Error())
		b.WriteString("\n\n")
	}
	fmt.Fprintf(&b, "%d error", len(es))
	if len(es) != 1 {
		b.WriteByte('s')
	}
	b.WriteByte('\n')
	return b.String()
}

// sorted returns the errors ordered by place, at most one of the same text at the same place.
func (es Errors) sorted() Errors {
	sort.SliceStable(es, func(i, j int) bool { return es[i].Pos.Offset < es[j].Pos.Offset })
	out := es[:0]
	for i, e := range es {
		if i > 0 && e.Pos == es[i-1].Pos && e.Message == es[i-1].Message {
			continue
		}
		out = append(out, e)
	}
	return out
}

// newError makes an error at pos of a script.
func newError(file, source string, pos Pos, format string, args ...any) *Error {
	msg := format
	if len(args) > 0 {
		msg = fmt.Sprintf(format, args...)
	}
	return &Error{Pos: pos, Message: msg, File: file, Line: sourceLine(source, pos.Offset)}
}

// sourceLine returns the line around a byte offset, without line ending and with invalid bytes replaced.
func sourceLine(source string, off int) string {
	off = min(max(off, 0), len(source))
	from := strings.LastIndexAny(source[:off], "\r\n") + 1
	to := len(source)
	if i := strings.IndexAny(source[off:], "\r\n"); i >= 0 {
		to = off + i
	}
	line := source[from:to]
	if !utf8.ValidString(line) {
		line = strings.ToValidUTF8(line, "\uFFFD")
	}
	return line
}

// Error makes an error at a place of the file, for whoever checks a parsed script further.
func (f *File) Error(pos Pos, format string, args ...any) *Error {
	return newError(f.Name, f.Source, pos, format, args...)
}

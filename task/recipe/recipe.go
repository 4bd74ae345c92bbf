// Package recipe reads tasks from Starlark files. It is pure: what it knows comes from the files, and equal files give equal tasks.
//
// A file declares templates with task() and alias(); Set.Task makes a Task of one when its parameters are known. Evaluation is bounded
// in steps and time and sees nothing of the machine: no clock, no environment, no files but recipes of the workspace. Errors are
// fault.Invalid or fault.NotFound and say file, line, column, what is wrong and what to do.
//
// A Set's methods may be called concurrently.
package recipe

import (
	"fmt"
	"time"

	"go.starlark.net/syntax"
)

// File is the name of the recipe that a workspace begins with.
const File = "outwork.star"

// Pos is a place in a recipe. The zero value is none: something that was asked for on a command line.
type Pos struct {
	File      string // relative to the workspace, slashes
	Line, Col int    // from 1
}

// String returns file:line:column, "" for the zero value.
func (p Pos) String() string {
	if p == (Pos{}) {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

func posOf(p syntax.Position) Pos { return Pos{p.Filename(), int(p.Line), int(p.Col)} }

// Value is a parameter with its value.
type Value struct{ Name, Value string }

// Task is a template whose parameters are known; all its strings are expanded. It must not be changed.
type Task struct {
	ID        string // name:param=value,… with all parameters by name; no two tasks of a Set have the same
	Name      string
	Help      string
	Pos       Pos
	Dir       string // of its file, where its commands run; "" is the workspace
	Params    []Value
	Alias     bool // it runs nothing and stands for what it requires
	Requires  []Require
	Sources   []Glob
	Env       map[string]string
	Labels    []string // by name; NAME or NAME=VALUE
	Resources Resources
	Timeout   time.Duration // 0 is the executor's
	Run       []string      // lines for a shell, one after the other until one fails
	Publish   []Rule        // empty: what stands in out/
	Exports   Exports
	Tests     []string // patterns of JUnit reports, relative to Dir
	Cacheable bool
}

// Require is a task that must be there first. Its artifact stands at deps/As.
type Require struct {
	As   string
	Task Ref
	Pos  Pos
}

// Glob names files of the workspace, relative to the task's Dir. Patterns know *, ?, [a-z], {a,b} and ** for any number of folders.
type Glob struct {
	Include, Exclude []string
	Ignored          bool // files that git ignores are taken too
	Empty            bool // it may match nothing
	Pos              Pos
}

// Rule says which files of the task's folder go where in the artifact.
type Rule struct {
	To   string   // path in the artifact: "" its root, NAME/ a folder, NAME the name of one file
	From []string // patterns, relative to the task's Dir; what a pattern names before its first wildcard is cut off, unless To is ""
	Pos  Pos
}

// Exports is what a task that requires this one receives besides its artifact.
type Exports struct {
	Env                map[string]string // variables; $ARTIFACT is the artifact's folder
	Path, Include, Lib []string          // folders of the artifact: of programs, of headers, of libraries
}

// Resources is what a task takes of the machine that runs it. They are no part of its key.
type Resources struct {
	CPU    int            // 0 is 1
	Memory int64          // bytes
	Named  map[string]int // of what the machine has few
}

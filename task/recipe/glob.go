package recipe

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.starlark.net/starlark"

	"github.com/outwork-build/outwork/internal/fault"
)

// globValue is what glob() returns. Its patterns are checked when they are expanded.
type globValue struct{ Glob }

func (g *globValue) String() string        { return "glob(" + strings.Join(g.Include, ", ") + ")" }
func (g *globValue) Type() string          { return "glob" }
func (g *globValue) Freeze()               {}
func (g *globValue) Truth() starlark.Bool  { return true }
func (g *globValue) Hash() (uint32, error) { return 0, fmt.Errorf("a glob cannot be a key") }

// glob implements glob(*include, exclude=[], ignored=False, empty=False).
func glob(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	g := &globValue{Glob{Pos: caller(t)}}
	var exclude starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), nil, kwargs, "exclude?", &exclude, "ignored?", &g.Ignored, "empty?", &g.Empty); err != nil {
		return nil, err
	}
	var err error
	if g.Include, err = words(args); err == nil {
		g.Exclude, err = words(exclude)
	}
	if err == nil && len(g.Include) == 0 {
		err = fault.New(fault.Invalid, "expected at least one pattern")
	}
	return g, prefix(g.Pos, wrap("glob()", err))
}

// checkPattern refuses a pattern that leads out of the task's folder or that cannot be read.
func checkPattern(p string) error {
	if p == "" || path.IsAbs(p) || path.Clean(p) == ".." || strings.HasPrefix(path.Clean(p), "../") {
		return fault.New(fault.Invalid, "pattern %q: expected a path below the recipe's folder", p)
	}
	if !doublestar.ValidatePattern(p) {
		return fault.New(fault.Invalid, "pattern %q: a bracket or brace is not closed", p)
	}
	return nil
}

// words are the strings of a list, a tuple or one string; None is none.
func words(v starlark.Value) ([]string, error) {
	if v == nil || v == starlark.None {
		return nil, nil
	}
	if s, ok := starlark.AsString(v); ok {
		return []string{s}, nil
	}
	seq, ok := v.(starlark.Iterable)
	if !ok {
		return nil, fault.New(fault.Invalid, "expected a string or a list of strings, found a %s", v.Type())
	}
	var out []string
	it := seq.Iterate()
	defer it.Done()
	for x := starlark.Value(nil); it.Next(&x); {
		switch x := x.(type) {
		case starlark.String:
			out = append(out, string(x))
		case *starlark.List, starlark.Tuple:
			more, err := words(x)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		default:
			return nil, fault.New(fault.Invalid, "expected strings, found a %s", x.Type())
		}
	}
	return out, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

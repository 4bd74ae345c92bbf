package recipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/outwork-build/outwork/internal/fault"
)

// Config says what to read and how much it may cost. Files is required; zero limits have the defaults given.
type Config struct {
	Files   fs.FS                     // the workspace; an os.Root's FS keeps links from leading out of it
	Steps   uint64                    // Starlark steps of all files together, and of each task's functions; 50,000,000
	Time    time.Duration             // of Load; 30 s
	MaxFile int64                     // bytes of one file; 4 MiB
	Print   func(pos Pos, msg string) // what print() says; nil drops it
}

func (c Config) orDefault() Config {
	if c.Steps == 0 {
		c.Steps = 50_000_000
	}
	if c.Time == 0 {
		c.Time = 30 * time.Second
	}
	if c.MaxFile == 0 {
		c.MaxFile = 4 << 20
	}
	if c.Print == nil {
		c.Print = func(Pos, string) {}
	}
	return c
}

// options are the ones under which a recipe reads like a small script: loops and conditions stand at its top level too.
var options = &syntax.FileOptions{Set: true, TopLevelControl: true}

// Set is the templates of a workspace's recipes.
type Set struct {
	cfg       Config
	templates map[string]*template
	files     []string
}

// Names returns the names of all templates, in order.
func (s *Set) Names() []string {
	names := make([]string, 0, len(s.templates))
	for n := range s.templates {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Files returns the recipes that were read, in the order of their reading.
func (s *Set) Files() []string { return slices.Clone(s.files) }

// Load reads a recipe of the workspace and all that it loads and includes. A recipe that is not there is fault.NotFound.
func Load(ctx context.Context, cfg Config, file string) (*Set, error) {
	cfg = cfg.orDefault()
	l := &loader{cfg: cfg, set: &Set{cfg: cfg, templates: map[string]*template{}}, modules: map[string]*module{}}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Time, fmt.Errorf("recipes took longer than %s", cfg.Time))
	defer cancel()
	l.thread = &starlark.Thread{Name: file, Load: l.load, Print: l.print}
	l.thread.SetMaxExecutionSteps(cfg.Steps)
	stop := context.AfterFunc(ctx, func() { l.thread.Cancel(context.Cause(ctx).Error()) })
	defer stop()
	if _, err := l.module(file, Pos{}); err != nil {
		return nil, err
	}
	return l.set, nil
}

// module is a file that is being read, or was.
type module struct {
	globals starlark.StringDict
	done    bool
}

type loader struct {
	cfg     Config
	set     *Set
	thread  *starlark.Thread
	modules map[string]*module
	open    []string       // the files being read, each loaded by the one before it
	parsed  []*syntax.File // beside open
}

func (l *loader) print(t *starlark.Thread, msg string) { l.cfg.Print(caller(t), msg) }

// caller is where the built-in function that runs now was called.
func caller(t *starlark.Thread) Pos {
	if t.CallStackDepth() < 2 {
		return Pos{}
	}
	return posOf(t.CallFrame(1).Pos)
}

// load implements the load statement: one thread reads all files, so that the limits hold for all of them.
func (l *loader) load(t *starlark.Thread, name string) (starlark.StringDict, error) {
	return l.from(posOf(t.CallFrame(0).Pos), name)
}

// from reads the file that one being read names: relative to itself, or to the workspace when it begins with //.
func (l *loader) from(at Pos, name string) (starlark.StringDict, error) {
	file := path.Join(path.Dir(l.open[len(l.open)-1]), name)
	if rest, ok := strings.CutPrefix(name, "//"); ok {
		file = path.Clean(rest)
	}
	if !fs.ValidPath(file) || path.IsAbs(name) && !strings.HasPrefix(name, "//") {
		return nil, fault.New(fault.Invalid, "%s: load %q: leads out of the workspace; expected a path relative to this file, or //path from the workspace's root", at, name)
	}
	return l.module(file, at)
}

func (l *loader) module(file string, at Pos) (starlark.StringDict, error) {
	if m := l.modules[file]; m != nil {
		if !m.done {
			return nil, fault.New(fault.Invalid, "%s: recipes load each other in a circle: %s", at, strings.Join(append(slices.Clone(l.open[slices.Index(l.open, file):]), file), " → "))
		}
		return m.globals, nil
	}
	text, err := l.read(file)
	if err != nil {
		return nil, prefix(at, fmt.Errorf("read recipe %s: %w", file, err))
	}
	m := &module{}
	l.modules[file] = m
	l.set.files = append(l.set.files, file)
	f, err := options.Parse(file, text, 0)
	if err != nil {
		return nil, explain(err)
	}
	builtins := l.builtins()
	program, err := starlark.FileProgram(f, builtins.Has)
	if err != nil {
		return nil, explain(err)
	}
	l.open, l.parsed = append(l.open, file), append(l.parsed, f)
	m.globals, err = program.Init(l.thread, builtins)
	l.open, l.parsed = l.open[:len(l.open)-1], l.parsed[:len(l.parsed)-1]
	if err != nil {
		return nil, explain(err)
	}
	m.globals.Freeze()
	m.done = true
	return m.globals, nil
}

func (l *loader) read(file string) ([]byte, error) {
	f, err := l.cfg.Files.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.With(fault.NotFound, err)
	}
	if err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, l.cfg.MaxFile+1))
	if err == nil && int64(len(text)) > l.cfg.MaxFile {
		err = fault.New(fault.Exhausted, "expected at most %d bytes", l.cfg.MaxFile)
	}
	return text, err
}

func (l *loader) builtins() starlark.StringDict {
	return starlark.StringDict{
		"task":    starlark.NewBuiltin("task", l.task),
		"alias":   starlark.NewBuiltin("alias", l.alias),
		"include": starlark.NewBuiltin("include", l.include),
		"glob":    starlark.NewBuiltin("glob", glob),
		"param":   starlark.NewBuiltin("param", param),
		"struct":  starlark.NewBuiltin("struct", starlarkstruct.Make),
		"fail":    starlark.NewBuiltin("fail", fail),
	}
}

func (l *loader) include(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var file string
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &file); err != nil {
		return nil, err
	}
	_, err := l.from(caller(t), file)
	return starlark.None, err
}

func fail(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	var words []string
	for _, a := range args {
		s, ok := starlark.AsString(a)
		if !ok {
			s = a.String()
		}
		words = append(words, s)
	}
	return nil, prefix(caller(t), fault.New(fault.Invalid, "%s", strings.Join(words, " ")))
}

// prefix puts a place before an error.
func prefix(at Pos, err error) error {
	if err == nil || at == (Pos{}) {
		return err
	}
	return fmt.Errorf("%s: %w", at, err)
}

// explain makes one line with its place of what Starlark says. An error of ours has its place already.
func explain(err error) error {
	var eval *starlark.EvalError
	var parse syntax.Error
	var names resolve.ErrorList
	switch {
	case errors.As(err, &names) && len(names) > 0:
		return fault.New(fault.Invalid, "%s: %s", posOf(names[0].Pos), names[0].Msg)
	case errors.As(err, &parse):
		return fault.New(fault.Invalid, "%s: %s", posOf(parse.Pos), parse.Msg)
	case errors.As(err, &eval):
		if fault.Of(eval) != fault.Internal {
			var inner error = eval
			for errors.As(inner, &eval) {
				inner = eval.Unwrap()
			}
			return inner
		}
		return fault.New(fault.Invalid, "%s: %s", innermost(eval.CallStack), eval.Msg)
	case fault.Of(err) == fault.Internal:
		return fault.With(fault.Invalid, err)
	}
	return err
}

// innermost is the last place of a call stack that stands in a file.
func innermost(stack starlark.CallStack) Pos {
	for i := range stack {
		if f := stack[len(stack)-1-i]; f.Pos.Line > 0 {
			return posOf(f.Pos)
		}
	}
	return Pos{}
}

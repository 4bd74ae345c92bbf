package recipe

import (
	"fmt"
	"path"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/outwork-build/outwork/internal/fault"
)

// template is a declared task whose parameters are not known yet.
type template struct {
	name   string
	help   string
	pos    Pos
	dir    string
	alias  bool
	params []Param // by name
	attrs  map[string]starlark.Value
	at     map[string]Pos // of the attributes
}

// attributes are those of task(), each with what it is for: the recipe reference is made of them.
var attributes = []struct{ name, doc string }{
	{"name", "what the task is called: letters, digits, `.`, `_`, `-`, `+`, with `/` between them"},
	{"help", "one line for `outwork task list`"},
	{"params", "parameters: `{\"arch\": [\"x64\", \"x86\"], \"debug\": False}`; a list is the choices, the first the default; `None` wants a value; or `param(…)`"},
	{"requires", "tasks that must be there first: `\"lib:arch={arch}\"`; the artifact stands at `$OUTWORK_DEPS/lib`; `\"as=lib\"` gives it another name"},
	{"sources", "files of the workspace: `glob(…)`, patterns, or a list of both; nothing else of the workspace can be seen"},
	{"env", "environment variables of the commands"},
	{"labels", "what the machine must be: `[\"os=linux\", \"gpu\"]`; they are platform properties"},
	{"resources", "what it takes of the machine: `{\"cpu\": 2, \"memory\": \"2G\", \"gpu\": 1}`; no part of the key"},
	{"timeout", "how long it may take: `\"90s\"`, `\"10m\"`, `\"2h\"`; part of the key; an hour here when it is not said"},
	{"run", "shell commands, one after the other until one fails"},
	{"publish", "what becomes the artifact: patterns, or `{\"lib/\": \"build/*.a\", \"bin/tool\": \"build/main\"}`; without it what stands in `$OUTWORK_OUT`"},
	{"exports", "what tasks that require it receive: `{\"env\": {…}, \"path\": [\"bin\"], \"include\": [\"include\"], \"lib\": [\"lib\"]}`; `$ARTIFACT` in env is the artifact's folder"},
	{"tests", "patterns of JUnit reports that the commands write; they are kept also when the task fails"},
	{"cacheable", "`False`: it runs in every build"},
}

func attributeNames() []string {
	var names []string
	for _, a := range attributes {
		names = append(names, a.name)
	}
	return names
}

// task implements task(name, …). Every attribute but name, help and params may be a function of one argument, which is called when the
// parameters are known.
func (l *loader) task(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	d, err := l.begin(t, args, kwargs, attributeNames())
	if err != nil {
		return nil, err
	}
	for _, kw := range kwargs {
		k := string(kw[0].(starlark.String))
		kw[1].Freeze()
		d.attrs[k] = kw[1]
	}
	if err := d.declareParams(); err != nil {
		return nil, prefix(d.place("params"), fmt.Errorf("task %q: %w", d.name, err))
	}
	return starlark.None, l.declare(d)
}

// alias implements alias(name, tasks, help=""): a name for several tasks.
func (l *loader) alias(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	d, err := l.begin(t, args, kwargs, []string{"name", "tasks", "help"})
	if err != nil {
		return nil, err
	}
	d.alias = true
	for _, kw := range kwargs {
		if k := string(kw[0].(starlark.String)); k == "tasks" {
			kw[1].Freeze()
			d.attrs["requires"], d.at["requires"] = kw[1], d.at[k]
		}
	}
	return starlark.None, l.declare(d)
}

// begin begins a template: it knows where its attributes stand, and that all of them are ones it can have.
func (l *loader) begin(t *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple, known []string) (*template, error) {
	what := t.CallFrame(0).Name
	d := &template{pos: caller(t), attrs: map[string]starlark.Value{}}
	d.at = l.places(t.CallFrame(1).Pos)
	d.dir = path.Dir(d.pos.File)
	if d.dir == "." {
		d.dir = ""
	}
	if len(args) > 0 {
		return nil, prefix(d.pos, fault.New(fault.Invalid, "%s(): expected attributes as name = value, found %s without a name", what, args[0]))
	}
	for _, kw := range kwargs {
		k := string(kw[0].(starlark.String))
		if !slices.Contains(known, k) {
			return nil, prefix(d.place(k), fault.New(fault.Invalid, "%s() has no attribute %s%s", what, k, didYouMean(k, known)))
		}
		s, isString := starlark.AsString(kw[1])
		if (k == "name" || k == "help") && !isString {
			return nil, prefix(d.place(k), fault.New(fault.Invalid, "%s(): %s: expected a string, found a %s", what, k, kw[1].Type()))
		}
		switch k {
		case "name":
			d.name = s
		case "help":
			d.help = s
		}
	}
	if !validName(d.name) {
		return nil, prefix(d.place("name"), fault.New(fault.Invalid, "%s(): name %q: expected letters, digits, and . _ - + / between them", what, d.name))
	}
	return d, nil
}

func (l *loader) declare(d *template) error {
	if old := l.set.templates[d.name]; old != nil {
		return prefix(d.place("name"), fault.New(fault.Invalid, "task %q is there already, at %s", d.name, old.pos))
	}
	l.set.templates[d.name] = d
	return nil
}

// place is where an attribute stands, or else its task.
func (d *template) place(attr string) Pos {
	if p, ok := d.at[attr]; ok {
		return p
	}
	return d.pos
}

func (d *template) declareParams() error {
	v := d.attrs["params"]
	delete(d.attrs, "params")
	if v == nil || v == starlark.None {
		return nil
	}
	dict, ok := v.(*starlark.Dict)
	if !ok {
		return fault.New(fault.Invalid, "params: expected a dict, found a %s", v.Type())
	}
	for _, item := range dict.Items() {
		k, _ := starlark.AsString(item[0])
		p, err := newParam(k, item[1])
		if err != nil {
			return err
		}
		d.params = append(d.params, p)
	}
	slices.SortFunc(d.params, func(a, b Param) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return nil
}

// places finds the attributes of the call whose parenthesis stands at pos.
func (l *loader) places(pos syntax.Position) map[string]Pos {
	found := map[string]Pos{}
	for _, f := range l.parsed {
		if f.Path != pos.Filename() {
			continue
		}
		syntax.Walk(f, func(n syntax.Node) bool {
			call, ok := n.(*syntax.CallExpr)
			if !ok || call.Lparen.Line != pos.Line || call.Lparen.Col != pos.Col {
				return true
			}
			for _, arg := range call.Args {
				if eq, ok := arg.(*syntax.BinaryExpr); ok && eq.Op == syntax.EQ {
					if id, ok := eq.X.(*syntax.Ident); ok {
						found[id.Name] = posOf(id.NamePos)
					}
				}
			}
			return true
		})
	}
	return found
}

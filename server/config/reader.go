package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// reader walks a file's syntax tree and gathers problems instead of ending at the first.
type reader struct {
	problems *Problems
	anchors  map[string]ast.Node
	at       map[string]*token.Position // of every value by its path, for what is checked later
	offered  map[string]bool            // keys that could stand where a mapping stood; nil notes none
	used     map[string]bool            // keys that stood there
	budget   int                        // nodes that may still be visited: aliases can make a small file large
}

// maxVisits bounds what is read of a file, maxProblems what is said of it.
const (
	maxVisits   = 200_000
	maxProblems = 100
)

// field is a key of a mapping and what reads its value.
type field struct {
	key  string
	read func(n ast.Node, path string)
}

// open parses a text and returns its only document; nil when there is none or it is no YAML.
func open(file, text string) (r *reader, body ast.Node) {
	r = &reader{problems: &Problems{File: file, lines: strings.Split(text, "\n")}, anchors: map[string]ast.Node{}, at: map[string]*token.Position{}, budget: maxVisits}
	defer func() {
		if x := recover(); x != nil { // the parser is a library's: a file must not end the controller
			body = nil
			r.bad(nil, "", "this is no YAML that can be read (%v)", x)
		}
	}()
	if len(text) > maxText {
		r.bad(nil, "", "the file has %d bytes: expected at most %d", len(text), maxText)
		return r, nil
	}
	tree, err := parser.ParseBytes([]byte(text), 0)
	var syntax interface {
		GetToken() *token.Token
		GetMessage() string
	}
	switch {
	case errors.As(err, &syntax) && syntax.GetToken() != nil:
		r.bad(syntax.GetToken().Position, "", "%s", syntax.GetMessage())
	case err != nil:
		r.bad(nil, "", "%v", err)
	case len(tree.Docs) > 1 && tree.Docs[1].Body != nil:
		r.bad(tree.Docs[1].Body.GetToken().Position, "", "expected one document, found a second")
	case len(tree.Docs) > 0:
		return r, tree.Docs[0].Body
	}
	return r, nil
}

func (r *reader) bad(p *token.Position, path, format string, args ...any) {
	if len(r.problems.List) >= maxProblems {
		r.budget = min(r.budget, 1) // enough: a file that is wrong all over must not cost more to describe than to read
		return
	}
	one := Problem{Path: path, Message: fmt.Sprintf(format, args...)}
	if p != nil {
		one.Line, one.Column = p.Line, p.Column
	}
	r.problems.List = append(r.problems.List, one)
}

// wrong reports a problem at a path that was read, or at the nearest one above it.
func (r *reader) wrong(path, format string, args ...any) {
	for p := path; ; {
		if at := r.at[p]; at != nil {
			r.bad(at, path, format, args...)
			return
		}
		i := strings.LastIndexAny(p, ".[")
		if i < 0 {
			r.bad(&token.Position{Line: 1, Column: 1}, path, format, args...)
			return
		}
		p = p[:i]
	}
}

func where(n ast.Node) *token.Position {
	if n == nil || n.GetToken() == nil {
		return nil
	}
	return n.GetToken().Position
}

// plain takes anchors, aliases and tags away.
func (r *reader) plain(n ast.Node, path string) ast.Node {
	if r.budget--; r.budget == 0 && len(r.problems.List) < maxProblems {
		r.bad(where(n), path, "the file says too much: aliases of aliases?")
	}
	if r.budget <= 0 {
		return nil
	}
	for range 20 {
		switch v := n.(type) {
		case *ast.AnchorNode:
			r.anchors[v.Name.GetToken().Value] = v.Value
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			to := r.anchors[name]
			if to == nil {
				r.bad(where(v), path, "no anchor &%s stands before this", name)
				return nil
			}
			n = to
		case *ast.TagNode:
			n = v.Value
		default:
			return n
		}
	}
	r.bad(where(n), path, "an alias of itself")
	return nil
}

// pairs returns a mapping's entries; ok is false when it is none. An empty value is an empty mapping.
func (r *reader) pairs(n ast.Node, path string) (vs []*ast.MappingValueNode, ok bool) {
	n = r.plain(n, path)
	switch v := n.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.MappingNode:
		return r.merged(v.Values, path), true
	case *ast.MappingValueNode:
		return r.merged([]*ast.MappingValueNode{v}, path), true
	}
	r.bad(where(n), path, "expected a mapping of keys to values")
	return nil, false
}

// merged resolves `<<: *anchor`: what stands in the mapping itself wins.
func (r *reader) merged(vs []*ast.MappingValueNode, path string) (out []*ast.MappingValueNode) {
	have := map[string]bool{}
	var more []*ast.MappingValueNode
	for _, v := range vs {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			from, _ := r.pairs(v.Value, path)
			more = append(more, from...)
			continue
		}
		key := v.Key.GetToken().Value
		if have[key] {
			r.bad(where(v.Key), path, "the key %q stands here twice", key)
			continue
		}
		have[key] = true
		out = append(out, v)
	}
	for _, v := range more {
		if key := v.Key.GetToken().Value; !have[key] {
			have[key] = true
			out = append(out, v)
		}
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// mapping reads a mapping whose keys are known.
func (r *reader) mapping(n ast.Node, path string, fields ...field) {
	vs, _ := r.pairs(n, path)
	r.notice(path, fields, vs)
	for _, v := range vs {
		key := v.Key.GetToken().Value
		sub := join(path, key)
		read, names := (func(ast.Node, string))(nil), []string{}
		for _, f := range fields {
			names = append(names, f.key)
			if f.key == key {
				read = f.read
			}
		}
		if read == nil {
			r.unknown(v.Key, sub, key, names)
			continue
		}
		r.note(v.Value, sub)
		read(v.Value, sub)
	}
}

// notice pairs the schema with what a file uses of it.
func (r *reader) notice(path string, fields []field, vs []*ast.MappingValueNode) {
	if r.offered == nil {
		return
	}
	var b strings.Builder
	for _, c := range path { // nodes[3] is as nodes[0]
		if c < '0' || c > '9' {
			b.WriteRune(c)
		}
	}
	for _, f := range fields {
		r.offered[join(b.String(), f.key)] = true
	}
	for _, v := range vs {
		r.used[join(b.String(), v.Key.GetToken().Value)] = true
	}
}

// define takes note of the anchors in a value that has no further meaning.
func (r *reader) define(n ast.Node, path string) {
	if _, alias := n.(*ast.AliasNode); alias || r.budget <= 0 {
		return
	}
	switch v := r.plain(n, path).(type) {
	case *ast.MappingNode:
		for _, e := range v.Values {
			r.define(e.Value, path)
		}
	case *ast.MappingValueNode:
		r.define(v.Value, path)
	case *ast.SequenceNode:
		for _, e := range v.Values {
			r.define(e, path)
		}
	}
}

// note remembers where a path stands.
func (r *reader) note(n ast.Node, path string) {
	if p := where(n); p != nil {
		r.at[path] = p
	}
}

func (r *reader) unknown(n ast.Node, path, key string, names []string) {
	if guess := nearest(key, names); guess != "" {
		r.bad(where(n), path, "there is no key %q here: did you mean %s?", key, guess)
		return
	}
	r.bad(where(n), path, "there is no key %q here: expected %s", key, strings.Join(names, ", "))
}

// list reads a sequence.
func (r *reader) list(n ast.Node, path string, each func(n ast.Node, path string)) {
	n = r.plain(n, path)
	switch v := n.(type) {
	case nil, *ast.NullNode:
	case *ast.SequenceNode:
		for i, item := range v.Values {
			sub := fmt.Sprintf("%s[%d]", path, i)
			r.note(item, sub)
			each(item, sub)
		}
	default:
		r.bad(where(n), path, "expected a list")
	}
}

// scalar returns a single value's text; ok is false when it is none.
func (r *reader) scalar(n ast.Node, path string) (text string, ok bool) {
	n = r.plain(n, path)
	switch v := n.(type) {
	case nil, *ast.NullNode:
		return "", true
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	r.bad(where(n), path, "expected a single value")
	return "", false
}

func (r *reader) text(to *string) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		if s, ok := r.scalar(n, path); ok {
			*to = s
		}
	}
}

func (r *reader) number(to *int) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, ok := r.scalar(n, path)
		if !ok {
			return
		}
		i, err := strconv.Atoi(s)
		if err != nil {
			r.bad(where(n), path, "%q: expected a whole number", s)
			return
		}
		*to = i
	}
}

func (r *reader) flag(to *bool) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, ok := r.scalar(n, path)
		if !ok {
			return
		}
		if s != "true" && s != "false" {
			r.bad(where(n), path, "%q: expected true or false", s)
		}
		*to = s == "true"
	}
}

// strings reads a mapping of any keys to single values.
func (r *reader) strings(to *map[string]string) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		vs, _ := r.pairs(n, path)
		for _, v := range vs {
			key := v.Key.GetToken().Value
			sub := join(path, key)
			r.note(v.Value, sub)
			if s, ok := r.scalar(v.Value, sub); ok {
				if *to == nil {
					*to = map[string]string{}
				}
				(*to)[key] = s
			}
		}
	}
}

// words reads a list of single values, or one value that split takes apart.
func (r *reader) words(to *[]string, split func(string) []string) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		if _, seq := r.plain(n, path).(*ast.SequenceNode); seq {
			r.list(n, path, func(n ast.Node, path string) {
				if s, ok := r.scalar(n, path); ok {
					*to = append(*to, s)
				}
			})
			return
		}
		if s, ok := r.scalar(n, path); ok {
			*to = append(*to, split(s)...)
		}
	}
}

// variant reads `ssh`, `ssh: {settings}`, or `{kind: ssh, config: {settings}}`: one kind and what belongs to it.
func (r *reader) variant(kind *string, config *map[string]string) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		switch r.plain(n, path).(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			vs, _ := r.pairs(n, path)
			if slices.ContainsFunc(vs, func(v *ast.MappingValueNode) bool { return v.Key.GetToken().Value == "kind" }) {
				r.mapping(n, path, field{"kind", r.text(kind)}, field{"config", r.strings(config)})
				return
			}
			if len(vs) != 1 {
				r.bad(where(n), path, "expected one kind with its settings, found %d keys", len(vs))
				return
			}
			*kind = vs[0].Key.GetToken().Value
			sub := join(path, *kind)
			r.note(vs[0].Key, sub)
			r.strings(config)(vs[0].Value, sub)
		default:
			r.text(kind)(n, path)
		}
	}
}

package config

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/outwork-build/outwork/server/tools"
)

// tools reads an entry of what is mirrored to the nodes.
func (r *reader) tools(n ast.Node, path string) tools.Entry {
	var e tools.Entry
	remove := true
	r.mapping(n, path,
		field{"name", r.text(&e.Name)},
		field{"from", r.text(&e.From)},
		field{"to", r.text(&e.To)},
		field{"select", r.text(&e.Select)},
		field{"native", func(n ast.Node, path string) {
			switch r.plain(n, path).(type) {
			case *ast.MappingNode, *ast.MappingValueNode:
				r.strings(&e.Native.Folders)(n, path)
			default:
				r.text(&e.Native.Pattern)(n, path)
			}
		}},
		field{"exclude", r.words(&e.Exclude, func(s string) []string {
			return strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' })
		})},
		field{"delete", r.flag(&remove)},
		field{"required", r.flag(&e.Required)},
	)
	e.Keep = !remove
	return e
}

func ofTools(e tools.Entry) (t tree) {
	t.put("name", e.Name)
	t.put("from", e.From)
	t.put("to", e.To)
	t.put("select", e.Select)
	t.put("native", e.Native.Pattern)
	t.put("native", ofMap(e.Native.Folders))
	t.put("exclude", ofStrings(e.Exclude))
	if e.Keep {
		t = append(t, entry{"delete", false})
	}
	t.put("required", e.Required)
	return t
}

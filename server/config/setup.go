package config

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/outwork-build/outwork/fleet"
)

// setup reads what is done before a node's first use.
func (r *reader) setup(to **fleet.Setup) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		var s fleet.Setup
		var timeout string
		r.mapping(n, path,
			field{"files", r.text(&s.Files)},
			field{"prepare", r.text(&s.Prepare)},
			field{"command", r.text(&s.Command)},
			field{"timeout", r.text(&timeout)},
		)
		if timeout != "" {
			d, err := time.ParseDuration(timeout)
			if err != nil || d <= 0 {
				r.wrong(path+".timeout", "%q: expected a time, such as 10m", timeout)
			}
			s.Timeout = d
		}
		*to = &s
	}
}

func ofSetup(s *fleet.Setup) (t tree) {
	if s == nil {
		return nil
	}
	t.put("files", s.Files)
	t.put("prepare", s.Prepare)
	t.put("command", s.Command)
	if s.Timeout > 0 {
		t.put("timeout", s.Timeout.String())
	}
	return t
}

package server

import (
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
)

// check validates a Jenkinsfile for the API.
func (s *Server) check(script string, strict bool) api.Checked {
	out := api.Checked{Kind: "scripted", Problems: []api.Problem{}}
	c, err := s.runner.Check(script, strict)
	if c.Declarative {
		out.Kind = "declarative"
	}
	add := func(severity string, es jenkinsfile.Errors) {
		for _, e := range es {
			out.Problems = append(out.Problems, api.Problem{Severity: severity, Line: e.Pos.Line, Column: e.Pos.Col, Message: e.Message, Source: e.Line})
		}
	}
	add("error", c.Errors)
	add("warning", c.Warnings)
	if err != nil {
		out.Problems = append(out.Problems, api.Problem{Severity: "error", Line: 1, Column: 1, Message: err.Error()})
	}
	out.OK = err == nil && len(c.Errors) == 0
	return out
}

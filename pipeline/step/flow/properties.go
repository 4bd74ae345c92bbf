package flow

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Properties is `properties([parameters([…]), buildDiscarder(logRotator(…)), disableConcurrentBuilds()])`. What it leaves out is
// reset, as in Jenkins. It holds from the next build on.
type Properties struct{}

// Spec implements step.Step.
func (Properties) Spec() step.Spec {
	return step.Spec{Name: "properties", Sole: "properties", Doc: "set the job's properties",
		Params: []step.Param{{Name: "properties", Type: step.ListOf, Required: true}}}
}

// Run implements step.Step.
func (Properties) Run(t step.Thread, c *step.Call) (value.Value, error) {
	elems, _ := value.Elements(c.Args["properties"])
	var p build.Properties
	for _, e := range elems {
		if name, _ := symbol(e); name != "" && !has(propertyNames(), kindOf(name)) {
			t.Print("WARNING: properties: unknown property \"" + name + "\": accepted, no effect")
			continue
		}
		if err := Property(&p, e); err != nil {
			return nil, err
		}
	}
	return nil, Learn(t, p)
}

// Learn journals that the job has these properties from now on.
func Learn(t step.Thread, p build.Properties) error {
	l, ok := t.Run().(step.Learner)
	if !ok {
		return nil
	}
	_, err := t.Do(step.Effect{Name: "properties", Key: "learn", Args: p, Run: func(ctx context.Context, _ step.Address) (any, error) {
		return nil, l.Learn(ctx, func(old *build.Properties) { *old = p })
	}})
	if err == nil {
		l.Declare(p.Parameters)
	}
	return err
}

func propertyNames() []string {
	return []string{"disableConcurrentBuilds", "buildDiscarder", "logRotator", "parameters"}
}

func has(names []string, name string) bool { return slices.Contains(names, name) }

// kindOf is the symbol of a data maker that was named by its class, as snippets of old do: [$class: 'LogRotator', …].
func kindOf(name string) string {
	bare := name[strings.LastIndexAny(name, ".$")+1:]
	switch bare {
	case "BuildDiscarderProperty":
		return "buildDiscarder"
	case "LogRotator":
		return "logRotator"
	case "ParametersDefinitionProperty":
		return "parameters"
	case "DisableConcurrentBuildsJobProperty":
		return "disableConcurrentBuilds"
	case "StringParameterDefinition":
		return "string"
	case "TextParameterDefinition":
		return "text"
	case "BooleanParameterDefinition":
		return "booleanParam"
	case "ChoiceParameterDefinition":
		return "choice"
	case "PasswordParameterDefinition":
		return "password"
	}
	return name
}

// Property adds what one data maker says, such as `disableConcurrentBuilds(abortPrevious: true)`.
func Property(p *build.Properties, v value.Value) error {
	name, m := symbol(v)
	switch kindOf(name) {
	case "disableConcurrentBuilds":
		p.DisableConcurrent = true
		p.AbortPrevious = value.Truth(m.GetString("abortPrevious"))
	case "buildDiscarder":
		return discarder(p, m.GetString("strategy"))
	case "logRotator": // the only thing a buildDiscarder can hold
		return discarder(p, v)
	case "parameters":
		elems, _ := value.Elements(m.GetString("parameterDefinitions"))
		for _, e := range elems {
			par, err := Parameter(e)
			if err != nil {
				return err
			}
			p.Parameters = append(p.Parameters, par)
		}
	default:
		return illegal("properties: %q is not supported: expected parameters, buildDiscarder or disableConcurrentBuilds", name)
	}
	return nil
}

func discarder(p *build.Properties, v value.Value) error {
	name, m := symbol(v)
	if kindOf(name) != "logRotator" {
		return illegal("buildDiscarder: expected logRotator(…), found %q", name)
	}
	for _, limit := range []struct {
		key string
		to  *int
	}{{"numToKeepStr", &p.KeepBuilds}, {"daysToKeepStr", &p.KeepDays}, {"artifactNumToKeepStr", &p.KeepArtifacts}} {
		text := plain(m.GetString(limit.key))
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return illegal("logRotator: %s %q: expected a number", limit.key, text)
		}
		*limit.to = max(n, 0) // Jenkins writes -1 for "keep all"
	}
	return nil
}

// Parameter reads `string(name: 'X', defaultValue: 'y', description: 'z')` and its kin.
func Parameter(v value.Value) (build.Parameter, error) {
	name, m := symbol(v)
	kinds := map[string]string{"string": "string", "text": "text", "booleanParam": "boolean", "choice": "choice", "password": "password"}
	kind, ok := kinds[kindOf(name)]
	if !ok {
		return build.Parameter{}, illegal("parameters: unknown kind %q: expected string, text, booleanParam, choice or password", name)
	}
	p := build.Parameter{Kind: kind, Name: plain(m.GetString("name")), Default: plain(m.GetString("defaultValue")), Description: plain(m.GetString("description"))}
	if p.Name == "" {
		return p, illegal("%s: missing required parameter: \"name\"", name)
	}
	switch kind {
	case "boolean":
		if p.Default != "true" {
			p.Default = "false"
		}
	case "choice":
		p.Choices = choices(m.GetString("choices"))
		if len(p.Choices) == 0 {
			return p, illegal("choice %s: expected at least one choice", p.Name)
		}
		p.Default = p.Choices[0]
	}
	return p, nil
}

// choices is a list, or lines of one string.
func choices(v value.Value) []string {
	if s, ok := value.Text(v); ok {
		return lines(s)
	}
	return texts(v)
}

func lines(s string) []string {
	var out []string
	for start := 0; start <= len(s); {
		end := start
		for end < len(s) && s[end] != '\n' {
			end++
		}
		if end > start {
			out = append(out, s[start:end])
		}
		start = end + 1
	}
	return out
}

// plain writes a scalar argument as text; nil is "".
func plain(v value.Value) string {
	if v == nil {
		return ""
	}
	if s, ok := value.Text(v); ok {
		return s
	}
	return fmt.Sprint(v)
}

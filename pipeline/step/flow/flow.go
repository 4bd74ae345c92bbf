// Package flow has the steps that steer a pipeline: node, stage, parallel, timeout, retry, sleep, catchError and their kin.
//
// They start nothing on a machine themselves. All texts they print are those that Jenkins users know. Deadlines go through the
// journal, so that a restart of the controller neither shortens nor lengthens a sleep or a timeout. The steps keep no state and
// may be used by many runs at once.
package flow

import (
	"strings"

	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Steps returns every step of the package.
func Steps() []step.Step {
	return []step.Step{
		Node{}, Stage{}, Parallel{}, Script{}, Echo{}, Error{}, WithEnv{}, Timestamps{},
		Timeout{}, Retry{}, Sleep{}, WaitUntil{}, Unstable{}, CatchError{}, WarnError{}, Properties{},
	}
}

// Symbols returns the data makers that the arguments of these steps use, by name, with the parameter that a single unnamed
// argument sets.
func Symbols() map[string]string {
	return map[string]string{
		"agent": "", "nonresumable": "",
		"parameters": "parameterDefinitions", "buildDiscarder": "strategy", "logRotator": "", "disableConcurrentBuilds": "",
		"pipelineTriggers": "triggers", "cron": "spec", "pollSCM": "scmpoll_spec", "upstream": "", "githubPush": "",
		"disableResume": "", "durabilityHint": "hint", "preserveStashes": "", "rateLimitBuilds": "", "overrideIndexTriggers": "",
		"copyArtifactPermission": "projectNames", "disableRestartFromStage": "", "githubProjectProperty": "projectUrlStr",
		"string": "", "text": "", "booleanParam": "", "choice": "", "password": "",
	}
}

// block runs the body of a block step in a scope changed by set, within the braces of its frame.
func block(t step.Thread, c *step.Call, label string, set func(*step.Scope)) (value.Value, error) {
	run := func() (value.Value, error) {
		return t.Block(label, func() (value.Value, error) { return t.Call(c.Body) })
	}
	if set == nil {
		return run()
	}
	return t.With(set, run)
}

// report prints an error as Jenkins does.
func report(t step.Thread, err error) {
	for _, line := range step.Report(err) {
		t.Print(line)
	}
}

// texts reads a list argument as strings.
func texts(v value.Value) []string {
	elems, ok := value.Elements(v)
	if !ok {
		if s, ok := value.Text(v); ok && s != "" {
			return []string{s}
		}
	}
	var out []string
	for _, e := range elems {
		if s, ok := value.Text(e); ok {
			out = append(out, s)
		}
	}
	return out
}

// symbol returns the name of a data maker's value: "agent" for `agent()`.
func symbol(v value.Value) (string, *value.Map) {
	m, ok := v.(*value.Map)
	if !ok {
		return "", nil
	}
	s, _ := value.Text(m.GetString("$class"))
	return strings.TrimSpace(s), m
}

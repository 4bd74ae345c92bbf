package declarative

import (
	"fmt"
	"strings"

	"github.com/outwork-build/outwork/agent/ant"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// allHold evaluates conditions until one does not hold.
func (d *driver) allHold(t *interp.Thread, list []*jenkinsfile.Condition) (bool, error) {
	for _, c := range list {
		if ok, err := d.holds(t, c); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (d *driver) anyHolds(t *interp.Thread, list []*jenkinsfile.Condition) (bool, error) {
	for _, c := range list {
		if ok, err := d.holds(t, c); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

func (d *driver) holds(t *interp.Thread, c *jenkinsfile.Condition) (bool, error) {
	switch c.Name {
	case "allOf":
		return d.allHold(t, c.Children)
	case "anyOf":
		return d.anyHolds(t, c.Children)
	case "not":
		ok, err := d.allHold(t, c.Children)
		return !ok, err
	case "expression":
		v, err := t.Exec(c.Body.Body, nil)
		return value.Truth(v), err
	}
	args, err := evalArgs(t, c)
	if err != nil {
		return false, err
	}
	return simple(t, c.Name, args)
}

// simple is a condition on values alone.
func simple(t *interp.Thread, name string, args map[string]value.Value) (bool, error) {
	switch name {
	case "branch":
		branch, ok := t.Env("BRANCH_NAME")
		if !ok {
			branch, ok = t.Env("GIT_LOCAL_BRANCH")
		}
		if !ok {
			return false, nil
		}
		return compare(branch, args["pattern"], args["comparator"], "GLOB")
	case "buildingTag":
		tag, _ := t.Env("TAG_NAME")
		return tag != "", nil
	case "tag":
		tag, _ := t.Env("TAG_NAME")
		if tag == "" || args["pattern"] == nil || text(args["pattern"]) == "" {
			return tag != "", nil
		}
		return compare(tag, args["pattern"], args["comparator"], "GLOB")
	case "environment":
		have, ok := t.Env(text(args["name"]))
		want := text(args["value"])
		if !ok {
			return args["value"] == nil || want == "", nil
		}
		return have == want || value.Truth(args["ignoreCase"]) && strings.EqualFold(have, want), nil
	case "equals":
		return value.Equal(args["expected"], args["actual"]), nil
	case "triggeredBy":
		return triggeredBy(t.Run().Build().Cause, args), nil
	case "changeRequest":
		return changeRequest(t, args)
	case "changelog", "changeset":
		t.Print("Warning, empty changelog. Probably because this is the first build.")
		return false, nil
	case "isRestartedRun":
		return false, nil
	}
	return false, fmt.Errorf("when: condition %q is not known", name)
}

func evalArgs(t *interp.Thread, c *jenkinsfile.Condition) (map[string]value.Value, error) {
	args := map[string]value.Value{}
	for _, a := range c.Args {
		key, ok := a.Key.(*jenkinsfile.Lit)
		if !ok {
			continue
		}
		v, err := t.Eval(a.Value, nil)
		if err != nil {
			return nil, err
		}
		name, _ := key.Value.(string)
		args[name] = v
	}
	return args, nil
}

// compare matches a text against a pattern as a comparator says; def is the one without a comparator.
func compare(have string, pattern, comparator value.Value, def string) (bool, error) {
	how, want := def, text(pattern)
	if comparator != nil {
		how = text(comparator)
	}
	switch how {
	case "GLOB":
		set, err := ant.Compile(want, true)
		if err != nil {
			return false, value.Abort(err.Error())
		}
		return set.Match(have), nil
	case "REGEXP":
		re, err := value.CompileRegex(want)
		if err != nil {
			return false, value.Abort(err.Error())
		}
		m, err := re.Full(have)
		return m != nil, err
	case "EQUALS":
		return have == want, nil
	}
	return false, value.Abort(fmt.Sprintf("when: comparator %q: expected GLOB, REGEXP or EQUALS", how))
}

// triggeredBy compares with the simple names of Jenkins' causes.
func triggeredBy(c build.Cause, args map[string]value.Value) bool {
	names := map[string]string{"user": "UserIdCause", "timer": "TimerTriggerCause", "scm": "SCMTriggerCause", "upstream": "UpstreamCause", "rebuild": "UserIdCause"}
	name, want := names[c.Kind], text(args["cause"])
	if name == "" || !strings.Contains(strings.ToLower(name), strings.ToLower(want[strings.LastIndexAny(want, ".$")+1:])) {
		return false
	}
	return args["detail"] == nil || strings.EqualFold(text(args["detail"]), c.User)
}

// changeRequest holds when a pull request is built, and all fields that are given match.
func changeRequest(t *interp.Thread, args map[string]value.Value) (bool, error) {
	if id, _ := t.Env("CHANGE_ID"); id == "" {
		return false, nil
	}
	for _, f := range [][2]string{{"id", "ID"}, {"target", "TARGET"}, {"branch", "BRANCH"}, {"fork", "FORK"}, {"url", "URL"}, {"title", "TITLE"},
		{"author", "AUTHOR"}, {"authorDisplayName", "AUTHOR_DISPLAY_NAME"}, {"authorEmail", "AUTHOR_EMAIL"}} {
		if args[f[0]] == nil {
			continue
		}
		have, ok := t.Env("CHANGE_" + f[1])
		if !ok {
			return false, nil
		}
		if ok, err := compare(have, args[f[0]], args["comparator"], "EQUALS"); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/value"
)

// currentBuild is the global of that name. What the program cannot know from its own text goes through the journal.
type currentBuild struct {
	u *run
	p *interp.Program
}

const wrapperClass = "org.jenkinsci.plugins.workflow.support.steps.build.RunWrapper"

// TypeName implements value.Object, as do the methods below.
func (*currentBuild) TypeName() string { return wrapperClass }

func (c *currentBuild) Property(name string) (value.Value, bool, error) {
	u, b := c.u, c.u.Build()
	switch name {
	case "result":
		return orNull(string(build.Worst(b.Result, c.shown()))), true, nil
	case "currentResult":
		b.Result = build.Worst(b.Result, c.shown())
		if b.Result == "" {
			return string(build.Success), true, nil
		}
		return string(b.Result), true, nil
	case "resultIsBetterOrEqualTo", "rawBuild":
		return nil, false, nil
	case "displayName":
		if b.DisplayName == "" {
			return fmt.Sprintf("#%d", b.ID.Number), true, nil
		}
		return b.DisplayName, true, nil
	case "description":
		return orNull(b.Description), true, nil
	case "duration", "durationString":
		d, err := c.elapsed()
		if name == "duration" {
			return d.Milliseconds(), true, err
		}
		return flow.Span(d) + " and counting", true, err
	case "buildCauses":
		return causes(b), true, nil
	case "nextBuild":
		return nil, true, nil
	case "inProgress":
		return true, true, nil
	case "buildVariables":
		m := value.NewMap()
		for k, v := range u.params.All() {
			m.Put(k, v)
		}
		return m, true, nil
	case "previousBuild", "previousCompletedBuild", "previousSuccessfulBuild", "previousFailedBuild", "previousNotFailedBuild", "previousBuildInProgress":
		return c.previous(b.ID, name)
	}
	return recorded(u.r, b, name)
}

// shown is what a post block was judged by; "" outside of post.
func (c *currentBuild) shown() build.Result {
	r, _ := c.p.Current().Scope().Values[step.ShownResult].(build.Result)
	return r
}

// recorded answers what stands in any build's record and cannot change while it runs.
func recorded(r *Runner, b build.Build, name string) (value.Value, bool, error) {
	switch name {
	case "number":
		return int64(b.ID.Number), true, nil
	case "id":
		return fmt.Sprint(b.ID.Number), true, nil
	case "projectName", "fullProjectName":
		return string(b.ID.Job), true, nil
	case "fullDisplayName":
		return fmt.Sprintf("%s #%d", b.ID.Job, b.ID.Number), true, nil
	case "startTimeInMillis":
		return b.Started.UnixMilli(), true, nil
	case "timeInMillis":
		return b.Accepted.UnixMilli(), true, nil
	case "absoluteUrl":
		return fmt.Sprintf("%s/jobs/%s/%d/", r.c.URL, b.ID.Job, b.ID.Number), true, nil
	case "keepLog":
		return false, true, nil
	case "changeSets", "upstreamBuilds":
		return value.NewList(), true, nil
	}
	return nil, false, nil
}

func (c *currentBuild) SetProperty(name string, v value.Value) error {
	text, isText := value.Text(v)
	if !isText && v != nil {
		text = fmt.Sprint(v)
	}
	switch name {
	case "result":
		if v == nil {
			return nil
		}
		r, err := build.ParseResult(text)
		if err != nil {
			return &value.Exception{Class: "java.lang.IllegalArgumentException", Message: err.Error()}
		}
		c.u.SetResult(r)
	case "displayName":
		c.u.change(func(b *build.Build) { b.DisplayName = text })
	case "description":
		c.u.change(func(b *build.Build) { b.Description = text })
	default:
		return &value.Exception{Class: "groovy.lang.MissingPropertyException", Message: fmt.Sprintf("No such property: %s for class: %s", name, wrapperClass)}
	}
	return nil
}

func (c *currentBuild) Invoke(name string, args []value.Value) (value.Value, bool, error) {
	if name == "resultIsBetterOrEqualTo" || name == "resultIsWorseOrEqualTo" {
		if len(args) != 1 {
			return nil, false, nil
		}
		text, _ := value.Text(args[0])
		want, err := build.ParseResult(text)
		if err != nil {
			return nil, true, &value.Exception{Class: "java.lang.IllegalArgumentException", Message: err.Error()}
		}
		have := build.Worst(c.u.Result(), build.Success)
		if name == "resultIsBetterOrEqualTo" {
			return !have.Worse(want), true, nil
		}
		return !want.Worse(have), true, nil
	}
	if rest, ok := strings.CutPrefix(name, "set"); ok && rest != "" && len(args) == 1 {
		return nil, true, c.SetProperty(strings.ToLower(rest[:1])+rest[1:], args[0])
	}
	if name == "isInProgress" {
		return true, true, nil
	}
	return getter(c, name, args)
}

// getter answers getX() as x, and getBuildCauses('class') with the causes of that class.
func getter(o value.Object, name string, args []value.Value) (value.Value, bool, error) {
	rest, ok := strings.CutPrefix(name, "get")
	if !ok || rest == "" || len(args) > 1 || len(args) == 1 && rest != "BuildCauses" {
		return nil, false, nil
	}
	v, ok, err := o.Property(strings.ToLower(rest[:1]) + rest[1:])
	if len(args) == 0 || err != nil || !ok {
		return v, ok, err
	}
	class, _ := value.Text(args[0])
	out := value.NewList()
	elems, _ := value.Elements(v)
	for _, e := range elems {
		if m, ok := e.(*value.Map); ok && m.GetString("_class") == class {
			out.Elems = append(out.Elems, m)
		}
	}
	return out, true, nil
}

func (c *currentBuild) elapsed() (time.Duration, error) {
	raw, err := c.p.Current().Do(step.Effect{Name: "currentBuild.duration", Key: "duration", Run: func(context.Context, step.Address) (any, error) {
		return c.u.Now().Sub(c.u.Build().Started), nil
	}})
	if err != nil {
		return 0, err
	}
	var d time.Duration
	return d, json.Unmarshal(raw, &d)
}

// previous looks up a build before another once; the journal keeps it as it was then.
func (c *currentBuild) previous(of build.ID, name string) (value.Value, bool, error) {
	raw, err := c.p.Current().Do(step.Effect{Name: "currentBuild." + name, Key: name, Args: of.Number, Run: func(ctx context.Context, _ step.Address) (any, error) {
		return c.u.r.previous(ctx, of, name)
	}})
	if err != nil {
		return nil, true, err
	}
	var b *build.Build
	if err := json.Unmarshal(raw, &b); err != nil || b == nil {
		return nil, true, err
	}
	return pastBuild{c, *b}, true, nil
}

// previous finds the newest build before id that a property of RunWrapper means; nil when there is none.
func (r *Runner) previous(ctx context.Context, id build.ID, name string) (*build.Build, error) {
	list, err := r.c.Builds.Builds(ctx, build.Filter{Job: id.Job, Before: id.Number, Limit: 100})
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	for _, b := range list {
		done := b.State == build.Finished
		var ok bool
		switch name {
		case "previousBuild":
			ok = true
		case "previousCompletedBuild":
			ok = done
		case "previousSuccessfulBuild":
			ok = done && !b.Result.Worse(build.Unstable)
		case "previousFailedBuild":
			ok = done && b.Result == build.Failure
		case "previousNotFailedBuild":
			ok = done && b.Result != build.Failure
		case "previousBuildInProgress":
			ok = b.State == build.Running
		}
		if ok {
			return &b, nil
		}
	}
	return nil, nil
}

// LastCompleted implements declarative.History.
func (u *run) LastCompleted(ctx context.Context) (build.Result, error) {
	b, err := u.r.previous(ctx, u.id, "previousCompletedBuild")
	if err != nil || b == nil {
		return "", err
	}
	return b.Result, nil
}

func causes(b build.Build) *value.List {
	class := map[string]string{"user": "hudson.model.Cause$UserIdCause", "timer": "hudson.triggers.TimerTrigger$TimerTriggerCause",
		"scm": "hudson.triggers.SCMTrigger$SCMTriggerCause", "upstream": "hudson.model.Cause$UpstreamCause"}[b.Cause.Kind]
	m := value.Pairs("_class", class, "shortDescription", b.Cause.Text)
	if b.Cause.User != "" {
		m.Put("userId", b.Cause.User)
		m.Put("userName", b.Cause.User)
	}
	return value.NewList(m)
}

func orNull(s string) value.Value {
	if s == "" {
		return nil
	}
	return s
}

// pastBuild is an earlier build, as it was when it was asked for.
type pastBuild struct {
	c *currentBuild
	b build.Build
}

// TypeName implements value.Object, as do the methods below.
func (pastBuild) TypeName() string { return wrapperClass }

func (p pastBuild) Property(name string) (value.Value, bool, error) {
	switch name {
	case "result":
		return orNull(string(p.b.Result)), true, nil
	case "currentResult":
		return string(build.Worst(p.b.Result, build.Success)), true, nil
	case "displayName":
		if p.b.DisplayName == "" {
			return fmt.Sprintf("#%d", p.b.ID.Number), true, nil
		}
		return p.b.DisplayName, true, nil
	case "description":
		return orNull(p.b.Description), true, nil
	case "previousBuild", "previousCompletedBuild", "previousSuccessfulBuild", "previousFailedBuild", "previousNotFailedBuild", "previousBuildInProgress":
		return p.c.previous(p.b.ID, name)
	case "buildCauses":
		return causes(p.b), true, nil
	case "duration":
		return p.b.Ended.Sub(p.b.Started).Milliseconds(), true, nil
	}
	return recorded(p.c.u.r, p.b, name)
}

func (pastBuild) SetProperty(name string, _ value.Value) error {
	return &value.Exception{Class: "java.lang.SecurityException", Message: "can only set the " + name + " property on the current build"}
}

func (p pastBuild) Invoke(name string, args []value.Value) (value.Value, bool, error) {
	return getter(p, name, args)
}

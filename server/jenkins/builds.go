package jenkins

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// ms is a time as Jenkins writes it; 0 for none.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (c *call) buildBean(j build.Job, b build.Build) *export.Bean {
	ctx := c.r.Context()
	building := b.State != build.Finished
	name := b.DisplayName
	if name == "" {
		name = "#" + strconv.Itoa(b.ID.Number)
	}
	var result any
	if b.Result != "" && !building {
		result = string(b.Result)
	}
	duration := int64(0)
	if !b.Ended.IsZero() {
		duration = b.Ended.Sub(b.Started).Milliseconds()
	}
	var description any
	if b.Description != "" {
		description = b.Description
	}
	return (&export.Bean{Class: classRun}).
		Add("actions", []*export.Bean{causeAction(b), parametersAction(j, b)}).
		Lazy(1, "artifacts", func() (any, error) {
			as, err := c.Details.Artifacts(ctx, b.ID)
			out := make([]*export.Bean, 0, len(as))
			for _, a := range as {
				out = append(out, artifactBean(a))
			}
			return out, err
		}).
		Add("building", building).Add("description", description).Add("displayName", name).Add("duration", duration).
		Lazy(1, "estimatedDuration", func() (any, error) { return estimate(c.history(b.ID.Job)) }).
		Lazy(1, "executor", func() (any, error) { return c.buildExecutor(b), nil }).
		Add("fullDisplayName", fullDisplayName(b, name)).Add("id", strconv.Itoa(b.ID.Number)).Add("inProgress", building).Add("keepLog", false).
		Show(2, "number", b.ID.Number).Lazy(1, "queueId", func() (any, error) { return queueID(b.ID), nil }).
		Add("result", result).Add("timestamp", ms(b.Started)).Show(2, "url", c.buildURL(b.ID)).
		Lazy(1, "builtOn", func() (any, error) { return c.builtOn(b.ID) }).
		Add("changeSets", []*export.Bean{}).Add("culprits", []*export.Bean{}).
		Lazy(1, "nextBuild", func() (any, error) { return c.neighbour(j, b.ID, +1) }).
		Lazy(1, "previousBuild", func() (any, error) { return c.neighbour(j, b.ID, -1) })
}

func fullDisplayName(b build.Build, name string) string {
	full := ""
	for _, r := range string(b.ID.Job) {
		if r == '/' {
			full += " » "
		} else {
			full += string(r)
		}
	}
	return full + " " + name
}

var causeClasses = map[string]string{
	"user": "hudson.model.Cause$UserIdCause", "upstream": "hudson.model.Cause$UpstreamCause", "timer": "hudson.triggers.TimerTrigger$TimerTriggerCause",
	"scm": "hudson.triggers.SCMTrigger$SCMTriggerCause", "rebuild": "com.sonyericsson.rebuild.RebuildCause",
}

func causeAction(b build.Build) *export.Bean {
	class := causeClasses[b.Cause.Kind]
	if class == "" {
		class = "hudson.model.Cause"
	}
	cause := (&export.Bean{Class: class}).Show(3, "shortDescription", b.Cause.Text)
	if b.Cause.User != "" {
		cause.Show(3, "userId", b.Cause.User).Show(3, "userName", b.Cause.User)
	}
	return (&export.Bean{Class: "hudson.model.CauseAction"}).Show(2, "causes", []*export.Bean{cause})
}

func parametersAction(j build.Job, b build.Build) *export.Bean {
	if len(b.Parameters) == 0 {
		return &export.Bean{}
	}
	values := []*export.Bean{}
	for _, p := range parametersOf(j, b) {
		values = append(values, parameterValue(p.Kind, p.Name, p.Default))
	}
	return (&export.Bean{Class: "hudson.model.ParametersAction"}).Show(2, "parameters", values)
}

// parametersOf lists a build's parameters in the order in which its job declares them, each with its value as Default.
func parametersOf(j build.Job, b build.Build) []build.Parameter {
	left := maps.Clone(b.Parameters)
	var out []build.Parameter
	for _, p := range j.Properties.Parameters {
		if v, ok := left[p.Name]; ok {
			out = append(out, build.Parameter{Name: p.Name, Kind: p.Kind, Default: v})
			delete(left, p.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		out = append(out, build.Parameter{Name: name, Kind: "string", Default: left[name]})
	}
	return out
}

func artifactBean(a build.Artifact) *export.Bean {
	name := a.Path
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			name = name[i+1:]
			break
		}
	}
	return (&export.Bean{}).Show(3, "displayPath", name).Show(3, "fileName", name).Show(3, "relativePath", a.Path)
}

// estimate is the mean time of the last three builds that worked, among the newest; -1 when there is none.
func estimate(h *history) (int64, error) {
	var sum time.Duration
	n := int64(0)
	err := h.each(func(b build.Build) bool {
		if b.Result == build.Success && b.State == build.Finished {
			sum += b.Ended.Sub(b.Started)
			n++
		}
		return n < 3 && len(h.loaded) <= maxListed
	})
	if err != nil || n == 0 {
		return -1, err
	}
	return sum.Milliseconds() / n, nil
}

// buildExecutor is null for a build that has ended; one that runs stands on an executor of its own, which Jenkins numbers -1.
func (c *call) buildExecutor(b build.Build) any {
	if b.State == build.Finished {
		return nil
	}
	return (&export.Bean{Class: "hudson.model.OneOffExecutor"}).Add("idle", false).Add("number", -1)
}

// builtOn is the node that the build's first stage with a node ran on; "" when there is none.
func (c *call) builtOn(id build.ID) (string, error) {
	stages, err := c.Details.Stages(c.r.Context(), id)
	for _, s := range stages {
		if s.Node != "" {
			return s.Node, err
		}
	}
	return "", err
}

// maxGap is how many numbers of deleted or unstarted builds are passed over to the next build.
const maxGap = 100

// neighbour is the build after or before one; nil when there is none.
func (c *call) neighbour(j build.Job, id build.ID, direction int) (any, error) {
	ctx := c.r.Context()
	if direction < 0 {
		bs, err := c.Builds.Builds(ctx, build.Filter{Job: id.Job, Before: id.Number, Limit: maxGap})
		if i := slices.IndexFunc(bs, isRun); i >= 0 && id.Number > 1 {
			return c.buildBean(j, bs[i]), err
		}
		return nil, err
	}
	for n := id.Number + 1; n < j.NextNumber && n <= id.Number+maxGap; n++ {
		b, err := c.Builds.Build(ctx, build.ID{Job: id.Job, Number: n})
		switch {
		case fault.Is(err, fault.NotFound) || err == nil && !isRun(b):
		case err != nil:
			return nil, err
		default:
			return c.buildBean(j, b), nil
		}
	}
	return nil, nil
}

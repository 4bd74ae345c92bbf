package jenkins

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// Classes of Jenkins that clients look for.
const (
	classJob    = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
	classRun    = "org.jenkinsci.plugins.workflow.job.WorkflowRun"
	classFolder = "com.cloudbees.hudson.plugins.folder.Folder"
)

// jobURL is the address of a job or folder: team/app is /job/team/job/app/.
func (c *call) jobURL(n build.JobName) string {
	var b strings.Builder
	b.WriteString(c.URL())
	for seg := range strings.SplitSeq(string(n), "/") {
		b.WriteString("/job/" + url.PathEscape(seg))
	}
	b.WriteByte('/')
	return b.String()
}

func (c *call) buildURL(id build.ID) string { return fmt.Sprintf("%s%d/", c.jobURL(id.Job), id.Number) }

// short is the last segment of a full name.
func short(n build.JobName) string { return string(n[strings.LastIndexByte(string(n), '/')+1:]) }

// below lists the jobs and folders directly below a folder; "" is the top. A folder is there when a job's name has it.
func (c *call) below(folder string) ([]*export.Bean, error) {
	jobs, err := c.allJobs()
	if err != nil {
		return nil, err
	}
	prefix := ""
	if folder != "" {
		prefix = folder + "/"
	}
	out := []*export.Bean{}
	folders := map[string]bool{}
	for _, j := range jobs {
		rest, ok := strings.CutPrefix(string(j.Name), prefix)
		if !ok {
			continue
		}
		if name, _, deep := strings.Cut(rest, "/"); deep {
			if full := prefix + name; !folders[full] && !slices.ContainsFunc(jobs, func(j build.Job) bool { return string(j.Name) == full }) {
				folders[full] = true
				out = append(out, c.folderBean(full))
			}
			continue
		}
		out = append(out, c.jobBean(j))
	}
	return out, nil
}

func (c *call) folderBean(full string) *export.Bean {
	name := short(build.JobName(full))
	return (&export.Bean{Class: classFolder}).
		Add("actions", []*export.Bean{}).Add("description", "").Add("displayName", name).Show(2, "displayNameOrNull", nil).
		Add("fullDisplayName", strings.ReplaceAll(full, "/", " » ")).Add("fullName", full).
		Show(3, "name", name).Show(3, "url", c.jobURL(build.JobName(full))).Add("healthReport", []*export.Bean{}).
		Lazy(1, "jobs", func() (any, error) { return c.below(full) }).
		Add("primaryView", c.viewBean(full)).Add("views", []*export.Bean{c.viewBean(full)})
}

// isFolder reports whether a job's name has this folder.
func (c *call) isFolder(name build.JobName) (bool, error) {
	jobs, err := c.allJobs()
	return slices.ContainsFunc(jobs, func(j build.Job) bool { return strings.HasPrefix(string(j.Name), string(name)+"/") }), err
}

func (c *call) jobBean(j build.Job) *export.Bean {
	h := c.history(j.Name)
	b := &export.Bean{Class: classJob}
	b.Add("actions", []*export.Bean{}).Add("description", j.Description).Add("displayName", short(j.Name)).Add("displayNameOrNull", nil).
		Add("fullDisplayName", strings.ReplaceAll(string(j.Name), "/", " » ")).Add("fullName", string(j.Name)).
		Show(3, "name", short(j.Name)).Show(3, "url", c.jobURL(j.Name)).
		Lazy(-2, "allBuilds", func() (any, error) { return c.buildList(j, -1), nil }).
		Add("buildable", !j.Disabled).
		Lazy(1, "builds", func() (any, error) { return c.buildList(j, maxListed), nil }).
		Lazy(2, "color", func() (any, error) { return color(j, h) }).
		Lazy(1, "firstBuild", func() (any, error) { return c.linkBean(j, "firstBuild") }).
		Lazy(1, "healthReport", func() (any, error) { return healthReport(h) })
	waiting := func() (build.Build, bool, error) { return c.waitingBuild(j.Name) }
	b.Lazy(1, "inQueue", func() (any, error) { _, ok, err := waiting(); return ok, err }).
		Add("keepDependencies", false)
	for _, name := range linkNames[1:] {
		b.Lazy(1, name, func() (any, error) { return c.linkBean(j, name) })
	}
	return b.Add("nextBuildNumber", max(j.NextNumber, 1)).
		Add("property", properties(j)).
		Lazy(1, "queueItem", func() (any, error) {
			w, ok, err := waiting()
			if !ok || err != nil {
				return nil, err
			}
			return c.queuedBuild(w), nil
		}).
		Add("concurrentBuild", !j.Properties.DisableConcurrent).
		Add("disabled", j.Disabled).
		Add("resumeBlocked", false)
}

// waitingBuild is the first build of a job that was accepted and has not started.
func (c *call) waitingBuild(n build.JobName) (build.Build, bool, error) {
	bs, err := c.Builds.Builds(c.r.Context(), build.Filter{Job: n, States: []build.State{build.Queued}, Limit: 1})
	if err != nil || len(bs) == 0 {
		return build.Build{}, false, err
	}
	return bs[0], true, nil
}

// buildList is the builds of a job, at most limit; a negative limit has none.
func (c *call) buildList(j build.Job, limit int) export.List {
	return func(from, to int) ([]*export.Bean, error) {
		if limit >= 0 && (to < 0 || to > limit) {
			to = limit
		}
		if to < 0 {
			to = export.MaxValues // more are refused
		}
		bs, err := c.history(j.Name).part(from, to)
		out := make([]*export.Bean, 0, len(bs))
		for _, b := range bs {
			out = append(out, c.buildBean(j, b))
		}
		return out, err
	}
}

func (c *call) linkBean(j build.Job, name string) (any, error) {
	links, err := c.history(j.Name).links()
	if err != nil || links[name] == 0 {
		return nil, err
	}
	b, err := c.Builds.Build(c.r.Context(), build.ID{Job: j.Name, Number: links[name]})
	if fault.Is(err, fault.NotFound) {
		return nil, nil // deleted just now
	}
	return c.buildBean(j, b), err
}

// color says how a job's last build ended, and whether one is being built.
func color(j build.Job, h *history) (string, error) {
	links, err := h.links()
	if err != nil {
		return "", err
	}
	ball := "notbuilt"
	if n := links["lastCompletedBuild"]; n > 0 {
		switch n {
		case links["lastStableBuild"]:
			ball = "blue"
		case links["lastUnstableBuild"]:
			ball = "yellow"
		case links["lastFailedBuild"]:
			ball = "red"
		default:
			b, err := h.c.Builds.Build(h.c.r.Context(), build.ID{Job: h.job, Number: n})
			if err == nil && b.Result == build.Aborted {
				ball = "aborted"
			}
		}
	}
	if j.Disabled {
		ball = "disabled"
	}
	if running := links["lastBuild"]; running > 0 && running != links["lastCompletedBuild"] {
		ball += "_anime"
	}
	return ball, nil
}

// healthReport counts the failures among the last five builds that have ended.
func healthReport(h *history) ([]*export.Bean, error) {
	ended, failed := 0, 0
	err := h.each(func(b build.Build) bool {
		if b.State == build.Finished && (b.Result == build.Success || b.Result == build.Unstable || b.Result == build.Failure) {
			ended++
			if b.Result == build.Failure {
				failed++
			}
		}
		return ended < 5 && len(h.loaded) <= maxListed
	})
	if err != nil || ended == 0 {
		return []*export.Bean{}, err
	}
	text := fmt.Sprintf("Build stability: %d out of the last %d builds failed.", failed, ended)
	switch failed {
	case 0:
		text = "Build stability: No recent builds failed."
	case ended:
		text = "Build stability: All recent builds failed."
	}
	score := 100 * (ended - failed) / ended
	icon := "icon-health-80plus"
	for _, limit := range []int{80, 60, 40, 20} {
		if score <= limit {
			icon = fmt.Sprintf("icon-health-%02dto%d", limit-19, limit)
		}
	}
	if score <= 20 {
		icon = "icon-health-00to19"
	}
	return []*export.Bean{(&export.Bean{}).Show(2, "description", text).Show(2, "iconClassName", icon).Show(2, "iconUrl", strings.TrimPrefix(icon, "icon-")+".png").Show(2, "score", score)}, nil
}

// parameterKinds are Jenkins' names for the kinds of parameters.
var parameterKinds = map[string]string{"string": "String", "text": "Text", "boolean": "Boolean", "choice": "Choice", "password": "Password"}

func properties(j build.Job) []*export.Bean {
	if len(j.Properties.Parameters) == 0 {
		return []*export.Bean{}
	}
	var ps []*export.Bean
	for _, p := range j.Properties.Parameters {
		kind := parameterKinds[p.Kind]
		if kind == "" {
			kind = "String"
		}
		b := (&export.Bean{Class: "hudson.model." + kind + "ParameterDefinition"}).
			Show(3, "defaultParameterValue", parameterValue(p.Kind, p.Name, defaultOf(p))).Show(3, "description", p.Description).
			Show(3, "name", p.Name).Show(3, "type", kind+"ParameterDefinition")
		if p.Kind == "choice" {
			b.Show(3, "choices", p.Choices)
		}
		ps = append(ps, b)
	}
	return []*export.Bean{(&export.Bean{Class: "hudson.model.ParametersDefinitionProperty"}).Show(2, "parameterDefinitions", ps)}
}

func defaultOf(p build.Parameter) string {
	if p.Kind == "choice" && p.Default == "" && len(p.Choices) > 0 {
		return p.Choices[0]
	}
	return p.Default
}

// parameterValue shows a value; that of a password never.
func parameterValue(kind, name, value string) *export.Bean {
	k := parameterKinds[kind]
	if k == "" || k == "Choice" {
		k = "String"
	}
	b := (&export.Bean{Class: "hudson.model." + k + "ParameterValue"}).Show(4, "name", name)
	switch kind {
	case "password":
		return b
	case "boolean":
		return b.Show(4, "value", value == "true")
	}
	return b.Show(4, "value", value)
}

package pipeline

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/build"
)

// environment is what every step of a run gets: the build's own variables, the parameters, and `env.X = …` of the script.
type environment struct {
	mu     sync.Mutex
	fixed  []string
	params []string // NAME=value
	set    []string // NAME=value, each name once
}

// newEnvironment makes the variables that Jenkins users know. branch is "" when it is not known.
func newEnvironment(u *run, branch string) *environment {
	id, number := u.id, strconv.Itoa(u.id.Number)
	name := string(id.Job)
	e := &environment{fixed: []string{
		"BUILD_DISPLAY_NAME=#" + number, "BUILD_ID=" + number, "BUILD_NUMBER=" + number,
		"BUILD_TAG=jenkins-" + strings.ReplaceAll(name, "/", "-") + "-" + number,
		"CI=true", "JOB_BASE_NAME=" + path.Base(name), "JOB_NAME=" + name,
	}}
	if url := strings.TrimSuffix(u.r.c.URL, "/"); url != "" {
		job := url + "/jobs/" + name
		e.fixed = append(e.fixed, "BUILD_URL="+job+"/"+number+"/", "JENKINS_URL="+url+"/", "JOB_URL="+job+"/", "OUTWORK_URL="+url+"/", "RUN_DISPLAY_URL="+job+"/"+number+"/")
	}
	if branch != "" {
		e.fixed = append(e.fixed, "BRANCH_NAME="+branch)
	}
	e.declare(u.Build().Parameters)
	return e
}

// declare sets the parameters of the run.
func (e *environment) declare(params map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.params = nil
	for name, v := range params {
		e.params = append(e.params, name+"="+v)
	}
	slices.Sort(e.params)
}

// put is `env.NAME = value`; nil removes it.
func (e *environment) put(name string, value *string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set = slices.DeleteFunc(e.set, func(s string) bool { return strings.HasPrefix(s, name+"=") })
	if value != nil {
		e.set = append(e.set, name+"="+*value)
	}
}

func (e *environment) base() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Concat(e.fixed, e.params, e.set)
}

// declared returns the parameters of a build with the defaults of those that it was not given.
func declared(given map[string]string, ps []build.Parameter) map[string]string {
	out := make(map[string]string, len(given)+len(ps))
	for k, v := range given {
		out[k] = v
	}
	for _, p := range ps {
		if _, ok := out[p.Name]; !ok {
			out[p.Name] = p.Default
		}
	}
	return out
}

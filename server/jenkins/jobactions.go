package jenkins

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/jenkins/export"
	"github.com/outwork-build/outwork/server/record"
)

// job answers below /job/. Folders are part of a job's name: /job/team/job/app/ is team/app.
func (c *call) job() error {
	if err := c.sees(); err != nil {
		return err
	}
	segs := []string{c.next()}
	for len(c.rest) > 1 && c.rest[0] == "job" {
		segs = append(segs, c.rest[1])
		c.rest = c.rest[2:]
	}
	name := build.JobName(strings.Trim(strings.Join(segs, "/"), "/"))
	if len(c.rest) > 0 && c.rest[0] == "createItem" {
		c.next()
		return c.createItem(name + "/")
	}
	j, err := c.Builds.Job(c.r.Context(), name)
	switch {
	case err == nil:
		return c.ofJob(j)
	case !fault.Is(err, fault.NotFound):
		return err
	}
	folder, err := c.isFolder(name)
	if err != nil {
		return err
	}
	if !folder {
		return refuse(http.StatusNotFound, "Not Found: there is no job %s", name)
	}
	switch {
	case c.isAPI():
		return c.api(func() (*export.Bean, error) { return c.folderBean(string(name)), nil })
	case c.ends():
		return c.look("/jobs")
	}
	return c.noPath()
}

// ofJob answers below a job.
func (c *call) ofJob(j build.Job) error {
	if c.isAPI() {
		return c.api(func() (*export.Bean, error) { return c.jobBean(j), nil })
	}
	first := c.next()
	if isLink(first) {
		return c.ofBuild(j, first)
	}
	if first == "" || first == "buildHistory" && c.ends() {
		return c.look(record.JobPage(j.Name))
	}
	if !c.ends() {
		return c.noPath()
	}
	switch first {
	case "build", "buildWithParameters":
		return c.startBuild(j, first == "buildWithParameters")
	case "config.xml":
		if c.r.Method == http.MethodPost {
			return c.setJobConfig(j)
		}
		return c.send(xmlType, jobXML(j))
	case "enable", "disable":
		return c.changeJob("Job/Configure", record.JobPage(j.Name), func() error {
			j.Disabled = first == "disable"
			return c.Builds.PutJob(c.r.Context(), j, false)
		})
	case "submitDescription", "description":
		if first == "description" && c.r.Method != http.MethodPost {
			return c.text(j.Description)
		}
		return c.changeJob("Job/Configure", record.JobPage(j.Name), func() error {
			j.Description = c.param("description")
			return c.Builds.PutJob(c.r.Context(), j, false)
		})
	case "doDelete":
		return c.changeJob("Job/Delete", "/jobs", func() error {
			return record.RemoveJob(c.r.Context(), c.Builds, c.Logs, c.Log, j.Name)
		})
	case "doRename", "confirmRename":
		return refuse(http.StatusNotFound, "jobs are not renamed: copy it (createItem?mode=copy), and delete the old one")
	case "doWipeOutWorkspace", "polling", "ws":
		return refuse(http.StatusNotFound, "Not Found: %s: workspaces stand on the nodes, and Jenkinsfiles are read at each build", first)
	}
	return c.noPath()
}

// changeJob does a change, and sends a person on to a page; page is "" where Jenkins does not.
func (c *call) changeJob(permission, page string, change func() error) error {
	if err := c.changes(auth.Write, permission); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	if page == "" {
		return c.ok()
	}
	return c.done(page)
}

func (c *call) setJobConfig(j build.Job) error {
	return c.changeJob("Job/Configure", "", func() error {
		doc, err := c.readXML()
		if err != nil {
			return err
		}
		if err := jobFromXML(doc, &j); err != nil {
			return err
		}
		return c.Builds.PutJob(c.r.Context(), j, false)
	})
}

// createItem makes a job of XML, or as a copy; folder is "" or ends in a slash.
func (c *call) createItem(folder build.JobName) error {
	if err := c.changes(auth.Write, "Job/Create"); err != nil {
		return err
	}
	q := c.r.URL.Query()
	name := folder + build.JobName(q.Get("name"))
	if q.Get("name") == "" {
		return refuse(http.StatusBadRequest, "Query parameter 'name' is required")
	}
	j := build.Job{Name: name, Created: c.Now().UTC()}
	if q.Get("mode") == "copy" {
		old, err := c.copied(folder, q.Get("from"))
		if err != nil {
			return err
		}
		j.Description, j.Source, j.Disabled, j.Priority, j.Properties = old.Description, old.Source, old.Disabled, old.Priority, old.Properties
	} else {
		doc, err := c.readXML()
		if err != nil {
			return err
		}
		if err := jobFromXML(doc, &j); err != nil {
			return err
		}
	}
	err := c.Builds.PutJob(c.r.Context(), j, true)
	if fault.Is(err, fault.Conflict) {
		return refuse(http.StatusBadRequest, "A job already exists with the name ‘%s’", short(name))
	}
	if err != nil {
		return err
	}
	if q.Get("mode") != "copy" {
		return c.ok()
	}
	return c.done(record.JobPage(name))
}

// copied finds the job to copy: /team/app from the top, else from the folder.
func (c *call) copied(folder build.JobName, from string) (build.Job, error) {
	name := folder + build.JobName(from)
	if top, ok := strings.CutPrefix(from, "/"); ok {
		name = build.JobName(top)
	}
	j, err := c.Builds.Job(c.r.Context(), name)
	if fault.Is(err, fault.NotFound) || from == "" {
		return j, refuse(http.StatusBadRequest, "No such job: %s", name)
	}
	return j, err
}

// startBuild accepts a build: 201, and where its queue item is.
func (c *call) startBuild(j build.Job, parameters bool) error {
	if err := c.changes(auth.Write, "Job/Build"); err != nil {
		return err
	}
	if err := noDelay(c.param("delay")); err != nil {
		return err
	}
	declared := j.Properties.Parameters
	var params map[string]string
	var err error
	if parameters {
		if len(declared) == 0 && j.NextNumber > 1 {
			return refuse(http.StatusBadRequest, "%s is not parameterized", j.Name)
		}
		params = c.givenParameters(j)
	} else if params, err = formParameters(c.param("json")); err != nil {
		return err
	}
	id, err := c.Runner.Trigger(c.r.Context(), j.Name, params, c.cause())
	if fault.Is(err, fault.Conflict) {
		return refuse(http.StatusConflict, "%s is not buildable", j.Name)
	}
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", c.URL()+"/"+itemURL(queueID(id)))
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

func (c *call) cause() build.Cause {
	cause := build.Cause{Kind: "user", User: c.user(), Text: "Started by user " + c.user()}
	if note := c.param("cause"); note != "" {
		cause.Text += " with note: " + note
	}
	return cause
}

// noDelay refuses a quiet period: an accepted build is due at once.
func noDelay(delay string) error {
	digits := strings.TrimRight(strings.ToLower(delay), "secm ")
	if n, err := strconv.Atoi(digits); delay != "" && (err != nil || n != 0) {
		return fault.New(fault.Invalid, "delay=%s: builds are not held back: expected 0sec, or nothing", delay)
	}
	return nil
}

// ours are parameters of the request that are none of the build.
var ours = []string{"delay", "token", "cause", "json", "Submit", crumbField, "statusCode", "redirectTo"}

// givenParameters are those that the job declares; others are passed over, as Jenkins does. A job that has never run declares none
// yet, and takes all.
func (c *call) givenParameters(j build.Job) map[string]string {
	out := map[string]string{}
	declared := j.Properties.Parameters
	for name, values := range c.form() {
		known := slices.ContainsFunc(declared, func(p build.Parameter) bool { return p.Name == name })
		if known || len(declared) == 0 && !slices.Contains(ours, name) {
			out[name] = values[0]
		}
	}
	return out
}

// formParameters reads the json of Jenkins' build form: {"parameter": [{"name": "A", "value": "b"}]}, or one object.
func formParameters(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	type named struct {
		Name  string `json:"name"`
		Value any    `json:"value"`
	}
	var m struct {
		Parameter json.RawMessage `json:"parameter"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, fault.New(fault.Invalid, "json: %w", err)
	}
	if len(m.Parameter) == 0 {
		return nil, nil
	}
	var list []named
	if err := json.Unmarshal(m.Parameter, &list); err != nil {
		var one named
		if err := json.Unmarshal(m.Parameter, &one); err != nil {
			return nil, fault.New(fault.Invalid, "json.parameter: expected a list of objects with a name and a value")
		}
		list = []named{one}
	}
	out := map[string]string{}
	for _, p := range list {
		out[p.Name] = fmt.Sprint(p.Value)
		if p.Value == nil {
			out[p.Name] = ""
		}
	}
	return out, nil
}

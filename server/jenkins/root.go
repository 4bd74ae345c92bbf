package jenkins

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// hudson is the controller itself.
func (c *call) hudson() (*export.Bean, error) {
	own := c.builtIn().Node
	mode := "NORMAL"
	if own.Mode == fleet.Exclusive {
		mode = "EXCLUSIVE"
	}
	reason, quiet := c.Queue.Quieted()
	var why any
	if quiet && reason != "" {
		why = reason
	}
	return (&export.Bean{Class: "hudson.model.Hudson"}).
		Lazy(1, "assignedLabels", func() (any, error) {
			out := []*export.Bean{}
			for _, l := range c.builtIn().Assigned {
				out = append(out, c.labelBean(l))
			}
			return out, nil
		}).
		Add("mode", mode).Add("nodeDescription", "the Outwork controller's built-in node").Add("nodeName", "").
		Add("numExecutors", own.Executors).Add("description", nil).
		Lazy(1, "jobs", func() (any, error) { return c.below("") }).
		Add("overallLoad", &export.Bean{}).Add("primaryView", c.viewBean("")).Add("quietDownReason", why).Add("quietingDown", quiet).
		Add("slaveAgentPort", -1).Add("unlabeledLoad", &export.Bean{Class: "jenkins.model.UnlabeledLoadStatistics"}).
		Add("url", c.URL()+"/").Add("useCrumbs", true).Add("useSecurity", true).
		Add("views", []*export.Bean{c.viewBean("")}), nil
}

// viewBean is the one view that there is of each folder: all of its jobs.
func (c *call) viewBean(folder string) *export.Bean {
	url := c.URL() + "/"
	if folder != "" {
		url = c.jobURL(build.JobName(folder)) + "view/all/"
	}
	return (&export.Bean{Class: "hudson.model.AllView"}).Add("description", nil).
		Lazy(1, "jobs", func() (any, error) { return c.below(folder) }).
		Show(3, "name", "all").Add("property", []*export.Bean{}).Show(3, "url", url)
}

func (c *call) view() error {
	if name := c.next(); name != "all" && name != "All" {
		return refuse(http.StatusNotFound, "Not Found: there is no view %q: the one that there is is called all", name)
	}
	if c.isAPI() {
		return c.api(func() (*export.Bean, error) { return c.viewBean(""), nil })
	}
	if len(c.rest) > 1 && c.rest[0] == "job" {
		c.next()
		return c.job()
	}
	return c.look("/jobs")
}

// label answers below /label/EXPRESSION/.
func (c *call) label() error {
	name := c.next()
	expr, err := label.Parse(name)
	if err != nil {
		return fault.New(fault.Invalid, "label: %w", err)
	}
	if name == "" || expr == nil {
		return c.noPath()
	}
	if c.isAPI() {
		return c.api(func() (*export.Bean, error) { return c.labelBean(name), nil })
	}
	return c.look("/nodes")
}

// labelBean is a label, or an expression of labels.
func (c *call) labelBean(name string) *export.Bean {
	var members []fleet.Status
	load := func() loads {
		expr, err := label.Parse(name)
		if err != nil { // a label that is no expression: one with odd characters
			expr = label.Atom(name)
		}
		members = members[:0]
		for _, st := range c.nodes() {
			if expr.Matches(label.In(st.Assigned)) {
				members = append(members, st)
			}
		}
		return c.loadOf(members)
	}
	count := func(of func(loads) int) func() (any, error) {
		return func() (any, error) { return of(load()), nil }
	}
	return (&export.Bean{Class: "hudson.model.labels.LabelAtom"}).Add("actions", []*export.Bean{}).
		Lazy(1, "busyExecutors", count(func(l loads) int { return l.busy })).
		Add("clouds", []*export.Bean{}).Add("description", nil).
		Lazy(1, "idleExecutors", count(func(l loads) int { return l.idle() })).
		Add("loadStatistics", &export.Bean{Class: "hudson.model.Label$1"}).Show(2, "name", name).
		Lazy(1, "nodes", func() (any, error) {
			load()
			out := []*export.Bean{}
			for _, st := range members {
				class, node := "hudson.slaves.DumbSlave", string(st.Node.Name)
				if st.Node.Name == fleet.BuiltIn {
					class, node = "hudson.model.Hudson", ""
				}
				out = append(out, (&export.Bean{Class: class}).Add("mode", string(st.Node.Mode)).Add("numExecutors", st.Node.Executors).Show(2, "nodeName", node))
			}
			return out, nil
		}).
		Lazy(1, "offline", func() (any, error) { return load().online == 0, nil }).
		Add("tiedJobs", []*export.Bean{}).
		Lazy(1, "totalExecutors", count(func(l loads) int { return l.executors })).
		Add("propertiesList", []*export.Bean{})
}

// loads count the executors of some nodes.
type loads struct{ defined, executors, online, connecting, busy, waiting int }

func (l loads) idle() int { return max(0, l.executors-l.busy) }

// loadOf counts; executors are those of nodes that take work.
func (c *call) loadOf(nodes []fleet.Status) (l loads) {
	running := c.running()
	for _, st := range nodes {
		l.defined += st.Node.Executors
		l.busy += len(running[st.Node.Name])
		switch st.State {
		case fleet.Online:
			l.online++
			l.executors += st.Node.Executors
		case fleet.Connecting:
			l.connecting += st.Node.Executors
		}
	}
	for _, it := range c.snapshot() {
		if it.State == queue.Waiting {
			l.waiting++
		}
	}
	return l
}

// overallLoad has the figures of now; there is no history of them here.
func (c *call) overallLoad() (*export.Bean, error) {
	l := c.loadOf(c.nodes())
	b := &export.Bean{Class: "hudson.model.OverallLoadStatistics"}
	for _, f := range []struct {
		name  string
		value int
	}{{"availableExecutors", l.idle()}, {"busyExecutors", l.busy}, {"connectingExecutors", l.connecting}, {"definedExecutors", l.defined},
		{"idleExecutors", l.idle()}, {"onlineExecutors", l.executors}, {"queueLength", l.waiting}, {"totalExecutors", l.executors}, {"totalQueueLength", l.waiting}} {
		series := &export.Bean{}
		for _, scale := range []string{"hour", "min", "sec10"} {
			series.Add(scale, (&export.Bean{}).Add("latest", f.value))
		}
		b.Add(f.name, series)
	}
	return b, nil
}

func (c *call) whoAmI() (*export.Bean, error) {
	known := c.id.Known()
	authorities := []string{"anonymous"}
	if known {
		authorities = []string{"authenticated"}
		for _, s := range c.id.Scopes {
			authorities = append(authorities, string(s))
		}
	}
	return (&export.Bean{Class: "hudson.security.WhoAmI"}).Add("anonymous", !known).Add("authenticated", known).
		Add("authorities", authorities).Add("details", nil).Add("name", c.user()).Add("toString", ""), nil
}

// users answers for /me/ and /user/NAME/.
func (c *call) users(first string) error {
	name := c.user()
	if first == "user" {
		name = c.next()
		us, err := c.Auth.Users(c.r.Context())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(us, func(u auth.User) bool { return u.Name == name }) {
			return refuse(http.StatusNotFound, "Not Found: there is no user %s", name)
		}
	}
	if !c.isAPI() {
		if slices.Equal(c.rest, []string{"descriptorByName", "jenkins.security.ApiTokenProperty", "generateNewToken"}) {
			return c.newToken(name)
		}
		return c.noPath()
	}
	return c.api(func() (*export.Bean, error) {
		return (&export.Bean{Class: "hudson.model.User"}).Show(3, "absoluteUrl", c.URL()+"/user/"+name).Add("description", nil).
			Show(3, "fullName", name).Add("id", name).Add("property", []*export.Bean{}), nil
	})
}

// newToken makes an API token of one's own, with all that one may do oneself.
func (c *call) newToken(user string) error {
	if err := c.changes(auth.Read, "Overall/Read"); err != nil {
		return err
	}
	if user != c.id.User {
		return refuse(http.StatusForbidden, "tokens are made by their owner: %s cannot make one of %s", c.user(), user)
	}
	scopes := []string{}
	for _, s := range c.id.Scopes {
		scopes = append(scopes, string(s))
	}
	plain, t, err := c.Auth.CreateToken(c.r.Context(), c.id, c.param("newTokenName"), scopes, 0)
	if err != nil {
		return err
	}
	o, err := export.Render((&export.Bean{}).Add("status", "ok").
		Show(3, "data", (&export.Bean{}).Show(3, "tokenName", t.Name).Show(3, "tokenUuid", t.ID).Show(3, "tokenValue", plain)), export.Options{})
	if err != nil {
		return err
	}
	return c.send("application/json;charset=utf-8", export.JSON(o, false))
}

// crumbIssuer gives a crumb under all the paths at which clients ask for one.
func (c *call) crumbIssuer() error {
	if slices.Equal(c.rest, []string{"api", "json", "api", "json"}) { // gojenkins
		c.rest = c.rest[2:]
	}
	return c.api(func() (*export.Bean, error) {
		return (&export.Bean{Class: "hudson.security.csrf.DefaultCrumbIssuer"}).Add("crumb", c.crumb()).Add("crumbRequestField", crumbField), nil
	})
}

// quietDown keeps the queue from giving out executors, or ends that.
func (c *call) quietDown(on bool) error {
	if !c.ends() {
		return c.noPath()
	}
	if err := c.changes(auth.Admin, "Overall/Administer"); err != nil {
		return err
	}
	if c.param("block") == "true" {
		return refuse(http.StatusBadRequest, "block=true: the answer does not wait until nothing runs: ask %s/computer/api/json?tree=busyExecutors", c.URL())
	}
	if err := c.Queue.Quiet(c.r.Context(), on, c.param("reason")); err != nil {
		return err
	}
	return c.done("/queue")
}

// prometheus has the names of Jenkins' exporter for what dashboards show most; /metrics has everything.
func (c *call) prometheus() error {
	if !c.ends() {
		return c.noPath()
	}
	_, quiet := c.Queue.Quieted()
	out := newExposition()
	out.gauge("default_jenkins_up", "Is Jenkins ready to receive requests", "", 1)
	out.gauge("default_jenkins_version_info", "Jenkins Application Version", fmt.Sprintf("version=%q", Version), 1)
	out.gauge("default_jenkins_uptime", "Time since Jenkins machine was initialized", "", c.Now().Sub(c.started).Seconds())
	out.gauge("default_jenkins_quietdown", "Is Jenkins in quiet mode", "", number(quiet))
	all := c.nodes()
	for _, st := range all {
		out.gauge("default_jenkins_nodes_online", "Jenkins nodes online status", fmt.Sprintf("node=%q", st.Node.Name), number(st.State == fleet.Online))
	}
	byLabel := map[string][]fleet.Status{"": all}
	for _, st := range all {
		for _, l := range st.Assigned {
			byLabel[l] = append(byLabel[l], st)
		}
	}
	for _, name := range sortedKeys(byLabel) {
		l := c.loadOf(byLabel[name])
		at := fmt.Sprintf("label=%q", name)
		if name == "" {
			at = `label="all"`
		}
		for _, f := range []struct {
			name  string
			value int
		}{{"available", l.idle()}, {"busy", l.busy}, {"connecting", l.connecting}, {"defined", l.defined}, {"idle", l.idle()}, {"online", l.executors}, {"queue_length", l.waiting}} {
			if f.name != "queue_length" || name == "" {
				out.gauge("default_jenkins_executors_"+f.name, "Executors: "+f.name, at, float64(f.value))
			}
		}
	}
	return c.send("text/plain; version=0.0.4; charset=utf-8", out.bytes())
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

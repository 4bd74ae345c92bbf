package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
	"github.com/outwork-build/outwork/fleet/retain"
	"github.com/outwork-build/outwork/fleet/setup"
	"github.com/outwork-build/outwork/secret"
	"github.com/outwork-build/outwork/server/notify"
	"github.com/outwork-build/outwork/server/tools"
)

// Kinds are the launchers of a controller by kind; nil when it is not known which there are, and their settings are not checked then.
type Kinds map[string]fleet.Launcher

// Parse reads a file. An error is fault.Invalid and a *Problems with everything that is wrong.
func Parse(file, text string, kinds Kinds) (Document, error) {
	r, body := open(file, text)
	var d Document
	if body != nil {
		r.document(&d, body)
		r.check(d, kinds)
	} else if len(r.problems.List) == 0 {
		r.bad(nil, "version", "the file is empty: expected version: %d", Version)
	}
	if err := r.problems.err(); err != nil {
		return Document{}, err
	}
	return d, nil
}

func (r *reader) document(d *Document, body ast.Node) {
	version, builtIn := "", -1
	r.mapping(body, "",
		field{"version", r.text(&version)},
		field{"farm", func(n ast.Node, path string) {
			r.mapping(n, path,
				field{"executors", r.number(&builtIn)},
				field{"monitors", r.limits(&d.Farm.Monitors, nil)})
		}},
		field{"scheduling", r.scheduling(&d.Farm.Scheduling)},
		field{"notify", func(n ast.Node, path string) { r.notify(&d.Notify, n, path) }},
		field{"tools", func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) { d.Tools = append(d.Tools, r.tools(n, path)) })
		}},
		field{"nodes", func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) { d.Nodes = append(d.Nodes, r.node(n, path)) })
		}},
		field{"jobs", func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) { d.Jobs = append(d.Jobs, r.job(n, path)) })
		}},
		field{"users", func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) { d.Users = append(d.Users, r.user(n, path)) })
		}},
		field{"definitions", r.define}, // a place for anchors
	)
	if version != fmt.Sprint(Version) {
		r.wrong("version", "%q: expected version: %d, which says what the rest means", version, Version)
	}
	if builtIn < -1 {
		r.wrong("farm.executors", "%d: expected 0 or more", builtIn)
	}
	if builtIn > 0 {
		d.Nodes = append(d.Nodes, fleet.Node{Name: fleet.BuiltIn, Executors: builtIn, Mode: fleet.Normal, Launcher: fleet.LauncherSpec{Kind: "local"}})
	}
}

// limits reads monitors: `disk: {action: offline, bad: 1GiB}`, or `disk: ignore`. Those with exec are a node's own, for probes.
func (r *reader) limits(to *map[string]fleet.Limit, probes *map[string]fleet.Probe) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		vs, _ := r.pairs(n, path)
		for _, v := range vs {
			name := v.Key.GetToken().Value
			sub := join(path, name)
			r.note(v.Key, sub)
			settings := map[string]string{}
			switch r.plain(v.Value, sub).(type) {
			case *ast.MappingNode, *ast.MappingValueNode, nil, *ast.NullNode:
				r.strings(&settings)(v.Value, sub)
			default:
				if s, ok := r.scalar(v.Value, sub); ok {
					settings["action"] = s
				}
			}
			if _, own := settings["exec"]; own && probes != nil {
				p, err := probe(name, settings)
				if err != nil {
					r.wrong(sub, "%v", err)
					continue
				}
				if *probes == nil {
					*probes = map[string]fleet.Probe{}
				}
				(*probes)[name] = p
				continue
			}
			l, err := monitor.ParseLimit(name, settings)
			if err != nil {
				r.wrong(sub, "%v", err)
				continue
			}
			if *to == nil {
				*to = map[string]fleet.Limit{}
			}
			(*to)[name] = l
		}
	}
}

func (r *reader) node(n ast.Node, path string) fleet.Node {
	v := fleet.Node{Executors: 1, Mode: fleet.Normal, Launcher: fleet.LauncherSpec{Kind: "inbound"}}
	var name, mode string
	r.mapping(n, path,
		field{"name", r.text(&name)},
		field{"description", r.text(&v.Description)},
		field{"executors", r.number(&v.Executors)},
		field{"labels", r.words(&v.Labels, strings.Fields)},
		field{"mode", r.text(&mode)},
		field{"remoteRoot", r.text(&v.RemoteRoot)},
		field{"env", r.strings(&v.Env)},
		field{"tools", r.strings(&v.Tools)},
		field{"launcher", r.variant(&v.Launcher.Kind, &v.Launcher.Config)},
		field{"retention", r.variant(&v.Retention.Kind, &v.Retention.Config)},
		field{"monitors", r.limits(&v.Monitors, &v.Probes)},
		field{"setup", r.setup(&v.Setup)},
	)
	v.Name = fleet.NodeName(name)
	if mode != "" {
		v.Mode = fleet.Mode(mode)
	}
	if v.Retention.Kind == retain.Always && len(v.Retention.Config) == 0 {
		v.Retention.Kind = "" // the same, said in one way
	}
	return v
}

func (r *reader) job(n ast.Node, path string) (j Job) {
	var name string
	var git *build.GitSource
	r.mapping(n, path,
		field{"name", r.text(&name)},
		field{"description", r.text(&j.Description)},
		field{"priority", r.number(&j.Priority)},
		field{"disabled", r.flag(&j.Disabled)},
		field{"script", r.text(&j.Source.Script)},
		field{"git", func(n ast.Node, path string) {
			git = &build.GitSource{}
			r.mapping(n, path, field{"url", r.text(&git.URL)}, field{"ref", r.text(&git.Ref)}, field{"path", r.text(&git.Path)})
		}},
	)
	j.Name, j.Source.Git = build.JobName(name), git
	return j
}

func (r *reader) user(n ast.Node, path string) (u User) {
	u.Role = "user"
	var password string
	r.mapping(n, path,
		field{"name", r.text(&u.Name)},
		field{"role", r.text(&u.Role)},
		field{"disabled", r.flag(&u.Disabled)},
		field{"password", r.text(&password)},
	)
	u.Password = secret.Ref(password)
	return u
}

func (r *reader) notify(s *notify.Settings, n ast.Node, path string) {
	r.mapping(n, path,
		field{"smtp", func(n ast.Node, path string) {
			m := notify.SMTP{Interest: notify.Interest{Nodes: []string{notify.WentOffline}}}
			var password string
			r.mapping(n, path, append(r.interest(&m.Interest),
				field{"host", r.text(&m.Host)}, field{"port", r.number(&m.Port)}, field{"from", r.text(&m.From)},
				field{"to", r.words(&m.To, notify.Recipients)}, field{"tls", r.text(&m.TLS)},
				field{"username", r.text(&m.Username)}, field{"password", r.text(&password)})...)
			m.Password = secret.Ref(password)
			s.SMTP = &m
		}},
		field{"webhooks", func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) {
				w := notify.Webhook{Interest: notify.Interest{Nodes: []string{notify.WentOffline, notify.CameOnline}}}
				var ref string
				r.mapping(n, path, append(r.interest(&w.Interest),
					field{"name", r.text(&w.Name)}, field{"url", r.text(&w.URL)}, field{"secret", r.text(&ref)},
					field{"allowPrivate", r.words(&w.AllowPrivate, strings.Fields)})...)
				w.Secret = secret.Ref(ref)
				s.Webhooks = append(s.Webhooks, w)
			})
		}},
	)
}

// interest reads what a channel wants to hear of. `nodes: []` is nothing of nodes; `builds: {}` is every build.
func (r *reader) interest(in *notify.Interest) []field {
	return []field{
		{"nodes", func(n ast.Node, path string) {
			in.Nodes = nil
			r.words(&in.Nodes, strings.Fields)(n, path)
		}},
		{"builds", func(n ast.Node, path string) {
			f := &notify.BuildFilter{}
			var results []string
			r.mapping(n, path, field{"jobs", r.words(&f.Jobs, strings.Fields)}, field{"results", r.words(&results, strings.Fields)}, field{"onChange", r.flag(&f.OnChange)})
			for _, s := range results {
				f.Results = append(f.Results, build.Result(strings.ToUpper(s)))
			}
			in.Builds = f
		}},
	}
}

// check judges what a document means.
func (r *reader) check(d Document, kinds Kinds) {
	for _, p := range d.Notify.Check() {
		r.wrong("notify."+p.Path, "%s", p.Message)
	}
	for _, p := range tools.Check(d.Tools) {
		r.wrong("tools"+p.Path, "%s", p.Message)
	}
	limits, err := monitor.NewSet(nil)
	if err != nil {
		r.wrong("farm.monitors", "%v", err)
		return
	}
	if err := limits.Check(d.Farm.Monitors); err != nil {
		r.wrong("farm.monitors", "%v", err)
	}
	names := map[string]string{}
	unique := func(kind, name, path string) {
		if first, twice := names[kind+name]; twice {
			r.wrong(path+".name", "%s %q stands at %s already", kind, name, first)
		}
		names[kind+name] = path
	}
	for i, n := range d.Nodes {
		path := fmt.Sprintf("nodes[%d]", i)
		if r.at[path] == nil {
			path = "farm.executors"
		}
		unique(kindNode, string(n.Name), path)
		r.checkNode(n, path, limits, kinds)
	}
	for i, j := range d.Jobs {
		path := fmt.Sprintf("jobs[%d]", i)
		unique(kindJob, string(j.Name), path)
		r.checkJob(j, path)
	}
	for i, u := range d.Users {
		path := fmt.Sprintf("users[%d]", i)
		unique(kindUser, u.Name, path)
		r.checkUser(u, path)
	}
}

func (r *reader) checkNode(n fleet.Node, path string, limits *monitor.Set, kinds Kinds) {
	if err := fleet.CheckName(n.Name); err != nil {
		r.wrong(path+".name", "%v", err)
	}
	if n.Executors < 0 || n.Executors > 10_000 {
		r.wrong(path+".executors", "%d: expected 0 to 10000", n.Executors)
	}
	if n.Mode != fleet.Normal && n.Mode != fleet.Exclusive {
		r.wrong(path+".mode", "%q: expected normal or exclusive", n.Mode)
	}
	for i, l := range n.Labels {
		if l == "" || strings.ContainsAny(l, "\r\n") {
			r.wrong(fmt.Sprintf("%s.labels[%d]", path, i), "%q is not a label", l)
		}
	}
	if _, err := retain.New(n.Retention); err != nil {
		r.wrong(path+".retention", "%v", err)
	}
	if err := limits.Check(n.Monitors); err != nil {
		r.wrong(path+".monitors", "%v", err)
	}
	if err := setup.Check(n.Setup); err != nil {
		r.wrong(path+".setup", "%v", err)
	}
	if kinds == nil {
		return
	}
	launcher := kinds[n.Launcher.Kind]
	if launcher == nil {
		var known []string
		for k := range kinds {
			known = append(known, k)
		}
		slices.Sort(known)
		r.wrong(path+".launcher", "there is no launcher %q: expected one of %s", n.Launcher.Kind, strings.Join(known, ", "))
		return
	}
	if c, ok := launcher.(fleet.Checker); ok {
		if err := c.Check(n); err != nil {
			r.wrong(path+".launcher", "%v", err)
		}
	}
}

func (r *reader) checkJob(j Job, path string) {
	if err := build.CheckJobName(j.Name); err != nil {
		r.wrong(path+".name", "%v", err)
	}
	switch {
	case j.Source.Script == "" && j.Source.Git == nil:
		r.wrong(path, "expected script or git, which say where the Jenkinsfile is")
	case j.Source.Script != "" && j.Source.Git != nil:
		r.wrong(path+".script", "expected script or git, found both")
	case j.Source.Git != nil && j.Source.Git.URL == "":
		r.wrong(path+".git", "expected url")
	}
}

func (r *reader) checkUser(u User, path string) {
	if u.Name == "" || strings.ContainsFunc(u.Name, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`/\:"'<>`, c) }) || len(u.Name) > 200 || strings.Trim(u.Name, ".") == "" {
		r.wrong(path+".name", "%q: expected 1 to 200 characters without spaces, quotes, slashes or colons, and not dots alone", u.Name)
	}
	if u.Role != "admin" && u.Role != "user" && u.Role != "viewer" {
		r.wrong(path+".role", "%q: expected admin, user or viewer", u.Role)
	}
	if u.Password != "" {
		if _, _, err := u.Password.Split(); err != nil {
			r.wrong(path+".password", "%v", err)
		}
	}
}

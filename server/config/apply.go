package config

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/durable"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/notify"
	"github.com/outwork-build/outwork/server/tools"
)

// world is the farm as it is, in the rooms' own words.
type world struct {
	nodes map[string]fleet.Node
	jobs  map[string]build.Job
	users map[string]auth.User
}

// record is the part of a world that an Apply changes, as it was. A nil value was not there.
type record struct {
	Nodes   map[string]*fleet.Node `json:"nodes,omitempty"`
	Jobs    map[string]*build.Job  `json:"jobs,omitempty"`
	Users   map[string]*was        `json:"users,omitempty"`
	Farm    Farm                   `json:"farm"`
	Notify  notify.Settings        `json:"notify"`
	Tools   []tools.Entry          `json:"tools,omitempty"`
	Managed map[string]bool        `json:"managed"`
}

// was is what is changed of a user.
type was struct {
	Role     string `json:"role"`
	Disabled bool   `json:"disabled"`
}

// current reads the farm. mu is held.
func (m *Manager) current(ctx context.Context) (d Document, w world, err error) {
	d.Farm, d.Notify, d.Tools = m.state.Farm, m.state.Notify, m.state.Tools
	w = world{map[string]fleet.Node{}, map[string]build.Job{}, map[string]auth.User{}}
	for _, s := range m.cfg.Nodes.Snapshot() {
		d.Nodes = append(d.Nodes, s.Node)
		w.nodes[string(s.Node.Name)] = s.Node
	}
	jobs, err := m.cfg.Jobs.Jobs(ctx)
	if err != nil {
		return d, w, err
	}
	for _, j := range jobs {
		if j.Source.Dir == nil { // those of `outwork run` are of the moment
			d.Jobs = append(d.Jobs, Job{j.Name, j.Description, j.Priority, j.Disabled, j.Source})
			w.jobs[string(j.Name)] = j
		}
	}
	users, err := m.cfg.Users.Users(ctx)
	for _, u := range users {
		d.Users = append(d.Users, User{Name: u.Name, Role: u.Role, Disabled: u.Disabled})
		w.users[u.Name] = u
	}
	return d, w, err
}

// planned is a plan with what carrying it out needs.
type planned struct {
	api.ConfigPlan
	world   world
	managed map[string]bool // after it
}

// plan compares. mu is held.
func (m *Manager) plan(ctx context.Context, d Document) (p planned, err error) {
	now, w, err := m.current(ctx)
	if err != nil {
		return p, err
	}
	p = planned{ConfigPlan: api.ConfigPlan{Changes: []api.ConfigChange{}}, world: w, managed: map[string]bool{}}
	_, wanted := d.items()
	_, have := now.items()
	for k := range wanted {
		if k.name == "" && (k.kind == "farm" || k.kind == "scheduling" || k.kind == "notify" || k.kind == "tools") {
			continue
		}
		id := k.kind + "/" + k.name
		_, exists := have[k]
		p.managed[id] = m.state.Managed[id] || !exists
	}
	for _, c := range compare(now, d) {
		if c.Action == remove {
			if !m.state.Managed[c.Kind+"/"+c.Name] {
				continue // it is somebody else's
			}
			c, err = m.leave(ctx, c, w)
			if err != nil {
				return p, err
			}
			if c.Action == "" {
				continue
			}
		}
		p.Changes = append(p.Changes, c)
	}
	return p, m.sound(p)
}

// leave says how a thing goes that went from the file: what has a past is kept, so that it can come back.
func (m *Manager) leave(ctx context.Context, c api.ConfigChange, w world) (api.ConfigChange, error) {
	off := []api.ConfigField{{Path: "disabled", After: "true"}}
	switch c.Kind {
	case kindJob:
		bs, err := m.cfg.Jobs.Builds(ctx, build.Filter{Job: build.JobName(c.Name), Limit: 1})
		if err != nil || len(bs) == 0 {
			return c, err
		}
		c.Action, c.Fields, c.Note = disable, off, "it has builds, which would go with it: outwork job delete "+c.Name
		if w.jobs[c.Name].Disabled {
			c.Action = ""
		}
	case kindUser:
		c.Action, c.Fields, c.Note = disable, off, "its tokens and password stay: outwork user delete "+c.Name
		if w.users[c.Name].Disabled {
			c.Action = ""
		}
	}
	return c, nil
}

// sound refuses plans that leave no administrator.
func (m *Manager) sound(p planned) error {
	admins := map[string]bool{}
	for _, u := range p.world.users {
		if u.Role == "admin" && !u.Disabled {
			admins[u.Name] = true
		}
	}
	if len(admins) == 0 {
		return nil
	}
	for _, c := range p.Changes {
		if c.Kind != kindUser {
			continue
		}
		role, off := p.world.users[c.Name].Role, p.world.users[c.Name].Disabled || c.Action == disable
		for _, f := range c.Fields {
			switch f.Path {
			case "role":
				role = f.After
			case "disabled":
				off = f.After == "true"
			}
		}
		if role == "admin" && !off {
			admins[c.Name] = true
		} else {
			delete(admins, c.Name)
		}
	}
	if len(admins) == 0 {
		return fault.New(fault.Conflict, "the farm would be left without an administrator who can log in")
	}
	return nil
}

// passwords finds those of the users that are to be made. fault.Invalid names all that are missing or refused.
func (m *Manager) passwords(ctx context.Context, d Document, p planned) (map[string]string, error) {
	found, wrong := map[string]string{}, []string{}
	for i, u := range d.Users {
		if _, exists := p.world.users[u.Name]; exists {
			continue
		}
		text, err := m.password(ctx, u)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("users[%d].password: %v", i, err))
		}
		found[u.Name] = text
	}
	if len(wrong) > 0 {
		return nil, fault.New(fault.Invalid, "%s", strings.Join(wrong, "\n"))
	}
	return found, nil
}

func (m *Manager) password(ctx context.Context, u User) (string, error) {
	if u.Password == "" {
		return "", fmt.Errorf("user %s is new: expected where the first password stands, such as file:/etc/outwork/%s", u.Name, u.Name)
	}
	v, err := m.cfg.Secrets.Resolve(ctx, u.Password)
	if err != nil {
		return "", err
	}
	text := string(bytes.TrimRight(v.Reveal(), "\r\n"))
	return text, auth.CheckPassword(text)
}

// record notes what a plan changes.
func (m *Manager) record(p planned) *record {
	r := &record{Nodes: map[string]*fleet.Node{}, Jobs: map[string]*build.Job{}, Users: map[string]*was{}, Farm: m.state.Farm, Notify: m.state.Notify, Tools: m.state.Tools, Managed: m.state.Managed}
	for _, c := range p.Changes {
		switch c.Kind {
		case kindNode:
			r.Nodes[c.Name] = nil
			if n, ok := p.world.nodes[c.Name]; ok {
				r.Nodes[c.Name] = &n
			}
		case kindJob:
			r.Jobs[c.Name] = nil
			if j, ok := p.world.jobs[c.Name]; ok {
				r.Jobs[c.Name] = &j
			}
		case kindUser:
			r.Users[c.Name] = nil
			if u, ok := p.world.users[c.Name]; ok {
				r.Users[c.Name] = &was{u.Role, u.Disabled}
			}
		}
	}
	return r
}

// do carries a plan out, in its order: what is made comes before what goes.
func (m *Manager) do(ctx context.Context, d Document, p planned, passwords map[string]string) error {
	nodes, jobs, users := map[string]fleet.Node{}, map[string]Job{}, map[string]User{}
	for _, n := range d.Nodes {
		nodes[string(n.Name)] = n
	}
	for _, j := range d.Jobs {
		jobs[string(j.Name)] = j
	}
	for _, u := range d.Users {
		users[u.Name] = u
	}
	for _, c := range p.Changes {
		var err error
		switch c.Kind {
		case kindNode:
			err = m.doNode(ctx, c, nodes[c.Name])
		case kindJob:
			err = m.doJob(ctx, c, jobs[c.Name])
		case kindUser:
			err = m.doUser(ctx, c, users[c.Name], passwords[c.Name])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) doNode(ctx context.Context, c api.ConfigChange, n fleet.Node) error {
	if c.Action == remove {
		return m.removeNode(ctx, c.Name)
	}
	return m.cfg.Nodes.Put(ctx, n)
}

func (m *Manager) removeNode(ctx context.Context, name string) error {
	if err := m.cfg.Nodes.Remove(ctx, fleet.NodeName(name)); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return m.cfg.Users.RevokeNode(ctx, name, "")
}

func (m *Manager) doJob(ctx context.Context, c api.ConfigChange, j Job) error {
	name := build.JobName(c.Name)
	if c.Action == create {
		return m.cfg.Jobs.PutJob(ctx, build.Job{Name: name, Description: j.Description, Priority: j.Priority, Disabled: j.Disabled, Source: j.Source, Created: m.cfg.Now().UTC()}, true)
	}
	if c.Action == remove {
		return m.cfg.Jobs.DeleteJob(ctx, name)
	}
	old, err := m.cfg.Jobs.Job(ctx, name)
	if err != nil {
		return err
	}
	if c.Action == disable {
		old.Disabled = true
	} else {
		old.Description, old.Priority, old.Disabled, old.Source = j.Description, j.Priority, j.Disabled, j.Source
	}
	return m.cfg.Jobs.PutJob(ctx, old, false)
}

func (m *Manager) doUser(ctx context.Context, c api.ConfigChange, u User, password string) error {
	switch c.Action {
	case disable:
		yes := true
		_, err := m.cfg.Users.ChangeUser(ctx, c.Name, auth.UserChange{Disabled: &yes})
		return err
	case create:
		if err := m.cfg.Users.CreateUser(ctx, u.Name, password, u.Role); err != nil || !u.Disabled {
			return err
		}
	}
	_, err := m.cfg.Users.ChangeUser(ctx, c.Name, auth.UserChange{Role: &u.Role, Disabled: &u.Disabled})
	return err
}

// takeBack makes the farm what a record says, and keeps that, with undo as what can be undone next. It may be done again after a crash.
// mu is held.
func (m *Manager) takeBack(ctx context.Context, r, undo *record) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.Users)) { // those that come back first, so that an administrator is left
		if u := r.Users[name]; u != nil {
			_, err := m.cfg.Users.ChangeUser(ctx, name, auth.UserChange{Role: &u.Role, Disabled: &u.Disabled})
			errs = append(errs, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Users)) {
		if r.Users[name] == nil {
			errs = append(errs, m.backUser(ctx, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Jobs)) {
		errs = append(errs, m.backJob(ctx, build.JobName(name), r.Jobs[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Nodes)) {
		if n := r.Nodes[name]; n != nil {
			errs = append(errs, m.cfg.Nodes.Put(ctx, *n))
		} else {
			errs = append(errs, m.removeNode(ctx, name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take the configuration back: %w", err)
	}
	next := m.state
	next.Farm, next.Notify, next.Tools, next.Managed, next.Undo, next.Pending = r.Farm, r.Notify, r.Tools, r.Managed, undo, nil
	if err := m.keep(next); err != nil {
		return err
	}
	m.use(next)
	return nil
}

// backUser forgets a user that was made. When that would leave no administrator the user stays: a farm without one is locked.
func (m *Manager) backUser(ctx context.Context, name string) error {
	err := gone(m.cfg.Users.DeleteUser(ctx, name))
	if fault.Is(err, fault.Conflict) {
		m.cfg.Log.Warn("a user that the configuration made stays", "user", name, "error", err)
		return nil
	}
	return err
}

// backJob puts one job back. One that was made and has builds meanwhile is disabled.
func (m *Manager) backJob(ctx context.Context, name build.JobName, before *build.Job) error {
	now, err := m.cfg.Jobs.Job(ctx, name)
	exists := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	switch {
	case before == nil && !exists:
		return nil
	case before == nil:
		bs, err := m.cfg.Jobs.Builds(ctx, build.Filter{Job: name, Limit: 1})
		if err != nil {
			return err
		}
		if len(bs) == 0 {
			return gone(m.cfg.Jobs.DeleteJob(ctx, name))
		}
		now.Disabled = true
		return m.cfg.Jobs.PutJob(ctx, now, false)
	case exists:
		now.Description, now.Priority, now.Disabled, now.Source = before.Description, before.Priority, before.Disabled, before.Source
		return m.cfg.Jobs.PutJob(ctx, now, false)
	}
	return m.cfg.Jobs.PutJob(ctx, *before, true)
}

// gone takes a thing that is not there for one that was removed.
func gone(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func split(managed string) (kind, name string) {
	kind, name, _ = strings.Cut(managed, "/")
	return kind, name
}

func readAll(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxText+1))
	return string(b), err
}

func readJSON(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// writeJSON replaces a file; it is durable when this returns.
func writeJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(file, b)
}

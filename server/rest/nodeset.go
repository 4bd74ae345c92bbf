package rest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
)

// createNode makes a node of what is given, of another one, or of both.
func (s *server) createNode(ctx context.Context, in *struct{ Body api.NodeCreate }) (*body[api.Node], error) {
	c := in.Body
	n := fleet.Node{Executors: 1, Mode: fleet.Normal, Launcher: fleet.LauncherSpec{Kind: "inbound"}}
	if c.CopyFrom != "" {
		from, found := s.Fleet.Node(fleet.NodeName(c.CopyFrom))
		if !found {
			return nil, fault.New(fault.NotFound, "there is no node %q to copy", c.CopyFrom)
		}
		n = copied(from.Node)
	}
	n.Name, n.Created = fleet.NodeName(c.Name), s.Now().UTC()
	if c.Offline != nil {
		cause := fleet.ByUser(auth.From(ctx).User, *c.Offline)
		cause.When = s.Now().UTC()
		n.Offline = &cause
	}
	change(&n, api.NodeUpdate{Description: c.Description, Executors: c.Executors, Labels: c.Labels, Mode: c.Mode, RemoteRoot: c.RemoteRoot, Env: c.Env, Tools: c.Tools,
		Launcher: c.Launcher, LauncherConfig: c.LauncherConfig, Retention: c.Retention, Monitors: c.Monitors})
	if err := errors.Join(changeSetup(&n, c.Setup), changeProbes(&n, c.Probes)); err != nil {
		return nil, err
	}
	s.joining.Lock() // nor may an agent make it meanwhile
	defer s.joining.Unlock()
	if _, exists := s.Fleet.Node(n.Name); exists {
		return nil, fault.New(fault.Conflict, "there is a node %q already", n.Name)
	}
	if n.Launcher.Kind == local {
		return nil, fault.New(fault.Invalid, "launcher: agents of the controller's own machine are made by its --executors alone")
	}
	return s.putNode(ctx, n)
}

// local is the launcher of nodes that the controller makes at each start, as its configuration says.
const local = "local"

// copied is a node without what is its own.
func copied(n fleet.Node) fleet.Node {
	n.Offline, n.Down, n.Used = nil, nil, false
	n.Labels = slices.Clone(n.Labels)
	n.Env, n.Tools, n.Monitors = maps.Clone(n.Env), maps.Clone(n.Tools), maps.Clone(n.Monitors)
	n.Launcher.Config, n.Retention.Config = maps.Clone(n.Launcher.Config), maps.Clone(n.Retention.Config)
	return n
}

func (s *server) updateNode(ctx context.Context, in *struct {
	NodePath
	Body api.NodeUpdate
}) (*body[api.Node], error) {
	st, found := s.Fleet.Node(in.name())
	if !found {
		return nil, fault.New(fault.NotFound, "there is no node %q", in.Node)
	}
	n := st.Node
	change(&n, in.Body)
	if err := errors.Join(changeSetup(&n, in.Body.Setup), changeProbes(&n, in.Body.Probes)); err != nil {
		return nil, err
	}
	if before := st.Node.Launcher.Kind; n.Launcher.Kind != before && (n.Launcher.Kind == local || before == local) {
		return nil, fault.New(fault.Invalid, "launcher: agents of the controller's own machine are made by its --executors alone, and stay such")
	}
	return s.putNode(ctx, n)
}

// change sets the fields of a node that are there.
func change(n *fleet.Node, u api.NodeUpdate) {
	set(&n.Description, u.Description)
	set(&n.Executors, u.Executors)
	set(&n.Labels, u.Labels)
	set(&n.RemoteRoot, u.RemoteRoot)
	set(&n.Env, u.Env)
	set(&n.Tools, u.Tools)
	if u.Mode != nil {
		n.Mode = fleet.Mode(*u.Mode)
	}
	if u.Launcher != nil && *u.Launcher != n.Launcher.Kind {
		n.Launcher = fleet.LauncherSpec{Kind: *u.Launcher}
	}
	set(&n.Launcher.Config, u.LauncherConfig)
	if r := u.Retention; r != nil {
		n.Retention = fleet.RetentionSpec{Kind: r.Kind, Config: r.Config}
	}
	if u.Monitors != nil {
		n.Monitors = map[string]fleet.Limit{}
		for name, l := range *u.Monitors {
			n.Monitors[name] = fleet.Limit{Action: fleet.Action(l.Action), Bad: l.Bad, Warn: l.Warn}
		}
	}
}

// putNode checks all of a node before it is kept.
func (s *server) putNode(ctx context.Context, n fleet.Node) (*body[api.Node], error) {
	if err := checkLabels(n.Labels); err != nil {
		return nil, err
	}
	for name, value := range n.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return nil, fault.New(fault.Invalid, "env: %q is not the name of a variable, or its value holds a NUL", name)
		}
	}
	if err := s.Fleet.Check(n); err != nil {
		return nil, err
	}
	if err := s.Fleet.Put(ctx, n); err != nil {
		return nil, err
	}
	return s.readNode(ctx, n.Name)
}

func checkLabels(ls []string) error {
	for i, l := range ls {
		if l == "" || strings.ContainsAny(l, "\r\n") {
			return fault.New(fault.Invalid, "labels[%d]: %q is not a label", i, l)
		}
	}
	return nil
}

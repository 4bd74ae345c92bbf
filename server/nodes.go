package server

import (
	"context"
	"errors"

	"github.com/outwork-build/outwork/fleet"
)

// nodes brings the nodes of this machine into the roster, as the configuration names them, removes those that it names no
// more, makes the farm like its file, and waits for the end.
func (s *Server) nodes(ctx context.Context) error {
	want := s.cfg.Nodes
	if s.cfg.Executors > 0 {
		want = append([]Local{{Name: fleet.BuiltIn, Executors: s.cfg.Executors}}, want...)
	}
	named := map[fleet.NodeName]bool{}
	for _, l := range want {
		named[l.Name] = true
		n := fleet.Node{Name: l.Name, Mode: fleet.Normal, Created: s.cfg.Now().UTC()}
		if st, ok := s.roster.Node(l.Name); ok { // what people have set since stays: taken offline is offline
			n = st.Node
		}
		n.Labels, n.Executors, n.Launcher = l.Labels, l.Executors, fleet.LauncherSpec{Kind: "local"}
		if err := s.roster.Put(ctx, n); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	for _, st := range s.roster.Snapshot() {
		if st.Node.Launcher.Kind == "local" && !named[st.Node.Name] && !s.config.Manages(st.Node.Name) {
			if err := s.roster.Remove(ctx, st.Node.Name); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
		}
	}
	if err := s.config.Start(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}

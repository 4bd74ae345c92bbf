package server

import (
	"cmp"
	"context"
	"path/filepath"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
	"github.com/outwork-build/outwork/secret"
	"github.com/outwork-build/outwork/secret/file"
	"github.com/outwork-build/outwork/server/config"
	"github.com/outwork-build/outwork/server/notify"
	"github.com/outwork-build/outwork/server/tools"
)

// limits is fleet.Monitors whose limits of the farm can change while it is used.
type limits struct{ atomic.Pointer[monitor.Set] }

func (l *limits) Judge(before map[string]fleet.Verdict, s fleet.Sample, node map[string]fleet.Limit) fleet.Judgement {
	return l.Load().Judge(before, s, node)
}

func (l *limits) Check(node map[string]fleet.Limit) error { return l.Load().Check(node) }

// configure makes who tells people, and who makes the farm like a file.
func (s *Server) configure(kinds config.Kinds, l *limits, registry prometheus.Registerer) (err error) {
	c, t := s.cfg, s.ledger.Tables
	secrets := secret.Schemes{"env": secret.Env{}, "file": file.New(file.Config{Log: c.Log.With("room", "secret")})}
	s.notifier, err = notify.New(notify.Config{Dir: filepath.Join(c.Data, "notify"), Nodes: s.roster, Builds: t.Builds, Ended: s.runner.Subscribe, Secrets: secrets,
		URL: func() string { return s.cfg.URL }, Now: c.Now, Log: c.Log.With("room", "notify"), Registry: registry})
	if err != nil {
		return err
	}
	s.config, err = config.New(config.Config{Dir: filepath.Join(c.Data, "config"), File: c.ConfigFile, Kinds: kinds, Nodes: s.roster, Users: s.auth, Jobs: t.Builds,
		Secrets: secrets, Notify: s.notifier.Set, Tools: s.mirror, Scheduling: s.schedule, Now: c.Now, Log: c.Log.With("room", "config"),
		Limits: func(farm map[string]fleet.Limit) {
			if farm == nil {
				farm = c.Monitors
			}
			set, err := monitor.NewSet(farm)
			if err != nil { // they were checked before
				s.log.Error("the farm's limits cannot be used", "error", err)
				return
			}
			l.Store(set)
		}})
	return err
}

// owner is the file that looks after a node, if one does.
func (s *Server) owner(n fleet.NodeName) (file string, owned bool) {
	if !s.config.Manages(n) {
		return "", false
	}
	return cmp.Or(s.config.State().File, "the configuration that was applied"), true
}

// mirror sets what is mirrored to the nodes: what the file says, behind the folder of Config.Tools.
func (s *Server) mirror(entries []tools.Entry) {
	if s.cfg.Tools != "" {
		flag := tools.Entry{Name: "--tools", From: s.cfg.Tools, Native: tools.Native{Pattern: "{os}-{arch}"}}
		entries = append([]tools.Entry{flag}, entries...)
	}
	s.tools.Set(entries)
}

// Reload applies the file of Config.ConfigFile anew. fault.Conflict when there is none; an error changes nothing.
func (s *Server) Reload(ctx context.Context) error {
	_, err := s.config.Reload(ctx, "")
	return err
}

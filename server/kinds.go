package server

import (
	"context"
	"path/filepath"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/command"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
	"github.com/outwork-build/outwork/fleet/launch/local"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/fleet/launch/winrm"
	"github.com/outwork-build/outwork/fleet/monitor"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/archive"
	"github.com/outwork-build/outwork/pipeline/step/file"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/step/scm"
	"github.com/outwork-build/outwork/pipeline/step/shell"
	"github.com/outwork-build/outwork/pipeline/step/stash"
	"github.com/outwork-build/outwork/pipeline/step/tool"
)

// launchers is the one list of the ways to reach a machine. credential makes one for an agent that the controller starts and that dials;
// options are what such an agent is told besides the controller's address.
func launchers(c Config, credential func(context.Context, fleet.NodeName) (string, error), options func(address string) string) (map[string]fleet.Launcher, *inbound.Hub, error) {
	hub := inbound.New(inbound.Config{Logger: c.Log.With("room", "fleet")})
	here, err := local.New(local.Config{Root: filepath.Join(c.Data, "agents"), Argv: c.Agent})
	if err != nil {
		return nil, nil, err
	}
	keys, err := ssh.NewHostKeyFile(filepath.Join(c.Data, "ssh-host-keys.json"))
	if err != nil {
		return nil, nil, err
	}
	login, err := ssh.New(ssh.Config{Agents: binaries(c), HostKeys: keys, HowToApprove: howToApprove, Log: c.Log.With("room", "fleet")})
	if err != nil {
		return nil, nil, err
	}
	run := command.New(command.Config{URL: c.URL, Download: c.URL + "/agent"})
	windows, err := winrm.New(winrm.Config{Agents: binaries(c), Inbound: hub, Credential: credential, URL: func() string { return c.URL }, Options: options, Log: c.Log.With("room", "fleet")})
	if err != nil {
		return nil, nil, err
	}
	return map[string]fleet.Launcher{"inbound": hub, "local": here, ssh.Kind: login, "command": run, winrm.Kind: windows}, hub, nil
}

// credential makes the only one of a node: those that it had end.
func (s *Server) credential(ctx context.Context, n fleet.NodeName) (string, error) {
	if err := s.auth.RevokeNode(ctx, string(n), ""); err != nil {
		return "", err
	}
	return s.auth.IssueAgent(ctx, string(n))
}

// howToApprove is the verb that lets a machine in by the key that it shows.
func howToApprove(n fleet.NodeName, k ssh.HostKey) string {
	return "outwork node approve '" + string(n) + "' --fingerprint " + k.Fingerprint
}

// monitors is the one list of what is watched on every node. The kinds of retention are listed in fleet/retain.
// On a controller of one process a full disk takes nothing off: nobody would put it right while the build waits.
func monitors(c Config) (*monitor.Set, error) {
	limits := c.Monitors
	if c.Private && limits == nil {
		limits = map[string]fleet.Limit{monitor.Disk: {Action: fleet.Warn}, monitor.Temp: {Action: fleet.Warn}}
	}
	return monitor.NewSet(limits)
}

// recorder makes the memory of a node's monitors.
func recorder() fleet.Recorder { return &monitor.History{} }

// steps is the one list of pipeline steps.
func steps(blobs cas.Store) []step.Step {
	var all []step.Step
	for _, kind := range [][]step.Step{flow.Steps(), shell.Steps(), file.Steps(), stash.Steps(), archive.Steps(), tool.Steps(), scm.Steps(blobs)} {
		all = append(all, kind...)
	}
	return all
}

// symbols are the data makers that stand as arguments of steps, with the parameter that a single unnamed argument sets.
func symbols() map[string]string {
	return map[string]string{
		"logRotator": "", "buildDiscarder": "strategy", "disableConcurrentBuilds": "", "parameters": "parameterDefinitions", "pipelineTriggers": "triggers",
		"string": "", "text": "", "booleanParam": "", "choice": "", "password": "", "cron": "spec", "pollSCM": "scmpoll_spec", "upstream": "upstreamProjects",
		"agent": "", "nonresumable": "", "scmGit": "", "userRemoteConfig": "",
	}
}

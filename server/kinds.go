package server

import (
	"path/filepath"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
	"github.com/outwork-build/outwork/fleet/launch/local"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/archive"
	"github.com/outwork-build/outwork/pipeline/step/file"
	"github.com/outwork-build/outwork/pipeline/step/flow"
	"github.com/outwork-build/outwork/pipeline/step/scm"
	"github.com/outwork-build/outwork/pipeline/step/shell"
	"github.com/outwork-build/outwork/pipeline/step/stash"
)

// launchers is the one list of the ways to reach a machine.
func launchers(c Config) (map[string]fleet.Launcher, *inbound.Hub, error) {
	hub := inbound.New(inbound.Config{Logger: c.Log.With("room", "fleet")})
	here, err := local.New(local.Config{Root: filepath.Join(c.Data, "agents"), Argv: c.Agent})
	if err != nil {
		return nil, nil, err
	}
	return map[string]fleet.Launcher{"inbound": hub, "local": here}, hub, nil
}

// steps is the one list of pipeline steps.
func steps(blobs cas.Store) []step.Step {
	var all []step.Step
	for _, kind := range [][]step.Step{flow.Steps(), shell.Steps(), file.Steps(), stash.Steps(), archive.Steps(), scm.Steps(blobs)} {
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

package steptest

import (
	"context"
	"sort"
	"sync"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// Details is a build.Details in memory. The zero value is ready.
type Details struct {
	mu        sync.Mutex
	stages    map[build.ID][]build.Stage
	artifacts map[build.ID]map[string]build.Artifact
	stashes   map[build.ID]map[string]string
}

// PutStage and the methods below implement build.Details.
func (d *Details) PutStage(_ context.Context, id build.ID, s build.Stage) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, o := range d.stages[id] {
		if o.ID == s.ID {
			d.stages[id][i] = s
			return nil
		}
	}
	if d.stages == nil {
		d.stages = map[build.ID][]build.Stage{}
	}
	d.stages[id] = append(d.stages[id], s)
	return nil
}

func (d *Details) Stages(_ context.Context, id build.ID) ([]build.Stage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := append([]build.Stage(nil), d.stages[id]...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Order < out[j].Order })
	return out, nil
}

func (d *Details) PutArtifacts(_ context.Context, id build.ID, as []build.Artifact) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.artifacts == nil {
		d.artifacts = map[build.ID]map[string]build.Artifact{}
	}
	if d.artifacts[id] == nil {
		d.artifacts[id] = map[string]build.Artifact{}
	}
	for _, a := range as {
		d.artifacts[id][a.Path] = a
	}
	return nil
}

func (d *Details) Artifacts(_ context.Context, id build.ID) ([]build.Artifact, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []build.Artifact
	for _, a := range d.artifacts[id] {
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out, nil
}

func (d *Details) PutStash(_ context.Context, id build.ID, name, digest string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stashes == nil {
		d.stashes = map[build.ID]map[string]string{}
	}
	if d.stashes[id] == nil {
		d.stashes[id] = map[string]string{}
	}
	d.stashes[id][name] = digest
	return nil
}

func (d *Details) Stash(_ context.Context, id build.ID, name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dig, ok := d.stashes[id][name]; ok {
		return dig, nil
	}
	return "", fault.New(fault.NotFound, "build %s has no stash %q", id, name)
}

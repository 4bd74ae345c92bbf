// Package stash has the steps that carry files from one node of a build to another: stash and unstash.
//
// The agent packs the files as a tree in the cas, moving only what is missing there; the build keeps the tree's digest by name.
package stash

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Steps returns the steps of this package.
func Steps() []step.Step { return []step.Step{Stash{}, Unstash{}} }

// name of a stash: as Jenkins takes it.
var goodName = regexp.MustCompile(`^[^/:*?"<>|\\\x00-\x1f]{1,200}$`)

func checkName(name string) error {
	if !goodName.MatchString(name) || name == "." || name == ".." {
		return value.Abort(fmt.Sprintf("stash name %q: expected a file name", name))
	}
	return nil
}

// Stash is `stash name: 'bin', includes: 'target/*.jar'`.
type Stash struct{}

// Spec implements step.Step.
func (Stash) Spec() step.Spec {
	return step.Spec{Name: "stash", Sole: "name", NeedsNode: true, Doc: "keep files for a later part of the build",
		Params: []step.Param{
			{Name: "name", Type: step.Str, Required: true},
			{Name: "includes", Type: step.Str, Doc: "Ant patterns, comma separated; all files when empty"},
			{Name: "excludes", Type: step.Str},
			{Name: "useDefaultExcludes", Type: step.Boolean, Default: true},
			{Name: "allowEmpty", Type: step.Boolean, Default: false},
		}}
}

// Run implements step.Step.
func (Stash) Run(t step.Thread, c *step.Call) (value.Value, error) {
	name := c.String("name")
	if err := checkName(name); err != nil {
		return nil, err
	}
	scope, run := t.Scope(), t.Run()
	_, dir := executor.Locate(scope, "")
	r := agent.GlobRequest{Lease: scope.Node.Grant.Lease(), Dir: dir, Includes: c.String("includes"), Excludes: c.String("excludes"), DefaultExcludes: c.Bool("useDefaultExcludes")}
	raw, err := t.Do(step.Effect{Name: "stash", Args: []any{name, r.Includes, r.Excludes, r.DefaultExcludes}, Run: func(ctx context.Context, _ step.Address) (any, error) {
		var packed agent.Packed
		err := executor.Call(ctx, scope.Node, func(m agent.Machine) (err error) {
			packed, err = m.Pack(ctx, r)
			return err
		})
		if err != nil {
			return nil, executor.Refused(err)
		}
		if len(packed.Files) == 0 && !c.Bool("allowEmpty") {
			return nil, value.Abort("No files included in stash ‘" + name + "’")
		}
		return len(packed.Files), run.Details().PutStash(ctx, run.Build().ID, name, packed.Root.String())
	}})
	if err != nil {
		return nil, err
	}
	var n int
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, err
	}
	t.Print(fmt.Sprintf("Stashed %d file(s)", n))
	return nil, nil
}

// Unstash is `unstash 'bin'`.
type Unstash struct{}

// Spec implements step.Step.
func (Unstash) Spec() step.Spec {
	return step.Spec{Name: "unstash", Sole: "name", NeedsNode: true, Doc: "bring back files that were stashed",
		Params: []step.Param{{Name: "name", Type: step.Str, Required: true}}}
}

// Run implements step.Step.
func (Unstash) Run(t step.Thread, c *step.Call) (value.Value, error) {
	name, scope, run := c.String("name"), t.Scope(), t.Run()
	_, dir := executor.Locate(scope, "")
	_, err := t.Do(step.Effect{Name: "unstash", Args: name, Run: func(ctx context.Context, _ step.Address) (any, error) {
		text, err := run.Details().Stash(ctx, run.Build().ID, name)
		if fault.Is(err, fault.NotFound) {
			return nil, value.Abort("No such saved stash ‘" + name + "’")
		}
		if err != nil {
			return nil, err
		}
		digest, err := cas.ParseDigest(text)
		if err != nil {
			return nil, fmt.Errorf("stash %q: %w", name, err)
		}
		err = executor.Call(ctx, scope.Node, func(m agent.Machine) error {
			return m.Unpack(ctx, scope.Node.Grant.Lease(), digest, dir)
		})
		if fault.Is(err, fault.NotFound) {
			return nil, value.Abort("The files of stash ‘" + name + "’ are not in the blob store any more: " + err.Error())
		}
		return nil, executor.Refused(err)
	}})
	return nil, err
}

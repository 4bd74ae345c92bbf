// Package tool has the step that finds a tool on the node: tool.
package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Steps returns the steps of this package.
func Steps() []step.Step { return []step.Step{Tool{}} }

// Tool is `tool 'jdk-21'`: the folder of a tool on the node. The node's own tool of that name comes first; a relative folder of it is below
// the tools that are mirrored to the node. A folder there of that name comes second.
type Tool struct{}

// Spec implements step.Step.
func (Tool) Spec() step.Spec {
	return step.Spec{Name: "tool", Sole: "name", NeedsNode: true, Doc: "return the folder of a tool on the node",
		Params: []step.Param{{Name: "name", Type: step.Str, Required: true}, {Name: "type", Type: step.Str, Doc: "its kind in Jenkins, for people: jdk, maven, …"}}}
}

// Run implements step.Step.
func (Tool) Run(t step.Thread, c *step.Call) (value.Value, error) {
	name, n := c.String("name"), t.Scope().Node
	raw, err := t.Do(step.Effect{Name: "tool", Args: []string{name, c.String("type")}, Run: func(ctx context.Context, _ step.Address) (any, error) {
		var folder string
		err := executor.Call(ctx, n, func(m agent.Machine) (err error) {
			folder, err = find(ctx, m, n, name)
			return err
		})
		return folder, executor.Refused(err)
	}})
	if err != nil {
		return nil, err
	}
	var folder string
	err = json.Unmarshal(raw, &folder)
	return folder, err
}

// find returns the folder of a tool.
func find(ctx context.Context, m agent.Machine, n *step.Node, name string) (string, error) {
	if own, ok := n.Tools[name]; ok {
		if isAbs(n.OS, own) {
			return own, nil
		}
		if n.Workspace.Tools == "" {
			return "", value.Abort(fmt.Sprintf("The tool %s of %s is in %s, below the tools that are mirrored to the node: there are none", name, n.Name, own))
		}
		return join(n, own), nil
	}
	if n.Workspace.Tools != "" && filepath.IsLocal(filepath.FromSlash(name)) && name != "." {
		info, err := m.Stat(ctx, n.Grant.Lease(), join(n, name))
		if err == nil && info.Mode.IsDir() {
			return join(n, name), nil
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return "", err
		}
	}
	has, err := list(ctx, m, n)
	if err != nil {
		return "", err
	}
	return "", value.Abort(fmt.Sprintf("No tool named %s found on %s: it has %s", name, n.Name, has))
}

func isAbs(os, p string) bool {
	return strings.HasPrefix(p, "/") || os == "windows" && (strings.HasPrefix(p, `\`) || len(p) > 1 && p[1] == ':')
}

// join is the path of a folder of the mirrored tools.
func join(n *step.Node, folder string) string {
	if n.OS == "windows" {
		return n.Workspace.Tools + `\` + strings.ReplaceAll(folder, "/", `\`)
	}
	return path.Join(n.Workspace.Tools, folder)
}

// shown is how many tools an error lists.
const shown = 50

// list says which tools a node has, for people. Of those that are mirrored it finds the folders with files in them.
func list(ctx context.Context, m agent.Machine, n *step.Node) (string, error) {
	names := slices.Collect(maps.Keys(n.Tools))
	if n.Workspace.Tools != "" {
		files, err := m.Glob(ctx, agent.GlobRequest{Lease: n.Grant.Lease(), Dir: n.Workspace.Tools, Includes: "*/*,*/*/*,*/*/*/*"})
		if err != nil {
			return "", err
		}
		for _, f := range files {
			top, _, _ := strings.Cut(f.Path, "/")
			names = append(names, top)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case len(names) == 0:
		return "no tools", nil
	case len(names) > shown:
		return strings.Join(names[:shown], ", ") + fmt.Sprintf(" and %d more", len(names)-shown), nil
	}
	return strings.Join(names, ", "), nil
}

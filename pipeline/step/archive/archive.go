// Package archive has the step archiveArtifacts: files of the workspace that the build keeps for good.
//
// The agent stores the files in the cas; the build keeps their paths and digests. Paths come from the agent, so they are
// checked here: nothing is ever unpacked on the controller, but they become URLs and names in people's folders.
package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Steps returns the steps of this package.
func Steps() []step.Step { return []step.Step{Artifacts{}} }

// Artifacts is `archiveArtifacts artifacts: 'target/*.jar'`.
type Artifacts struct{}

// Spec implements step.Step.
func (Artifacts) Spec() step.Spec {
	return step.Spec{Name: "archiveArtifacts", Sole: "artifacts", NeedsNode: true, Doc: "keep files with the build",
		Params: []step.Param{
			{Name: "artifacts", Type: step.Str, Required: true, Doc: "Ant patterns, comma separated"},
			{Name: "excludes", Type: step.Str},
			{Name: "allowEmptyArchive", Type: step.Boolean, Default: false},
			{Name: "onlyIfSuccessful", Type: step.Boolean, Default: false},
			{Name: "fingerprint", Type: step.Boolean, Default: false, Doc: "accepted: every artifact has its digest"},
			{Name: "defaultExcludes", Type: step.Boolean, Default: true},
			{Name: "caseSensitive", Type: step.Boolean, Default: true},
			{Name: "followSymlinks", Type: step.Boolean, Default: true, Doc: "accepted: links are kept as what they lead to"},
		}}
}

// Run implements step.Step.
func (Artifacts) Run(t step.Thread, c *step.Call) (value.Value, error) {
	patterns, scope, run := c.String("artifacts"), t.Scope(), t.Run()
	if strings.TrimSpace(patterns) == "" {
		return nil, value.Abort("No artifacts are configured for archiving.\nYou probably forgot to set the file pattern, so please go back to the configuration and specify it.")
	}
	if c.Bool("onlyIfSuccessful") && run.Result().Worse(build.Unstable) {
		t.Print("Skipping archiving because build is not successful")
		return nil, nil
	}
	t.Print("Archiving artifacts")
	_, dir := executor.Locate(scope, "")
	r := agent.GlobRequest{Lease: scope.Node.Grant.Lease(), Dir: dir, Includes: patterns, Excludes: c.String("excludes"),
		DefaultExcludes: c.Bool("defaultExcludes"), CaseInsensitive: !c.Bool("caseSensitive")}
	raw, err := t.Do(step.Effect{Name: "archiveArtifacts", Args: []any{r.Includes, r.Excludes, r.DefaultExcludes, r.CaseInsensitive}, Run: func(ctx context.Context, _ step.Address) (any, error) {
		var packed agent.Packed
		err := executor.Call(ctx, scope.Node, func(m agent.Machine) (err error) {
			packed, err = m.Pack(ctx, r)
			return err
		})
		if err != nil {
			return nil, executor.Refused(err)
		}
		list, err := artifacts(packed.Files)
		if err != nil || len(list) == 0 {
			return 0, err
		}
		return len(list), run.Details().PutArtifacts(ctx, run.Build().ID, list)
	}})
	if err != nil {
		return nil, err
	}
	var n int
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, err
	}
	if n > 0 {
		if c.Bool("fingerprint") {
			t.Print("Recording fingerprints")
		}
		return nil, nil
	}
	text := fmt.Sprintf("No artifacts found that match the file pattern %q. Configuration error?", patterns)
	if c.Bool("allowEmptyArchive") {
		t.Print(text)
		return nil, nil
	}
	return nil, value.Abort(text)
}

// artifacts checks what an agent says it packed.
func artifacts(files []agent.PackedFile) ([]build.Artifact, error) {
	list := make([]build.Artifact, 0, len(files))
	seen := make(map[string]bool, len(files))
	for _, f := range files {
		if err := checkPath(f.Path); err != nil {
			return nil, err
		}
		if err := f.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("artifact %q: %w", f.Path, err)
		}
		if seen[f.Path] {
			return nil, fmt.Errorf("artifact %q: the agent sent it twice", f.Path)
		}
		seen[f.Path] = true
		list = append(list, build.Artifact{Path: f.Path, Digest: f.Digest.String(), Size: f.Digest.Size, Mode: uint32(f.Mode.Perm())})
	}
	return list, nil
}

func checkPath(p string) error {
	control := strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f })
	if !fs.ValidPath(p) || p == "." || control || strings.Contains(p, `\`) || len(p) > 4096 || !utf8.ValidString(p) {
		return value.Abort(fmt.Sprintf("artifact %.200q: the path cannot be kept: expected a relative path without .., backslashes and control characters", p))
	}
	return nil
}

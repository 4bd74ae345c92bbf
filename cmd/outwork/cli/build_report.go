package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/task/graph"
	taskrun "github.com/outwork-build/outwork/task/run"
)

// concludeTasks copies and shows what was built, and says whether that is all.
func (e *env) concludeTasks(ctx context.Context, w *workshop, v *view, report *taskrun.Report) error {
	missing := report.Missing(w.graph)
	if w.flags.result != "" && ctx.Err() == nil {
		if err := copyResults(ctx, w, report); err != nil {
			return err
		}
	}
	if e.json {
		if err := e.show(newTaskReport(w.graph, report), nil); err != nil {
			return err
		}
	}
	v.summary(report)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case len(missing) > 0:
		e.say("No artifact: %s", strings.Join(missing, " "))
		return errResult{"FAILURE"}
	}
	return nil
}

// copyResults writes the goals' artifacts below --result.
func copyResults(ctx context.Context, w *workshop, report *taskrun.Report) error {
	if err := os.MkdirAll(w.flags.result, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(w.flags.result)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, n := range w.graph.Goals {
		r := report.Results[n.Index]
		if !r.OK() {
			continue
		}
		dir := "."
		if len(w.graph.Goals) > 1 {
			dir = strings.NewReplacer(":", "-", ",", "-").Replace(n.Task.ID)
		}
		if err := tree.Unpack(ctx, w.store, r.Artifact, root, dir, tree.Limits{}); err != nil {
			return fmt.Errorf("copy the artifact of %s: %w", r.ID, err)
		}
	}
	return nil
}

// taskReport is a build as --json shows it.
type taskReport struct {
	Goals  []string     `json:"goals"`
	Tasks  []taskResult `json:"tasks"`
	TookMS int64        `json:"tookMs"`
}

type taskResult struct {
	taskrun.Result
	Key      string `json:"key,omitempty"`
	Artifact string `json:"artifact,omitempty"`
	TookMS   int64  `json:"tookMs"`
}

func newTaskReport(g *graph.Graph, r *taskrun.Report) taskReport {
	out := taskReport{TookMS: r.Took.Milliseconds()}
	for _, n := range g.Goals {
		out.Goals = append(out.Goals, n.Task.ID)
	}
	for _, res := range r.Results {
		t := taskResult{Result: res, TookMS: res.Took.Milliseconds()}
		if res.Key != (cas.Digest{}) {
			t.Key = res.Key.String()
		}
		if res.OK() {
			t.Artifact = res.Artifact.String()
		}
		out.Tasks = append(out.Tasks, t)
	}
	return out
}

// explainTasks shows what goes into the goals' keys.
func (e *env) explainTasks(ctx context.Context, w *workshop) error {
	xs, err := w.builder.Explain(ctx, w.graph)
	if err != nil {
		return err
	}
	return e.show(xs, func(t *tabwriter.Writer) {
		for i, x := range xs {
			if i > 0 {
				fmt.Fprintln(t)
			}
			fmt.Fprintf(t, "Task:\t%s\n", x.ID)
			if len(x.Unknown) > 0 {
				fmt.Fprintf(t, "Key:\tnot known before %s is built\n", strings.Join(x.Unknown, " and "))
			} else {
				fmt.Fprintf(t, "Key:\t%s\n", x.Key)
				fmt.Fprintf(t, "Cached:\t%s\n", map[bool]string{true: "yes", false: "no"}[x.Cached])
			}
			for _, r := range x.Reasons {
				fmt.Fprintf(t, "Because:\t%s\n", r)
			}
			for _, p := range x.Parts {
				fmt.Fprintf(t, "%s\t%s\t%s\n", p.Kind, p.Name, p.Value)
			}
		}
	})
}

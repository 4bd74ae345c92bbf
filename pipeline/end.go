package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// ending is how a build ended.
type ending struct {
	over    bool // before this attempt: there is nothing to do
	result  build.Result
	kind    build.CauseKind
	message string   // one line
	lines   []string // printed before "Finished: …"
}

// ended makes the ending of a program's error. A failure of the farm never shows as one of the build's own work.
func (u *run) ended(err error) ending {
	e := ending{result: build.Worst(u.Result(), step.ResultOf(err))}
	var ex *value.Exception
	var limit *interp.LimitError
	switch {
	case err == nil:
		if e.result == "" {
			e.result = build.Success
		}
		return e
	case errors.As(err, &ex):
		e.lines, e.kind = u.unsaid(ex), u.kindOf(ex)
	case errors.As(err, &limit):
		e.lines = []string{"ERROR: " + err.Error()}
	default:
		e.kind, e.lines = build.CauseInfra, []string{"ERROR: " + err.Error()}
	}
	e.message = firstLine(err.Error())
	if ex != nil && len(ex.Causes) > 0 {
		e.message = strings.Join(ex.Causes, "; ")
	}
	return e
}

// kindOf tells an interruption by a person and a lost agent from the build's own failures.
func (u *run) kindOf(e *value.Exception) build.CauseKind {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case slices.Contains(e.Tags, "agent"):
		return build.CauseLost
	case u.asked != nil && e.Class == value.FlowInterrupted && slices.Equal(e.Causes, u.asked.Causes):
		return build.CauseUser
	}
	return build.CauseNone
}

// unsaid is what the console does not say already of an uncaught exception: an abort was announced when it came.
func (u *run) unsaid(e *value.Exception) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.asked != nil && e.Class == value.FlowInterrupted && slices.Equal(e.Causes, u.asked.Causes) {
		return nil
	}
	return step.Report(e)
}

// finish makes the end durable. The log is whole before the record says Finished; a build whose record is Finished is never
// resumed.
func (u *run) finish(e ending) error {
	ctx := context.WithoutCancel(u.ctx)
	u.nodes.releaseAll(ctx)
	u.say("end", strings.Join(append(e.lines, "Finished: "+string(e.result)), "\n"))
	u.stages.finish(ctx, e.result)
	if err := u.out.Load().Finish(); err != nil {
		u.log.Error("the log cannot be completed", "err", err)
	}
	record := u.Build()
	_, err := u.r.c.Builds.Update(ctx, u.id, func(b *build.Build) error {
		b.State, b.Result, b.CauseKind, b.Message, b.Ended = build.Finished, e.result, e.kind, e.message, u.r.c.Now().UTC()
		b.Description, b.DisplayName, b.Parameters = record.Description, record.DisplayName, record.Parameters
		return nil
	})
	if err != nil {
		return err
	}
	u.r.news.Notify()
	u.r.count.ended(e.result, e.kind)
	u.log.Info("build finished", "result", string(e.result), "cause", string(e.kind), "message", e.message)
	if err := u.r.c.Store.Drop(ctx, u.id); err != nil {
		u.log.Warn("the journal of a finished build was not dropped", "err", err)
	}
	u.r.discard(ctx, u.id.Job)
	return nil
}

// discard deletes the builds that the job's buildDiscarder does not keep. Like Jenkins it always keeps the last successful one.
func (r *Runner) discard(ctx context.Context, name build.JobName) {
	job, err := r.c.Builds.Job(ctx, name)
	if err != nil || job.Properties.KeepBuilds == 0 && job.Properties.KeepDays == 0 {
		return
	}
	old := r.obsolete(ctx, job)
	for _, id := range old {
		if err := errors.Join(r.c.Builds.DeleteBuild(ctx, id), r.c.Logs.Remove(id), r.c.Store.Drop(ctx, id)); err != nil {
			r.log.Warn("an old build was not discarded", "build", id.String(), "err", err)
		}
	}
	if len(old) > 0 {
		r.news.Notify()
	}
}

func (r *Runner) obsolete(ctx context.Context, job build.Job) []build.ID {
	var out []build.ID
	kept, seen, before := 0, false, 0
	oldest := r.c.Now().AddDate(0, 0, -job.Properties.KeepDays)
	for {
		page, err := r.c.Builds.Builds(ctx, build.Filter{Job: job.Name, States: []build.State{build.Finished}, Before: before, Limit: 200})
		if err != nil {
			r.log.Warn("old builds are not discarded", "job", string(job.Name), "err", err)
			return nil
		}
		for _, b := range page {
			before = b.ID.Number
			last := !seen && b.Result == build.Success
			seen = seen || last
			kept++
			if !last && (job.Properties.KeepBuilds > 0 && kept > job.Properties.KeepBuilds || job.Properties.KeepDays > 0 && b.Ended.Before(oldest)) {
				out = append(out, b.ID)
			}
		}
		if len(page) < 200 {
			return out
		}
	}
}

// Now implements step.Run.
func (u *run) Now() time.Time { return u.r.c.Now() }

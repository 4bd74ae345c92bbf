package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Trigger accepts a build of a job: when it returns, the build is on disk and will run. fault.NotFound when there is no such
// job, fault.Conflict when it is disabled, fault.Invalid when the parameters do not fit those that the job declares. A job
// that has never run declares none yet and takes any.
func (r *Runner) Trigger(ctx context.Context, name build.JobName, params map[string]string, cause build.Cause) (build.ID, error) {
	job, err := r.c.Builds.Job(ctx, name)
	if err != nil {
		return build.ID{}, err
	}
	if job.Disabled {
		return build.ID{}, fault.New(fault.Conflict, "job %s is disabled: enable it to build it", name)
	}
	full, err := parameters(job, params)
	if err != nil {
		return build.ID{}, err
	}
	if cause.Text == "" {
		cause.Text = causeText(cause)
	}
	id, err := r.c.Builds.Accept(ctx, build.Build{ID: build.ID{Job: name}, State: build.Queued, Cause: cause, Parameters: full, Accepted: r.c.Now().UTC()})
	if err != nil {
		return build.ID{}, fmt.Errorf("accept a build of %s: %w", name, err)
	}
	r.count.accepted.Inc()
	r.hold(&held{id: id, props: job.Properties, why: toStart})
	r.ring()
	r.news.Notify()
	return id, nil
}

// Rebuild triggers a build with the parameters of an earlier one.
func (r *Runner) Rebuild(ctx context.Context, id build.ID, by string) (build.ID, error) {
	b, err := r.c.Builds.Build(ctx, id)
	if err != nil {
		return build.ID{}, err
	}
	cause := build.Cause{Kind: "rebuild", User: by, Text: fmt.Sprintf("Rebuilds build #%d, started by user %s", id.Number, by)}
	return r.Trigger(ctx, id.Job, b.Parameters, cause)
}

func causeText(c build.Cause) string {
	switch c.Kind {
	case "user":
		return "Started by user " + c.User
	case "timer":
		return "Started by timer"
	case "scm":
		return "Started by an SCM change"
	case "":
		return "Started"
	}
	return "Started by " + c.Kind
}

// parameters checks what was given against what the job declares, and fills in defaults.
func parameters(job build.Job, given map[string]string) (map[string]string, error) {
	declared := job.Properties.Parameters
	out := maps.Clone(given)
	if out == nil {
		out = map[string]string{}
	}
	if len(declared) == 0 && job.NextNumber <= 1 {
		return out, nil
	}
	var names []string
	for _, p := range declared {
		names = append(names, p.Name)
		v, ok := out[p.Name]
		if !ok {
			out[p.Name] = p.Default
			continue
		}
		if err := checkParameter(p, v); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			if len(names) == 0 {
				return nil, fault.New(fault.Invalid, "parameter %q: job %s declares no parameters", name, job.Name)
			}
			return nil, fault.New(fault.Invalid, "parameter %q: job %s declares %s", name, job.Name, strings.Join(names, ", "))
		}
	}
	return out, nil
}

func checkParameter(p build.Parameter, v string) error {
	switch p.Kind {
	case "boolean":
		if v != "true" && v != "false" {
			return fault.New(fault.Invalid, "parameter %q: %q: expected true or false", p.Name, v)
		}
	case "choice":
		if !slices.Contains(p.Choices, v) {
			return fault.New(fault.Invalid, "parameter %q: %q: expected one of %s", p.Name, v, strings.Join(p.Choices, ", "))
		}
	case "string":
		if strings.ContainsAny(v, "\n\r") {
			return fault.New(fault.Invalid, "parameter %q: expected one line", p.Name)
		}
	}
	return nil
}

// Abort asks for the end of a build. The request is durable: a restart does not lose it. The first request interrupts what
// runs, and post and finally blocks follow; a further one ends the build at once. A queued build ends without having run.
// fault.Conflict when it has finished.
func (r *Runner) Abort(ctx context.Context, id build.ID, by string) error {
	var again bool
	b, err := r.c.Builds.Update(ctx, id, func(b *build.Build) error {
		if b.State == build.Finished {
			return fault.New(fault.Conflict, "build %s has finished", id)
		}
		if again = b.AbortBy != ""; !again {
			b.AbortBy = by
		}
		if b.State == build.Queued {
			b.State, b.Result, b.CauseKind = build.Finished, build.Aborted, build.CauseUser
			b.Message, b.Ended = "Aborted by "+b.AbortBy, r.c.Now().UTC()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if b.State == build.Finished {
		r.count.ended(b.Result, b.CauseKind)
		r.forget(b)
		return nil
	}
	r.mu.Lock()
	u := r.running[id]
	r.mu.Unlock()
	switch {
	case u == nil: // it is about to start, or to be resumed: it reads the request from its record
	case again:
		u.kill(abortedBy(b.AbortBy))
	default:
		u.interrupt(abortedBy(b.AbortBy))
	}
	return nil
}

// forget ends a build that never started: its log says why, and it waits no more.
func (r *Runner) forget(b build.Build) {
	r.mu.Lock()
	r.waiting = slices.DeleteFunc(r.waiting, func(h *held) bool { return h.id == b.ID })
	r.forgotten[b.ID] = true
	r.mu.Unlock()
	l, err := r.c.Logs.Build(b.ID)
	if err == nil {
		_, err = l.Stream("end", "").WriteAt([]byte(b.Cause.Text+"\n"+b.Message+"\nFinished: ABORTED\n"), 0)
		if err == nil {
			err = l.Finish()
		}
		l.Release()
	}
	if err != nil {
		r.log.Warn("the log of a build that was aborted in the queue is incomplete", "build", b.ID.String(), "err", err)
	}
	r.ring()
	r.news.Notify()
}

func abortedBy(by string) *value.Exception {
	return &value.Exception{Class: value.FlowInterrupted, Result: string(build.Aborted), Causes: []string{"Aborted by " + by}}
}

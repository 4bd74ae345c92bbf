package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
	"github.com/outwork-build/outwork/queue"
)

// run is one build while it is evaluated. It is the step.Run of its steps.
//
//	record ─▶ texts (pinned, or fetched) ─▶ parse ─▶ journal ─▶ program ─▶ result ─▶ record
//
// Every arrow may be cut by the end of the controller, or when the run is parked; the next time it starts again at the first.
type run struct {
	r   *Runner
	id  build.ID
	log *slog.Logger

	job       build.Job
	source    *build.Source
	out       atomic.Pointer[log.Log] // of execute, or of meanwhile
	env       *environment
	params    *value.Map // the global; belongs to the baton's holder
	stages    *stages
	nodes     *nodes
	listeners listeners
	ctx       context.Context // of execute: ends when the controller stops, when the journal cannot be written, or when the run is parked
	dues      dues

	mu        sync.Mutex // guards all below
	record    build.Build
	prog      *interp.Program
	asked     *value.Exception // the interruption that was asked for; nil none
	killed    bool             // and then the end at once
	stopFetch context.CancelCauseFunc

	superseded bool     // guarded by Runner.mu
	at         position // guarded by Runner.mu

	life sync.Mutex                // held by who evaluates the run, or speaks for it; guards what follows
	kept map[queue.ItemID]*waiting // what waited in the queue when the run was evaluated last
	over bool                      // nobody speaks for it any more

	opened  bool // out is this evaluation's; belongs to execute, as do fresh and claimed
	fresh   bool // nothing of the run can be in the ledger yet
	claimed bool // the queue knows which leases of an earlier life the run still wants
}

func newRun(r *Runner, b build.Build) *run {
	return &run{r: r, id: b.ID, log: r.log.With("build", b.ID.String()), record: b}
}

// execute evaluates the build to its end. An error says that it has not ended, and why it could not go on; it may be called again.
func (u *run) execute(outer context.Context) error {
	u.life.Lock()
	defer u.life.Unlock()
	ctx, stop := context.WithCancelCause(outer)
	defer stop(nil)
	u.r.mu.Lock()
	u.at.evict = stop
	u.r.mu.Unlock()
	u.ctx, u.claimed = ctx, false
	end, err := u.evaluate(ctx, stop)
	u.r.evaluated(u)
	if err == nil && !end.over && !u.claimed && !u.fresh {
		err = u.abandon(context.WithoutCancel(ctx))
	}
	u.fresh = false
	if err == nil && !end.over {
		err = u.finish(end)
	}
	u.mu.Lock()
	u.prog = nil // who interrupts from now on leaves it to the record
	u.mu.Unlock()
	u.drop()
	u.over = err == nil
	if err != nil && ctx.Err() != nil && outer.Err() == nil {
		return context.Cause(ctx) // what the journal said, or that the run is to be parked
	}
	return err
}

// drop lets go of all that only an evaluation needs.
func (u *run) drop() {
	if u.stages != nil {
		u.stages.close()
	}
	if u.opened {
		u.out.Load().Release()
	}
	if u.nodes != nil {
		u.kept = u.nodes.waits
	}
	u.opened, u.job, u.source, u.env, u.params, u.stages, u.nodes = false, build.Job{}, nil, nil, nil, nil, nil
}

// evaluate runs the program. The error says that the build has not ended; it is to be resumed.
func (u *run) evaluate(ctx context.Context, stop context.CancelCauseFunc) (ending, error) {
	b, err := u.r.c.Builds.Build(ctx, u.id)
	if err != nil {
		return ending{}, err
	}
	if b.State == build.Finished {
		return ending{over: true}, nil
	}
	u.reset(b)
	if u.job, err = u.r.c.Builds.Job(ctx, u.id.Job); err != nil {
		return ending{}, err
	}
	out, err := u.r.c.Logs.Build(u.id)
	if err != nil {
		return ending{}, fmt.Errorf("open the log: %w", err)
	}
	u.out.Store(out)
	u.opened = true
	u.stages, u.nodes = newStages(u), newNodes(u)
	if err := u.stages.load(ctx); err != nil {
		return ending{}, err
	}
	u.say("start", b.Cause.Text)
	if b.AbortBy != "" {
		u.interrupt(abortedBy(b.AbortBy))
	}
	pin, err := u.fetchTexts(ctx)
	var none *unfetched
	switch {
	case ctx.Err() != nil:
		return ending{}, interp.ErrStopped
	case errors.As(err, &none) || isException(err):
		return u.ended(err), nil
	case err != nil:
		return ending{}, err
	}
	u.job = pin.Job
	if u.job.Source.Git != nil || u.job.Source.Dir != nil {
		u.source = &u.job.Source
	}
	u.env = newEnvironment(u, pin.Branch)
	file, err := jenkinsfile.Parse("WorkflowScript", pin.Script)
	if err != nil {
		return u.invalid(err)
	}
	entries, err := u.journal(ctx)
	if err != nil {
		return ending{}, err
	}
	prog, err := u.program(file, entries, stop)
	if err != nil {
		return u.invalid(err)
	}
	return u.perform(ctx, prog, entries)
}

// abandon sees to what an earlier life of the controller got for a build that ends without its program: nobody claims that any
// more.
func (u *run) abandon(ctx context.Context) error {
	entries, err := u.journal(ctx)
	if err == nil {
		u.nodes.abandon(ctx, entries)
	}
	return err
}

// reset takes the record as a program finds it at its start: what the program itself sets, it sets again on replay.
func (u *run) reset(b build.Build) {
	b.Result, b.Description, b.DisplayName = "", "", ""
	u.mu.Lock()
	defer u.mu.Unlock()
	u.record = b
}

// fetchTexts gets the pinned texts, or pins them. An interruption ends it.
func (u *run) fetchTexts(ctx context.Context) (pinned, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u.mu.Lock()
	u.stopFetch = cancel
	if u.asked != nil {
		u.announce(u.asked)
		cancel(u.asked)
	}
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		u.stopFetch = nil
		u.mu.Unlock()
	}()
	p, err := u.texts(ctx)
	if cause := context.Cause(ctx); err != nil && isException(cause) {
		err = cause
	}
	return p, err
}

// perform gives the program what was asked for before it was there, and runs it.
func (u *run) perform(ctx context.Context, prog *interp.Program, entries []interp.Entry) (ending, error) {
	if err := u.nodes.claim(ctx, entries); err != nil {
		return ending{}, err
	}
	u.claimed = true
	u.mu.Lock()
	u.prog = prog
	if u.asked != nil {
		u.announce(u.asked)
		if !interrupted(entries) {
			prog.Abort(u.asked)
		}
		if u.killed {
			prog.Abort(u.asked)
		}
	}
	u.mu.Unlock()
	u.r.attend(u, prog)
	err := prog.Run(ctx)
	if errors.Is(err, interp.ErrStopped) || ctx.Err() != nil {
		return ending{}, interp.ErrStopped
	}
	return u.ended(err), nil
}

// interrupted reports that the journal has the abort of the whole program already.
func interrupted(entries []interp.Entry) bool {
	for _, e := range entries {
		if e.Kind == interp.Interrupted && e.Address == "abort" || e.Kind == interp.Killed {
			return true
		}
	}
	return false
}

// invalid ends a build whose Jenkinsfile cannot be evaluated: every error is in the log, nothing has run.
func (u *run) invalid(err error) (ending, error) {
	e := ending{result: build.Failure, message: firstLine(err.Error()), lines: []string{err.Error()}}
	var errs jenkinsfile.Errors
	if errors.As(err, &errs) {
		e.lines = strings.Split(strings.TrimRight(errs.Console(), "\n"), "\n")
		e.message = firstLine(errs[0].Message)
	}
	return e, nil
}

// interrupt asks the program to end, once; what is asked before the program is there is kept for it.
func (u *run) interrupt(e *value.Exception) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.asked != nil {
		return
	}
	u.asked = e
	switch {
	case u.prog != nil:
		u.announce(e)
		u.prog.Abort(e)
	case u.stopFetch != nil:
		u.announce(e)
		u.stopFetch(e)
	}
	u.r.wake(u)
}

// kill ends the program at once.
func (u *run) kill(e *value.Exception) {
	u.interrupt(e)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.killed = true; u.prog != nil {
		u.prog.Abort(e)
	}
	u.r.wake(u)
}

// announce prints why the program is interrupted, before what the interruption makes the steps print.
func (u *run) announce(e *value.Exception) { u.say("abort", strings.Join(e.Causes, "\n")) }

// say prints a line of the run's own, once in the life of the build.
func (u *run) say(stream, text string) {
	if _, err := u.out.Load().Stream(stream, "").WriteAt([]byte(text+"\n"), 0); err != nil {
		u.log.Warn("console", "stream", stream, "err", err)
	}
}

// journal reads what was kept.
func (u *run) journal(ctx context.Context) ([]interp.Entry, error) {
	if u.fresh {
		return nil, nil
	}
	kept, err := u.r.c.Store.Load(ctx, u.id)
	if err != nil {
		return nil, fmt.Errorf("load the journal: %w", err)
	}
	out := make([]interp.Entry, len(kept))
	for i, k := range kept {
		if err := json.Unmarshal(k.Data, &out[i]); err != nil {
			return nil, fmt.Errorf("journal entry %d: %w", k.Seq, err)
		}
		out[i].Seq = k.Seq
	}
	return out, nil
}

// keeper is the interp.Journal of a run.
type keeper struct {
	u    *run
	stop context.CancelCauseFunc
}

// Append implements interp.Journal. When it fails the run stops, before the program can print another word.
func (k keeper) Append(ctx context.Context, entries []interp.Entry) error {
	out := make([]Entry, len(entries))
	for i, e := range entries {
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		out[i] = Entry{Seq: e.Seq, Data: data}
	}
	err := k.u.r.c.Store.Append(ctx, k.u.id, out)
	if err != nil {
		k.u.log.Error("the journal cannot be written", "err", err)
		k.stop(err)
	}
	return err
}

// Build implements step.Run, as do the methods below.
func (u *run) Build() build.Build {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.record
}

func (u *run) Job() build.Job         { return u.job }
func (u *run) Details() build.Details { return u.r.c.Details }
func (u *run) Nodes() step.Nodes      { return u.nodes }
func (u *run) SCM() *build.Source     { return u.source }
func (u *run) Base() []string         { return u.env.base() }

func (u *run) Result() build.Result {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.record.Result
}

func (u *run) SetResult(r build.Result) {
	u.change(func(b *build.Build) { b.Result = build.Worst(b.Result, r) })
}

// change changes the record; the ledger follows.
func (u *run) change(f func(*build.Build)) {
	u.mu.Lock()
	f(&u.record)
	u.mu.Unlock()
	u.stages.wake()
}

// Learn implements step.Learner.
func (u *run) Learn(ctx context.Context, change func(*build.Properties)) error {
	job, err := u.r.c.Builds.Job(ctx, u.id.Job)
	if err != nil {
		return err
	}
	change(&job.Properties)
	if err := u.r.c.Builds.PutJob(ctx, job, false); err != nil {
		return fault.With(fault.Of(err), fmt.Errorf("keep the properties of job %s: %w", u.id.Job, err))
	}
	u.r.learn(u.id.Job, job.Properties)
	return nil
}

// Stage implements step.Stages.
func (u *run) Stage(s build.Stage) { u.stages.put(s) }

func firstLine(s string) string { l, _, _ := strings.Cut(s, "\n"); return l }

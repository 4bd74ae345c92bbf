package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Runner is the set of all runs. See New and Run.
type Runner struct {
	c     Config
	log   *slog.Logger
	steps map[string]step.Step
	bell  chan struct{} // one token: the set of waiting or running builds changed
	news  broadcast
	count *metrics

	mu        sync.Mutex
	waiting   []*held           // queued builds in the order they were accepted
	running   map[build.ID]*run // started and not finished
	recovered map[build.ID]bool // queued builds that recover found: a Trigger that has not returned yet leaves them alone
	forgotten map[build.ID]bool // aborted in the queue since Run last looked at it; who saw them before does not hold them again
}

// held is a queued build.
type held struct {
	id    build.ID
	props build.Properties
	why   string
}

// New checks the configuration. Nothing starts before Run; builds may be triggered before.
func New(c Config) (*Runner, error) {
	if c.Builds == nil || c.Details == nil || c.Store == nil || c.Logs == nil || c.Queue == nil || c.Fleet == nil {
		return nil, errors.New("pipeline: Builds, Details, Store, Logs, Queue and Fleet must be set")
	}
	if c.MaxRunning == 0 {
		c.MaxRunning = 2000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{c: c, log: c.Log, steps: map[string]step.Step{}, bell: make(chan struct{}, 1), running: map[build.ID]*run{}, recovered: map[build.ID]bool{}, forgotten: map[build.ID]bool{}}
	for _, s := range c.Steps {
		name := s.Spec().Name
		if r.steps[name] != nil {
			return nil, fmt.Errorf("pipeline: two steps are named %q", name)
		}
		r.steps[name] = s
	}
	var err error
	r.count, err = newMetrics(r)
	return r, err
}

// Subscribe signals, without content, that a build, its stages or what Waiting says would read differently. cancel ends it.
func (r *Runner) Subscribe() (changed <-chan struct{}, cancel func()) { return r.news.subscribe() }

// Run resumes every unfinished build and then serves until ctx ends. It returns when all evaluation has stopped. What runs on
// agents goes on, builds stay as they are in the ledger: the next Run resumes them.
func (r *Runner) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	start := func(u *run) { wg.Go(func() { r.serve(ctx, u) }) }
	if err := r.recover(ctx, start); err != nil {
		return err
	}
	for {
		for _, h := range r.due() {
			r.begin(ctx, h, start)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.bell:
		}
	}
}

// recover takes up what an earlier Run left. While the ledger is read builds may be triggered and aborted: one that is
// triggered is held once, by whoever comes first, and one that is aborted in the queue is not held any more.
func (r *Runner) recover(ctx context.Context, start func(*run)) error {
	builds, err := r.c.Store.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("list unfinished builds: %w", err)
	}
	old, resumed := r.takeUp(builds)
	learnt := map[build.JobName]bool{}
	for _, h := range old {
		if learnt[h.id.Job] {
			continue
		}
		learnt[h.id.Job] = true
		if job, err := r.c.Builds.Job(ctx, h.id.Job); err == nil {
			r.learn(h.id.Job, job.Properties)
		}
	}
	for _, u := range resumed {
		start(u)
	}
	return nil
}

// takeUp holds the queued builds before all that were triggered since, and makes runs of the others.
func (r *Runner) takeUp(builds []build.Build) (old []*held, resumed []*run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := map[build.ID]bool{}
	for _, h := range r.waiting {
		known[h.id] = true
	}
	for _, b := range builds {
		switch {
		case known[b.ID] || r.forgotten[b.ID]:
		case b.State == build.Running:
			u := newRun(r, b)
			r.running[b.ID] = u
			r.count.resumed.Inc()
			resumed = append(resumed, u)
		default:
			r.recovered[b.ID] = true
			old = append(old, &held{id: b.ID})
		}
	}
	r.waiting = append(old, r.waiting...)
	return old, resumed
}

// hold puts a build that was accepted into the queue, unless recover has found it there.
func (r *Runner) hold(h *held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.recovered[h.id] {
		r.waiting = append(r.waiting, h)
	}
}

// due takes the builds out of the waiting list that may start now, and gives the others the reason why not.
func (r *Runner) due() []*held {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.forgotten)
	busy := map[build.JobName]int{}
	for id := range r.running {
		busy[id.Job] = max(busy[id.Job], id.Number)
	}
	var out, rest []*held
	changed := false
	for _, h := range r.waiting {
		why := ""
		switch n := busy[h.id.Job]; {
		case h.props.DisableConcurrent && n > 0:
			why = fmt.Sprintf("Build #%d is already in progress", n)
		case len(r.running)+len(out) >= r.c.MaxRunning:
			why = fmt.Sprintf("Waiting: %d pipelines are in progress, the limit of this controller", r.c.MaxRunning)
		}
		if why == "" {
			out = append(out, h)
			busy[h.id.Job] = h.id.Number
			continue
		}
		changed = changed || h.why != why
		h.why = why
		rest = append(rest, h)
	}
	r.waiting = rest
	if changed {
		r.news.signal()
	}
	r.supersede(rest)
	return out
}

// supersede aborts the running build of a job that wants only its newest. The caller holds mu.
func (r *Runner) supersede(waiting []*held) {
	for _, h := range waiting {
		if !h.props.DisableConcurrent || !h.props.AbortPrevious {
			continue
		}
		for id, u := range r.running {
			if id.Job == h.id.Job && !u.superseded {
				u.superseded = true
				go u.interrupt(supersededBy(h.id))
			}
		}
	}
}

func supersededBy(id build.ID) *value.Exception {
	text := fmt.Sprintf("Superseded by %s", id)
	return &value.Exception{Class: value.FlowInterrupted, Result: string(build.NotBuilt), Causes: []string{text}}
}

// begin makes a build's start durable and starts it. A build that was aborted or deleted meanwhile is left alone.
func (r *Runner) begin(ctx context.Context, h *held, start func(*run)) {
	b, err := r.c.Builds.Update(ctx, h.id, func(b *build.Build) error {
		if b.State == build.Queued {
			b.State, b.Started = build.Running, r.c.Now().UTC()
		}
		return nil
	})
	switch {
	case ctx.Err() != nil && err != nil: // the next Run finds it
	case fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound):
		r.ring() // another of its job may have waited for it
	case err != nil:
		r.log.Error("cannot start a build; it is tried again", "build", h.id.String(), "err", err)
		r.again(h)
	case b.State != build.Running:
		r.ring()
	default:
		u := newRun(r, b)
		u.fresh = true
		r.mu.Lock()
		r.running[b.ID] = u
		r.mu.Unlock()
		r.news.signal()
		start(u)
	}
}

// again puts a build that could not be started back to its place.
func (r *Runner) again(h *held) {
	r.mu.Lock()
	if !r.forgotten[h.id] {
		r.waiting = append([]*held{h}, r.waiting...)
	}
	r.mu.Unlock()
	time.AfterFunc(time.Second, r.ring)
}

// Pauses before a run that could not go on is resumed: the ledger was locked, the disk was full.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// serve evaluates one build and forgets it. A run that stopped for a failure of the ledger is resumed from its journal until it
// ends; one that another controller has taken over is left to it.
func (r *Runner) serve(ctx context.Context, u *run) {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		err := u.execute(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		u.log.Error("the build could not go on", "err", err)
		if fault.Is(err, fault.Stale) || fault.Is(err, fault.NotFound) {
			break
		}
		if pause(ctx, wait); ctx.Err() != nil {
			break
		}
		r.count.resumed.Inc()
	}
	r.mu.Lock()
	delete(r.running, u.id)
	r.mu.Unlock()
	r.ring()
	r.news.signal()
}

func (r *Runner) ring() {
	select {
	case r.bell <- struct{}{}:
	default:
	}
}

// learn gives the waiting builds of a job its new properties.
func (r *Runner) learn(job build.JobName, p build.Properties) {
	r.mu.Lock()
	for _, h := range r.waiting {
		if h.id.Job == job {
			h.props = p
		}
	}
	r.mu.Unlock()
	r.ring()
}

// Held is a queued build and the reason why it has not started.
type Held struct {
	ID  build.ID `json:"id"`
	Why string   `json:"why"`
}

// Waiting lists the queued builds in the order they will start, each with its reason.
func (r *Runner) Waiting() []Held {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Held, len(r.waiting))
	for i, h := range r.waiting {
		out[i] = Held{h.id, h.why}
	}
	return out
}

// broadcast signals without content to any number of listeners. The zero value is ready.
type broadcast struct {
	mu   sync.Mutex
	subs map[chan struct{}]bool
}

func (b *broadcast) subscribe() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = map[chan struct{}]bool{}
	}
	b.subs[ch] = true
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, ch)
	}
}

func (b *broadcast) signal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ch := range b.subs {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

package pipeline

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/signal"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Runner is the set of all runs. See New and Run.
type Runner struct {
	c     Config
	log   *slog.Logger
	steps map[string]step.Step
	bell  chan struct{} // one token: the set of waiting or running builds changed
	news  signal.Set
	count *metrics
	asked errands // why items wait

	mu      sync.Mutex
	waiting []*held           // queued builds in the order they were accepted
	running map[build.ID]*run // started and not finished, in memory or not
	called  []*run            // that are to go on: what they waited for is there
	resumed []*run            // that an earlier controller left, and that are to be taken up
	turn    int               // which of called, resumed and waiting is served first
	loading int               // runs that evaluate what stands before their first wait
	active  int               // runs in memory that are not quiet
	away    int               // runs that are parked

	quiet        *list.List // of *run: in memory, quiet and ready to be parked, the longest first
	quietThreads int        // of these
	ticker       *time.Timer

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
	c.limits()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{c: c, log: c.Log, steps: map[string]step.Step{}, bell: make(chan struct{}, 1),
		running: map[build.ID]*run{}, quiet: list.New(), recovered: map[build.ID]bool{}, forgotten: map[build.ID]bool{}}
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
func (r *Runner) Subscribe() (changed <-chan struct{}, cancel func()) { return r.news.Subscribe() }

// Run resumes every unfinished build and then serves until ctx ends. It returns when all evaluation has stopped. What runs on
// agents goes on, builds stay as they are in the ledger: the next Run resumes them.
func (r *Runner) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer r.close()
	defer wg.Wait()
	start := func(u *run) { wg.Go(func() { r.serve(ctx, u) }) }
	if err := r.recover(ctx); err != nil {
		return err
	}
	for {
		runs, builds := r.next()
		for _, u := range runs {
			start(u)
		}
		for _, h := range builds {
			if u := r.begin(ctx, h); u != nil {
				start(u)
			}
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
func (r *Runner) recover(ctx context.Context) error {
	builds, err := r.c.Store.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("list unfinished builds: %w", err)
	}
	old := r.takeUp(builds)
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
	return nil
}

// takeUp holds the queued builds before all that were triggered since, and makes runs of the others.
func (r *Runner) takeUp(builds []build.Build) (old []*held) {
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
			r.resumed = append(r.resumed, u)
		default:
			r.recovered[b.ID] = true
			old = append(old, &held{id: b.ID})
		}
	}
	r.waiting = append(old, r.waiting...)
	return old
}

// hold puts a build that was accepted into the queue, unless recover has found it there.
func (r *Runner) hold(h *held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.recovered[h.id] {
		r.waiting = append(r.waiting, h)
	}
}

// next takes what may be evaluated now, and gives the queued builds that may not the reason why. Those that are called back, those that an
// earlier controller left and the queued ones take turns, so that none of them waits for all of another kind.
func (r *Runner) next() (runs []*run, builds []*held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.forgotten)
	free := r.c.MaxLoading - r.loading
	can := r.eligible(free)
	for ; free > 0 && len(r.called)+len(r.resumed)+len(can) > 0; free-- {
		r.turn = (r.turn + 1) % 3
		switch {
		case r.turn == 0 && len(r.called) > 0:
			runs, r.called = append(runs, r.called[0]), r.called[1:]
		case r.turn == 1 && len(r.resumed) > 0:
			runs, r.resumed = append(runs, r.resumed[0]), r.resumed[1:]
		case r.turn == 2 && len(can) > 0:
			builds, can = append(builds, can[0]), can[1:]
		default:
			free++ // the next kind's turn
		}
	}
	for _, u := range runs {
		r.load(u)
	}
	r.loading += len(builds) // begin makes runs of them, or gives it back
	r.active += len(builds)
	if len(builds) > 0 {
		left := builds // in the order of waiting
		r.waiting = slices.DeleteFunc(r.waiting, func(h *held) bool {
			taken := len(left) > 0 && left[0] == h
			if taken {
				left = left[1:]
			}
			return taken
		})
	}
	r.supersede()
	return runs, builds
}

// eligible lists up to n queued builds that may start, in their order. The caller holds mu.
func (r *Runner) eligible(n int) (can []*held) {
	var busy map[build.JobName]int // the newest running build of each job; made when somebody asks
	newest := func(job build.JobName) int {
		if busy == nil {
			busy = map[build.JobName]int{}
			for id := range r.running {
				busy[id.Job] = max(busy[id.Job], id.Number)
			}
			for _, h := range can {
				busy[h.id.Job] = h.id.Number
			}
		}
		return busy[job]
	}
	changed, full := false, fmt.Sprintf("Waiting: %d pipelines are in progress, the limit of this controller", r.c.MaxRunning)
	for _, h := range r.waiting {
		why := ""
		switch {
		case h.props.DisableConcurrent && newest(h.id.Job) > 0:
			why = fmt.Sprintf("Build #%d is already in progress", newest(h.id.Job))
		case r.active+len(can) >= r.c.MaxRunning:
			why = full
		case len(can) >= n:
			why = toStart
		default:
			can = append(can, h)
			if busy != nil {
				busy[h.id.Job] = h.id.Number
			}
			continue
		}
		changed = changed || h.why != why
		h.why = why
	}
	if changed {
		r.news.Notify()
	}
	return can
}

// toStart is why a queued build waits that nothing holds back.
const toStart = "Waiting to start"

// supersede aborts the running build of a job that wants only its newest. The caller holds mu.
func (r *Runner) supersede() {
	for _, h := range r.waiting {
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

// begin makes a build's start durable and a run of it. A build that was aborted or deleted meanwhile is left alone.
func (r *Runner) begin(ctx context.Context, h *held) *run {
	b, err := r.c.Builds.Update(ctx, h.id, func(b *build.Build) error {
		if b.State == build.Queued {
			b.State, b.Started = build.Running, r.c.Now().UTC()
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loading--
	r.active--
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
		r.running[b.ID] = u
		r.load(u)
		r.news.Notify()
		return u
	}
	return nil
}

// again puts a build that could not be started back to its place. The caller holds mu.
func (r *Runner) again(h *held) {
	if !r.forgotten[h.id] {
		r.waiting = append([]*held{h}, r.waiting...)
	}
	time.AfterFunc(time.Second, r.ring)
}

// Pauses before a run that could not go on is resumed: the ledger was locked, the disk was full.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// serve evaluates one build, to its end or until it is parked. A run that stopped for a failure of the ledger is resumed from its
// journal later; one that another controller has taken over is left to it.
func (r *Runner) serve(ctx context.Context, u *run) {
	err := u.execute(ctx)
	switch {
	case err == nil || ctx.Err() != nil:
		r.end(u)
	case errors.Is(err, errParked):
		r.parked(u)
	case fault.Is(err, fault.Stale) || fault.Is(err, fault.NotFound):
		u.log.Error("the build could not go on", "err", err)
		r.end(u)
	default:
		u.log.Error("the build could not go on", "err", err)
		r.count.resumed.Inc()
		r.later(u)
	}
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

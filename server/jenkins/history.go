package jenkins

import (
	"context"
	"strconv"
	"sync"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// maxListed is how many builds a job lists; allBuilds lists all. It is Jenkins' number, which clients count on.
const maxListed = 100

// history reads the builds of one job for one request, newest first, as far as somebody asks. A build that was accepted and has not
// started is none in Jenkins' words: it stands in the queue.
type history struct {
	c      *call
	job    build.JobName
	loaded []build.Build // started ones
	before int           // where the next page begins
	ended  bool
	found  permalinks
}

func (c *call) history(job build.JobName) *history {
	h := c.known[job]
	if h == nil {
		h = &history{c: c, job: job}
		c.known[job] = h
	}
	return h
}

// load reads so many further builds.
func (h *history) load(n int) error {
	bs, err := h.c.Builds.Builds(h.c.r.Context(), build.Filter{Job: h.job, Before: h.before, Limit: n})
	if err != nil {
		return err
	}
	h.ended = len(bs) < n
	for _, b := range bs {
		h.before = b.ID.Number
		if isRun(b) {
			h.loaded = append(h.loaded, b)
		}
	}
	h.ended = h.ended || h.before <= 1
	return nil
}

// isRun reports whether Jenkins would have a run for this build.
func isRun(b build.Build) bool { return !b.Started.IsZero() }

// each calls f with the builds from newest to oldest, until it says no.
func (h *history) each(f func(b build.Build) bool) error {
	for i := 0; ; i++ {
		for i >= len(h.loaded) {
			if h.ended {
				return nil
			}
			if err := h.load(max(10, min(1000, 10*len(h.loaded)))); err != nil {
				return err
			}
		}
		if !f(h.loaded[i]) {
			return nil
		}
	}
}

// part returns the builds from position from to position to, which is exclusive; a negative to has no end.
func (h *history) part(from, to int) ([]build.Build, error) {
	var out []build.Build
	i := 0
	err := h.each(func(b build.Build) bool {
		if to >= 0 && i >= to {
			return false
		}
		if i >= from {
			out = append(out, b)
		}
		i++
		return true
	})
	return out, err
}

// permalinks are the numbers of the builds that have a name, by that name.
type permalinks map[string]int

// linkNames are the permalinks in the order in which a job shows them.
var linkNames = []string{"firstBuild", "lastBuild", "lastCompletedBuild", "lastFailedBuild", "lastStableBuild", "lastSuccessfulBuild", "lastUnstableBuild", "lastUnsuccessfulBuild"}

// note names a build; builds are noted from newest to oldest.
func (p permalinks) note(b build.Build) {
	first := func(name string) {
		if p[name] == 0 {
			p[name] = b.ID.Number
		}
	}
	p["firstBuild"] = b.ID.Number // the last one noted
	first("lastBuild")
	if b.State != build.Finished {
		return
	}
	first("lastCompletedBuild")
	if b.Result != build.Success {
		first("lastUnsuccessfulBuild")
	}
	switch b.Result {
	case build.Success:
		first("lastStableBuild")
		first("lastSuccessfulBuild")
	case build.Unstable:
		first("lastUnstableBuild")
		first("lastSuccessfulBuild")
	case build.Failure:
		first("lastFailedBuild")
	}
}

// linked remembers the permalinks among the old builds of each job, so that a job whose last failure is ten thousand builds ago
// is not read from end to end each time. What has ended does not change; it can only be deleted.
type linked struct {
	mu   sync.Mutex
	jobs map[build.JobName]remembered // guarded by mu
}

// remembered are the permalinks among the builds up to a number.
type remembered struct {
	upTo  int
	links permalinks
}

// maxJobs bounds what linked remembers; over it, it starts anew.
const maxJobs = 20_000

func (l *linked) get(n build.JobName) remembered {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.jobs[n]
}

func (l *linked) put(n build.JobName, r remembered) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.jobs == nil || len(l.jobs) >= maxJobs {
		l.jobs = map[build.JobName]remembered{}
	}
	l.jobs[n] = r
}

// links finds the permalinks of a job.
func (h *history) links() (permalinks, error) {
	if h.found != nil {
		return h.found, nil
	}
	old := h.c.links.get(h.job)
	if !h.stands(h.c.r.Context(), old.links) {
		old = remembered{}
	}
	p, settled := permalinks{}, permalinks{}
	newest, unfinished := 0, 0
	var fresh []build.Build
	err := h.each(func(b build.Build) bool {
		newest = max(newest, b.ID.Number)
		if b.ID.Number <= old.upTo {
			return false
		}
		if b.State != build.Finished {
			unfinished = b.ID.Number
		}
		p.note(b)
		fresh = append(fresh, b)
		return true
	})
	if err != nil {
		return nil, err
	}
	upTo := newest
	if unfinished > 0 {
		upTo = unfinished - 1
	}
	for _, b := range fresh {
		if b.ID.Number <= upTo {
			settled.note(b)
		}
	}
	h.found = p.over(old.links)
	if upTo >= old.upTo {
		h.c.links.put(h.job, remembered{upTo, settled.over(old.links)})
	}
	return h.found, nil
}

// over fills in from the links of older builds.
func (p permalinks) over(older permalinks) permalinks {
	for name, n := range older {
		if p[name] == 0 || name == "firstBuild" {
			p[name] = n
		}
	}
	return p
}

// stands reports whether all builds of remembered links are still there.
func (h *history) stands(ctx context.Context, p permalinks) bool {
	checked := map[int]bool{}
	for _, n := range p {
		if checked[n] {
			continue
		}
		checked[n] = true
		if _, err := h.c.Builds.Build(ctx, build.ID{Job: h.job, Number: n}); err != nil {
			return false
		}
	}
	return true
}

// number finds a build by its number or permalink.
func (c *call) number(job build.JobName, name string) (build.Build, error) {
	none := refuse(404, "Not Found: job %s has no build %s", job, name)
	n, err := strconv.Atoi(name)
	if err != nil {
		links, err := c.history(job).links()
		if err != nil {
			return build.Build{}, err
		}
		if n = links[name]; n == 0 {
			return build.Build{}, none
		}
	}
	b, err := c.Builds.Build(c.r.Context(), build.ID{Job: job, Number: n})
	if fault.Is(err, fault.NotFound) || err == nil && !isRun(b) {
		return build.Build{}, none
	}
	return b, err
}

// isLink reports whether a segment of a path names a build.
func isLink(s string) bool {
	if _, err := strconv.Atoi(s); err == nil {
		return true
	}
	for _, name := range linkNames {
		if s == name {
			return true
		}
	}
	return false
}

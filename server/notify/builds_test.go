package notify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// records is a small store of builds.
type records struct {
	all  map[build.ID]build.Build
	next int
	now  time.Time
	read int // rows handed out
}

func newRecords() *records { return &records{all: map[build.ID]build.Build{}, now: begin} }

func (r *records) accept(job build.JobName) build.ID {
	r.next++
	r.now = r.now.Add(time.Second)
	id := build.ID{Job: job, Number: r.next}
	r.all[id] = build.Build{ID: id, State: build.Queued, Accepted: r.now}
	return id
}

func (r *records) end(id build.ID, result build.Result) {
	b := r.all[id]
	b.State, b.Result, b.Started, b.Ended = build.Finished, result, b.Accepted, r.now
	r.all[id] = b
}

func (r *records) Build(_ context.Context, id build.ID) (build.Build, error) {
	b, ok := r.all[id]
	if !ok {
		return b, fault.New(fault.NotFound, "no build %v", id)
	}
	return b, nil
}

func (r *records) Builds(_ context.Context, f build.Filter) ([]build.Build, error) {
	all := slices.SortedFunc(maps.Values(r.all), func(a, b build.Build) int { return cmp.Compare(b.ID.Number, a.ID.Number) })
	all = slices.DeleteFunc(all, func(b build.Build) bool {
		return f.Job != "" && b.ID.Job != f.Job || f.Before > 0 && b.ID.Number >= f.Before || len(f.States) > 0 && !slices.Contains(f.States, b.State)
	})
	all = all[:min(len(all), f.Limit)]
	r.read += len(all)
	return all, nil
}

// TestEveryBuildThatEndsIsFoundOnce: whatever happens between two looks.
func TestEveryBuildThatEndsIsFoundOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, l := newRecords(), ledger{}
		var open []build.ID
		found, ended := map[build.ID]int{}, map[build.ID]bool{}
		look := func() {
			bs, next, err := l.look(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range bs {
				found[b.ID]++
			}
			l = next
		}
		for range rapid.IntRange(0, 20).Draw(t, "history") {
			r.end(r.accept("old"), build.Success)
		}
		open = append(open, r.accept("running"))
		look()
		if len(found) > 0 {
			t.Fatalf("the first look found %v", found)
		}
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				open = append(open, r.accept(build.JobName(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "job"))))
			case 2:
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					r.end(open[i], build.Failure)
					ended[open[i]] = true
					open = slices.Delete(open, i, i+1)
				}
			case 3:
				look()
			case 4: // old ones are discarded, told ones only
				for id := range found {
					delete(r.all, id)
				}
			}
		}
		look()
		for id := range ended {
			if found[id] != 1 {
				t.Fatalf("%v was found %d times", id, found[id])
			}
		}
		if len(found) != len(ended) {
			t.Fatalf("found %v, ended %v", found, ended)
		}
	})
}

func TestALookReadsLittle(t *testing.T) {
	r := newRecords()
	for i := range 5000 {
		r.end(r.accept(build.JobName(fmt.Sprint("j", i%7))), build.Success)
	}
	_, l, err := ledger{}.look(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	r.read = 0
	r.end(r.accept("a"), build.Success)
	bs, l, err := l.look(t.Context(), r)
	if err != nil || len(bs) != 1 || r.read > 4*page+page || len(l.Recent) > 100 {
		t.Fatalf("%d found, %d rows read, %d remembered: %v", len(bs), r.read, len(l.Recent), err)
	}
}

func TestFilters(t *testing.T) {
	b := func(job string, r build.Result) build.Build {
		return build.Build{ID: build.ID{Job: build.JobName(job), Number: 2}, Result: r}
	}
	for _, c := range []struct {
		f      *BuildFilter
		b      build.Build
		before build.Result
		takes  bool
	}{
		{nil, b("a", build.Failure), "", false},
		{&BuildFilter{}, b("a", build.Success), "", true},
		{&BuildFilter{Jobs: []string{"team/*"}}, b("team/app", build.Success), "", true},
		{&BuildFilter{Jobs: []string{"team/*"}}, b("other/app", build.Success), "", false},
		{&BuildFilter{Jobs: []string{"team/*"}}, b("team/x/app", build.Success), "", false},
		{&BuildFilter{Results: []build.Result{build.Failure}}, b("a", build.Success), "", false},
		{&BuildFilter{Results: []build.Result{build.Failure}}, b("a", build.Failure), build.Failure, true},
		{&BuildFilter{OnChange: true}, b("a", build.Failure), build.Failure, false},
		{&BuildFilter{OnChange: true}, b("a", build.Failure), build.Success, true},
		{&BuildFilter{OnChange: true}, b("a", build.Success), build.Failure, true},
		{&BuildFilter{OnChange: true}, b("a", build.Success), "", false},
		{&BuildFilter{OnChange: true}, b("a", build.Failure), "", true},
	} {
		if got := c.f.Takes(c.b, c.before); got != c.takes {
			t.Errorf("%+v takes %v after %q: %v", c.f, c.b.ID, c.before, got)
		}
	}
}

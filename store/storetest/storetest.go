// Package storetest is what every Engine of package store must pass, one suite per interface that the rooms declare.
//
// A dialect's tests call All with a function that opens its tables in a folder, or a schema, of the given name; opening the
// same name again, after the first was closed, finds what was durable.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/store"
)

// Opener opens the tables kept under a name. close is called once, before the name is opened again.
type Opener func(t testing.TB, name string) (tables store.Tables, close func())

// All runs every suite.
func All(t *testing.T, open Opener) {
	t.Run("Builds", func(t *testing.T) { Builds(t, open) })
	t.Run("Details", func(t *testing.T) { Details(t, open) })
	t.Run("Runs", func(t *testing.T) { Runs(t, open) })
	t.Run("Nodes", func(t *testing.T) { Nodes(t, open) })
	t.Run("Leases", func(t *testing.T) { Leases(t, open) })
	t.Run("Auth", func(t *testing.T) { Auth(t, open) })
	t.Run("Linearizable", func(t *testing.T) { Linearizable(t, open) })
}

// world is one test's tables.
type world struct {
	t    *testing.T
	open Opener
	name string
	store.Tables
	close func()
}

func newWorld(t *testing.T, open Opener) *world {
	t.Helper()
	w := &world{t: t, open: open, name: t.TempDir()}
	w.Tables, w.close = open(t, w.name)
	t.Cleanup(func() { w.close() })
	return w
}

// reopen closes the tables and opens them again.
func (w *world) reopen() {
	w.t.Helper()
	w.close()
	w.Tables, w.close = w.open(w.t, w.name)
}

func (w *world) ctx() context.Context { return w.t.Context() }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, what string, err error, k fault.Kind) {
	t.Helper()
	if !fault.Is(err, k) {
		t.Errorf("%s: %v, expected an error of kind %v", what, err, k)
	}
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// moment is a time that every dialect can keep.
func moment(n int) time.Time {
	return time.Date(2026, 11, 21, 4, 5, 6, 7000, time.UTC).Add(time.Duration(n) * time.Minute)
}

func (w *world) job(name build.JobName) {
	w.t.Helper()
	must(w.t, w.Builds.PutJob(w.ctx(), build.Job{Name: name, Source: build.Source{Script: "pipeline {}"}, Created: moment(0)}, true))
}

func (w *world) accept(name build.JobName) build.ID {
	w.t.Helper()
	id, err := w.Builds.Accept(w.ctx(), build.Build{ID: build.ID{Job: name}, State: build.Queued, Accepted: moment(0)})
	must(w.t, err)
	return id
}

func (w *world) finish(id build.ID) {
	w.t.Helper()
	_, err := w.Builds.Update(w.ctx(), id, func(b *build.Build) error {
		b.State, b.Result, b.Ended = build.Finished, build.Success, moment(5)
		return nil
	})
	must(w.t, err)
}

// Builds checks build.Store.
func Builds(t *testing.T, open Opener) {
	t.Run("jobs", func(t *testing.T) { jobs(newWorld(t, open)) })
	t.Run("accept", func(t *testing.T) { accept(newWorld(t, open)) })
	t.Run("numbers are never used again", func(t *testing.T) { numbers(newWorld(t, open)) })
	t.Run("update", func(t *testing.T) { update(newWorld(t, open)) })
	t.Run("filter", func(t *testing.T) { filter(newWorld(t, open)) })
	t.Run("concurrent", func(t *testing.T) { concurrent(newWorld(t, open)) })
	t.Run("a cancelled call changes nothing", func(t *testing.T) { cancelled(newWorld(t, open)) })
}

func jobs(w *world) {
	t, ctx, s := w.t, w.ctx(), w.Builds
	j := build.Job{Name: "team/app", Description: "an app", Source: build.Source{Git: &build.GitSource{URL: "https://x/y", Ref: "main"}},
		Priority: 3, Created: moment(1), Properties: build.Properties{KeepBuilds: 7, Parameters: []build.Parameter{{Name: "P", Kind: "choice", Choices: []string{"a", "b"}}}}}
	must(t, s.PutJob(ctx, j, true))
	wants(t, "create twice", s.PutJob(ctx, j, true), fault.Conflict)
	wants(t, "bad name", s.PutJob(ctx, build.Job{Name: "../x"}, true), fault.Invalid)
	wants(t, "change of nothing", s.PutJob(ctx, build.Job{Name: "no"}, false), fault.NotFound)
	_, err := s.Job(ctx, "no")
	wants(t, "no such job", err, fault.NotFound)
	w.reopen()
	s = w.Builds
	got, err := s.Job(ctx, "team/app")
	must(t, err)
	j.NextNumber = 1
	same(t, "job", got, j)
	w.job("another")
	j.Disabled, j.NextNumber = true, 99 // the number is not the caller's
	must(t, s.PutJob(ctx, j, false))
	all, err := s.Jobs(ctx)
	must(t, err)
	if len(all) != 2 || all[0].Name != "another" || !all[1].Disabled || all[1].NextNumber != 1 {
		t.Errorf("Jobs = %+v", all)
	}
	id := w.accept("team/app")
	wants(t, "delete with an unfinished build", s.DeleteJob(ctx, "team/app"), fault.Conflict)
	w.finish(id)
	must(t, s.DeleteJob(ctx, "team/app"))
	wants(t, "delete twice", s.DeleteJob(ctx, "team/app"), fault.NotFound)
	_, err = s.Build(ctx, id)
	wants(t, "build of a deleted job", err, fault.NotFound)
}

func accept(w *world) {
	t, ctx, s := w.t, w.ctx(), w.Builds
	w.job("j")
	b := build.Build{ID: build.ID{Job: "j"}, State: build.Queued, Cause: build.Cause{Kind: "user", User: "alice", Text: "Started by user alice"},
		Parameters: map[string]string{"A": "1", "B": ""}, Accepted: moment(2)}
	id, err := s.Accept(ctx, b)
	must(t, err)
	same(t, "first id", id, build.ID{Job: "j", Number: 1})
	w.reopen()
	s = w.Builds
	got, err := s.Build(ctx, id)
	must(t, err)
	b.ID = id
	same(t, "build", got, b)
	j, err := s.Job(ctx, "j")
	must(t, err)
	if j.NextNumber != 2 {
		t.Errorf("NextNumber = %d", j.NextNumber)
	}
	_, err = s.Accept(ctx, build.Build{ID: build.ID{Job: "no"}, State: build.Queued})
	wants(t, "accept for no job", err, fault.NotFound)
	_, err = s.Accept(ctx, build.Build{ID: build.ID{Job: "j"}, State: build.Running})
	wants(t, "accept a running build", err, fault.Invalid)
	_, err = s.Build(ctx, build.ID{Job: "j", Number: 2})
	wants(t, "no such build", err, fault.NotFound)
}

func numbers(w *world) {
	t, ctx := w.t, w.ctx()
	w.job("j")
	for want := 1; want <= 3; want++ {
		id := w.accept("j")
		if id.Number != want {
			t.Fatalf("number %d, want %d", id.Number, want)
		}
		wants(t, "delete an unfinished build", w.Builds.DeleteBuild(ctx, id), fault.Conflict)
		w.finish(id)
		must(t, w.Builds.DeleteBuild(ctx, id))
		wants(t, "delete twice", w.Builds.DeleteBuild(ctx, id), fault.NotFound)
	}
	must(t, w.Builds.DeleteJob(ctx, "j"))
	w.reopen()
	w.job("j")
	if id := w.accept("j"); id.Number != 4 {
		t.Errorf("after the job was deleted and made again its next build is %s", id)
	}
}

func update(w *world) {
	t, ctx, s := w.t, w.ctx(), w.Builds
	w.job("j")
	id := w.accept("j")
	change := func(f func(*build.Build)) error {
		_, err := s.Update(ctx, id, func(b *build.Build) error { f(b); return nil })
		return err
	}
	got, err := s.Update(ctx, id, func(b *build.Build) error { b.State, b.Started = build.Running, moment(3); return nil })
	must(t, err)
	if got.State != build.Running || !got.Started.Equal(moment(3)) || got.ID != id {
		t.Errorf("Update returned %+v", got)
	}
	mine := errors.New("mine")
	if _, err := s.Update(ctx, id, func(b *build.Build) error { b.Message = "no"; return mine }); !errors.Is(err, mine) {
		t.Errorf("the change's error: %v", err)
	}
	wants(t, "back to queued", change(func(b *build.Build) { b.State = build.Queued }), fault.Conflict)
	wants(t, "another name", change(func(b *build.Build) { b.ID.Number = 9 }), fault.Invalid)
	must(t, change(func(b *build.Build) { b.State, b.Result = build.Finished, build.Failure }))
	wants(t, "back to running", change(func(b *build.Build) { b.State = build.Running }), fault.Conflict)
	wants(t, "another result", change(func(b *build.Build) { b.Result = build.Success }), fault.Conflict)
	must(t, change(func(b *build.Build) { b.Description = "told afterwards" }))
	w.reopen()
	s = w.Builds
	got, err = s.Build(ctx, id)
	must(t, err)
	if got.Message != "" || got.Description != "told afterwards" || got.Result != build.Failure || got.State != build.Finished {
		t.Errorf("build = %+v", got)
	}
	_, err = s.Update(ctx, build.ID{Job: "j", Number: 7}, func(*build.Build) error { return nil })
	wants(t, "no such build", err, fault.NotFound)
}

func filter(w *world) {
	t, ctx := w.t, w.ctx()
	w.job("a")
	w.job("b")
	var ids []build.ID // oldest first
	for i := range 12 {
		id := w.accept([]build.JobName{"a", "b", "b"}[i%3])
		ids = append(ids, id)
		if i%2 == 0 {
			w.finish(id)
		}
	}
	slices.Reverse(ids)
	for _, c := range []struct {
		f    build.Filter
		want func(i int, id build.ID) bool // i counts from the oldest
	}{
		{build.Filter{}, func(int, build.ID) bool { return true }},
		{build.Filter{Limit: 5}, func(i int, _ build.ID) bool { return i >= 7 }},
		{build.Filter{Job: "a"}, func(_ int, id build.ID) bool { return id.Job == "a" }},
		{build.Filter{Job: "b", Before: 4}, func(_ int, id build.ID) bool { return id.Job == "b" && id.Number < 4 }},
		{build.Filter{Job: "b", Before: 6, Limit: 2}, func(_ int, id build.ID) bool { return id.Job == "b" && (id.Number == 5 || id.Number == 4) }},
		{build.Filter{States: []build.State{build.Queued}}, func(i int, _ build.ID) bool { return i%2 == 1 }},
		{build.Filter{States: []build.State{build.Finished, build.Queued, build.Finished}, Limit: 7}, func(i int, _ build.ID) bool { return i >= 5 }},
		{build.Filter{Job: "b", States: []build.State{build.Finished, build.Running}}, func(i int, id build.ID) bool { return id.Job == "b" && i%2 == 0 }},
		{build.Filter{Job: "no"}, func(int, build.ID) bool { return false }},
	} {
		var want, got []build.ID
		for i, id := range ids {
			if c.want(len(ids)-1-i, id) {
				want = append(want, id)
			}
		}
		bs, err := w.Builds.Builds(ctx, c.f)
		must(t, err)
		for _, b := range bs {
			got = append(got, b.ID)
		}
		same(t, fmt.Sprintf("Builds(%+v)", c.f), got, want)
	}
}

func concurrent(w *world) {
	t, ctx := w.t, w.ctx()
	w.job("j")
	const callers, each = 16, 25
	var wg sync.WaitGroup
	ids := make(chan build.ID, callers*each)
	for range callers {
		wg.Go(func() {
			for range each {
				id, err := w.Builds.Accept(ctx, build.Build{ID: build.ID{Job: "j"}, State: build.Queued})
				if err != nil {
					t.Error(err)
					return
				}
				ids <- id
				// What was accepted can be read at once, and counted up by many.
				if _, err := w.Builds.Build(ctx, id); err != nil {
					t.Error(err)
				}
				if _, err := w.Builds.Update(ctx, build.ID{Job: "j", Number: 1}, func(b *build.Build) error { b.Description += "x"; return nil }); err != nil {
					t.Error(err)
				}
				// One that fails takes none of the others with it.
				if _, err := w.Builds.Accept(ctx, build.Build{ID: build.ID{Job: "no"}, State: build.Queued}); !fault.Is(err, fault.NotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(ids)
	seen := map[int]bool{}
	for id := range ids {
		if seen[id.Number] {
			t.Errorf("%s was given twice", id)
		}
		seen[id.Number] = true
	}
	for n := 1; n <= callers*each; n++ {
		if !seen[n] {
			t.Errorf("number %d was given to nobody", n)
		}
	}
	b, err := w.Builds.Build(ctx, build.ID{Job: "j", Number: 1})
	must(t, err)
	if len(b.Description) != callers*each {
		t.Errorf("%d of %d updates were kept", len(b.Description), callers*each)
	}
}

func cancelled(w *world) {
	t := w.t
	w.job("j")
	ctx, cancel := context.WithCancelCause(w.ctx())
	cause := errors.New("the caller left")
	cancel(cause)
	if _, err := w.Builds.Accept(ctx, build.Build{ID: build.ID{Job: "j"}, State: build.Queued}); !errors.Is(err, cause) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := w.Builds.Jobs(ctx); !errors.Is(err, cause) {
		t.Errorf("Jobs: %v", err)
	}
	if id := w.accept("j"); id.Number != 1 {
		t.Errorf("a cancelled call took a number: the next is %s", id)
	}
}

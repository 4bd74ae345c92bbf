package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/filter"
)

// row is a build in a table.
type row struct {
	build.Build
	Status string // result when finished, else the state
	Took   time.Duration
}

func (s *site) row(b build.Build) row {
	r := row{Build: b, Status: string(b.State), Took: -1}
	if b.State == build.Finished {
		r.Status = string(b.Result)
	}
	if !b.Started.IsZero() {
		end := b.Ended
		if end.IsZero() {
			end = s.Now()
		}
		r.Took = end.Sub(b.Started)
	}
	return r
}

func (s *site) rows(ctx context.Context, f build.Filter) ([]row, error) {
	bs, err := s.Builds.Builds(ctx, f)
	var out []row
	for _, b := range bs {
		out = append(out, s.row(b))
	}
	return out, err
}

type jobRow struct {
	build.Job
	Last *row
}

func (s *site) jobRows(ctx context.Context) ([]jobRow, error) {
	js, err := s.Builds.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	var out []jobRow
	for _, j := range js {
		last, err := s.rows(ctx, build.Filter{Job: j.Name, Limit: 1})
		if err != nil {
			return nil, err
		}
		jr := jobRow{Job: j}
		if len(last) > 0 {
			jr.Last = &last[0]
		}
		out = append(out, jr)
	}
	return out, nil
}

// atHome is how many nodes the first page lists.
const atHome = 60

func (s *site) home(w http.ResponseWriter, r *http.Request) error {
	jobs, err := s.jobRows(r.Context())
	if err != nil {
		return err
	}
	running, err := s.rows(r.Context(), build.Filter{States: []build.State{build.Running, build.Queued}, Limit: 50})
	if err != nil {
		return err
	}
	q := s.queuePage(r.Context(), url.Values{})
	var nodes []cell
	for _, n := range s.nodeRows(filter.Filter{}) {
		nodes = append(nodes, cell{nodeRow: n})
	}
	return s.show(w, r, "home", view{Title: "Home", Section: "home", Topics: "jobs builds queue nodes", Data: struct {
		Jobs    []jobRow
		Running []row
		Queue   queuePage
		Nodes   []cell
		More    int // nodes that are not listed
	}{jobs, running, q, nodes[:min(len(nodes), atHome)], max(0, len(nodes)-atHome)}})
}

func (s *site) jobs(w http.ResponseWriter, r *http.Request) error {
	jobs, err := s.jobRows(r.Context())
	if err != nil {
		return err
	}
	return s.show(w, r, "jobs", view{Title: "Jobs", Section: "jobs", Topics: "jobs builds", Data: struct{ Jobs []jobRow }{jobs}})
}

func (s *site) builds(w http.ResponseWriter, r *http.Request) error {
	rows, err := s.rows(r.Context(), build.Filter{Limit: 100})
	if err != nil {
		return err
	}
	return s.show(w, r, "builds", view{Title: "Builds", Section: "builds", Topics: "builds", Data: struct{ Builds []row }{rows}})
}

func (s *site) job(w http.ResponseWriter, r *http.Request) error {
	j, err := s.Builds.Job(r.Context(), build.JobName(r.PathValue("job")))
	if err != nil {
		return err
	}
	before, _ := strconv.Atoi(r.URL.Query().Get("before"))
	rows, err := s.rows(r.Context(), build.Filter{Job: j.Name, Before: before, Limit: 30})
	if err != nil {
		return err
	}
	older := 0
	if len(rows) == 30 {
		older = rows[29].ID.Number
	}
	return s.show(w, r, "job", view{Title: string(j.Name), Section: "jobs", Topics: "builds", Data: struct {
		Job    build.Job
		Builds []row
		Older  int
	}{j, rows, older}})
}

func (s *site) startBuild(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	name := build.JobName(r.PathValue("job"))
	j, err := s.Builds.Job(r.Context(), name)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return fault.With(fault.Invalid, err)
	}
	params := map[string]string{}
	for _, p := range j.Properties.Parameters {
		if v, ok := r.PostForm["param."+p.Name]; ok {
			params[p.Name] = v[len(v)-1]
		} else if p.Kind == "boolean" {
			params[p.Name] = "false"
		}
	}
	by := auth.From(r.Context()).User
	id, err := s.Runner.Trigger(r.Context(), name, params, build.Cause{Kind: "user", User: by, Text: "Started by user " + by})
	if err != nil {
		return err
	}
	http.Redirect(w, r, string(buildPath(id)), http.StatusSeeOther)
	return nil
}

// buildID reads a build's name from the path.
func buildID(r *http.Request) (build.ID, error) {
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || n < 1 {
		return build.ID{}, fault.New(fault.NotFound, "there is no page %s", r.URL.Path)
	}
	return build.ID{Job: build.JobName(r.PathValue("job")), Number: n}, nil
}

func (s *site) abort(w http.ResponseWriter, r *http.Request) error {
	id, err := buildID(r)
	if err != nil {
		return err
	}
	if err := s.Runner.Abort(r.Context(), id, auth.From(r.Context()).User); err != nil {
		return err
	}
	http.Redirect(w, r, string(buildPath(id)), http.StatusSeeOther)
	return nil
}

func (s *site) rebuild(w http.ResponseWriter, r *http.Request) error {
	id, err := buildID(r)
	if err != nil {
		return err
	}
	again, err := s.Runner.Rebuild(r.Context(), id, auth.From(r.Context()).User)
	if err != nil {
		return err
	}
	http.Redirect(w, r, string(buildPath(again)), http.StatusSeeOther)
	return nil
}

package rest

import (
	"context"
	"net/http"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/record"
)

// JobPath, InBuild and NodePath are the path parameters that operations share; huma reads exported types only.
type JobPath struct {
	Job string `path:"job" doc:"Full name of the job; slashes are escaped as %2F." maxLength:"1000"`
}

func (s *server) jobs() {
	register(s, route{method: "GET", path: "/jobs", id: "list-jobs", summary: "List the jobs by name", tag: "jobs", scope: auth.Read},
		func(ctx context.Context, _ *struct{}) (*body[[]api.Job], error) {
			js, err := s.Builds.Jobs(ctx)
			if err != nil {
				return nil, err
			}
			var out []api.Job
			for _, j := range js {
				a, err := s.job(ctx, j)
				if err != nil {
					return nil, err
				}
				out = append(out, a)
			}
			return list(out), nil
		})
	register(s, route{method: "POST", path: "/jobs", id: "create-job", summary: "Make a job", tag: "jobs", scope: auth.Write, status: http.StatusCreated, maxBody: 2 << 20},
		func(ctx context.Context, in *struct{ Body api.JobCreate }) (*body[api.Job], error) {
			src, err := source(in.Body.Source)
			if err != nil {
				return nil, err
			}
			j := build.Job{Name: build.JobName(in.Body.Name), Description: in.Body.Description, Source: src, Priority: in.Body.Priority, Created: s.Now().UTC()}
			if err := build.CheckJobName(j.Name); err != nil {
				return nil, fault.With(fault.Invalid, err)
			}
			if err := s.Builds.PutJob(ctx, j, true); err != nil {
				return nil, err
			}
			return s.readJob(ctx, j.Name)
		})
	register(s, route{method: "GET", path: "/jobs/{job}", id: "get-job", summary: "Show a job", tag: "jobs", scope: auth.Read},
		func(ctx context.Context, in *JobPath) (*body[api.Job], error) {
			return s.readJob(ctx, build.JobName(in.Job))
		})
	register(s, route{method: "PATCH", path: "/jobs/{job}", id: "update-job", summary: "Change a job", tag: "jobs", scope: auth.Write, maxBody: 2 << 20},
		func(ctx context.Context, in *struct {
			JobPath
			Body api.JobUpdate
		}) (*body[api.Job], error) {
			j, err := s.Builds.Job(ctx, build.JobName(in.Job))
			if err != nil {
				return nil, err
			}
			if u := in.Body.Source; u != nil {
				if j.Source, err = source(*u); err != nil {
					return nil, err
				}
			}
			set(&j.Description, in.Body.Description)
			set(&j.Disabled, in.Body.Disabled)
			set(&j.Priority, in.Body.Priority)
			if err := s.Builds.PutJob(ctx, j, false); err != nil {
				return nil, err
			}
			return s.readJob(ctx, j.Name)
		})
	register(s, route{method: "DELETE", path: "/jobs/{job}", id: "delete-job", summary: "Delete a job with all its builds", tag: "jobs", scope: auth.Write, status: http.StatusNoContent},
		func(ctx context.Context, in *JobPath) (*empty, error) {
			return nil, record.RemoveJob(ctx, s.Builds, s.Logs, s.Log, build.JobName(in.Job))
		})
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// source checks where a job's Jenkinsfile is to come from.
func source(a api.Source) (build.Source, error) {
	switch {
	case a.Dir != "":
		return build.Source{}, fault.New(fault.Invalid, "source.dir: only outwork run makes jobs of a working tree")
	case a.Git != nil && a.Script != "":
		return build.Source{}, fault.New(fault.Invalid, "source: expected script or git, found both")
	case a.Git != nil:
		return build.Source{Git: &build.GitSource{URL: a.Git.URL, Ref: a.Git.Ref, Path: a.Git.Path}}, nil
	case a.Script == "":
		return build.Source{}, fault.New(fault.Invalid, "source: expected script or git, found neither")
	}
	return build.Source{Script: a.Script}, nil
}

func (s *server) readJob(ctx context.Context, n build.JobName) (*body[api.Job], error) {
	j, err := s.Builds.Job(ctx, n)
	if err != nil {
		return nil, err
	}
	a, err := s.job(ctx, j)
	return ok(a), err
}

func (s *server) job(ctx context.Context, j build.Job) (api.Job, error) {
	a := api.Job{Name: string(j.Name), Description: j.Description, Disabled: j.Disabled, Priority: j.Priority, Created: j.Created, Source: api.Source{Script: j.Source.Script}}
	if g := j.Source.Git; g != nil {
		a.Source.Git = &api.GitSource{URL: g.URL, Ref: g.Ref, Path: g.Path}
	}
	if d := j.Source.Dir; d != nil {
		a.Source.Dir = d.Path
	}
	for _, p := range j.Properties.Parameters {
		a.Parameters = append(a.Parameters, api.Parameter(p))
	}
	bs, err := s.Builds.Builds(ctx, build.Filter{Job: j.Name, Limit: 1})
	if err == nil && len(bs) > 0 {
		last := s.build(bs[0])
		a.LastBuild = &last
	}
	return a, err
}

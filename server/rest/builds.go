package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/record"
)

// InBuild names a build.
type InBuild struct {
	JobPath
	Number int `path:"number" doc:"Number of the build." minimum:"1"`
}

func (p InBuild) id() build.ID { return build.ID{Job: build.JobName(p.Job), Number: p.Number} }

func (s *server) builds() {
	type filter struct {
		Job    string `query:"job" maxLength:"1000" doc:"Only builds of this job."`
		State  string `query:"state" enum:"queued,running,finished" doc:"Only builds in this state."`
		Before int    `query:"before" minimum:"0" doc:"With job: only numbers below this one."`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most so many."`
	}
	register(s, route{method: "GET", path: "/builds", id: "list-builds", summary: "List builds, newest first", tag: "builds", scope: auth.Read},
		func(ctx context.Context, in *filter) (*body[[]api.Build], error) {
			f := build.Filter{Job: build.JobName(in.Job), Before: in.Before, Limit: in.Limit}
			if in.State != "" {
				f.States = []build.State{build.State(in.State)}
			}
			bs, err := s.Builds.Builds(ctx, f)
			var out []api.Build
			for _, b := range bs {
				out = append(out, s.build(b))
			}
			return list(out), err
		})
	register(s, route{method: "POST", path: "/jobs/{job}/builds", id: "start-build", summary: "Accept a build: it is on disk when this succeeds", tag: "builds", scope: auth.Write, status: http.StatusCreated},
		func(ctx context.Context, in *struct {
			JobPath
			Body api.BuildCreate
		}) (*body[api.Build], error) {
			by := auth.From(ctx).User
			id, err := s.Runner.Trigger(ctx, build.JobName(in.Job), in.Body.Parameters, build.Cause{Kind: "user", User: by, Text: "Started by user " + by})
			if err != nil {
				return nil, err
			}
			return s.readBuild(ctx, id)
		})
	register(s, route{method: "GET", path: "/jobs/{job}/builds/{number}", id: "get-build", summary: "Show a build", tag: "builds", scope: auth.Read},
		func(ctx context.Context, in *InBuild) (*body[api.Build], error) { return s.readBuild(ctx, in.id()) })
	register(s, route{method: "DELETE", path: "/jobs/{job}/builds/{number}", id: "delete-build", summary: "Delete a finished build", tag: "builds", scope: auth.Write, status: http.StatusNoContent},
		func(ctx context.Context, in *InBuild) (*empty, error) {
			return nil, record.RemoveBuild(ctx, s.Builds, s.Logs, in.id())
		})
	register(s, route{method: "POST", path: "/jobs/{job}/builds/{number}/abort", id: "abort-build", summary: "Ask a build to end; a second time ends it hard", tag: "builds", scope: auth.Write, status: http.StatusNoContent},
		func(ctx context.Context, in *InBuild) (*empty, error) {
			return nil, s.Runner.Abort(ctx, in.id(), auth.From(ctx).User)
		})
	register(s, route{method: "POST", path: "/jobs/{job}/builds/{number}/rebuild", id: "rebuild", summary: "Start a build with this one's parameters", tag: "builds", scope: auth.Write, status: http.StatusCreated},
		func(ctx context.Context, in *InBuild) (*body[api.Build], error) {
			id, err := s.Runner.Rebuild(ctx, in.id(), auth.From(ctx).User)
			if err != nil {
				return nil, err
			}
			return s.readBuild(ctx, id)
		})
	register(s, route{method: "GET", path: "/jobs/{job}/builds/{number}/stages", id: "list-stages", summary: "List the stages of a build", tag: "builds", scope: auth.Read},
		func(ctx context.Context, in *InBuild) (*body[[]api.Stage], error) {
			if _, err := s.Builds.Build(ctx, in.id()); err != nil {
				return nil, err
			}
			ss, err := s.Details.Stages(ctx, in.id())
			var out []api.Stage
			for _, x := range ss {
				out = append(out, api.Stage{ID: x.ID, Parent: x.Parent, Name: x.Name, Kind: x.Kind, State: x.State, Result: string(x.Result),
					Reason: x.Reason, Node: x.Node, Started: at(x.Started), Ended: at(x.Ended)})
			}
			return list(out), err
		})
	register(s, route{method: "GET", path: "/jobs/{job}/builds/{number}/artifacts", id: "list-artifacts", summary: "List what a build archived", tag: "builds", scope: auth.Read},
		func(ctx context.Context, in *InBuild) (*body[[]api.Artifact], error) {
			if _, err := s.Builds.Build(ctx, in.id()); err != nil {
				return nil, err
			}
			as, err := s.Details.Artifacts(ctx, in.id())
			var out []api.Artifact
			for _, a := range as {
				out = append(out, api.Artifact{Path: a.Path, Size: a.Size, Digest: a.Digest, Mode: record.Octal(a.Mode), URL: s.artifactURL(in.id(), a.Path)})
			}
			return list(out), err
		})
	register(s, route{method: "GET", path: "/jobs/{job}/builds/{number}/artifacts/{path...}", id: "get-artifact", summary: "Fetch an archived file", tag: "builds", scope: auth.Read, produces: "application/octet-stream",
		about: "The header X-Outwork-Mode has the permission bits that the file was archived with, in octal."}, s.artifact)
}

func (s *server) readBuild(ctx context.Context, id build.ID) (*body[api.Build], error) {
	b, err := s.Builds.Build(ctx, id)
	return ok(s.build(b)), err
}

func (s *server) build(b build.Build) api.Build {
	a := api.Build{
		Job: string(b.ID.Job), Number: b.ID.Number, DisplayName: b.DisplayName, Description: b.Description, State: string(b.State),
		Result: string(b.Result), CauseKind: string(b.CauseKind), Message: b.Message, Cause: api.Cause(b.Cause), Parameters: b.Parameters,
		Accepted: b.Accepted, Started: at(b.Started), Ended: at(b.Ended), URL: s.URL() + record.BuildPage(b.ID),
	}
	if a.DisplayName == "" {
		a.DisplayName = "#" + strconv.Itoa(b.ID.Number)
	}
	if !b.Started.IsZero() {
		end := b.Ended
		if end.IsZero() {
			end = s.Now()
		}
		a.DurationMS = end.Sub(b.Started).Milliseconds()
	}
	return a
}

func (s *server) artifactURL(id build.ID, file string) string {
	segs := strings.Split(file, "/")
	for i := range segs {
		segs[i] = url.PathEscape(segs[i])
	}
	return fmt.Sprintf("%s/api/v1/jobs/%s/builds/%d/artifacts/%s", s.URL(), url.PathEscape(string(id.Job)), id.Number, strings.Join(segs, "/"))
}

// artifact serves a file that a build made.
func (s *server) artifact(ctx context.Context, in *struct {
	InBuild
	Path string `path:"path" doc:"Path of the file as the build archived it; may hold slashes."`
}) (*huma.StreamResponse, error) {
	as, err := s.Details.Artifacts(ctx, in.id())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(as, func(a build.Artifact) bool { return a.Path == in.Path })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "build %s archived no file %q", in.id(), in.Path)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		if err := record.ServeArtifact(w, r, s.CAS, as[i]); err != nil {
			s.Log.Warn("serve an artifact", "build", in.id().String(), "path", in.Path, "error", err)
			writeFailure(w, err)
		}
	}}, nil
}

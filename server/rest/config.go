package rest

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/server/auth"
)

// Configuration is what the API needs of the farm's configuration as code.
type Configuration interface {
	State() api.ConfigState
	Export(ctx context.Context) (string, error)
	Plan(ctx context.Context, t api.ConfigText) (api.ConfigPlan, error)
	Apply(ctx context.Context, t api.ConfigText, by string) (api.ConfigPlan, error)
	Reload(ctx context.Context, by string) (api.ConfigPlan, error)
	Undo(ctx context.Context) (api.ConfigPlan, error)
}

func (s *server) configuration() {
	register(s, route{method: "GET", path: "/config", id: "get-config", summary: "Where the configuration came from, and what it looks after", tag: "config", scope: auth.Admin},
		func(context.Context, *struct{}) (*body[api.ConfigState], error) {
			return ok(s.Configuration.State()), nil
		})
	register(s, route{method: "GET", path: "/config/export", id: "export-config", summary: "The farm as it is, as a file of YAML", tag: "config", scope: auth.Admin, produces: "application/yaml"},
		func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
			text, err := s.Configuration.Export(ctx)
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				hc.SetHeader("Content-Type", "application/yaml; charset=utf-8")
				hc.SetHeader("X-Content-Type-Options", "nosniff")
				hc.BodyWriter().Write([]byte(text))
			}}, nil
		})
	register(s, route{method: "POST", path: "/config/plan", id: "plan-config", summary: "What applying a file would do", tag: "config", scope: auth.Admin, maxBody: 3 << 20},
		func(ctx context.Context, in *struct{ Body api.ConfigText }) (*body[api.ConfigPlan], error) {
			p, err := s.Configuration.Plan(ctx, in.Body)
			return ok(p), err
		})
	register(s, route{method: "POST", path: "/config/apply", id: "apply-config", summary: "Make the farm like a file", tag: "config", scope: auth.Admin, maxBody: 3 << 20},
		func(ctx context.Context, in *struct{ Body api.ConfigText }) (*body[api.ConfigPlan], error) {
			p, err := s.Configuration.Apply(ctx, in.Body, auth.From(ctx).User)
			return ok(p), err
		})
	register(s, route{method: "POST", path: "/config/reload", id: "reload-config", summary: "Read the controller's own file anew and apply it", tag: "config", scope: auth.Admin},
		func(ctx context.Context, _ *struct{}) (*body[api.ConfigPlan], error) {
			p, err := s.Configuration.Reload(ctx, auth.From(ctx).User)
			return ok(p), err
		})
	register(s, route{method: "POST", path: "/config/undo", id: "undo-config", summary: "Take the last apply back", tag: "config", scope: auth.Admin},
		func(ctx context.Context, _ *struct{}) (*body[api.ConfigPlan], error) {
			p, err := s.Configuration.Undo(ctx)
			return ok(p), err
		})
}

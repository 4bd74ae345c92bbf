package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/version"
	"github.com/outwork-build/outwork/server/auth"
)

func token(t auth.Token) api.Token {
	scopes := t.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	return api.Token{ID: t.ID, Name: t.Name, User: t.User, Scopes: scopes, Created: t.Created, Expires: at(t.Expires), LastUsed: at(t.LastUsed)}
}

func (s *server) tokensOf(ctx context.Context, user string) (*body[[]api.Token], error) {
	ts, err := s.Auth.Tokens(ctx, user)
	var out []api.Token
	for _, t := range ts {
		out = append(out, token(t))
	}
	return list(out), err
}

// ttl reads a duration as users write it; "" is 0.
func ttl(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fault.New(fault.Invalid, "ttl %q: expected a duration like 30m or 720h", s)
	}
	return d, nil
}

func (s *server) session() {
	register(s, route{method: "GET", path: "/info", id: "info", summary: "Say who answers", tag: "session", scope: open},
		func(ctx context.Context, _ *struct{}) (*body[api.Info], error) {
			return ok(api.Info{Name: "outwork", Version: version.String(), Protocol: s.Protocol, Started: s.started, URL: s.URL()}), nil
		})
	register(s, route{method: "POST", path: "/login", id: "login", summary: "Exchange a password for a token", tag: "session", scope: open, maxBody: 1 << 16},
		func(ctx context.Context, in *struct{ Body api.Login }) (*body[api.Token], error) {
			plain, t, err := s.Auth.Login(ctx, in.Body.User, in.Body.Password, in.Body.Name)
			if err != nil {
				return nil, err
			}
			out := token(t)
			out.Secret = plain
			return ok(out), nil
		})
	register(s, route{method: "POST", path: "/logout", id: "logout", summary: "End the token that is shown", tag: "session", scope: auth.Read, status: http.StatusNoContent},
		func(ctx context.Context, _ *struct{}) (*empty, error) { return nil, s.Auth.Logout(ctx) })
	register(s, route{method: "GET", path: "/whoami", id: "whoami", summary: "Show the token that is shown", tag: "session", scope: auth.Read},
		func(ctx context.Context, _ *struct{}) (*body[api.Token], error) {
			id := auth.From(ctx)
			t := token(id.Token)
			t.Scopes = []string{}
			for _, sc := range id.Scopes {
				t.Scopes = append(t.Scopes, string(sc))
			}
			return ok(t), nil
		})
	register(s, route{method: "POST", path: "/password", id: "set-password", summary: "Change one's own password", tag: "session", scope: auth.Read, status: http.StatusNoContent, maxBody: 1 << 16},
		func(ctx context.Context, in *struct{ Body api.PasswordChange }) (*empty, error) {
			id := auth.From(ctx)
			return nil, s.Auth.SetPassword(ctx, id.User, in.Body.Old, in.Body.New, id.Token.ID)
		})
	register(s, route{method: "GET", path: "/tokens", id: "list-tokens", summary: "List one's own tokens", tag: "session", scope: auth.Read},
		func(ctx context.Context, _ *struct{}) (*body[[]api.Token], error) {
			return s.tokensOf(ctx, auth.From(ctx).User)
		})
	register(s, route{method: "POST", path: "/tokens", id: "create-token", summary: "Make a token; its secret is in this answer only", tag: "session", scope: auth.Read, status: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body api.TokenCreate }) (*body[api.Token], error) {
			d, err := ttl(in.Body.TTL)
			if err != nil {
				return nil, err
			}
			plain, t, err := s.Auth.CreateToken(ctx, auth.From(ctx), in.Body.Name, in.Body.Scopes, d)
			if err != nil {
				return nil, err
			}
			out := token(t)
			out.Secret = plain
			return ok(out), nil
		})
	register(s, route{method: "DELETE", path: "/tokens/{id}", id: "revoke-token", summary: "End a token", tag: "session", scope: auth.Read, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			ID string `path:"id" doc:"ID of the token."`
		}) (*empty, error) {
			return nil, s.Auth.Revoke(ctx, auth.From(ctx), in.ID)
		})
	register(s, route{method: "DELETE", path: "/tokens", id: "revoke-tokens", summary: "End all of one's own tokens and sessions but the one that is shown", tag: "session", scope: auth.Read, status: http.StatusNoContent},
		func(ctx context.Context, _ *struct{}) (*empty, error) {
			id := auth.From(ctx)
			return nil, s.Auth.RevokeAll(ctx, id.User, id.Token.ID)
		})
}

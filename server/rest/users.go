package rest

import (
	"context"
	"net/http"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/server/auth"
)

// UserPath names a user.
type UserPath struct {
	User string `path:"user" doc:"Name of the user." maxLength:"200"`
}

func user(u auth.User) api.User {
	return api.User{Name: u.Name, Role: u.Role, Created: u.Created, Disabled: u.Disabled}
}

// users are the administrator's operations; what a user does with its own password and tokens stands with the session.
func (s *server) users() {
	register(s, route{method: "GET", path: "/users", id: "list-users", summary: "List the users", tag: "users", scope: auth.Admin},
		func(ctx context.Context, _ *struct{}) (*body[[]api.User], error) {
			us, err := s.Auth.Users(ctx)
			var out []api.User
			for _, u := range us {
				out = append(out, user(u))
			}
			return list(out), err
		})
	register(s, route{method: "POST", path: "/users", id: "create-user", summary: "Make a user", tag: "users", scope: auth.Admin, status: http.StatusCreated, maxBody: 1 << 16},
		func(ctx context.Context, in *struct{ Body api.UserCreate }) (*body[api.User], error) {
			role := in.Body.Role
			if role == "" {
				role = "user"
			}
			if err := s.Auth.CreateUser(ctx, in.Body.Name, in.Body.Password, role); err != nil {
				return nil, err
			}
			return ok(api.User{Name: in.Body.Name, Role: role, Created: s.Now().UTC()}), nil
		})
	register(s, route{method: "PATCH", path: "/users/{user}", id: "update-user", summary: "Change a user's role, disable or enable a user", tag: "users", scope: auth.Admin,
		about: "The last administrator who can log in stays one: 409."},
		func(ctx context.Context, in *struct {
			UserPath
			Body api.UserUpdate
		}) (*body[api.User], error) {
			u, err := s.Auth.ChangeUser(ctx, in.User, auth.UserChange{Role: in.Body.Role, Disabled: in.Body.Disabled})
			return ok(user(u)), err
		})
	register(s, route{method: "DELETE", path: "/users/{user}", id: "delete-user", summary: "Delete a user and the user's tokens", tag: "users", scope: auth.Admin, status: http.StatusNoContent,
		about: "The last administrator who can log in stays: 409."},
		func(ctx context.Context, in *UserPath) (*empty, error) { return nil, s.Auth.DeleteUser(ctx, in.User) })
	register(s, route{method: "POST", path: "/users/{user}/password", id: "reset-password", summary: "Give a user another password and end the user's sessions", tag: "users", scope: auth.Admin,
		status: http.StatusNoContent, maxBody: 1 << 16},
		func(ctx context.Context, in *struct {
			UserPath
			Body api.PasswordReset
		}) (*empty, error) {
			return nil, s.Auth.ResetPassword(ctx, in.User, in.Body.New, auth.From(ctx).Token.ID)
		})
	register(s, route{method: "GET", path: "/users/{user}/tokens", id: "list-user-tokens", summary: "List a user's tokens and sessions", tag: "users", scope: auth.Admin},
		func(ctx context.Context, in *UserPath) (*body[[]api.Token], error) { return s.tokensOf(ctx, in.User) })
	register(s, route{method: "DELETE", path: "/users/{user}/tokens", id: "revoke-user-tokens", summary: "End all of a user's tokens and sessions", tag: "users", scope: auth.Admin,
		status: http.StatusNoContent, about: "The join tokens that the user made end too."},
		func(ctx context.Context, in *UserPath) (*empty, error) {
			return nil, s.Auth.RevokeAll(ctx, in.User, "")
		})
}

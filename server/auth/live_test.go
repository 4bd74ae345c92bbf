package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
)

// A stream ends when what its caller showed no longer holds, whatever took it away; a request that takes its own token away is answered.
func TestStreamsEndWithWhatAllowedThem(t *testing.T) {
	ctx := context.Background()
	viewer, off := "viewer", true
	for name, c := range map[string]struct {
		take func(a *auth.Authority, s auth.Token) error
		want fault.Kind
	}{
		"disabled": {func(a *auth.Authority, _ auth.Token) error {
			_, err := a.ChangeUser(ctx, "b", auth.UserChange{Disabled: &off})
			return err
		}, fault.Unauthenticated},
		"another role": {func(a *auth.Authority, _ auth.Token) error {
			_, err := a.ChangeUser(ctx, "b", auth.UserChange{Role: &viewer})
			return err
		}, fault.Denied},
		"deleted":      {func(a *auth.Authority, _ auth.Token) error { return a.DeleteUser(ctx, "b") }, fault.Unauthenticated},
		"new password": {func(a *auth.Authority, _ auth.Token) error { return a.ResetPassword(ctx, "b", "battery staple", "") }, fault.Unauthenticated},
		"all revoked":  {func(a *auth.Authority, _ auth.Token) error { return a.RevokeAll(ctx, "b", "") }, fault.Unauthenticated},
		"revoked":      {func(a *auth.Authority, s auth.Token) error { return a.Revoke(ctx, auth.Identity{User: "b"}, s.ID) }, fault.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := open(t)
			users(t, a, "admin", "user")
			began, ended := make(chan string), make(chan error)
			h := a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				began <- auth.From(r.Context()).User
				<-r.Context().Done()
				ended <- context.Cause(r.Context())
			}))
			stream := func(user string) auth.Token {
				plain, s, err := a.Login(ctx, user, "correct horse", "")
				if err != nil {
					t.Fatal(err)
				}
				r := httptest.NewRequest("GET", "/", nil).WithContext(t.Context())
				r.Header.Set("Authorization", "Bearer "+plain)
				go h.ServeHTTP(httptest.NewRecorder(), r)
				<-began
				return s
			}
			stream("a")
			s := stream("b")
			if err := c.take(a, s); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !fault.Is(err, c.want) {
				t.Errorf("ended with %v", err)
			}
			select {
			case err := <-ended:
				t.Errorf("the other's stream ended: %v", err)
			default:
			}
			go func() { <-ended }() // of "a", with the test
		})
	}
}

func TestAnExpiredTokenEndsItsStream(t *testing.T) {
	a, now := open(t)
	users(t, a, "admin")
	plain, _, err := a.CreateToken(t.Context(), auth.Identity{User: "a", Scopes: []auth.Scope{auth.Read}}, "short", []string{"read"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	now.add(time.Hour - 20*time.Millisecond)
	h := a.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := auth.Require(r.Context(), auth.Read); err != nil {
			t.Fatal(err)
		}
		<-r.Context().Done()
		if err := context.Cause(r.Context()); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("ended with %v", err)
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+plain)
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// Who logs out hears that it is done.
func TestLogoutIsAnswered(t *testing.T) {
	a, _ := open(t)
	users(t, a, "admin")
	plain, _, err := a.Login(t.Context(), "a", "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	h := a.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := a.Logout(r.Context()); err != nil || r.Context().Err() != nil {
			t.Errorf("%v, %v", err, r.Context().Err())
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+plain)
	h.ServeHTTP(httptest.NewRecorder(), r)
	if _, err := a.Authenticate(t.Context(), plain); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("after the logout: %v", err)
	}
}

package auth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
)

func users(t *testing.T, a *auth.Authority, roles ...string) {
	t.Helper()
	for i, role := range roles {
		if err := a.CreateUser(context.Background(), string(rune('a'+i)), "correct horse", role); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	a, _ := open(t)
	ctx := context.Background()
	users(t, a, "admin", "admin", "user")
	off, on, user, admin := true, false, "user", "admin"
	if _, err := a.ChangeUser(ctx, "b", auth.UserChange{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := a.ChangeUser(ctx, "a", auth.UserChange{Disabled: &off})
	refused("disable", err)
	_, err = a.ChangeUser(ctx, "a", auth.UserChange{Role: &user})
	refused("another role", err)
	refused("delete", a.DeleteUser(ctx, "a"))
	if u, err := a.ChangeUser(ctx, "b", auth.UserChange{Disabled: &on}); err != nil || u.Disabled || u.Role != "admin" {
		t.Fatalf("%+v, %v", u, err)
	}
	// Of two that go at once, one stays.
	var all sync.WaitGroup
	errs := make([]error, 2)
	for i, name := range []string{"a", "b"} {
		all.Go(func() { errs[i] = a.DeleteUser(ctx, name) })
	}
	all.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("%v and %v: expected one of them to stay", errs[0], errs[1])
	}
	left := "a"
	if errs[0] == nil {
		left = "b"
	}
	if _, err := a.ChangeUser(ctx, "c", auth.UserChange{Role: &admin}); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteUser(ctx, left); err != nil {
		t.Errorf("with another administrator: %v", err)
	}
	if err := a.DeleteUser(ctx, "nobody"); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody: %v", err)
	}
	odd := "owner"
	if _, err := a.ChangeUser(ctx, "c", auth.UserChange{Role: &odd}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an odd role: %v", err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "a b"} {
		if err := a.CreateUser(ctx, name, "correct horse", ""); !fault.Is(err, fault.Invalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestWhatEndsWithAUser(t *testing.T) {
	a, _ := open(t)
	ctx := context.Background()
	users(t, a, "admin", "admin")
	login := func() (string, auth.Identity) {
		t.Helper()
		plain, _, err := a.Login(ctx, "b", "correct horse", "")
		if err != nil {
			t.Fatal(err)
		}
		id, err := a.Authenticate(ctx, plain)
		if err != nil {
			t.Fatal(err)
		}
		return plain, id
	}
	holds := func(plain string) bool { _, err := a.Authenticate(ctx, plain); return err == nil }
	session, b := login()
	token, _, err := a.CreateToken(ctx, b, "ci", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	join := func() string {
		plain, _, err := a.CreateJoinToken(ctx, "b", "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return plain
	}
	owj := join()

	off, on := true, false
	if _, err := a.ChangeUser(ctx, "b", auth.UserChange{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Login(ctx, "b", "correct horse", ""); !fault.Is(err, fault.Unauthenticated) || holds(session) || holds(token) {
		t.Errorf("disabled: login %v, session %v, token %v", err, holds(session), holds(token))
	}
	if _, err := a.ChangeUser(ctx, "b", auth.UserChange{Disabled: &on}); err != nil || !holds(session) || !holds(token) {
		t.Errorf("enabled again: %v, session %v, token %v", err, holds(session), holds(token))
	}
	if _, err := a.Join(ctx, owj, "n", false); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a join token from before: %v", err)
	}

	if err := a.ResetPassword(ctx, "b", "battery staple", ""); err != nil || holds(session) || !holds(token) {
		t.Errorf("another password: %v, session %v, token %v", err, holds(session), holds(token))
	}
	if _, _, err := a.Login(ctx, "b", "correct horse", ""); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	if err := a.ResetPassword(ctx, "b", "short", ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("a short one: %v", err)
	}
	if err := a.ResetPassword(ctx, "nobody", "battery staple", ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody's: %v", err)
	}
	if err := a.ResetPassword(ctx, "b", "correct horse", ""); err != nil {
		t.Fatal(err)
	}

	session, _ = login()
	other, keep := login()
	owj = join()
	if err := a.RevokeAll(ctx, "b", keep.Token.ID); err != nil || holds(session) || holds(token) || !holds(other) {
		t.Errorf("all but one: %v, session %v, token %v, the one %v", err, holds(session), holds(token), holds(other))
	}
	if _, err := a.Join(ctx, owj, "n", false); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a join token of a user whose tokens were revoked: %v", err)
	}
	if err := a.RevokeAll(ctx, "nobody", ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody's: %v", err)
	}
	if err := a.DeleteUser(ctx, "b"); err != nil || holds(other) {
		t.Errorf("deleted: %v, session %v", err, holds(other))
	}
}

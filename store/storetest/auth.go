package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/store"
)

// Auth checks server/auth's Store.
func Auth(t *testing.T, open Opener) {
	t.Run("users", func(t *testing.T) { users(newWorld(t, open)) })
	t.Run("tokens", func(t *testing.T) { tokens(newWorld(t, open)) })
	t.Run("join", func(t *testing.T) { join(newWorld(t, open)) })
}

func users(w *world) {
	t, ctx := w.t, w.ctx()
	u := store.User{Name: "alice", Password: "$argon2id$x", Role: "admin", Created: moment(0)}
	must(t, w.Auth.PutUser(ctx, u, true))
	wants(t, "create twice", w.Auth.PutUser(ctx, u, true), fault.Conflict)
	wants(t, "change of nobody", w.Auth.PutUser(ctx, store.User{Name: "bob"}, false), fault.NotFound)
	wants(t, "no name", w.Auth.PutUser(ctx, store.User{}, true), fault.Invalid)
	u.Password, u.Disabled = "$argon2id$y", true
	must(t, w.Auth.PutUser(ctx, u, false))
	must(t, w.Auth.PutUser(ctx, store.User{Name: "Zoe"}, true))
	w.reopen()
	got, err := w.Auth.User(ctx, "alice")
	must(t, err)
	same(t, "user", got, u)
	all, err := w.Auth.Users(ctx)
	must(t, err)
	same(t, "users", all, []store.User{{Name: "Zoe"}, u})
	must(t, w.Auth.PutToken(ctx, store.Token{ID: "1", Hash: "h1", Kind: store.API, User: "alice"}))
	must(t, w.Auth.PutToken(ctx, store.Token{ID: "2", Hash: "h2", Kind: store.API, User: "Zoe"}))
	no := fault.New(fault.Denied, "no")
	_, err = w.Auth.ChangeUser(ctx, "alice", func(x *store.User, all []store.User) error {
		same(t, "all users", all, []store.User{{Name: "Zoe"}, u})
		x.Role = "lost"
		return no
	})
	wants(t, "a change that is refused", err, fault.Denied)
	_, err = w.Auth.ChangeUser(ctx, "nobody", func(*store.User, []store.User) error { t.Error("asked about nobody"); return nil })
	wants(t, "a change of nobody", err, fault.NotFound)
	u.Disabled, u.Role = false, "viewer"
	got, err = w.Auth.ChangeUser(ctx, "alice", func(x *store.User, _ []store.User) error {
		x.Name, x.Disabled, x.Role = "mallory", false, "viewer"
		return nil
	})
	must(t, err)
	same(t, "changed", got, u)
	w.reopen()
	got, err = w.Auth.User(ctx, "alice")
	must(t, err)
	same(t, "changed, after a restart", got, u)
	wants(t, "delete that is refused", w.Auth.DeleteUser(ctx, "alice", func(all []store.User) error {
		same(t, "all users", all, []store.User{{Name: "Zoe"}, u})
		return no
	}), fault.Denied)
	_, err = w.Auth.Token(ctx, "h1")
	must(t, err)
	must(t, w.Auth.DeleteUser(ctx, "alice", nil))
	wants(t, "delete twice", w.Auth.DeleteUser(ctx, "alice", nil), fault.NotFound)
	_, err = w.Auth.User(ctx, "alice")
	wants(t, "no such user", err, fault.NotFound)
	_, err = w.Auth.Token(ctx, "h1")
	wants(t, "token of a deleted user", err, fault.NotFound)
	_, err = w.Auth.Token(ctx, "h2")
	must(t, err)
}

func tokens(w *world) {
	t, ctx := w.t, w.ctx()
	a := store.Token{ID: "1", Hash: "aa", Kind: store.API, User: "alice", Name: "ci", Scopes: []string{"read", "build"}, Created: moment(1), Expires: moment(9)}
	b := store.Token{ID: "2", Hash: "bb", Kind: store.Agent, Node: "n1", Created: moment(0)}
	c := store.Token{ID: "3", Hash: "cc", Kind: store.Session, User: "alice", Created: moment(2)}
	for _, x := range []store.Token{a, b, c} {
		must(t, w.Auth.PutToken(ctx, x))
	}
	wants(t, "same id", w.Auth.PutToken(ctx, store.Token{ID: "1", Hash: "zz", Kind: store.API}), fault.Conflict)
	wants(t, "same hash", w.Auth.PutToken(ctx, store.Token{ID: "9", Hash: "aa", Kind: store.API}), fault.Conflict)
	wants(t, "no hash", w.Auth.PutToken(ctx, store.Token{ID: "9", Kind: store.API}), fault.Invalid)
	wants(t, "a scope of two words", w.Auth.PutToken(ctx, store.Token{ID: "9", Hash: "x", Kind: store.API, Scopes: []string{"a b"}}), fault.Invalid)
	must(t, w.Auth.TouchToken(ctx, "1", moment(5)))
	must(t, w.Auth.TouchToken(ctx, "1", moment(4)))
	must(t, w.Auth.TouchToken(ctx, "no", moment(4)))
	w.reopen()
	a.LastUsed = moment(5)
	got, err := w.Auth.Token(ctx, "aa")
	must(t, err)
	same(t, "token", got, a)
	for _, x := range []struct {
		f    store.TokenFilter
		want []store.Token
	}{
		{store.TokenFilter{}, []store.Token{b, a, c}},
		{store.TokenFilter{User: "alice"}, []store.Token{a, c}},
		{store.TokenFilter{User: "alice", Kind: store.Session}, []store.Token{c}},
		{store.TokenFilter{Node: "n1"}, []store.Token{b}},
		{store.TokenFilter{Node: "n1", User: "alice"}, []store.Token{}},
		{store.TokenFilter{Kind: store.Join}, []store.Token{}},
	} {
		got, err := w.Auth.Tokens(ctx, x.f)
		must(t, err)
		same(t, fmt.Sprintf("Tokens(%+v)", x.f), got, x.want)
	}
	must(t, w.Auth.DeleteToken(ctx, "1"))
	wants(t, "delete twice", w.Auth.DeleteToken(ctx, "1"), fault.NotFound)
	_, err = w.Auth.Token(ctx, "aa")
	wants(t, "no such token", err, fault.NotFound)
}

func join(w *world) {
	t, ctx := w.t, w.ctx()
	put := func(x store.Token) { t.Helper(); must(t, w.Auth.PutToken(ctx, x)) }
	cred := func(n int, node string) store.Token {
		return store.Token{ID: fmt.Sprint("cred", n), Hash: fmt.Sprint("credhash", n), Kind: store.Agent, Node: node, Created: moment(1)}
	}
	put(store.Token{ID: "api", Hash: "api", Kind: store.API})
	put(store.Token{ID: "old", Hash: "old", Kind: store.Join, Expires: moment(1)})
	put(store.Token{ID: "n1", Hash: "n1", Kind: store.Join, Node: "n1", Expires: moment(9)})
	wants(t, "unknown", w.Auth.UseJoinToken(ctx, "no", moment(2), cred(0, "x")), fault.NotFound)
	wants(t, "another kind", w.Auth.UseJoinToken(ctx, "api", moment(2), cred(0, "x")), fault.NotFound)
	wants(t, "expired", w.Auth.UseJoinToken(ctx, "old", moment(1), cred(0, "x")), fault.Unauthenticated)
	wants(t, "for another node", w.Auth.UseJoinToken(ctx, "n1", moment(2), cred(0, "n2")), fault.Denied)
	taken := cred(0, "n1")
	taken.Hash = "api"
	wants(t, "credential's hash is taken", w.Auth.UseJoinToken(ctx, "n1", moment(2), taken), fault.Conflict)
	must(t, w.Auth.UseJoinToken(ctx, "n1", moment(2), cred(0, "n1")))
	wants(t, "used before", w.Auth.UseJoinToken(ctx, "n1", moment(2), cred(1, "n1")), fault.Conflict)

	put(store.Token{ID: "any", Hash: "any", Kind: store.Join})
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			err := w.Auth.UseJoinToken(ctx, "any", moment(3), cred(10+i, fmt.Sprint("node", i)))
			if err == nil {
				won.Add(1)
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.reopen()
	agents, err := w.Auth.Tokens(ctx, store.TokenFilter{Kind: store.Agent})
	must(t, err)
	if won.Load() != 1 || len(agents) != 2 {
		t.Errorf("%d callers used one token; there are %d credentials", won.Load(), len(agents))
	}
	used, err := w.Auth.Token(ctx, "any")
	must(t, err)
	same(t, "used at", used.UsedAt, moment(3))
}

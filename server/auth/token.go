package auth

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// touchEvery bounds how often the last use of a token is written.
const touchEvery = time.Minute

// Login checks a password and returns a session: its secret, to be shown to its owner and nobody else, and its record.
func (a *Authority) Login(ctx context.Context, user, password, name string) (string, Token, error) {
	u, err := a.checkPassword(ctx, user, password)
	if err != nil {
		return "", Token{}, err
	}
	return a.issue(ctx, Token{Kind: Session, User: u.Name, Name: name, Scopes: words(roles[u.Role])}, a.cfg.SessionTTL)
}

func words(ss []Scope) []string {
	var out []string
	for _, s := range ss {
		out = append(out, string(s))
	}
	return out
}

func (a *Authority) issue(ctx context.Context, t Token, ttl time.Duration) (string, Token, error) {
	plain, hash := secret(t.Kind)
	now := a.cfg.Now().UTC()
	t.ID, t.Hash, t.Created = rand.Text(), hash, now
	if ttl > 0 {
		t.Expires = now.Add(ttl)
	}
	return plain, t, a.cfg.Store.PutToken(ctx, t)
}

// CreateToken makes an API token of a user. No scopes are read and write, as far as the owner has them; no scope can be given
// that the owner does not have.
func (a *Authority) CreateToken(ctx context.Context, owner Identity, name string, scopes []string, ttl time.Duration) (string, Token, error) {
	if len(scopes) == 0 {
		scopes = slices.DeleteFunc([]string{"read", "write"}, func(s string) bool { return !owner.May(Scope(s)) })
	}
	for _, s := range scopes {
		if !covers(roles["admin"], Scope(s)) {
			return "", Token{}, fault.New(fault.Invalid, "scope %q: expected admin, write, read, cache-write or cache-read", s)
		}
		if !owner.May(Scope(s)) {
			return "", Token{}, fault.New(fault.Denied, "scope %q: you do not have it yourself", s)
		}
	}
	if ttl == 0 {
		ttl = a.cfg.TokenTTL
	}
	if ttl < 0 || ttl > 10*365*24*time.Hour {
		return "", Token{}, fault.New(fault.Invalid, "ttl %s: expected more than nothing and less than ten years", ttl)
	}
	return a.issue(ctx, Token{Kind: API, User: owner.User, Name: name, Scopes: scopes}, ttl)
}

// Tokens lists a user's API tokens and sessions.
func (a *Authority) Tokens(ctx context.Context, user string) ([]Token, error) {
	ts, err := a.cfg.Store.Tokens(ctx, TokenFilter{User: user})
	return slices.DeleteFunc(ts, func(t Token) bool { return t.Kind != API && t.Kind != Session }), err
}

// Revoke ends a token; users end their own, admins any.
func (a *Authority) Revoke(ctx context.Context, by Identity, id string) error {
	filter := TokenFilter{User: by.User}
	if by.May(Admin) {
		filter = TokenFilter{}
	}
	ts, err := a.cfg.Store.Tokens(ctx, filter)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(ts, func(t Token) bool { return t.ID == id }) {
		if by.May(Admin) {
			return fault.New(fault.NotFound, "there is no token %q", id)
		}
		return fault.New(fault.NotFound, "there is no token %q of yours", id)
	}
	defer a.recheck(ctx)
	return a.cfg.Store.DeleteToken(ctx, id)
}

// Authenticate says whose secret this is. Everything that does not hold is fault.Unauthenticated, with the reason that its
// owner needs.
func (a *Authority) Authenticate(ctx context.Context, plain string) (Identity, error) {
	kind, ok := kindOf(plain)
	if !ok || kind == Join {
		return Identity{}, fault.New(fault.Unauthenticated, "this is not a token of Outwork's API")
	}
	t, err := a.cfg.Store.Token(ctx, hashOf(plain))
	if fault.Is(err, fault.NotFound) || (err == nil && t.Kind != kind) {
		return Identity{}, fault.New(fault.Unauthenticated, "the token is not known: it was revoked, or belongs to another controller")
	}
	if err != nil {
		return Identity{}, err
	}
	now := a.cfg.Now()
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return Identity{}, fault.New(fault.Unauthenticated, "the token expired at %s", t.Expires.Format(time.RFC3339))
	}
	id := Identity{Token: t, Node: t.Node}
	if t.Kind != Agent {
		u, err := a.cfg.Store.User(ctx, t.User)
		if fault.Is(err, fault.NotFound) || (err == nil && u.Disabled) {
			return Identity{}, fault.New(fault.Unauthenticated, "the token's user is gone or disabled")
		}
		if err != nil {
			return Identity{}, err
		}
		id.User = u.Name
		for _, s := range t.Scopes { // never more than the role has now
			if covers(roles[u.Role], Scope(s)) {
				id.Scopes = append(id.Scopes, Scope(s))
			}
		}
	}
	a.touch(ctx, t.ID, now)
	return id, nil
}

// touch notes the use of a token, not more often than touchEvery.
func (a *Authority) touch(ctx context.Context, id string, now time.Time) {
	a.mu.Lock()
	last := a.touched[id]
	fresh := now.Sub(last) < touchEvery
	if !fresh {
		if len(a.touched) >= maxRemembered {
			clear(a.touched)
		}
		a.touched[id] = now
	}
	a.mu.Unlock()
	if fresh {
		return
	}
	if err := a.cfg.Store.TouchToken(ctx, id, now.UTC()); err != nil {
		a.cfg.Log.Warn("note the use of a token", "error", err)
	}
}

// CreateJoinToken makes a one-use token with which one agent can join; node restricts it to that name. A ttl of 0 is Config's.
func (a *Authority) CreateJoinToken(ctx context.Context, by, node string, ttl time.Duration) (string, Token, error) {
	if ttl == 0 {
		ttl = a.cfg.JoinTTL
	}
	if ttl < 0 || ttl > 30*24*time.Hour {
		return "", Token{}, fault.New(fault.Invalid, "ttl %s: expected more than nothing and at most 720h", ttl)
	}
	return a.issue(ctx, Token{Kind: Join, User: by, Node: node}, ttl)
}

// Join takes a join token and returns the node's own credential. Of many callers with one token, one succeeds. taken says that there
// is a node of the name: then the token must be bound to it, or the answer is fault.Conflict and the token is still good.
func (a *Authority) Join(ctx context.Context, plain, node string, taken bool) (credential string, err error) {
	if k, ok := kindOf(plain); !ok || k != Join {
		return "", fault.New(fault.Unauthenticated, "this is not a join token: make one with outwork node token")
	}
	now := a.cfg.Now().UTC()
	if taken {
		if err := a.mayTake(ctx, plain, node, now); err != nil {
			return "", err
		}
	}
	credential, hash := secret(Agent)
	t := Token{ID: rand.Text(), Hash: hash, Kind: Agent, Node: node, Created: now}
	err = a.cfg.Store.UseJoinToken(ctx, hashOf(plain), now, t)
	switch fault.Of(err) {
	case fault.NotFound:
		return "", fault.New(fault.Unauthenticated, "the join token is not known: make one with outwork node token")
	case fault.Conflict:
		return "", fault.New(fault.Unauthenticated, "the join token was used already: make another with outwork node token")
	case fault.Unauthenticated:
		return "", fault.New(fault.Unauthenticated, "the join token has expired: make another with outwork node token")
	}
	if err != nil {
		return "", err
	}
	return credential, a.RevokeNode(ctx, node, t.ID)
}

// mayTake refuses a token that would do but for not naming the node. Who has no such token learns nothing of the nodes.
func (a *Authority) mayTake(ctx context.Context, plain, node string, now time.Time) error {
	t, err := a.cfg.Store.Token(ctx, hashOf(plain))
	switch {
	case fault.Is(err, fault.NotFound):
		return nil // UseJoinToken says what is wrong
	case err != nil:
		return err
	case t.Node == "" && t.UsedAt.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires)):
		return fault.New(fault.Conflict, "there is a node %q already, and this join token is not for it: give the agent another --name, "+
			"or replace the agent of that node with a token from: outwork node token --node %s", node, node)
	}
	return nil
}

// IssueAgent makes a credential for a node that the controller itself starts.
func (a *Authority) IssueAgent(ctx context.Context, node string) (string, error) {
	plain, _, err := a.issue(ctx, Token{Kind: Agent, Node: node}, 0)
	return plain, err
}

// RevokeNode ends all credentials of a node but the one named keep.
func (a *Authority) RevokeNode(ctx context.Context, node, keep string) error {
	return a.drop(ctx, TokenFilter{Kind: Agent, Node: node}, keep)
}

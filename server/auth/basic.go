package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// rememberPassword is how long a password that was right is not hashed again.
const rememberPassword = 5 * time.Minute

// Basic says who shows a name and a secret with HTTP basic authentication. The secret is one of the user's API tokens, or the
// password. A password that was right is remembered for a few minutes, because scripts show it with every request: not the
// password itself, but a digest under a key that this process makes; a changed password is not remembered.
// fault.Unauthenticated, fault.Exhausted after too many wrong passwords.
func (a *Authority) Basic(ctx context.Context, user, secret string) (Identity, error) {
	if kind, ok := kindOf(secret); ok && (kind == API || kind == Session) {
		id, err := a.Authenticate(ctx, secret)
		if err == nil && id.User != user {
			return Identity{}, fault.New(fault.Unauthenticated, "the token is not one of user %q", user)
		}
		return id, err
	}
	u, err := a.cfg.Store.User(ctx, user)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Identity{}, err
	}
	known := err == nil && !u.Disabled && u.Password != ""
	if !known || !a.right.has(u, secret, a.cfg.Now()) {
		if u, err = a.checkPassword(ctx, user, secret); err != nil {
			return Identity{}, err
		}
		a.right.add(u, secret, a.cfg.Now())
	}
	return Identity{Token: Token{ID: "password of " + u.Name, Kind: Session, User: u.Name}, User: u.Name, Scopes: roles[u.Role]}, nil
}

// remembered are passwords that were right. The zero value remembers none.
type remembered struct {
	mu    sync.Mutex
	key   []byte                 // guarded by mu; made at the first use
	until map[[32]byte]time.Time // guarded by mu
}

// sum is of a user, the hash that is kept of the password, and the password. mu is held.
func (r *remembered) sum(u User, password string) (out [32]byte) {
	if r.key == nil {
		r.key, r.until = make([]byte, 32), map[[32]byte]time.Time{}
		rand.Read(r.key)
	}
	h := hmac.New(sha256.New, r.key)
	for _, part := range []string{u.Name, u.Password, password} {
		n := len(part)
		h.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
		h.Write([]byte(part))
	}
	h.Sum(out[:0])
	return out
}

func (r *remembered) has(u User, password string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until[r.sum(u, password)])
}

func (r *remembered) add(u User, password string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := r.sum(u, password)
	if len(r.until) >= maxRemembered {
		clear(r.until)
	}
	r.until[sum] = now.Add(rememberPassword)
}

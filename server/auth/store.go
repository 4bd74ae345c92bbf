// Package auth says who somebody is and what they may do: users, their passwords, and tokens.
package auth

import (
	"context"
	"time"

	"github.com/outwork-build/outwork/store"
)

// What is kept. The ledger's own words: a room may not import what stands left of it.
type (
	User        = store.User
	Token       = store.Token
	TokenKind   = store.TokenKind
	TokenFilter = store.TokenFilter
)

// The kinds of tokens.
const (
	API     = store.API
	Session = store.Session
	Agent   = store.Agent
	Join    = store.Join
)

var _ Store = (*store.Auth)(nil)

// UserStore keeps users. All methods of it and of TokenStore may be called concurrently; a write is durable when it returns,
// where nothing else is said. Unknown names answer fault.NotFound.
type UserStore interface {
	PutUser(ctx context.Context, u User, create bool) error // create: fault.Conflict when the name is taken
	User(ctx context.Context, name string) (User, error)
	Users(ctx context.Context) ([]User, error)
	// ChangeUser changes a user in one transaction. change gets all users as they are, changes u, and may be called again: it must be
	// pure. Its error undoes everything.
	ChangeUser(ctx context.Context, name string, change func(u *User, all []User) error) (User, error)
	// DeleteUser forgets a user and the user's tokens. A may that is not nil is asked first, under the rules of change.
	DeleteUser(ctx context.Context, name string, may func(all []User) error) error
}

// TokenStore keeps tokens. It compares nothing but hashes, and judges neither expiry nor scopes, except in UseJoinToken.
type TokenStore interface {
	PutToken(ctx context.Context, t Token) error // fault.Conflict when its ID or its hash is there already
	Token(ctx context.Context, hash string) (Token, error)
	Tokens(ctx context.Context, f TokenFilter) ([]Token, error) // by creation, oldest first
	DeleteToken(ctx context.Context, id string) error
	// TouchToken sets LastUsed. It need not be durable at return; a token that is gone is no error.
	TouchToken(ctx context.Context, id string, at time.Time) error
	// UseJoinToken takes the join token with that hash and keeps the credential in one transaction: of many callers with one
	// token, one succeeds. fault.NotFound: no join token has the hash. fault.Conflict: it was used before, or the credential's
	// ID or hash is taken. fault.Unauthenticated: it had expired at now. fault.Denied: it is good for another node.
	UseJoinToken(ctx context.Context, hash string, now time.Time, credential Token) error
}

// Store keeps both.
type Store interface {
	UserStore
	TokenStore
}

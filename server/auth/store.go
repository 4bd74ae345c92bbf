// Package auth says who somebody is and what they may do: users, their passwords, and tokens.
package auth

import (
	"context"
	"time"
)

// User is a person, or a program that acts like one.
type User struct {
	Name     string    `json:"name"`
	Password string    `json:"-"`    // hash in PHC form ($argon2id$…); "" cannot log in by password
	Role     string    `json:"role"` // what the user may do at most; the words are auth's
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled,omitempty"` // may do nothing, and neither may the user's tokens
}

// TokenKind says what a token is for.
type TokenKind string

const (
	API     TokenKind = "api"     // a user's, for programs
	Session TokenKind = "session" // a user's browser
	Agent   TokenKind = "agent"   // one node's credential
	Join    TokenKind = "join"    // given once for an Agent token
)

// Token is a secret that somebody shows. Only its hash is kept. Times are UTC.
type Token struct {
	ID       string    `json:"id"`   // names the token for people and for DeleteToken; no secret
	Hash     string    `json:"-"`    // of the secret, in lower-case hex; unique
	Kind     TokenKind `json:"kind"`
	User     string    `json:"user,omitempty"`
	Node     string    `json:"node,omitempty"` // Agent: whose it is. Join: the only node it is good for; "" is any
	Name     string    `json:"name,omitempty"` // as its owner called it
	Scopes   []string  `json:"scopes,omitempty"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`  // zero never expires
	LastUsed time.Time `json:"lastUsed,omitzero"` // see TouchToken
	UsedAt   time.Time `json:"usedAt,omitzero"`   // Join: when it was given in; zero is unused
}

// TokenFilter chooses tokens. Zero fields do not restrict.
type TokenFilter struct {
	Kind TokenKind
	User string
	Node string
}

// UserStore keeps users. All methods of it and of TokenStore may be called concurrently; a write is durable when it returns,
// where nothing else is said. Unknown names answer fault.NotFound.
type UserStore interface {
	PutUser(ctx context.Context, u User, create bool) error // create: fault.Conflict when the name is taken
	User(ctx context.Context, name string) (User, error)
	Users(ctx context.Context) ([]User, error)
	DeleteUser(ctx context.Context, name string) error // with the user's tokens
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

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
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
	ID       string    `json:"id"` // names the token for people and for DeleteToken; no secret
	Hash     string    `json:"-"`  // of the secret, in lower-case hex; unique
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

// Auth keeps users and tokens. It implements server/auth's Store, where the calls are described.
type Auth struct{ engine Engine }

// PutUser keeps a user.
func (s *Auth) PutUser(ctx context.Context, u User, create bool) error {
	if u.Name == "" {
		return fault.New(fault.Invalid, "user: expected a name, found none")
	}
	data, err := encode(u)
	if err != nil {
		return err
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		if create {
			n, err := tx.Exec("user.insert", u.Name, u.Password, data)
			if err == nil && n == 0 {
				return fault.New(fault.Conflict, "user %q exists", u.Name)
			}
			return err
		}
		n, err := tx.Exec("user.update", u.Password, data, u.Name)
		if err == nil && n == 0 {
			return noUser(u.Name)
		}
		return err
	})
}

func noUser(name string) error { return fault.New(fault.NotFound, "no user %q", name) }

func (s *Auth) users(ctx context.Context, query string, args ...any) (all []User, err error) {
	err = s.engine.Read(ctx, func(tx Tx) (err error) {
		all, err = usersIn(tx, query, args...)
		return err
	})
	return all, err
}

func usersIn(tx Tx, query string, args ...any) ([]User, error) {
	var all []User
	err := tx.Query(query, args, func(scan func(...any) error) error {
		var password string
		var data []byte
		if err := scan(&password, &data); err != nil {
			return err
		}
		var u User
		if err := json.Unmarshal(data, &u); err != nil {
			return fmt.Errorf("user row: %w", err)
		}
		u.Password = password
		all = append(all, u)
		return nil
	})
	return all, err
}

// User returns one user.
func (s *Auth) User(ctx context.Context, name string) (User, error) {
	us, err := s.users(ctx, "user.get", name)
	if err != nil {
		return User{}, err
	}
	if len(us) == 0 {
		return User{}, noUser(name)
	}
	return us[0], nil
}

// Users returns all users by name.
func (s *Auth) Users(ctx context.Context) ([]User, error) { return s.users(ctx, "user.list") }

// ChangeUser changes a user in a transaction that sees all of them.
func (s *Auth) ChangeUser(ctx context.Context, name string, change func(u *User, all []User) error) (u User, err error) {
	err = s.engine.Write(ctx, func(tx Tx) error {
		all, err := usersIn(tx, "user.list")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(u User) bool { return u.Name == name })
		if i < 0 {
			return noUser(name)
		}
		u = all[i]
		if err := change(&u, all); err != nil {
			return err
		}
		u.Name = name
		data, err := encode(u)
		if err != nil {
			return err
		}
		_, err = tx.Exec("user.update", u.Password, data, name)
		return err
	})
	return u, err
}

// DeleteUser forgets a user and the user's tokens. A may that is not nil is asked first, with all users, in the same transaction.
func (s *Auth) DeleteUser(ctx context.Context, name string, may func(all []User) error) error {
	return s.engine.Write(ctx, func(tx Tx) error {
		if may != nil {
			all, err := usersIn(tx, "user.list")
			if err != nil {
				return err
			}
			if err := may(all); err != nil {
				return err
			}
		}
		n, err := tx.Exec("user.delete", name)
		if err != nil {
			return err
		}
		if n == 0 {
			return noUser(name)
		}
		_, err = tx.Exec("user.delete_tokens", name)
		return err
	})
}

// micros is a time as a column holds it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

func insertToken(tx Tx, t Token) error {
	n, err := tx.Exec("token.insert", t.ID, t.Hash, string(t.Kind), t.User, t.Node, t.Name, strings.Join(t.Scopes, " "),
		micros(t.Created), micros(t.Expires), micros(t.LastUsed), micros(t.UsedAt))
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "token %q exists", t.ID)
	}
	return err
}

func checkToken(t Token) error {
	if t.ID == "" || t.Hash == "" || t.Kind == "" {
		return fault.New(fault.Invalid, "token %q: expected an id, a hash and a kind", t.ID)
	}
	for _, sc := range t.Scopes {
		if sc == "" || strings.Contains(sc, " ") {
			return fault.New(fault.Invalid, "token %q: scope %q: expected a word", t.ID, sc)
		}
	}
	return nil
}

// PutToken keeps a new token.
func (s *Auth) PutToken(ctx context.Context, t Token) error {
	if err := checkToken(t); err != nil {
		return err
	}
	return s.engine.Write(ctx, func(tx Tx) error { return insertToken(tx, t) })
}

func tokens(tx Tx, query string, args ...any) ([]Token, error) {
	var all []Token
	err := tx.Query(query, args, func(scan func(...any) error) error {
		var t Token
		var kind, scopes string
		var created, expires, last, used int64
		if err := scan(&t.ID, &t.Hash, &kind, &t.User, &t.Node, &t.Name, &scopes, &created, &expires, &last, &used); err != nil {
			return err
		}
		t.Kind, t.Scopes = TokenKind(kind), strings.Fields(scopes)
		if len(t.Scopes) == 0 {
			t.Scopes = nil
		}
		t.Created, t.Expires, t.LastUsed, t.UsedAt = fromMicros(created), fromMicros(expires), fromMicros(last), fromMicros(used)
		all = append(all, t)
		return nil
	})
	return all, err
}

// Token returns the token of a hash.
func (s *Auth) Token(ctx context.Context, hash string) (t Token, err error) {
	err = s.engine.Read(ctx, func(tx Tx) (err error) {
		t, err = tokenOf(tx, hash)
		return err
	})
	return t, err
}

func tokenOf(tx Tx, hash string) (Token, error) {
	ts, err := tokens(tx, "token.get", hash)
	if err != nil {
		return Token{}, err
	}
	if len(ts) == 0 {
		return Token{}, fault.New(fault.NotFound, "no token has this secret")
	}
	return ts[0], nil
}

// Tokens returns the tokens that the filter chooses, oldest first.
func (s *Auth) Tokens(ctx context.Context, f TokenFilter) ([]Token, error) {
	var all []Token
	err := s.engine.Read(ctx, func(tx Tx) (err error) {
		switch {
		case f.User != "":
			all, err = tokens(tx, "token.list_owner", f.User)
		case f.Node != "":
			all, err = tokens(tx, "token.list_node", f.Node)
		default:
			all, err = tokens(tx, "token.list")
		}
		return err
	})
	out := []Token{}
	for _, t := range all {
		if (f.Kind == "" || t.Kind == f.Kind) && (f.User == "" || t.User == f.User) && (f.Node == "" || t.Node == f.Node) {
			out = append(out, t)
		}
	}
	return out, err
}

// DeleteToken forgets a token.
func (s *Auth) DeleteToken(ctx context.Context, id string) error {
	return s.engine.Write(ctx, func(tx Tx) error {
		n, err := tx.Exec("token.delete", id)
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "no token %q", id)
		}
		return err
	})
}

// TouchToken notes when a token was used last, soon. It never goes back.
func (s *Auth) TouchToken(ctx context.Context, id string, at time.Time) error {
	return s.engine.Later(ctx, func(tx Tx) error {
		_, err := tx.Exec("token.touch", micros(at), id, micros(at))
		return err
	})
}

// UseJoinToken takes a join token and keeps the credential it is given for.
func (s *Auth) UseJoinToken(ctx context.Context, hash string, now time.Time, credential Token) error {
	if err := checkToken(credential); err != nil {
		return err
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		t, err := tokenOf(tx, hash)
		switch {
		case err != nil:
			return err
		case t.Kind != Join:
			return fault.New(fault.NotFound, "token %q is no join token", t.ID)
		case !t.UsedAt.IsZero():
			return fault.New(fault.Conflict, "join token %q was used at %s: ask for a new one", t.ID, t.UsedAt.Format(time.RFC3339))
		case !t.Expires.IsZero() && !now.Before(t.Expires):
			return fault.New(fault.Unauthenticated, "join token %q expired at %s: ask for a new one", t.ID, t.Expires.Format(time.RFC3339))
		case t.Node != "" && t.Node != credential.Node:
			return fault.New(fault.Denied, "join token %q is for node %q, not %q", t.ID, t.Node, credential.Node)
		}
		if n, err := tx.Exec("token.use", micros(now), t.ID); err != nil || n == 0 {
			if err == nil {
				err = fault.New(fault.Conflict, "join token %q was used before", t.ID)
			}
			return err
		}
		return insertToken(tx, credential)
	})
}

package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/outwork-build/outwork/internal/fault"
)

// Scope is something a caller may do.
type Scope string

const (
	Read  Scope = "read"  // see jobs, builds, logs, nodes, the queue
	Write Scope = "write" // make jobs, start and abort builds
	Admin Scope = "admin" // nodes, users, join tokens, backups

	CacheRead  Scope = "cache-read"  // the part of Read that is the cache
	CacheWrite Scope = "cache-write" // the part of Write that is the cache
)

// Roles of users and what each may do at most.
var roles = map[string][]Scope{"admin": {Admin, Write, Read}, "user": {Write, Read}, "viewer": {Read}}

// within are scopes that are a part of another: who has that one has them.
var within = map[Scope]Scope{CacheRead: Read, CacheWrite: Write}

// covers reports whether scopes let their holder do what s is.
func covers(scopes []Scope, s Scope) bool {
	whole, part := within[s]
	return slices.Contains(scopes, s) || part && slices.Contains(scopes, whole)
}

// prefixes make a leaked secret recognisable, and say its kind before anything is looked up.
var prefixes = map[TokenKind]string{API: "owt_", Session: "ows_", Agent: "owa_", Join: "owj_"}

// Identity is a caller that has shown a valid secret. The zero value is nobody.
type Identity struct {
	Token  Token
	User   string // "" for agents
	Node   string // "" for users
	Scopes []Scope
}

// May reports whether the identity has a scope.
func (i Identity) May(s Scope) bool { return covers(i.Scopes, s) }

// Known reports whether this is anybody.
func (i Identity) Known() bool { return i.Token.ID != "" }

// Config is what an Authority is made of. Zero durations get defaults.
type Config struct {
	Store      Store
	Log        *slog.Logger
	Now        func() time.Time // nil is time.Now
	SessionTTL time.Duration    // of a login; 0 is 30 days
	TokenTTL   time.Duration    // of an API token when its owner says nothing; 0 is 90 days
	JoinTTL    time.Duration    // of a join token; 0 is one hour
	Hash       *HashCost        // nil is RFC 9106's second recommendation
}

// HashCost makes password hashing cheaper, for tests.
type HashCost struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// Authority answers who somebody is. Its methods may be called concurrently.
type Authority struct {
	cfg     Config
	cost    argon
	decoy   string        // a hash of no password, to compare with when there is no such user
	hashing chan struct{} // bounds the memory of argon2id
	right   remembered    // passwords shown with Basic

	taken atomic.Uint64 // how often something was taken from a user or a token; changes with mu held

	mu       sync.Mutex
	attempts map[string]*rate.Limiter // guarded by mu; failed logins by user
	touched  map[string]time.Time     // guarded by mu; token id to the last touch written
	live     map[*live]struct{}       // guarded by mu; requests under way
}

// maxRemembered bounds the maps of an Authority; over it they start anew.
const maxRemembered = 10000

// New returns an Authority over a store.
func New(cfg Config) *Authority {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	for d, def := range map[*time.Duration]time.Duration{&cfg.SessionTTL: 30 * 24 * time.Hour, &cfg.TokenTTL: 90 * 24 * time.Hour, &cfg.JoinTTL: time.Hour} {
		if *d == 0 {
			*d = def
		}
	}
	a := &Authority{cfg: cfg, cost: recommended, hashing: make(chan struct{}, 4), attempts: map[string]*rate.Limiter{}, touched: map[string]time.Time{},
		live: map[*live]struct{}{}}
	if h := cfg.Hash; h != nil {
		a.cost = argon{h.MemoryKiB, h.Time, h.Threads}
	}
	a.decoy = a.cost.decoy()
	return a
}

// secret makes a secret of a kind and the hash under which it is kept.
func secret(k TokenKind) (plain, hash string) {
	b := make([]byte, 32)
	rand.Read(b)
	plain = prefixes[k] + base64.RawURLEncoding.EncodeToString(b)
	return plain, hashOf(plain)
}

// hashOf needs no salt and no cost: the secrets are 256 random bits.
func hashOf(plain string) string {
	h := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(h[:])
}

func kindOf(plain string) (TokenKind, bool) {
	for k, p := range prefixes {
		if strings.HasPrefix(plain, p) {
			return k, true
		}
	}
	return "", false
}

// Bootstrap makes the first admin when there is no user at all, and returns the password it gave, to be shown once.
// "" means that there are users already.
func (a *Authority) Bootstrap(ctx context.Context) (password string, err error) {
	us, err := a.cfg.Store.Users(ctx)
	if err != nil || len(us) > 0 {
		return "", err
	}
	password = rand.Text()
	err = a.CreateUser(ctx, "admin", password, "admin")
	return password, err
}

// acquire bounds how many passwords are hashed at once.
func (a *Authority) acquire(ctx context.Context) error {
	select {
	case a.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *Authority) hash(ctx context.Context, password string) (string, error) {
	if err := a.acquire(ctx); err != nil {
		return "", err
	}
	defer func() { <-a.hashing }()
	return a.cost.hash(password), nil
}

// wrong is the one answer to every failed login: it does not say which part was wrong.
func wrong() error { return fault.New(fault.Unauthenticated, "wrong user or password") }

// limiter allows a user ten failed logins at once and one more every six seconds.
func (a *Authority) limiter(user string) *rate.Limiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.attempts[user]
	if l == nil {
		if len(a.attempts) >= maxRemembered {
			clear(a.attempts)
		}
		l = rate.NewLimiter(rate.Every(6*time.Second), 10)
		a.attempts[user] = l
	}
	return l
}

func (a *Authority) checkPassword(ctx context.Context, user, password string) (User, error) {
	l := a.limiter(user)
	now := a.cfg.Now()
	if l.TokensAt(now) < 1 {
		return User{}, fault.New(fault.Exhausted, "too many failed logins of %q: try again in a few seconds", user)
	}
	u, err := a.cfg.Store.User(ctx, user)
	phc := u.Password
	unknown := fault.Is(err, fault.NotFound) || phc == ""
	if err != nil && !unknown {
		return User{}, err
	}
	if unknown {
		phc = a.decoy
	}
	if err := a.acquire(ctx); err != nil {
		return User{}, err
	}
	defer func() { <-a.hashing }()
	ok, err := matches(phc, password)
	if err != nil {
		return User{}, err
	}
	if !ok || unknown || u.Disabled {
		l.AllowN(now, 1)
		a.cfg.Log.Warn("login refused", "user", user)
		return User{}, wrong()
	}
	return u, nil
}

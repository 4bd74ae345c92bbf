package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/store/sqlite"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T) (*auth.Authority, *clock) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := sqlite.Open(ctx, t.TempDir(), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		l.Close()
	})
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return auth.New(auth.Config{Store: l.Tables.Auth, Now: c.Now, Hash: &auth.HashCost{MemoryKiB: 64, Time: 1, Threads: 1}}), c
}

func TestTheFirstAdminIsMadeOnce(t *testing.T) {
	a, _ := open(t)
	ctx := context.Background()
	password, err := a.Bootstrap(ctx)
	if err != nil || len(password) < 20 {
		t.Fatalf("password %q, %v", password, err)
	}
	if again, err := a.Bootstrap(ctx); again != "" || err != nil {
		t.Fatalf("second start: %q, %v", again, err)
	}
	plain, _, err := a.Login(ctx, "admin", password, "test")
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Authenticate(ctx, plain)
	if err != nil || id.User != "admin" || !id.May(auth.Admin) || !id.May(auth.Write) || !id.May(auth.Read) {
		t.Fatalf("%+v, %v", id, err)
	}
}

func TestWrongLoginsSayNothingAndAreLimited(t *testing.T) {
	a, c := open(t)
	ctx := context.Background()
	if err := a.CreateUser(ctx, "alice", "correct horse", "user"); err != nil {
		t.Fatal(err)
	}
	_, _, wrongPassword := a.Login(ctx, "alice", "nope", "")
	_, _, noUser := a.Login(ctx, "bob", "nope", "")
	if wrongPassword == nil || noUser == nil || wrongPassword.Error() != noUser.Error() {
		t.Fatalf("the answers differ: %v / %v", wrongPassword, noUser)
	}
	var err error
	for range 20 {
		if _, _, err = a.Login(ctx, "alice", "nope", ""); fault.Is(err, fault.Exhausted) {
			break
		}
	}
	if !fault.Is(err, fault.Exhausted) {
		t.Fatalf("guessing was never stopped: %v", err)
	}
	if _, _, err := a.Login(ctx, "alice", "correct horse", ""); !fault.Is(err, fault.Exhausted) {
		t.Fatalf("the right password while stopped: %v", err)
	}
	c.add(time.Minute)
	if _, _, err := a.Login(ctx, "alice", "correct horse", ""); err != nil {
		t.Fatalf("after a minute: %v", err)
	}
}

func TestTokensExpireAndAreRevoked(t *testing.T) {
	a, c := open(t)
	ctx := context.Background()
	if err := a.CreateUser(ctx, "alice", "correct horse", "user"); err != nil {
		t.Fatal(err)
	}
	session, _, err := a.Login(ctx, "alice", "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	alice, err := a.Authenticate(ctx, session)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.CreateToken(ctx, alice, "x", []string{"admin"}, 0); !fault.Is(err, fault.Denied) {
		t.Fatalf("a user made an admin token: %v", err)
	}
	plain, tok, err := a.CreateToken(ctx, alice, "ci", []string{"read"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(plain, "owt_") || strings.Contains(tok.Hash, plain) {
		t.Fatalf("secret %q, kept as %q", plain, tok.Hash)
	}
	id, err := a.Authenticate(ctx, plain)
	if err != nil || id.May(auth.Write) || !id.May(auth.Read) {
		t.Fatalf("%+v, %v", id, err)
	}
	c.add(2 * time.Hour)
	if _, err := a.Authenticate(ctx, plain); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "expired") {
		t.Fatalf("after its time: %v", err)
	}
	if err := a.Revoke(ctx, alice, alice.Token.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(ctx, session); !fault.Is(err, fault.Unauthenticated) {
		t.Fatalf("after revoking: %v", err)
	}
}

func TestWhatIsNoTokenIsRefused(t *testing.T) {
	a, _ := open(t)
	for _, plain := range []string{"", "owt_", "owt_x", "nonsense", "owj_AAAA", strings.Repeat("owt_", 1000)} {
		if _, err := a.Authenticate(context.Background(), plain); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%.20q: %v", plain, err)
		}
	}
}

func TestAJoinTokenWorksOnce(t *testing.T) {
	a, c := open(t)
	ctx := context.Background()
	plain, _, err := a.CreateJoinToken(ctx, "admin", "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	got := make(chan string, 16)
	for range 16 {
		wg.Go(func() {
			if cred, err := a.Join(ctx, plain, "n1", false); err == nil {
				got <- cred
			} else if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "used already") {
				t.Errorf("used twice: %v", err)
			}
		})
	}
	wg.Wait()
	close(got)
	cred, ok := <-got
	if _, more := <-got; !ok || more {
		t.Fatal("expected one of sixteen to join")
	}
	id, err := a.Authenticate(ctx, cred)
	if err != nil || id.Node != "n1" || id.User != "" || id.May(auth.Read) {
		t.Fatalf("%+v, %v", id, err)
	}

	late, _, err := a.CreateJoinToken(ctx, "admin", "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c.add(2 * time.Minute)
	if _, err := a.Join(ctx, late, "n2", false); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "expired") {
		t.Fatalf("expired: %v", err)
	}
	if _, err := a.Join(ctx, "owj_wrong", "n2", true); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "not known") {
		t.Fatalf("wrong: %v", err)
	}
	bound, _, err := a.CreateJoinToken(ctx, "admin", "n3", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Join(ctx, bound, "n4", true); !fault.Is(err, fault.Denied) {
		t.Fatalf("another node's token: %v", err)
	}
	// As a node that exists only with a token for it: that ends the credential from before.
	free, _, err := a.CreateJoinToken(ctx, "admin", "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Join(ctx, free, "n1", true); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "outwork node token --node n1") {
		t.Fatalf("a token for any node, as one that exists: %v", err)
	}
	if _, err := a.Authenticate(ctx, cred); err != nil {
		t.Fatalf("the agent that was not replaced: %v", err)
	}
	if _, err := a.Join(ctx, free, "n5", false); err != nil {
		t.Fatalf("the refused token under another name: %v", err)
	}
	if _, err := a.Join(ctx, free, "n1", true); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "used already") {
		t.Fatalf("a used token, as a node that exists: %v", err)
	}
	again, _, err := a.CreateJoinToken(ctx, "admin", "n1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Join(ctx, again, "n1", true); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(ctx, cred); !fault.Is(err, fault.Unauthenticated) {
		t.Fatalf("the old credential: %v", err)
	}
}

func TestAChangedPasswordEndsOtherSessions(t *testing.T) {
	a, _ := open(t)
	ctx := context.Background()
	if err := a.CreateUser(ctx, "alice", "correct horse", "viewer"); err != nil {
		t.Fatal(err)
	}
	one, _, err := a.Login(ctx, "alice", "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	two, keep, err := a.Login(ctx, "alice", "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.SetPassword(ctx, "alice", "wrong one", "battery staple", keep.ID); !fault.Is(err, fault.Unauthenticated) {
		t.Fatalf("with a wrong password: %v", err)
	}
	if err := a.SetPassword(ctx, "alice", "correct horse", "short", keep.ID); !fault.Is(err, fault.Invalid) {
		t.Fatalf("to a short one: %v", err)
	}
	if err := a.SetPassword(ctx, "alice", "correct horse", "battery staple", keep.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(ctx, one); err == nil {
		t.Error("the other session lives")
	}
	if id, err := a.Authenticate(ctx, two); err != nil || id.May(auth.Write) {
		t.Errorf("the own session: %+v %v", id, err)
	}
}

func TestMiddlewareFindsTheCallerAndRefusesNobody(t *testing.T) {
	a, _ := open(t)
	ctx := context.Background()
	if err := a.CreateUser(ctx, "alice", "correct horse", "user"); err != nil {
		t.Fatal(err)
	}
	plain, s, err := a.Login(ctx, "alice", "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	h := a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := auth.Require(r.Context(), auth.Write); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
		}
	}))
	cookie := httptest.NewRecorder()
	auth.SetCookie(cookie, plain, s.Expires, false)
	for name, c := range map[string]struct {
		header, value string
		want          int
		says          string
	}{
		"bearer":      {"Authorization", "Bearer " + plain, 200, ""},
		"cookie":      {"Cookie", cookie.Header().Get("Set-Cookie"), 200, ""},
		"nobody":      {"X-Nothing", "", http.StatusTeapot, "needs a login"},
		"a wrong one": {"Authorization", "Bearer owt_no", http.StatusTeapot, "not known"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(c.header, c.value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
	if set := cookie.Header().Get("Set-Cookie"); !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") {
		t.Errorf("cookie %q", set)
	}
	over := httptest.NewRecorder()
	auth.SetCookie(over, plain, s.Expires, true)
	if set := over.Header().Get("Set-Cookie"); !strings.HasPrefix(set, "__Host-") || !strings.Contains(set, "Secure") {
		t.Errorf("cookie over TLS %q", set)
	}
}

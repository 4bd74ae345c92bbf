package auth

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// Cookie is the name of the session cookie. Over TLS it gets the __Host- prefix.
const Cookie = "outwork_session"

type identityKey struct{}

// From returns the identity that Middleware found; the zero Identity when there is none.
func From(ctx context.Context) Identity {
	id, _ := ctx.Value(identityKey{}).(Identity)
	return id
}

// As returns a context of a caller.
func As(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

type errorKey struct{}

// Refused says why the secret that a request showed did not hold; nil when it showed none.
func Refused(ctx context.Context) error {
	err, _ := ctx.Value(errorKey{}).(error)
	return err
}

// Middleware finds out who calls: by a bearer token, or by the session cookie. It refuses nobody: what needs a scope asks
// Require. A request whose token stops to hold while it runs, a stream, has its context ended. Cookies are honoured only for requests that http.CrossOriginProtection has let pass, which must stand before it.
func (a *Authority) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			for _, name := range []string{"__Host-" + Cookie, Cookie} {
				if c, err := r.Cookie(name); err == nil {
					plain, ok = c.Value, true
					break
				}
			}
		}
		if ok {
			ctx := r.Context()
			admitted, done, err := a.admit(ctx, strings.TrimSpace(plain))
			if err != nil {
				admitted = context.WithValue(ctx, errorKey{}, err)
			} else {
				defer done()
			}
			r = r.WithContext(admitted)
		}
		next.ServeHTTP(w, r)
	})
}

// Require answers nil when the caller has the scope, else what to tell it.
func Require(ctx context.Context, s Scope) error {
	id := From(ctx)
	if !id.Known() {
		if err := Refused(ctx); err != nil {
			return err
		}
		return fault.New(fault.Unauthenticated, "this needs a login")
	}
	if !id.May(s) {
		return fault.New(fault.Denied, "this needs the scope %q, which %s does not have", s, who(id))
	}
	return nil
}

func who(id Identity) string {
	if id.Node != "" {
		return "agent " + id.Node
	}
	return id.User
}

// SetCookie gives a browser its session. secure is whether the page is reached over TLS.
func SetCookie(w http.ResponseWriter, plain string, expires time.Time, secure bool) {
	http.SetCookie(w, &http.Cookie{Name: cookieName(secure), Value: plain, Path: "/", Expires: expires, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode})
}

// ClearCookie ends it.
func ClearCookie(w http.ResponseWriter, secure bool) {
	http.SetCookie(w, &http.Cookie{Name: cookieName(secure), Path: "/", MaxAge: -1, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode})
}

func cookieName(secure bool) string {
	if secure {
		return "__Host-" + Cookie
	}
	return Cookie
}

// Logout ends the token that the caller showed, and the requests under way with it.
func (a *Authority) Logout(ctx context.Context) error {
	id := From(ctx)
	if !id.Known() {
		return nil
	}
	defer a.recheck(ctx)
	return a.cfg.Store.DeleteToken(ctx, id.Token.ID)
}

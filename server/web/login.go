package web

import (
	"net/http"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
)

type loginData struct{ Next, User, Problem string }

// local lets a login lead only to a page of this site.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func (s *site) loginPage(w http.ResponseWriter, r *http.Request) {
	secure(w)
	next := local(r.URL.Query().Get("next"))
	if auth.From(r.Context()).Known() {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	if err := s.show(w, r, "login", view{Title: "Log in", Data: loginData{Next: next}}); err != nil {
		s.fail(w, r, err)
	}
}

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	secure(w)
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	d := loginData{Next: local(r.PostFormValue("next")), User: r.PostFormValue("user")}
	plain, t, err := s.Auth.Login(r.Context(), d.User, r.PostFormValue("password"), "browser")
	if err == nil {
		auth.SetCookie(w, plain, t.Expires, s.Secure)
		http.Redirect(w, r, d.Next, http.StatusSeeOther)
		return
	}
	status := http.StatusUnauthorized
	if k := fault.Of(err); k != fault.Unauthenticated {
		status = http.StatusServiceUnavailable
		if k == fault.Internal {
			s.Log.Error("login", "error", err)
		}
	}
	d.Problem = err.Error()
	if err := s.showAs(w, r, status, "login", view{Title: "Log in", Data: d}); err != nil {
		s.Log.Error("login page", "error", err)
	}
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	secure(w)
	if err := s.Auth.Logout(r.Context()); err != nil && !fault.Is(err, fault.NotFound) {
		s.fail(w, r, err)
		return
	}
	auth.ClearCookie(w, s.Secure)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

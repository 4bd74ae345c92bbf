package auth

import (
	"strconv"
	"testing"
	"time"
)

// What is remembered of a password is good for a while, for one user, one password and one kept hash.
func TestRememberedPasswords(t *testing.T) {
	var r remembered
	now := time.Now()
	u := User{Name: "a", Password: "hash"}
	r.add(u, "secret", now)
	for name, x := range map[string]struct {
		user   User
		secret string
		after  time.Duration
		want   bool
	}{
		"the same":            {u, "secret", time.Minute, true},
		"later":               {u, "secret", rememberPassword, false},
		"another password":    {u, "secre", 0, false},
		"another user":        {User{Name: "b", Password: "hash"}, "secret", 0, false},
		"a changed password":  {User{Name: "a", Password: "hash2"}, "secret", 0, false},
		"parts moved between": {User{Name: "a", Password: "hashs"}, "ecret", 0, false},
	} {
		if got := r.has(x.user, x.secret, now.Add(x.after)); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for i := range maxRemembered + 10 {
		r.add(User{Name: strconv.Itoa(i), Password: "hash"}, "secret", now)
	}
	if len(r.until) > maxRemembered {
		t.Errorf("%d remembered", len(r.until))
	}
}

package auth

import (
	"context"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

func checkRole(role string) error {
	if _, ok := roles[role]; !ok {
		return fault.New(fault.Invalid, "role %q: expected admin, user or viewer", role)
	}
	return nil
}

// checkUser refuses what cannot be a segment of a path, or would be misread in a line of a log.
func checkUser(name string) error {
	odd := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\:"'<>`, r) }
	if name == "" || name == "." || name == ".." || len(name) > 200 || strings.ContainsFunc(name, odd) {
		return fault.New(fault.Invalid, "user name %q: expected 1 to 200 characters without spaces, quotes, slashes or colons, and not dots alone", name)
	}
	return nil
}

// CreateUser makes a user.
func (a *Authority) CreateUser(ctx context.Context, name, password, role string) error {
	if role == "" {
		role = "user"
	}
	if err := checkRole(role); err != nil {
		return err
	}
	if err := checkUser(name); err != nil {
		return err
	}
	if err := CheckPassword(password); err != nil {
		return err
	}
	h, err := a.hash(ctx, password)
	if err != nil {
		return err
	}
	return a.cfg.Store.PutUser(ctx, User{Name: name, Password: h, Role: role, Created: a.cfg.Now().UTC()}, true)
}

// Users lists the users by name.
func (a *Authority) Users(ctx context.Context) ([]User, error) { return a.cfg.Store.Users(ctx) }

// UserChange is what an administrator changes of a user. A nil field stays as it is.
type UserChange struct {
	Role     *string
	Disabled *bool
}

// ChangeUser changes a user's role, or disables or enables the user. Tokens have at once no more than the new role has; those of a
// disabled user are refused until the user is enabled again, but for join tokens, which end. fault.Conflict: the farm would be
// left without an administrator who can log in.
func (a *Authority) ChangeUser(ctx context.Context, name string, c UserChange) (User, error) {
	if c.Role != nil {
		if err := checkRole(*c.Role); err != nil {
			return User{}, err
		}
	}
	defer a.recheck(ctx)
	u, err := a.cfg.Store.ChangeUser(ctx, name, func(u *User, all []User) error {
		if c.Role != nil {
			u.Role = *c.Role
		}
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		return keepsAdmin(all, *u)
	})
	if err == nil && u.Disabled {
		err = a.drop(ctx, TokenFilter{Kind: Join, User: name}, "")
	}
	return u, err
}

// DeleteUser forgets a user and the user's tokens. What the user did keeps the name. fault.Conflict as with ChangeUser.
func (a *Authority) DeleteUser(ctx context.Context, name string) error {
	defer a.recheck(ctx)
	return a.cfg.Store.DeleteUser(ctx, name, func(all []User) error { return keepsAdmin(all, User{Name: name, Disabled: true}) })
}

// keepsAdmin refuses to let changed take the place of the user of its name when no enabled administrator is left then, and one was.
func keepsAdmin(all []User, changed User) error {
	admin := func(u User) bool { return u.Role == "admin" && !u.Disabled }
	if admin(changed) || !slices.ContainsFunc(all, admin) {
		return nil
	}
	if slices.ContainsFunc(all, func(u User) bool { return u.Name != changed.Name && admin(u) }) {
		return nil
	}
	return fault.New(fault.Conflict, "user %q is the last administrator who can log in: make another one first", changed.Name)
}

// SetPassword changes a user's password, who must know the old one, and ends the user's sessions but the one given.
func (a *Authority) SetPassword(ctx context.Context, user, old, new, keep string) error {
	if _, err := a.checkPassword(ctx, user, old); err != nil {
		return err
	}
	return a.ResetPassword(ctx, user, new, keep)
}

// ResetPassword is SetPassword by an administrator, who need not know the old one.
func (a *Authority) ResetPassword(ctx context.Context, user, new, keep string) error {
	if err := CheckPassword(new); err != nil {
		return err
	}
	h, err := a.hash(ctx, new)
	if err != nil {
		return err
	}
	// Nothing but the password: the user may have been disabled meanwhile.
	if _, err = a.cfg.Store.ChangeUser(ctx, user, func(u *User, _ []User) error { u.Password = h; return nil }); err != nil {
		return err
	}
	return a.drop(ctx, TokenFilter{Kind: Session, User: user}, keep)
}

// RevokeAll ends all tokens and sessions of a user, and the join tokens that the user has made, but the token named keep.
func (a *Authority) RevokeAll(ctx context.Context, user, keep string) error {
	if _, err := a.cfg.Store.User(ctx, user); err != nil {
		return err
	}
	return a.drop(ctx, TokenFilter{User: user}, keep)
}

// drop forgets the tokens of a filter but one.
func (a *Authority) drop(ctx context.Context, f TokenFilter, keep string) error {
	ts, err := a.cfg.Store.Tokens(ctx, f)
	if err != nil {
		return err
	}
	defer a.recheck(ctx)
	for _, t := range ts {
		if t.ID == keep {
			continue
		}
		if err := a.cfg.Store.DeleteToken(ctx, t.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

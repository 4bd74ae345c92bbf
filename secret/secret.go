// Package secret keeps what must not be seen: passwords, keys, passphrases.
//
// Settings hold a Ref, which says where a secret is and can be shown to anybody; a Source turns it into a Value at the moment of
// use. A Value prints as "[redacted]" wherever it lands, so a secret reaches a log only where somebody wrote Reveal.
package secret

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Ref says where a secret is: "file:/etc/outwork/id_ed25519", "env:NAME". The empty Ref is none.
type Ref string

// Split returns the scheme and what stands behind its colon. fault.Invalid when r has no scheme; the message does not repeat r,
// which may be a secret that somebody put where its reference belongs.
func (r Ref) Split() (scheme, rest string, err error) {
	scheme, rest, ok := strings.Cut(string(r), ":")
	if !ok || scheme == "" || rest == "" || strings.ContainsFunc(scheme, func(c rune) bool { return c < 'a' || c > 'z' }) {
		return "", "", fault.New(fault.Invalid, "a secret's reference has no scheme: expected file:/PATH or env:NAME, never the secret itself")
	}
	return scheme, rest, nil
}

// Source finds secrets. Resolve may be called concurrently. Kinds of its errors: fault.Invalid for a Ref that it does not
// understand, fault.NotFound when there is no such secret, fault.Denied when it may not be read.
type Source interface {
	Resolve(ctx context.Context, r Ref) (Value, error)
}

// redacted is how a Value prints.
const redacted = "[redacted]"

// Value is a secret. Its zero value is the empty secret. It prints, logs and marshals as "[redacted]".
type Value struct{ b []byte }

// New makes a Value of b, which the caller must not change any more.
func New(b []byte) Value { return Value{b} }

// Reveal returns the secret itself. The caller must not change it.
func (v Value) Reveal() []byte { return v.b }

// String implements fmt.Stringer.
func (Value) String() string { return redacted }

// GoString implements fmt.GoStringer, for %#v.
func (Value) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Schemes is a Source of several: each scheme's Refs go to its own.
type Schemes map[string]Source

// Resolve implements Source.
func (s Schemes) Resolve(ctx context.Context, r Ref) (Value, error) {
	scheme, _, err := r.Split()
	if err != nil {
		return Value{}, err
	}
	source := s[scheme]
	if source == nil {
		return Value{}, fault.New(fault.Invalid, "secret %q: this controller knows no %s: secrets", r, scheme)
	}
	return source.Resolve(ctx, r)
}

// Env is the Source of "env:NAME": an environment variable of this process.
type Env struct{}

// Resolve implements Source.
func (Env) Resolve(_ context.Context, r Ref) (Value, error) {
	scheme, name, err := r.Split()
	if err != nil {
		return Value{}, err
	}
	if scheme != "env" {
		return Value{}, fault.New(fault.Invalid, "secret %q: expected env:NAME", r)
	}
	text, ok := os.LookupEnv(name)
	if !ok {
		return Value{}, fault.New(fault.NotFound, "secret %q: the controller's environment has no variable %s", r, name)
	}
	return New([]byte(text)), nil
}

package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/secret"
)

// A secret is seen nowhere but where it is revealed.
func TestValueIsRedacted(t *testing.T) {
	v := secret.New([]byte("hunter2"))
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("login", "password", v, "nested", struct{ P secret.Value }{v})
	b, err := json.Marshal(map[string]any{"v": v, "p": &v})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+verb, v, struct{ P secret.Value }{v})
	}
	if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "[redacted]") {
		t.Errorf("%s", out.String())
	}
	if string(v.Reveal()) != "hunter2" {
		t.Errorf("%q", v.Reveal())
	}
}

func TestSchemes(t *testing.T) {
	t.Setenv("SECRET_TEST", "s3cret")
	s := secret.Schemes{"env": secret.Env{}}
	for _, c := range []struct {
		ref  secret.Ref
		want string
		kind fault.Kind
	}{
		{"env:SECRET_TEST", "s3cret", 0},
		{"env:SECRET_TEST_MISSING", "", fault.NotFound},
		{"file:/etc/passwd", "", fault.Invalid},
		{"hunter2", "", fault.Invalid},
		{"", "", fault.Invalid},
		{"env:", "", fault.Invalid},
		{"-----BEGIN KEY: x", "", fault.Invalid},
	} {
		v, err := s.Resolve(t.Context(), c.ref)
		if c.kind == 0 && (err != nil || string(v.Reveal()) != c.want) || c.kind != 0 && !fault.Is(err, c.kind) {
			t.Errorf("%q: %q, %v", c.ref, v.Reveal(), err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error repeats what may be a secret: %v", c.ref, err)
		}
	}
}

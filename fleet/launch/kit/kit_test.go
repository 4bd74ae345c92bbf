package kit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

func node(config map[string]string) fleet.Node {
	return fleet.Node{Name: "n", Launcher: fleet.LauncherSpec{Kind: "test", Config: config}}
}

func TestSettings(t *testing.T) {
	s := kit.Read(node(map[string]string{"a": "x", "empty": "", "yes": "true", "port": "22", "wait": "3s", "key": "env:KEY"}))
	if s.Text("a", "or") != "x" || s.Text("empty", "or") != "or" || s.Text("absent", "or") != "or" || s.Has("empty") || !s.Has("a") {
		t.Error("texts")
	}
	if !s.Yes("yes", false) || !s.Yes("absent", true) || s.Number("port", 0, 1, 99) != 22 || s.Number("absent", 0, 1, 99) != 0 ||
		s.Duration("wait", time.Hour) != 3*time.Second || s.Duration("absent", time.Hour) != time.Hour || s.Ref("key", "") != "env:KEY" || s.Ref("absent", "file:/k") != "file:/k" {
		t.Error("values")
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

// All that is wrong is told at once, with the field.
func TestWrongSettings(t *testing.T) {
	s := kit.Read(node(map[string]string{"yes": "perhaps", "port": "100", "wait": "soon", "key": "no scheme", "tpyo": "1"}))
	s.Yes("yes", false)
	s.Number("port", 0, 1, 99)
	s.Duration("wait", time.Hour)
	s.Ref("key", "")
	s.Wrong("remoteRoot", "%q: no", "x")
	err := s.Err()
	if !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
	for _, want := range []string{"node n: ", `launcher.config.yes: "perhaps": expected true or false`, `.port: "100": expected a number from 1 to 99`,
		`.wait: "soon": expected a time like 30s`, ".key: ", ".tpyo: is not a setting of the test launcher", `remoteRoot: "x": no`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: expected %q", err, want)
		}
	}
}

func TestTrouble(t *testing.T) {
	cause := fault.New(fault.NotFound, "no file")
	err := kit.Trouble(fault.Denied, "make one", "read %s: %w", "k", cause)
	if text, hint := kit.Tell(err); !fault.Is(err, fault.Denied) || text != "read k: no file" || hint != "make one" || err.Error() != "read k: no file; make one" {
		t.Errorf("%q, %q, %v", text, hint, err)
	}
	if text, hint := kit.Tell(cause); text != "no file" || hint != "" {
		t.Errorf("%q, %q", text, hint)
	}
}

func TestLogHasNoSecrets(t *testing.T) {
	var b strings.Builder
	l := kit.NewLog(&b, "Test", [][]byte{[]byte("first secret"), []byte("ab")})
	l.Hide([]byte("second"))
	l.Printf("login %s", "first secret")
	l.Write([]byte("about the second\n"))
	if got := b.String(); !strings.Contains(got, "Z [Test] login ****\n") || !strings.HasSuffix(got, "about the ****\n") {
		t.Errorf("%q", got)
	}
}

package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/server/servertest"
)

func TestUsersAreLookedAfter(t *testing.T) {
	f := servertest.New(t)
	s, alice := newShell(t), newShell(t)
	s.fed(f.Password()+"\n", "as admin", "login", "--url", f.URL(), "--user", "admin", "--password-stdin")
	s.fed("correct horse\n", "Made user alice (user)", "user", "create", "alice", "--password-stdin")
	login := func() {
		alice.fed("correct horse\n", "as alice", "login", "--url", f.URL(), "--user", "alice", "--password-stdin")
	}
	login()
	alice.fails(exitAuth, "admin", "user", "list")

	s.ok("User alice is viewer now.", "user", "role", "alice", "viewer")
	alice.ok("alice at "+f.URL()+" (read)", "whoami")
	s.fails(exitUsage, "role", "user", "role", "alice", "king")
	s.ok("User alice is disabled.", "user", "disable", "alice")
	s.ok("disabled", "user", "list")
	alice.fails(exitAuth, "gone or disabled", "whoami")
	if code, _, errw := alice.try("correct horse\n", "login", "--url", f.URL(), "--user", "alice", "--password-stdin"); code != exitAuth ||
		!strings.Contains(errw, "wrong user or password") || strings.Contains(errw, "Log in with") {
		t.Errorf("a disabled user's login: %d %s", code, errw)
	}
	s.ok("User alice is enabled.", "user", "enable", "alice")
	alice.ok("alice at", "whoami")
	for _, verb := range [][]string{{"disable", "admin"}, {"role", "admin", "user"}, {"delete", "admin", "--yes"}} {
		s.fails(exitConflict, "last administrator", append([]string{"user"}, verb...)...)
	}

	s.fed("battery staple\n", "Changed the password of alice.", "user", "password", "alice", "--password-stdin")
	alice.fails(exitAuth, "revoked", "whoami")
	s.fed("correct horse\n", "Changed the password", "user", "password", "alice", "--password-stdin")
	s.fails(exitNotFound, "nobody", "user", "disable", "nobody")
	login()
	if code, _, errw := alice.try("my own choice\n", "user", "password", "admin", "--password-stdin"); code != exitAuth || !strings.Contains(errw, "admin") {
		t.Errorf("another's password without the scope: %d %s", code, errw)
	}

	login()
	old := alice.vars["OUTWORK_CONFIG"]
	alice.vars["OUTWORK_CONFIG"] = filepath.Join(t.TempDir(), "elsewhere")
	login()
	if code, out, errw := s.try("", "token", "list", "--user", "alice"); code != exitOK || strings.Count(out, "\n") != 4 {
		t.Errorf("alice's tokens: %d %s%s", code, out, errw)
	}
	alice.ok("", "token", "revoke", "--all")
	alice.ok("alice at", "whoami")
	alice.vars["OUTWORK_CONFIG"] = old
	alice.fails(exitAuth, "revoked", "whoami")
	login()
	s.ok("", "token", "revoke", "--all", "--user", "alice")
	alice.fails(exitAuth, "revoked", "whoami")
	login()
	_, out, _ := s.try("", "token", "list", "--user", "alice")
	id := regexp.MustCompile(`(?m)^[A-Z2-7]{26}`).FindString(out)
	if code, out, errw := s.try("", "token", "revoke", id); code != exitOK || out != "" || errw != "Revoked token "+id+".\n" {
		t.Errorf("%d %q %q", code, out, errw)
	}
	s.fails(exitNotFound, "there is no token", "token", "revoke", id)
	alice.fails(exitAuth, "revoked", "whoami")
	for _, wrong := range [][]string{{}, {"x", "y"}, {"--all", "x"}, {"--user", "alice"}} {
		s.fails(exitUsage, "", append([]string{"token", "revoke"}, wrong...)...)
	}

	login()
	s.fails(exitUsage, "", "user", "delete", "alice")
	s.ok("", "user", "delete", "alice", "--yes")
	alice.fails(exitAuth, "revoked", "whoami")
	s.fails(exitNotFound, "alice", "user", "delete", "alice", "--yes")
	if _, out, _ := s.try("", "user", "list"); strings.Contains(out, "alice") {
		t.Error(out)
	}
}

// Only who can do something with a login is told how to log in.
func TestWhoIsToldToLogIn(t *testing.T) {
	f := servertest.New(t)
	s := newShell(t)
	for _, c := range []struct {
		told bool
		args []string
	}{
		{true, []string{"job", "list", "--url", f.URL()}},
		{true, []string{"queue", "why", "x", "--url", f.URL()}},
		{false, []string{"agent", "--url", f.URL(), "--token", "owj_" + strings.Repeat("A", 43), "--name", "a", "--root", t.TempDir()}},
		{false, []string{"agent", "--url", f.URL(), "--name", "a", "--root", t.TempDir()}},
	} {
		if code, _, errw := s.try("", c.args...); code != exitAuth || strings.Contains(errw, "outwork login") != c.told {
			t.Errorf("%v: %d %s", c.args, code, errw)
		}
	}
}

const archives = `node { sh 'printf "#!/bin/sh\necho it runs\n" > tool; chmod 755 tool; echo text > plain'; archiveArtifacts '**' }`

// executable reports whether a file is one, and checks that it is at all.
func executable(t *testing.T, file string) bool {
	t.Helper()
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode()&0o111 != 0
}

func TestWhatIsExecutableStaysSo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such bit on Windows")
	}
	f := servertest.New(t, "linux")
	s, dir := newShell(t), t.TempDir()
	s.fed(f.Password()+"\n", "as admin", "login", "--url", f.URL(), "--user", "admin", "--password-stdin")
	f.Run("a", archives)
	fetched := filepath.Join(dir, "fetched")
	if err := os.MkdirAll(fetched, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(fetched, "tool"), "there already, not to be executed, and longer than what comes")
	s.ok("tool", "build", "artifacts", "a#1", "--download", fetched)
	ran := filepath.Join(dir, "ran")
	if code, out, errw := here(t, write(t, filepath.Join(dir, "Jenkinsfile"), archives), "--artifacts", ran); code != exitOK {
		t.Fatalf("%d\n%s%s", code, out, errw)
	}
	for _, at := range []string{fetched, ran} {
		if !executable(t, filepath.Join(at, "tool")) || executable(t, filepath.Join(at, "plain")) {
			t.Errorf("%s: tool %v, plain %v", at, executable(t, filepath.Join(at, "tool")), executable(t, filepath.Join(at, "plain")))
		}
		if b, err := os.ReadFile(filepath.Join(at, "tool")); err != nil || string(b) != "#!/bin/sh\necho it runs\n" {
			t.Errorf("%q, %v", b, err)
		}
	}
}

package cli

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/server/servertest"
)

// S1-107: failures that people meet, each made to happen, over ssh with a real sshd, over a command, and of agents that dial: doctor
// names the hop that fails, and what to do about it.
func TestDoctorKnowsWhatToDo(t *testing.T) {
	port, fingerprint, key := sshd(t)
	_, _, stranger := sshd(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dumb, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	portOf := func(l net.Listener) string { return fmt.Sprint(l.Addr().(*net.TCPAddr).Port) }
	nobody := portOf(closed)
	closed.Close()
	go func() {
		for {
			c, err := dumb.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "220 mail.example.org ESMTP\r\n")
			c.Close()
		}
	}()
	t.Cleanup(func() { dumb.Close() })

	cfg := servertest.Config(t)
	f := servertest.Start(t, cfg)
	s, _ := nodeShell(t, f)
	ssh := func(settings ...string) []string {
		all := []string{"host=127.0.0.1", "port=" + fmt.Sprint(port), "user=" + me.Username, "key=file:" + key, "hostKey=pinned", "pinnedKey=" + fingerprint, "timeout=5s"}
		args := []string{"--launcher", "ssh", "--remote-root", filepath.Join(t.TempDir(), "root")}
		for _, kv := range append(all, settings...) {
			args = append(args, "--launcher-config", kv)
		}
		return args
	}
	command := func(line string) []string {
		return []string{"--launcher", "command", "--launcher-config", "command=" + line, "--launcher-config", "timeout=2s"}
	}
	s.ok("", "node", "add", "seed")
	rows := []struct {
		name      string
		settings  []string
		then      func(node string)
		hop, hint string
	}{
		{"no-such-host", ssh("host=no-such-host.invalid"), nil, "dns", "name"},
		{"nothing-listens", ssh("port=" + nobody), nil, "tcp", "sshd"},
		{"no-sshd", ssh("port=" + portOf(dumb)), nil, "key", "port"},
		{"changed-key", ssh("pinnedKey=SHA256:" + strings.Repeat("A", 43)), nil, "key", "pinnedKey"},
		{"awaits-approval", ssh("hostKey=first-use", "approve=true"), nil, "key", "outwork node approve 'awaits-approval' --fingerprint " + fingerprint},
		{"wrong-key", ssh("key=file:" + stranger), nil, "login", "authorized_keys"},
		{"no-agent-there", ssh("copy=false", "agentPath=/nonexistent/outwork-agent"), nil, "agent", "copy=true"},
		{"no-program", command("no-such-program --stdio"), nil, "program", "install it on the controller"},
		{"not-at-the-far-end", command("sh -c 'exit 127'"), nil, "agent", "must be installed"},
		{"silent", command("exec sleep 30"), nil, "agent", "asks for a password"},
		{"never-joined", nil, nil, "credential", "outwork node token --node 'never-joined'"},
		{"token-waits", nil, func(n string) { s.ok("", "node", "token", "--node", n) }, "credential", "run the command that came with the token"},
		{"bad-credential", nil, func(n string) {
			if _, err := f.Auth().IssueAgent(f.Context(), n); err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequest("GET", f.URL()+"/api/v1/agents/connect", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer outwork_agent_of_yesterday")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}, "dial", "its credential is no good any more"},
		{"gone", nil, func(n string) { joinAndDie(t, s, f, n) }, "dial", "outwork agent install"},
		{"taken-off", command("exec '" + self(t) + "' agent --stdio --root '" + filepath.Join(t.TempDir(), "root") + "'"), func(n string) {
			s.ok("online", "node", "wait-online", n, "--timeout", "1m")
			s.ok("", "node", "offline", n, "-m", "disk")
		}, "work", "outwork node online taken-off"},
	}
	for _, row := range rows {
		s.ok("", append([]string{"node", "copy", "seed", row.name}, row.settings...)...)
		if row.then != nil {
			row.then(row.name)
		}
		code, out, errw := s.try("", "node", "doctor", row.name)
		_, failed, ok := strings.Cut(errw, "FAIL  ")
		if hop := strings.Fields(failed + " -")[0]; code != exitUnavailable || !ok || hop != row.hop || !strings.Contains(failed, row.hint) {
			t.Errorf("%s: exit %d, want hop %s and %q\n%s%s", row.name, code, row.hop, row.hint, out, errw)
		}
	}
	f.Stop()
	f.Config.URL = "http://127.0.0.1:" + nobody
	f.Start()
	s.vars["OUTWORK_URL"] = "http://" + f.Address()
	if code, _, errw := s.try("", "node", "doctor", "gone"); code != exitUnavailable || !strings.Contains(errw, "FAIL  url") || !strings.Contains(errw, "--url must be an address") {
		t.Errorf("%d\n%s", code, errw)
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// joinAndDie has an agent join as a node, and kills it when it is online.
func joinAndDie(t *testing.T, s *shell, f *servertest.Farm, node string) {
	t.Helper()
	agent := exec.Command(self(t), "agent", "--url", f.URL(), "--token", s.json("node", "token", "--node", node).(map[string]any)["secret"].(string),
		"--name", node, "--root", filepath.Join(t.TempDir(), "root"))
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	s.ok("online", "node", "wait-online", node, "--timeout", "1m")
	_ = agent.Process.Kill()
	_ = agent.Wait() // killed
	s.ok("offline", "node", "wait-offline", node, "--timeout", "1m")
}

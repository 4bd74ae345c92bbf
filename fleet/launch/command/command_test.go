package command_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/command"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

func TestMain(m *testing.M) { launchtest.Main(m) }

// node is one with a command.
func node(command string) fleet.Node {
	return fleet.Node{Name: "node 1", Launcher: fleet.LauncherSpec{Kind: "command", Config: map[string]string{"command": command}}}
}

func quoted(words ...string) string {
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// rig makes a rig of what goes before and after the agent's own command line.
func rig(before, after, text string) func(t testing.TB) launchtest.Rig {
	return func(t testing.TB) launchtest.Rig {
		line := before + quoted(launchtest.Program(t), "--root", filepath.Join(t.TempDir(), "root")) + " --stdio" + after
		n := node(line)
		if text != "" {
			n.Launcher.Config["text"] = text
		}
		return launchtest.Rig{
			Launcher: command.New(command.Config{Grace: 2 * time.Second}),
			Node:     n,
			Says:     []string{"Starting /bin/sh -c '", "msg=connected"},
			Stuck: func(testing.TB) fleet.Node {
				stuck := n
				stuck.Launcher.Config = map[string]string{"command": "sleep 60", "text": text}
				if text == "" {
					delete(stuck.Launcher.Config, "text")
				}
				return stuck
			},
		}
	}
}

var wrong = []launchtest.Wrong{
	{Name: "no command", Change: set("command", ""), Kind: fault.Invalid, Says: "launcher.config.command is missing: expected a command line such as: ssh node 1 outwork-agent --stdio"},
	{Name: "unknown setting", Change: set("comand", "x"), Kind: fault.Invalid, Says: "launcher.config.comand: there is no such setting"},
	{Name: "timeout", Change: set("timeout", "soon"), Kind: fault.Invalid, Says: `launcher.config.timeout: "soon": expected a time`},
	{Name: "no timeout", Change: set("timeout", "0s"), Kind: fault.Invalid, Says: "expected a time"},
	{Name: "text", Change: set("text", "maybe"), Kind: fault.Invalid, Says: "expected true or false"},
	{Name: "env", Change: set("env", "A=1\nB"), Kind: fault.Invalid, Says: `"B": expected lines of NAME=value`},
	{Name: "name", Change: func(n *fleet.Node) { n.Name = "../n" }, Kind: fault.Invalid, Says: "../n"},
	{Name: "no such program", Change: set("command", "/nonexistent/agent --stdio"), Kind: fault.Unavailable, Says: "exit status 127"},
	{Name: "no agent", Change: set("command", "true"), Kind: fault.Unavailable, Says: "without a word of an agent"},
	{Name: "silence", Change: both(set("command", "sleep 60"), set("timeout", "50ms")), Kind: fault.Unavailable, Says: "said nothing within 50ms"},
	{Name: "no agent, text", Change: both(set("command", "echo no shell for you; exit 9"), set("text", "true")), Kind: fault.Unavailable, Says: "no shell for you"},
}

func set(key, value string) func(*fleet.Node) {
	return func(n *fleet.Node) { n.Launcher.Config[key] = value }
}

func both(a, b func(*fleet.Node)) func(*fleet.Node) { return func(n *fleet.Node) { a(n); b(n) } }

// S1-25, S1-105
func TestSuite(t *testing.T) {
	launchtest.Run(t, launchtest.Maker{New: rig("", "", ""), Wrong: wrong})
}

// A shell prints before the agent, and stays as its parent.
func TestSuiteBehindAShell(t *testing.T) {
	launchtest.Run(t, launchtest.Maker{New: rig("echo 'Last login: never'; ", "; exit $?", "")})
}

// S1-108
func TestSuiteText(t *testing.T) {
	launchtest.Run(t, launchtest.Maker{New: rig("echo 'Last login: never'; ", " --text", "true")})
}

// S1-26: a terminal on the way, as telnet or ssh -t make one: with line mode, echo and changed line ends until the agent has said
// otherwise.
func TestSuiteTerminal(t *testing.T) {
	need.Program(t, "socat", "socat")
	launchtest.Run(t, launchtest.Maker{New: func(t testing.TB) launchtest.Rig {
		r := rig("exec ", " --text", "true")(t)
		script := filepath.Join(t.TempDir(), "session")
		if err := os.WriteFile(script, []byte("#!/bin/sh\necho 'Last login: never'\n"+r.Node.Launcher.Config["command"]+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r.Node.Launcher.Config["command"] = "socat - EXEC:" + script + ",pty,setsid,ctty,stderr"
		r.Says = []string{"Last login: never", "socat - EXEC:"}
		return r
	}})
}

// What the command finds in its environment, and what not.
func TestEnvironment(t *testing.T) {
	t.Setenv("OUTWORK_TOKEN", "not for commands")
	l := command.New(command.Config{URL: "https://ci.test/x", Download: "https://ci.test/x/download/agent", Env: []string{"A=controller", "B=controller"}})
	n := node("env >&2; exit 1")
	n.RemoteRoot = "/srv/agent"
	n.Launcher.Config["env"] = "A=node = 1\n\nC=\n"
	log := &launchtest.Log{}
	if _, err := l.Launch(t.Context(), n, log); err == nil {
		t.Fatal("env was taken for an agent")
	}
	for _, want := range []string{"NODE_NAME=node 1", "WORKSPACE=/srv/agent", "OUTWORK_URL=https://ci.test/x", "JENKINS_URL=https://ci.test/x", "HUDSON_URL=https://ci.test/x",
		"OUTWORK_AGENT_URL=https://ci.test/x/download/agent", "A=node = 1", "B=controller", "C="} {
		if !strings.Contains(log.String(), "\n"+want+"\n") {
			t.Errorf("%s is missing:\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "not for commands") {
		t.Error("the controller's token was handed down")
	}
}

// An agent that the command starts here does not take the controller's address for an order to dial.
func TestURLBesideStdio(t *testing.T) {
	r := rig("", "", "")(t)
	r.Launcher = command.New(command.Config{URL: "http://127.0.0.1:1"})
	link, err := r.Launcher.Launch(t.Context(), r.Node, &launchtest.Log{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := remote.Connect(t.Context(), link, remote.Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// The death of the command is the end of the link, with its exit code.
func TestExitCode(t *testing.T) {
	l := command.New(command.Config{})
	link, err := l.Launch(t.Context(), node("echo hello; read line; echo broken >&2; exit 42"), &launchtest.Log{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	if _, err := link.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	_, err = remote.Connect(t.Context(), link, remote.Options{})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "exit status 42") {
		t.Errorf("%v", err)
	}
}

// What the command started ends with the link, also what ignores its end. S1-19
func TestTreeEnds(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	l := command.New(command.Config{Grace: 10 * time.Millisecond})
	link, err := l.Launch(t.Context(), node("trap '' TERM HUP; (trap '' TERM HUP; while :; do sleep 1; done) & echo $! > "+pids+"; echo $$ >> "+pids+"; echo up; while :; do sleep 1; done"), &launchtest.Log{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	link.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, pid := range strings.Fields(string(b)) {
		awaitEnd(t, ctx, pid)
	}
}

// awaitEnd waits until a process has ended: whoever is its parent now may take a moment to wait for it.
func awaitEnd(t *testing.T, ctx context.Context, pid string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for exec.Command("sh", "-c", "kill -0 "+pid).Run() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("process %s lives on", pid)
		}
	}
}

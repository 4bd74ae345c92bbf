package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/command"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
)

// look examines a node and writes the hops in a line, a failed one with a "!".
func look(t *testing.T, l *command.Launcher, n fleet.Node) (names string, last fleet.Hop) {
	t.Helper()
	l.Examine(t.Context(), n, func(h fleet.Hop) {
		mark := " "
		if !h.OK {
			mark = " !"
		}
		names, last = names+mark+h.Name, h
	})
	return strings.TrimSpace(names), last
}

// S1-107: each way in which a command fails is told as the hop that fails, with what to do about it and what the command wrote.
func TestExamine(t *testing.T) {
	locked := filepath.Join(t.TempDir(), "locked")
	if err := os.WriteFile(locked, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := command.New(command.Config{Grace: time.Second})
	for _, c := range []struct{ command, hops, text, hint string }{
		{"", "!settings", "command is missing", "--launcher-config"},
		{"no-such-program-here --stdio", "settings shell !program", "no-such-program-here: there is no such program", "install it on the controller"},
		{"A=b exec '" + locked + "' --stdio", "settings shell !program", "permission denied", "chmod +x"},
		{"(echo 'Error: No such container: box' >&2; exit 1)", "settings shell program !agent", "exit status 1", "start the container"},
		{"sh -c 'echo \"sh: outwork-agent: not found\" >&2; exit 127'", "settings shell program !agent", "outwork-agent: not found", "outwork-agent must be installed"},
		{"true", "settings shell program !agent", "without a word", "and stay until that ends"},
		{"echo Password: ; exec sleep 60", "settings shell program !agent", "Password:", "outwork-agent --stdio"},
		{"exec sleep 60", "settings shell program !agent", "said nothing within 300ms", "asks for a password"},
		{"echo 'ssh: connect to host x port 22: Connection refused' >&2; exit 255", "settings shell program !agent", "port 22", "nothing listens there"},
	} {
		n := node(c.command)
		n.Launcher.Config["timeout"] = "300ms"
		hops, last := look(t, l, n)
		if hops != c.hops || !strings.Contains(last.Text, c.text) || !strings.Contains(last.Hint, c.hint) {
			t.Errorf("%s: %s: %s → %s\nwant %s: %s → %s", c.command, hops, last.Text, last.Hint, c.hops, c.text, c.hint)
		}
	}
}

// An agent that is not there is started, greeted and ended again; one that is there is left alone, and can be launched while somebody looks.
func TestExamineAnAgent(t *testing.T) {
	r := rig("", "", "")(t)
	l := r.Launcher.(*command.Launcher)
	const all = "settings shell program agent"
	for range 2 {
		if hops, last := look(t, l, r.Node); hops != all || !strings.Contains(last.Text, "it speaks: Outwork ") {
			t.Errorf("%s: %+v", hops, last)
		}
	}
	link, err := l.Launch(t.Context(), r.Node, &launchtest.Log{})
	if err != nil {
		t.Fatal(err)
	}
	if hops, last := look(t, l, r.Node); hops != all || !strings.Contains(last.Text, "it runs: ") || !strings.Contains(last.Text, "pid") {
		t.Errorf("%s: %+v", hops, last)
	}
	link.Close()
	looked := make(chan string)
	go func() {
		hops, last := look(t, l, r.Node)
		looked <- hops + last.Text
	}()
	link, err = l.Launch(t.Context(), r.Node, &launchtest.Log{})
	if err != nil {
		t.Error(err)
	} else {
		defer link.Close()
	}
	if got := <-looked; !strings.HasPrefix(got, all+"it ") {
		t.Error(got)
	}
}

package service

import (
	"context"
	"encoding/xml"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// launchd keeps services by property lists: the machine's for root, the user's own for others.
type launchd struct{ folder, domain string }

func newLaunchd() launchd {
	if os.Geteuid() == 0 {
		return launchd{"/Library/LaunchDaemons", "system"}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return launchd{filepath.Join(home, "Library", "LaunchAgents"), "gui/" + strconv.Itoa(os.Getuid())}
}

// launchdList is the text of a property list. The agent reads its secret file itself. Source: launchd.plist(5).
func launchdList(s Spec) string {
	var b strings.Builder
	text := func(tag, v string) {
		b.WriteString("<" + tag + ">")
		_ = xml.EscapeText(&b, []byte(v))
		b.WriteString("</" + tag + ">")
	}
	entry := func(k, v string) {
		b.WriteString("  ")
		text("key", k)
		text("string", v)
		b.WriteString("\n")
	}
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" +
		"<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n")
	entry("Label", ID(s.Name))
	b.WriteString("  <key>ProgramArguments</key>\n  <array>\n")
	for _, a := range append([]string{s.program()}, s.args("run-service", s.secrets())...) {
		b.WriteString("    ")
		text("string", a)
		b.WriteString("\n")
	}
	b.WriteString("  </array>\n")
	entry("WorkingDirectory", s.Root)
	if s.User != "" {
		entry("UserName", s.User)
	}
	entry("StandardErrorPath", filepath.Join(s.Root, "agent.log"))
	b.WriteString("  <key>RunAtLoad</key><true/>\n  <key>KeepAlive</key><true/>\n  <key>ThrottleInterval</key><integer>5</integer>\n" +
		"  <key>AbandonProcessGroup</key><true/>\n</dict>\n</plist>\n")
	return b.String()
}

func (m launchd) path(id string) string { return filepath.Join(m.folder, id+".plist") }

func (m launchd) install(ctx context.Context, s Spec) error {
	if err := os.MkdirAll(m.folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(m.path(ID(s.Name)), []byte(launchdList(s)), 0o644)
}

func (m launchd) uninstall(ctx context.Context, id string) error {
	if err := m.stop(ctx, id); err != nil {
		return err
	}
	return os.Remove(m.path(id))
}

func (m launchd) start(ctx context.Context, id string) error {
	if st, err := m.status(ctx, id); err != nil || st == Running {
		return err
	}
	_, err := tell(ctx, "launchctl", "bootstrap", m.domain, m.path(id))
	return err
}

func (m launchd) stop(ctx context.Context, id string) error {
	if st, err := m.status(ctx, id); err != nil || st != Running {
		return err
	}
	_, err := tell(ctx, "launchctl", "bootout", m.domain+"/"+id)
	return err
}

func (m launchd) status(ctx context.Context, id string) (State, error) {
	if _, err := os.Stat(m.path(id)); errors.Is(err, fs.ErrNotExist) {
		return Missing, nil
	}
	if _, err := tell(ctx, "launchctl", "print", m.domain+"/"+id); err != nil {
		return Stopped, nil
	}
	return Running, nil
}

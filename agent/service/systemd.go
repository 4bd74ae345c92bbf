package service

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// systemd keeps services by unit files: the machine's for root, the user's own for others.
type systemd struct {
	folder string   // of unit files
	argv   []string // systemctl
}

func newSystemd() systemd {
	if os.Geteuid() == 0 {
		return systemd{"/etc/systemd/system", []string{"systemctl"}}
	}
	config, err := os.UserConfigDir()
	if err != nil {
		config = "."
	}
	return systemd{filepath.Join(config, "systemd", "user"), []string{"systemctl", "--user"}}
}

// systemdUnit is the text of a unit. The agent alone gets the signal to stop: steps run on under their shims, which KillMode=process leaves
// alone. Source: systemd.service(5), systemd.kill(5).
func systemdUnit(s Spec, user bool) string {
	line := func(format string, on bool) string {
		if !on {
			return ""
		}
		return format + "\n"
	}
	wanted := "multi-user.target"
	if user {
		wanted = "default.target"
	}
	argv := append([]string{`"` + s.program() + `"`}, s.args()...)
	return "# Written by outwork agent install; agent.env beside the agent has its settings.\n[Unit]\n" +
		"Description=Outwork agent " + s.Name + "\n" +
		line("Wants=network-online.target\nAfter=network-online.target", !user) +
		"StartLimitIntervalSec=0\n\n[Service]\nType=exec\n" +
		"ExecStart=" + strings.Join(argv, " ") + "\n" +
		"EnvironmentFile=" + s.secrets() + "\n" +
		"WorkingDirectory=" + s.Root + "\n" +
		line("User="+s.User, s.User != "" && !user) +
		"Restart=always\nRestartSec=5\nRestartPreventExitStatus=2\nKillMode=process\nTimeoutStopSec=60\nTasksMax=infinity\nLimitNOFILE=65536\n\n" +
		"[Install]\nWantedBy=" + wanted + "\n"
}

func (m systemd) user() bool { return len(m.argv) > 1 }

func (m systemd) path(id string) string { return filepath.Join(m.folder, id+".service") }

func (m systemd) tell(ctx context.Context, args ...string) error {
	_, err := tell(ctx, append(append([]string{}, m.argv...), args...)...)
	return err
}

func (m systemd) install(ctx context.Context, s Spec) error {
	if err := os.MkdirAll(m.folder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(m.path(ID(s.Name)), []byte(systemdUnit(s, m.user())), 0o644); err != nil {
		return err
	}
	if err := m.tell(ctx, "daemon-reload"); err != nil {
		return err
	}
	return m.tell(ctx, "enable", ID(s.Name)+".service")
}

func (m systemd) uninstall(ctx context.Context, id string) error {
	if err := m.tell(ctx, "disable", "--now", id+".service"); err != nil {
		return err
	}
	if err := os.Remove(m.path(id)); err != nil {
		return err
	}
	return m.tell(ctx, "daemon-reload")
}

func (m systemd) start(ctx context.Context, id string) error {
	return m.tell(ctx, "start", id+".service")
}
func (m systemd) stop(ctx context.Context, id string) error {
	return m.tell(ctx, "stop", id+".service")
}

func (m systemd) status(ctx context.Context, id string) (State, error) {
	if _, err := os.Stat(m.path(id)); errors.Is(err, fs.ErrNotExist) {
		return Missing, nil
	}
	said, _ := tell(ctx, append(append([]string{}, m.argv...), "is-active", id+".service")...) // it fails for all but active
	switch said {
	case "active", "activating", "reloading":
		return Running, nil
	case "failed":
		return Failed, nil
	}
	return Stopped, nil
}

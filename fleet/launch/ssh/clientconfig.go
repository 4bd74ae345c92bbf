package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// clientConfig is an ssh_config file, as people have it in ~/.ssh/config. nil has nothing in it.
type clientConfig struct{ conf *ssh_config.Config }

// sshConfig opens what the setting sshConfig names.
func (l *Launcher) sshConfig(setting string) (*clientConfig, error) {
	path := setting
	switch setting {
	case "", "false":
		return nil, nil
	case "true":
		path = l.dotSSH("config")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	conf, err := ssh_config.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &clientConfig{conf}, nil
}

func (c *clientConfig) get(alias, key string) string {
	if c == nil {
		return ""
	}
	v, _ := c.conf.Get(alias, key) // an Include that cannot be read has no settings
	return v
}

// hostName is where an alias leads.
func (c *clientConfig) hostName(alias string) string {
	if v := c.get(alias, "HostName"); v != "" {
		return strings.ReplaceAll(v, "%h", alias)
	}
	return alias
}

// apply fills in what a hop's own settings leave open. Its host is still the alias.
func (c *clientConfig) apply(h *hop, home string) {
	if c == nil {
		return
	}
	if p, err := strconv.Atoi(c.get(h.host, "Port")); err == nil && h.port == 0 {
		h.port = p
	}
	if h.user == "" {
		h.user = c.get(h.host, "User")
	}
	if h.knownHosts == "" {
		if v := strings.Fields(c.get(h.host, "UserKnownHostsFile")); len(v) > 0 {
			h.knownHosts = expand(v[0], *h, home)
		}
	}
	if h.key == "" && h.password == "" {
		files, _ := c.conf.GetAll(h.host, "IdentityFile")
		for _, f := range files {
			h.identities = append(h.identities, expand(f, *h, home))
		}
	}
}

// way is how the file says to get there: through hosts, or through a command.
func (c *clientConfig) way(h hop) (jump, command string) {
	if jump = c.get(h.host, "ProxyJump"); jump != "" {
		if strings.EqualFold(jump, "none") {
			jump = ""
		}
		return jump, ""
	}
	if command = c.get(h.host, "ProxyCommand"); strings.EqualFold(command, "none") {
		command = ""
	}
	return "", command
}

// expand replaces the marks that a file's name may have.
func expand(path string, h hop, home string) string {
	path = strings.NewReplacer("%%", "%", "%d", home, "%h", h.host, "%r", h.user).Replace(strings.Trim(path, `"`))
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(home, rest)
	}
	return path
}

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/need"
)

// launched adds the agents that the controller starts: by a command, by a command whose channel is for text, and by ssh.
func (x *torture) launched() {
	x.launch("cmd", "command", func(root string) map[string]string {
		return map[string]string{"command": x.w.Binary + " agent --stdio --root " + root}
	})
	x.launch("text", "command", func(root string) map[string]string {
		return map[string]string{"command": x.w.Binary + " agent --stdio --text --root " + root, "text": "true"}
	})
	config := x.sshd()
	x.launch("ssh", "ssh", func(string) map[string]string { return config })
}

func (x *torture) launch(name, kind string, config func(root string) map[string]string) {
	x.Helper()
	root := filepath.Join(x.w.Dir, "machines", name)
	executors, labels, settings := 2, []string{"linux"}, config(root)
	n := api.NodeCreate{Name: name, Executors: &executors, Labels: &labels, RemoteRoot: &root, Launcher: &kind, LauncherConfig: &settings}
	if _, err := x.w.Client.CreateNode(x.w.Context(), n); err != nil {
		x.Fatal(err)
	}
	x.victims = append(x.victims, &victim{name: name, root: root})
}

// sshd starts a real one on loopback, and returns the settings with which the controller gets through it.
func (x *torture) sshd() map[string]string {
	x.Helper()
	daemon, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		need.Lack(x.T, "sshd is missing: apt-get install openssh-server")
	}
	dir := x.TempDir()
	for _, key := range []string{"host", "id"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			x.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		x.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		x.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	conf := fmt.Sprintf("Port %[2]s\nListenAddress 127.0.0.1\nHostKey %[1]s/host\nPidFile none\nAuthorizedKeysFile %[1]s/id.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n", dir, port)
	if err := os.WriteFile(filepath.Join(dir, "sshd.conf"), []byte(conf), 0o600); err != nil {
		x.Fatal(err)
	}
	cmd := exec.Command(daemon, "-D", "-f", filepath.Join(dir, "sshd.conf"), "-E", filepath.Join(dir, "log"))
	if err := cmd.Start(); err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	x.w.Await("sshd", func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	key, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		x.Fatal(err)
	}
	return map[string]string{"host": "127.0.0.1", "port": port, "user": "root", "key": "file:" + filepath.Join(dir, "id"), "hostKey": "pinned",
		"pinnedKey": strings.Join(strings.Fields(string(key))[:2], " ")}
}

//go:build unix

package ssh_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
)

const guide = "../../../docs/launchers/ssh.md"

func readGuide(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks returns the guide's code of a language.
func blocks(text, language string) (out []string) {
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// S1-57: the guide's steps, run as they are written, but for the machine's name, port and user.
func TestGuide(t *testing.T) {
	programs(t, "ssh-keyscan", "bash")
	s := newSSHD(t, options{})
	s.put("authorized_keys", "")
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	text := readGuide(t)
	var said []string
	for _, b := range blocks(text, "sh") {
		b = strings.Replace(b, "host=build1 port=22", fmt.Sprintf("host=127.0.0.1 port=%d", s.port), 1)
		// ssh-keygen and ssh-keyscan take the home folder of the account, whatever HOME is, but the shell expands ~ by HOME.
		out, err := exec.Command("bash", "-ec", b).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", b, err, out)
		}
		said = append(said, string(out))
	}
	if len(said) != 3 {
		t.Fatalf("%d blocks", len(said))
	}
	s.put("authorized_keys", said[1])
	print := strings.Fields(command(t, "ssh-keygen", "-lf", filepath.Join(s.dir, "host.pub")))[1]
	if !strings.Contains(said[2], print) {
		t.Errorf("the fingerprint %s is not shown: %s", print, said[2])
	}
	n := guideNode(t, blocks(text, "yaml")[0])
	n.Launcher.Config["host"], n.Launcher.Config["port"] = "127.0.0.1", fmt.Sprint(s.port)
	n.Launcher.Config["user"], n.Launcher.Config["prefix"] = s.node().Launcher.Config["user"], roleEnv+"=agent"
	log := &buffer{}
	conn := connect(t, launcher(t, ssh.Config{Home: home}), n, log)
	if d := describe(t, conn); d.Root != filepath.Join(s.home, "outwork") {
		t.Errorf("%+v", d)
	}
	conn.Close()
	for line := range strings.Lines(blocks(text, "text")[0]) {
		words := strings.Fields(line)
		wants(t, "the log that the guide shows", log, strings.Join(words[:2], " "))
	}
	jump := guideNode(t, blocks(text, "yaml")[1])
	if err := os.Link(filepath.Join(home, ".ssh", "outwork"), filepath.Join(home, ".ssh", "bastion")); err != nil {
		t.Fatal(err)
	}
	if err := launcher(t, ssh.Config{Home: home}).Check(jump); err != nil {
		t.Error(err)
	}
}

func guideNode(t *testing.T, text string) fleet.Node {
	t.Helper()
	var n fleet.Node
	if err := yaml.UnmarshalWithOptions([]byte(text), &n, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

// The guide has each setting that there is, and no other.
func TestGuideHasAllSettings(t *testing.T) {
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-zA-Z]+)` \\|").FindAllStringSubmatch(readGuide(t), -1) {
		documented = append(documented, m[1])
	}
	source, err := os.ReadFile("settings.go")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-zA-Z]+) {2,}`).FindAllStringSubmatch(string(source), -1) {
		known = append(known, m[1])
	}
	slices.Sort(documented)
	slices.Sort(known)
	if !slices.Equal(documented, known) || len(known) < 20 {
		t.Errorf("the guide has\n%v, settings.go\n%v", documented, known)
	}
	l := launcher(t, ssh.Config{})
	for _, k := range known {
		err := l.Check(fleet.Node{Name: "n", Launcher: fleet.LauncherSpec{Config: map[string]string{k: "x"}}})
		if err == nil || strings.Contains(err.Error(), "is not a setting") {
			t.Errorf("%s: %v", k, err)
		}
	}
}

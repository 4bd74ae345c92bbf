package command

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/fleet"
)

// The guide's settings are those that are read, and its commands' settings are taken.
func TestGuide(t *testing.T) {
	b, err := os.ReadFile("../../../docs/launchers/command.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(b)
	values := map[string]string{"command": "x", "env": "A=b", "timeout": "1m", "text": "true"}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|").FindAllStringSubmatch(guide, -1) {
		if err := (&settings{}).set(row[1], values[row[1]]); err != nil {
			t.Errorf("the guide has a setting %s: %v", row[1], err)
		}
		delete(values, row[1])
	}
	for key := range values {
		t.Errorf("the guide says nothing of the setting %s", key)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(guide, -1)
	if len(blocks) == 0 {
		t.Error("the guide has no example")
	}
	for _, block := range blocks {
		_, config, ok := strings.Cut(block[1], "  config:\n")
		n := fleet.Node{Name: "build1", Launcher: fleet.LauncherSpec{Kind: "command", Config: map[string]string{}}}
		for line := range strings.Lines(config) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			n.Launcher.Config[key] = strings.Trim(value, `"`)
		}
		if _, err := parse(n); err != nil || !ok {
			t.Errorf("%s: %v", block[1], err)
		}
	}
	env := strings.Join((&Launcher{cfg: Config{URL: "u", Download: "d"}}).environ(fleet.Node{Name: "n", RemoteRoot: "r"}, settings{}), "\n")
	for _, name := range regexp.MustCompile("`((?:OUTWORK|JENKINS|HUDSON|NODE|WORKSPACE)[A-Z_]*[A-Z])`").FindAllStringSubmatch(guide, -1) {
		if !strings.Contains(env, "\n"+name[1]+"=") {
			t.Errorf("the guide promises the variable %s, which is not set", name[1])
		}
	}
}

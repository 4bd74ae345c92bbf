//go:build unix

package winrm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/winrm"
)

func readGuide(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../../docs/launchers/winrm.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks returns the guide's code of a language.
func blocks(t *testing.T, text, language string) (out []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("the guide has no block of %s", language)
	}
	return out
}

// S1-23: the node of the guide is one, its password file is one, and its log is as it is shown.
func TestGuide(t *testing.T) {
	text := readGuide(t)
	var n fleet.Node
	if err := yaml.UnmarshalWithOptions([]byte(blocks(t, text, "yaml")[0]), &n, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-ec", blocks(t, text, "sh")[0])
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file := filepath.Join(cmd.Dir, "win1.password")
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	n.Launcher.Config["password"] = "file:" + file
	c := newController(t, dist.Binary{})
	if err := c.launcher(t).Check(n); err != nil {
		t.Error(err)
	}
}

// The guide shows what the log has.
func TestGuideShowsTheLog(t *testing.T) {
	w := newWorld(t, false)
	log := &launchtest.Log{}
	connect(t, w.launcher(t), node(t, w.address), log).Close()
	for line := range strings.Lines(blocks(t, readGuide(t), "text")[0]) {
		words := strings.Fields(line)
		contains(t, "the log", log.String(), strings.Join(words[:min(3, len(words))], " "))
	}
}

// The guide has each setting that there is, and no other.
func TestGuideHasAllSettings(t *testing.T) {
	source, err := os.ReadFile("settings.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := func(pattern, text string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return all
	}
	documented, known := keys("(?m)^\\| `([a-zA-Z]+)` \\|", readGuide(t)), keys(`(?m)^//\t([a-zA-Z]+) {2,}`, string(source))
	if !slices.Equal(documented, known) || len(known) < 15 {
		t.Errorf("the guide has\n%v, settings.go\n%v", documented, known)
	}
	c := newController(t, dist.Binary{})
	for _, k := range known {
		err := c.launcher(t).Check(fleet.Node{Name: "n", Launcher: fleet.LauncherSpec{Kind: winrm.Kind, Config: map[string]string{k: "x"}}})
		if err == nil || strings.Contains(err.Error(), "is not a setting") {
			t.Errorf("%s: %v", k, err)
		}
	}
}

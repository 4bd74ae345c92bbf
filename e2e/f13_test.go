package e2e

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/outwork-build/outwork/e2e/world"
)

// F13: 200 agents find a controller again that was killed, over TLS, within 30 seconds; the page answers meanwhile. bench/fleet does it with
// a thousand, and says what they cost.
func TestF13AgentsReconnectAtOnce(t *testing.T) {
	agents := "200"
	if testing.Short() {
		agents = "40"
	}
	bench := filepath.Join(t.TempDir(), "fleet")
	build := exec.Command("go", "build", "-o", bench, "./bench/fleet")
	build.Dir = world.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(bench, "-data", t.TempDir(), "-agents", agents, "-queued", "500", "-probes", "50", "-idle", "2s", "-outage", "5s").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	figure := func(what string) []string {
		t.Helper()
		all := regexp.MustCompile(what+` +(\S+)`).FindAllStringSubmatch(string(out), -1)
		if len(all) == 0 {
			t.Fatalf("no figure %q", what)
		}
		var found []string
		for _, m := range all {
			found = append(found, m[1])
		}
		return found
	}
	for what, most := range map[string]time.Duration{"all agents are back after": 30 * time.Second, "the page answered within": 5 * time.Second} {
		for _, f := range figure(what) {
			if took, err := time.ParseDuration(f); err != nil || took > most {
				t.Errorf("%s %s (%v)", what, f, err)
			}
		}
	}
	for _, f := range figure("idle: memory of the controller") {
		if n, err := strconv.Atoi(f); err != nil || n > 300 {
			t.Errorf("the idle controller has %s MiB (%v)", f, err)
		}
	}
}

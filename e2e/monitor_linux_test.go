package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/e2e/world"
	"github.com/outwork-build/outwork/internal/need"
)

// A real agent's disk fills up: it is given no new work, with the reason, and takes work again by itself when there is space.
// S1-68, S1-74, S3-04, S3-05
func TestAFullDiskTakesAnAgentOff(t *testing.T) {
	dir := need.Disk(t, "64m")
	w := world.New(t)
	a := w.JoinIn(dir, "a", "linux")
	a.AwaitOnline()
	node := func() api.Node {
		n, err := w.Client.Node(w.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ballast := fill(t, a.Root)
	w.Await("the disk monitor to take the node off", func() bool { return node().State == "suspended" })
	n := node()
	if n.Offline == nil || n.Offline.Kind != "monitor" || !strings.HasPrefix(n.Offline.Text, "Disk space is below threshold of ") {
		t.Errorf("the cause is %+v", n.Offline)
	}
	w.Job("j", "node('linux') { sh 'echo ran' }")
	b := w.Build("j")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	a.AwaitOnline()
	if n := node(); n.Session != 1 {
		t.Errorf("it was disconnected: session %d", n.Session)
	}
	if b := w.Finish("j", b); b.Result != "SUCCESS" {
		t.Errorf("with space again: %s %s", b.Result, b.Message)
	}
}

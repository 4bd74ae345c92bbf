package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/e2e/world"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
)

// fill takes all that is left of a file system and returns the file that takes it.
func fill(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, block := range []int{1 << 20, 4096} {
		for b := make([]byte, block); err == nil; {
			_, err = f.Write(b)
		}
		err = nil
	}
	return name
}

// F5: the disk of the controller is full: new builds are refused with a word about it, what runs ends with a whole log or says what
// is missing, and all goes on when there is space again.
func TestF5ControllersDiskFull(t *testing.T) {
	dir := need.Disk(t, "64m")
	w := world.NewAt(t, filepath.Join(dir, "data"))
	w.Join("a", "linux")
	oracle := t.TempDir()
	gate := filepath.Join(oracle, "gate")
	w.Job("runs", "node('linux') { sh '''"+strings.Replace(numbered(oracle, "one", 100, "0.01"), "echo end", "while [ ! -e "+gate+" ]; do sleep 0.05; done\necho end", 1)+"''' }")
	w.Job("next", "node('linux') { sh 'true' }")
	n := w.Build("runs")
	w.AwaitLog("runs", n, "line 10 of")
	ballast := fill(t, dir)
	w.Await("the refusal of new work", func() bool {
		_, err := w.Client.StartBuild(w.Context(), "next", api.BuildCreate{})
		if err == nil || fault.Is(err, fault.Unavailable) {
			return false
		}
		if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "disk") {
			t.Fatalf("refused with %v (%v)", err, fault.Of(err))
		}
		t.Logf("refused: %v", err)
		return true
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := w.Finish("runs", n)
	log := w.Log("runs", n)
	if b.Result != "SUCCESS" {
		t.Fatalf("%s %s %s\n%s", b.Result, b.CauseKind, b.Message, log)
	}
	if err := (shape{name: "runs", steps: map[string]int{"one": 100}}).check(oracle, n, log); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
	w.Await("new work to be taken", func() bool {
		b, err := w.Client.StartBuild(w.Context(), "next", api.BuildCreate{})
		return err == nil && w.Finish("next", b.Number).Result == "SUCCESS"
	})
}

// F5: the disk of an agent is full: the build says that it is the farm's fault, and goes well once there is space.
func TestF5AgentsDiskFull(t *testing.T) {
	dir := need.Disk(t, "48m")
	w := world.New(t)
	a := w.JoinIn(dir, "a", "linux")
	w.Job("j", "node('linux') { sh 'echo ran' }")
	if b := w.Finish("j", w.Build("j")); b.Result != "SUCCESS" {
		t.Fatalf("%s %s", b.Result, b.Message)
	}
	ballast := fill(t, a.Root)
	n := w.Build("j")
	w.Await("a word about the disk, or the end", func() bool {
		log := w.Log("j", n)
		return strings.Contains(log, "disk") || strings.Contains(log, "Finished: ")
	})
	log := w.Log("j", n)
	t.Logf("with a full disk:\n%s", log)
	if strings.Contains(log, "Finished: SUCCESS") || !strings.Contains(log, "disk") {
		t.Errorf("the log does not say that the disk is full")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	b := w.Finish("j", n)
	t.Logf("then: %s %s %s", b.Result, b.CauseKind, b.Message)
	if b.Result == "FAILURE" && b.CauseKind != "INFRA" {
		t.Errorf("a full disk shows as the build's own failure")
	}
	if b := w.Finish("j", w.Build("j")); b.Result != "SUCCESS" {
		t.Errorf("with space again: %s %s", b.Result, b.Message)
	}
}

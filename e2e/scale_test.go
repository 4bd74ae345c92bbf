package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/e2e/world"
)

// resident is the memory of a process, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(b))[1])
	return pages * os.Getpagesize()
}

// Many builds at once: all are accepted, all end, and the controller's memory stays small.
func TestScaleManyBuilds(t *testing.T) {
	builds := 500
	if testing.Short() {
		builds = 60
	}
	w := world.New(t)
	w.Join("a", "linux", "--executors", "4")
	w.Join("b", "linux", "--executors", "4")
	w.Job("j", "node('linux') { sh 'true' }")
	before := resident(t, w.ControllerPID())
	took := make([]time.Duration, builds)
	errs := make([]error, builds)
	began := time.Now()
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			for i := c; i < builds; i += 8 {
				start := time.Now()
				_, errs[i] = w.Client.StartBuild(context.Background(), "j", api.BuildCreate{})
				took[i] = time.Since(start)
			}
		})
	}
	clients.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	submitted := time.Since(began)
	most := 0
	for n := 1; n <= builds; n++ {
		if b := w.Finish("j", n); b.Result != "SUCCESS" {
			t.Errorf("#%d: %s %s %s", n, b.Result, b.CauseKind, b.Message)
		}
		most = max(most, resident(t, w.ControllerPID()))
	}
	slices.Sort(took)
	t.Logf("%d builds: accepted in %s (p50 %s, p99 %s), ended after %s; the controller's memory: %d MiB before, at most %d MiB",
		builds, submitted.Round(time.Millisecond), took[builds/2].Round(100*time.Microsecond), took[builds*99/100].Round(100*time.Microsecond),
		time.Since(began).Round(time.Millisecond), before>>20, most>>20)
	if most > 300<<20 {
		t.Errorf("the controller took %d MiB", most>>20)
	}
}

// Many agents come back at once when the controller was killed.
func TestScaleManyAgents(t *testing.T) {
	agents := 30
	if testing.Short() {
		agents = 8
	}
	w := world.New(t)
	for i := range agents {
		w.Join("n"+strconv.Itoa(i), "linux")
	}
	w.KillController()
	w.StartController()
	began := time.Now()
	w.Await("all agents", func() bool {
		nodes, err := w.Client.Nodes(w.Context())
		online := 0
		for _, n := range nodes {
			if n.State == "online" {
				online++
			}
		}
		return err == nil && online == agents
	})
	took := time.Since(began)
	t.Logf("%d agents are back after %s", agents, took.Round(time.Millisecond))
	if took > 30*time.Second {
		t.Errorf("%d agents are back only after %s", agents, took)
	}
}

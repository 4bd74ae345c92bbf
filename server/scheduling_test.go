package server_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/servertest"
)

// The policy of the farm's file decides at once, is written down and undone like the rest, outlives a restart, and steps back for that of
// the controller's own when it goes from the file. A mistake is refused with its line.
func TestSchedulingInTheFile(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.Nodes = nil
	cfg.Executors = 1
	cfg.Scheduling = queue.Policy{Allow: map[fleet.NodeName][]string{"built-in": {"flag"}}}
	f := servertest.Start(t, cfg)
	f.Job("mine", "node { echo 'hi' }")
	f.Job("flag", "node { echo 'hi' }")
	waits := func(b api.Build) bool {
		t.Helper()
		why := ""
		f.Await("the reason why "+b.Job+" waits", func() bool {
			x, err := f.Client.Why(f.Context(), b.Job+"#"+strconv.Itoa(b.Number))
			if err == nil && len(x.Nodes) > 0 {
				why = x.Nodes[0].Reason
			}
			return err == nil && len(x.Nodes) > 0
		})
		return strings.Contains(why, "mine") || strings.Contains(why, "job")
	}
	apply := func(text string) {
		t.Helper()
		if _, err := f.Client.ConfigApply(f.Context(), api.ConfigText{Text: "version: 1\n" + text}); err != nil {
			t.Fatal(err)
		}
	}
	b := f.Build("mine")
	if !waits(b) {
		t.Error("the controller's own policy does not hold")
	}
	apply("scheduling: {allow: {built-in: [mine]}}")
	if got := f.Ended(b); got.Result != "SUCCESS" {
		t.Errorf("%s %s", got.Result, got.Message)
	}
	if text, err := f.Client.ConfigExport(f.Context()); err != nil || !strings.Contains(text, "scheduling:\n  allow:\n    built-in:") {
		t.Errorf("%v\n%s", err, text)
	}
	f.Stop()
	f.Start()
	f.Client = f.As(f.Token)
	if got := f.Ended(f.Build("mine")); got.Result != "SUCCESS" {
		t.Errorf("after a restart: %s %s", got.Result, got.Message)
	}
	apply("scheduling: {limits: {built-in: 0}}")
	b = f.Build("mine")
	f.Await("the limit", func() bool {
		x, err := f.Client.Why(f.Context(), b.Job+"#"+strconv.Itoa(b.Number))
		return err == nil && strings.Contains(x.Summary+x.Nodes[0].Reason, "0")
	})
	if _, err := f.Client.ConfigUndo(f.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.Ended(b); got.Result != "SUCCESS" {
		t.Errorf("after undo: %s %s", got.Result, got.Message)
	}
	apply("")
	if got := f.Ended(f.Build("flag")); got.Result != "SUCCESS" {
		t.Errorf("by the controller's own policy: %s %s", got.Result, got.Message)
	}
	_, err := f.Client.ConfigApply(f.Context(), api.ConfigText{Text: "version: 1\nscheduling:\n  limits:\n    \"a &&\": 3\n  long: soon\n"})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), ":4:") || !strings.Contains(err.Error(), `scheduling.limits["a &&"]`) || !strings.Contains(err.Error(), ":5:9: scheduling.long") {
		t.Errorf("%v", err)
	}
}

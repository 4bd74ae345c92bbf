package pipeline_test

import (
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline"
)

// A machine must hear how long a lease lives: the queue counts on it.
func TestLeasesLiveAsLongAsTheQueueBelieves(t *testing.T) {
	w := newWorld(t)
	w.config = func(c *pipeline.Config) { c.LeaseTTL = 7 * time.Second }
	w.start()
	if b, got := w.run(`node('linux') { sh 'x' }`); b.Result != build.Success {
		t.Fatal(got)
	}
	opened := w.machine(0).Opened()
	if len(opened) != 1 || opened[0].TTL != 7*time.Second {
		t.Errorf("opened %+v", opened)
	}
}

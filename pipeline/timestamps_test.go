package pipeline_test

import (
	"context"
	"strings"
	"testing"
)

// TestTimestampsAcrossRestarts: a line that was printed before the controller ended has its time once, and lines of steps that
// stand outside of timestamps have none.
func TestTimestampsAcrossRestarts(t *testing.T) {
	w := newWorld(t)
	w.job("job", `node {
  echo 'before'
  timestamps {
    echo 'first'
    sh 'one'
    try { sh 'hang' } finally { echo 'last' }
  }
}`)
	w.start()
	id := w.trigger("job")
	for range 3 {
		w.saw(id, "did hang")
		w.halt()
		w.start()
	}
	w.until("the build to run again", func() bool { return w.r.Abort(context.Background(), id, "bob") == nil })
	w.finished(id)
	const when = "[2026-11-21T05:36:09.123Z] "
	console := w.console(id)
	for _, line := range []string{"first", "did one", "did hang", "last"} {
		if n := strings.Count(console, "\n"+when+line+"\n"); n != 1 {
			t.Errorf("%q stands %d times with one time before it", line, n)
		}
	}
	if !strings.Contains(console, "\nbefore\n") || strings.Contains(console, when+"[Pipeline]") || strings.Contains(console, when+when) {
		t.Error("a time stands where none belongs")
	}
	if t.Failed() {
		t.Log(console)
	}
}

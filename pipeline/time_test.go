package pipeline_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/build"
)

// TestTimeoutPassesMeanwhile: a deadline that passed while no controller ran fires when one is there again, once, and is said once.
func TestTimeoutPassesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limit = 12 * time.Hour
		defer w.halt()
		w.job("job", `node('linux') { timeout(time: 1, unit: 'HOURS') { sh 'hang' } }`)
		w.start()
		id := w.trigger("job")
		w.saw(id, "did hang")
		w.halt()
		time.Sleep(2 * time.Hour)
		w.start()
		b := w.finished(id)
		got := w.console(id)
		if b.Result != build.Aborted || b.CauseKind != build.CauseNone || b.Message != "Timeout has been exceeded" || strings.Count(got, "Cancelling nested steps due to timeout\n") != 1 {
			t.Errorf("%s %s %q\n%s", b.Result, b.CauseKind, b.Message, got)
		}
	})
}

// TestTimeoutInTime: a body that ended in time stays so, though the controller is resumed after the deadline.
func TestTimeoutInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limit = 12 * time.Hour
		defer w.halt()
		w.job("job", `node('linux') { timeout(time: 1, unit: 'HOURS') { sh 'one' }
sleep(time: 3, unit: 'HOURS')
sh 'two' }`)
		w.start()
		begin := time.Now()
		id := w.trigger("job")
		w.saw(id, "Sleeping for 3 hr 0 min")
		w.halt()
		time.Sleep(2 * time.Hour)
		w.start()
		b := w.finished(id)
		if got := w.console(id); b.Result != build.Success || strings.Contains(got, "Cancelling") {
			t.Errorf("%s\n%s", b.Result, got)
		}
		if d := time.Since(begin).Round(time.Minute); d != 3*time.Hour {
			t.Errorf("the build took %v, want 3h: the sleep counts what passed meanwhile", d)
		}
	})
}

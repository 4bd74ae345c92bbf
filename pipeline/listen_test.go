package pipeline_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/build"
)

// timeout(activity: true) counts from the last output of its body, from wherever in it that comes, and from nothing else.
func TestTimeoutWithoutActivity(t *testing.T) {
	const minute = "timeout(time: 1, unit: 'MINUTES', activity: true)"
	for name, c := range map[string]struct {
		script string
		quiet  bool
		took   time.Duration
	}{
		"a process that speaks":          {"node('linux') { " + minute + " { sh 'chat' } }", false, 4 * time.Minute},
		"a process that falls silent":    {"node('linux') { " + minute + " { sh 'chat'; sh 'hang' } }", true, 5 * time.Minute},
		"a script that speaks":           {minute + " { for (i in 1..3) { sleep 50; echo 'x' } }", false, 150 * time.Second},
		"a script that is silent":        {minute + " { sleep 100 }", true, time.Minute},
		"branches of the body":           {"node('linux') { " + minute + " { parallel(a: { sh 'chat' }, b: { sleep 200 }) } }", false, 4 * time.Minute},
		"a branch beside the body":       {"node('linux') { parallel(a: { sh 'chat' }, b: { " + minute + " { sh 'hang' } }) }", true, 4 * time.Minute},
		"within a branch":                {"node('linux') { parallel(a: { " + minute + " { sh 'chat' } }, b: { }) }", false, 4 * time.Minute},
		"one around that is silent too":  {"node('linux') { " + minute + " { timeout(time: 3, activity: true) { sh 'hang' } } }", true, time.Minute},
		"the deadline of one around":     {"node('linux') { timeout(2) { " + minute + " { sh 'chat' } } }", true, 2 * time.Minute},
		"as an option of a stage":        {"pipeline { agent { label 'linux' }; stages { stage('A') { options { " + minute + " }; steps { sh 'chat'; sh 'hang' } } } }", true, 5 * time.Minute},
		"what was said before the body":  {"node('linux') { sh 'chat'; " + minute + " { sh 'hang' } }", true, 5 * time.Minute},
		"what is said after the timeout": {"node('linux') { try { " + minute + " { sh 'hang' } } finally { sh 'chat' } }", true, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.limit = time.Hour
				defer w.halt()
				w.start()
				began := time.Now()
				b, got := w.run(c.script)
				want, lines := build.Success, 0
				if c.quiet {
					want, lines = build.Aborted, 1
				}
				if b.Result != want || b.CauseKind != build.CauseNone || strings.Count(got, "Cancelling nested steps due to timeout\n") != lines {
					t.Errorf("%s %s %q\n%s", b.Result, b.CauseKind, b.Message, got)
				}
				if took := time.Since(began).Round(time.Second); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if !strings.Contains(got, "Timeout set to expire after 1 min 0 sec without activity\n") {
					t.Errorf("console:\n%s", got)
				}
			})
		})
	}
}

// While no controller runs nothing is heard, and nobody counts: the time begins anew with the next one.
func TestActivityAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limit = 12 * time.Hour
		defer w.halt()
		w.job("job", `node('linux') { timeout(time: 1, activity: true) { sh 'hang' } }`)
		w.start()
		id := w.trigger("job")
		w.saw(id, "did hang")
		w.halt()
		time.Sleep(2 * time.Hour)
		w.start()
		began := time.Now()
		b := w.finished(id)
		if took := time.Since(began).Round(time.Second); b.Result != build.Aborted || b.Message != "Timeout has been exceeded" || took != time.Minute {
			t.Errorf("%s %q after %v\n%s", b.Result, b.Message, took, w.console(id))
		}
		if got := w.console(id); strings.Count(got, "Cancelling nested steps due to timeout\n") != 1 || w.starts()["hang"] != 1 {
			t.Errorf("started %d times\n%s", w.starts()["hang"], got)
		}
	})
}

package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// hold is a step whose effect ends well when it is let go, whatever interrupts it meanwhile.
type hold struct{ begun, letGo chan struct{} }

func (hold) Spec() step.Spec { return step.Spec{Name: "hold"} }

func (h hold) Run(t step.Thread, c *step.Call) (value.Value, error) {
	_, err := t.Do(step.Effect{Name: "hold", Run: func(context.Context, step.Address) (any, error) {
		h.begun <- struct{}{}
		<-h.letGo
		return nil, nil
	}})
	return nil, err
}

// An abort that comes when the last step of a body is ending well is what the post sections after it are judged by.
func TestAbortBeforePost(t *testing.T) {
	marks := func(where string) string {
		return "; post { always { echo '" + where + " always' }; aborted { echo '" + where + " aborted' }; success { echo '" + where + " success' }; unsuccessful { echo '" + where + " unsuccessful' } }"
	}
	for name, c := range map[string]struct {
		script string
		want   []string
	}{
		"of a stage": {"pipeline { agent none; stages { stage('A') { steps { hold() }" + marks("stage") + " }; stage('B') { steps { echo 'next stage' } } }" + marks("root") + " }",
			[]string{"stage always", "stage aborted", "stage unsuccessful", "root always", "root aborted", "root unsuccessful"}},
		"of the pipeline": {"pipeline { agent none; stages { stage('A') { steps { hold() } } }" + marks("root") + " }",
			[]string{"root always", "root aborted", "root unsuccessful"}},
		"of a branch": {"pipeline { agent none; stages { stage('P') { parallel { stage('A') { steps { hold() } } } " + marks("stage") + " } } }",
			[]string{"stage always", "stage aborted", "stage unsuccessful"}},
		"within post": {"pipeline { agent none; stages { stage('A') { steps { echo 'x' }; post { always { hold() }; aborted { echo 'aborted' }; success { echo 'success' } } } } }",
			[]string{"aborted"}},
		"within a timeout": {"pipeline { agent none; stages { stage('A') { options { timeout(5) }; steps { hold() }" + marks("stage") + " } } }",
			[]string{"stage always", "stage aborted", "stage unsuccessful"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			h := hold{make(chan struct{}), make(chan struct{})}
			w.config = func(c *pipeline.Config) { c.Steps = append(c.Steps, h) }
			w.job("job", c.script)
			w.start()
			id := w.trigger("job")
			select {
			case <-h.begun:
			case <-time.After(w.limit):
				t.Fatalf("the step has not begun:\n%s", w.console(id))
			}
			if err := w.r.Abort(context.Background(), id, "bob"); err != nil {
				t.Fatal(err)
			}
			w.until("the interruption to be kept", func() bool { return strings.Contains(w.store.journal(id), "Aborted by bob") })
			close(h.letGo)
			b := w.finished(id)
			var got []string
			for _, line := range strings.Split(w.console(id), "\n") {
				if slices.ContainsFunc([]string{"always", "aborted", "success", "next"}, func(word string) bool { return strings.Contains(line, word) }) {
					got = append(got, line)
				}
			}
			if !slices.Equal(got, c.want) || b.Result != build.Aborted || b.CauseKind != build.CauseUser {
				t.Errorf("%s %s %q, want %q\n%s", b.Result, b.CauseKind, got, c.want, w.console(id))
			}
		})
	}
}

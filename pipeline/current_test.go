package pipeline_test

import (
	"context"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/build"
)

// TestCurrentBuild: what a script may ask of its build and of those before, and set.
func TestCurrentBuild(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.run(`currentBuild.displayName = 'first'; error 'no'`)
	b, got := w.run(`
env.GREETING = 'hi'
env.GONE = 'x'
env.GONE = null
echo "${currentBuild.number} ${currentBuild.id} ${currentBuild.fullDisplayName} ${currentBuild.displayName} ${currentBuild.result} ${currentBuild.currentResult}"
echo "${currentBuild.absoluteUrl} ${env.BUILD_URL} ${currentBuild.projectName} ${GREETING} ${env.GONE}"
def p = currentBuild.previousBuild
echo "before: ${p.number} ${p.result} ${p.displayName} ${p.previousBuild}"
echo "getters: ${currentBuild.getNumber()} ${currentBuild.getPreviousBuild().getResult()} ${currentBuild.getBuildCauses()[0].shortDescription}"
echo "causes: ${currentBuild.getBuildCauses('hudson.model.Cause$UserIdCause').size()} ${currentBuild.getBuildCauses('hudson.triggers.TimerTrigger$TimerTriggerCause').size()}"
echo "successful: ${currentBuild.previousSuccessfulBuild}, failed: ${currentBuild.previousFailedBuild.number}"
echo "better: ${currentBuild.resultIsBetterOrEqualTo('UNSTABLE')} ${currentBuild.resultIsWorseOrEqualTo('UNSTABLE')}, took ${currentBuild.duration >= 0}"
currentBuild.description = "by ${GREETING}"
currentBuild.result = 'UNSTABLE'
currentBuild.result = 'SUCCESS'
echo "now ${currentBuild.result} ${currentBuild.currentResult}, ${currentBuild.description}"
try { p.result = 'SUCCESS' } catch (e) { echo e.message }
try { currentBuild.result = 'GREAT' } catch (e) { echo e.message }
`)
	for _, want := range []string{
		"2 2 job #2 #2 null SUCCESS", "http://farm/jobs/job/2/ http://farm/jobs/job/2/ job hi null", "before: 1 FAILURE first null",
		"getters: 2 FAILURE Started by user alice", "causes: 1 0", "successful: null, failed: 1", "better: true false, took true",
		"now UNSTABLE UNSTABLE, by hi", "can only set the result property on the current build", `result "GREAT": expected SUCCESS`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the console lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	if b.Result != build.Unstable || b.Description != "by hi" {
		t.Errorf("record: %+v", b)
	}
	if first, _ := w.store.Build(context.Background(), build.ID{Job: "job", Number: 1}); first.DisplayName != "first" {
		t.Errorf("the first build's name is %q", first.DisplayName)
	}
}

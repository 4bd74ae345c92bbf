package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/e2e/world"
)

// The Jenkinsfile that tutorials of Jenkins on Amazon ECS show.
const tutorial = `pipeline {
  agent {
    label 'ecs'
  }
  stages {
    stage('Awesomeness') {
      steps {
        echo 'Hello from Jenkins slave!'
      }
    }
  }
}
`

// What the tutorial shows from the first line of the pipeline on, but for the node's name and folder.
const tutorialLog = `[Pipeline] Start of Pipeline
[Pipeline] node
Still waiting to schedule task
‘NODE’ doesn’t have label ‘ecs’
Running on AGENT in FOLDER
[Pipeline] {
[Pipeline] stage
[Pipeline] { (Awesomeness)
[Pipeline] echo
Hello from Jenkins slave!
[Pipeline] }
[Pipeline] // stage
[Pipeline] }
[Pipeline] // node
[Pipeline] End of Pipeline
Finished: SUCCESS
`

// A label that no node has: the build says so after a quarter of a minute, the queue says why, and an agent that comes starts it
// within a second.
func TestTutorialWaitsForItsAgent(t *testing.T) {
	t.Parallel()
	w := world.New(t, "--executors", "1")
	file := filepath.Join(w.Dir, "Jenkinsfile")
	if err := os.WriteFile(file, []byte(tutorial), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := w.CLI("job", "create", "slave-test", "--file", file); code != 0 {
		t.Fatalf("job create: %d\n%s%s", code, out, errs)
	}
	began := time.Now()
	n := w.Build("slave-test")
	w.AwaitLog("slave-test", n, "Still waiting to schedule task\n")
	if d := time.Since(began); d < 14*time.Second || d > 25*time.Second {
		t.Errorf("said that it waits after %s; people expect 15 s", d)
	}
	w.AwaitLog("slave-test", n, "doesn’t have label ‘ecs’\n")
	items, err := w.Client.Queue(w.Context())
	if err != nil || len(items) != 1 || !strings.Contains(items[0].Why, "doesn’t have label ‘ecs’") {
		t.Fatalf("the queue: %+v, %v", items, err)
	}
	code, out, errs := w.CLI("queue", "why", items[0].ID)
	if code != 0 || !strings.Contains(out, "doesn’t have label ‘ecs’") {
		t.Errorf("queue why: %d\n%s%s", code, out, errs)
	}
	t.Logf("queue why:\n%s", out)

	w.Join("ecs-cloud-ecs-39cg6", "ecs")
	online := time.Now()
	b := w.Finish("slave-test", n)
	if b.Result != "SUCCESS" || b.Started == nil {
		t.Fatalf("%s: %s", b.Result, b.Message)
	}
	t.Logf("ended %s after the agent was seen online", time.Since(online).Round(time.Millisecond))
	if d := time.Since(online); d > time.Second {
		t.Errorf("it took %s from the agent's coming to the end", d)
	}
	log := w.Log("slave-test", n)
	_, log, _ = strings.Cut(log, "[Pipeline] Start of Pipeline\n")
	log = regexp.MustCompile(`(?m)^‘[^’]+’ doesn’t have`).ReplaceAllString(log, "‘NODE’ doesn’t have")
	log = regexp.MustCompile(`(?m)^Running on ecs-cloud-ecs-39cg6 in /.*/workspace/slave-test$`).ReplaceAllString(log, "Running on AGENT in FOLDER")
	if log = "[Pipeline] Start of Pipeline\n" + log; log != tutorialLog {
		t.Errorf("the log is\n%s\nwant\n%s", log, tutorialLog)
	}
}

// Without any node the reason says so, too.
func TestTutorialWithoutNodes(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Job("j", "node('ecs') {}")
	w.Build("j")
	w.Await("the reason", func() bool {
		items, err := w.Client.Queue(w.Context())
		return err == nil && len(items) == 1 && items[0].Why != "" && strings.Contains(items[0].Why, "ecs")
	})
}

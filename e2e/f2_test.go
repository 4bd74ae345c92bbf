package e2e

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/e2e/world"
	"github.com/outwork-build/outwork/internal/fault"
)

var (
	rounds = flag.Int("rounds", 30, "how often TestF2 kills the controller")
	seed   = flag.Uint64("seed", 0, "seed of TestF2's points in time; 0 takes one of the clock's")
)

// numbered is a shell script that prints numbered lines of a step and notes its start and end with the oracle.
func numbered(oracle, step string, lines int, pause string) string {
	return fmt.Sprintf(`#!/bin/sh
echo start >> %[1]s/$BUILD_TAG.%[2]s
i=1
while [ $i -le %[3]d ]; do echo "line $i of $BUILD_TAG.%[2]s"; i=$((i+1)); sleep %[4]s; done
echo end >> %[1]s/$BUILD_TAG.%[2]s
`, oracle, step, lines, pause)
}

// shape is a kind of build and the steps with numbered lines that it has.
type shape struct {
	name, script string
	steps        map[string]int // lines of each step
	says         []string       // what the log contains besides
}

// shapes are the builds of F2: each kind of step that has to come through an outage.
func shapes(oracle string) []shape {
	sh := func(step string, lines int) string {
		return "sh '''" + numbered(oracle, step, lines, "0.01") + "'''"
	}
	return []shape{
		{"plain", "node('linux') { " + sh("one", 80) + "; " + sh("two", 5) + " }", map[string]int{"one": 80, "two": 5}, nil},
		{"parallel", "parallel(left: { node('a') { " + sh("left", 40) + " } }, right: { node('b') { " + sh("right", 30) + "; " + sh("more", 10) + " } })",
			map[string]int{"left": 40, "right": 30, "more": 10}, nil},
		{"stash", "node('a') { " + sh("make", 10) + "; sh 'mkdir -p d && echo from $BUILD_TAG > d/f'; stash name: 's', includes: 'd/**' }\nnode('b') { deleteDir(); unstash 's'; sh 'cat d/f'; " + sh("use", 10) + " }",
			map[string]int{"make": 10, "use": 10}, []string{"from jenkins-stash-"}},
		{"capture", "node('linux') { def x = sh(returnStdout: true, script: '''echo once >> " + oracle + "/$BUILD_TAG.captured; sleep 0.2; echo forty-two''').trim()\necho \"captured <${x}>\"\ndef c = sh(returnStatus: true, script: 'exit 7')\necho \"status <${c}>\"\nwriteFile file: 'w', text: x; echo \"read <${readFile('w')}>\"; " + sh("after", 20) + " }",
			map[string]int{"after": 20}, []string{"captured <forty-two>", "status <7>", "read <forty-two>"}},
		{"nested", "node('a') { " + sh("outer", 10) + "; node('b') { " + sh("inner", 20) + " }; " + sh("last", 10) + " }",
			map[string]int{"outer": 10, "inner": 20, "last": 10}, nil},
		{"timeout", "timeout(time: 5, unit: 'MINUTES') { sleep(time: 300, unit: 'MILLISECONDS'); node('linux') { " + sh("in", 20) + " } }\ntry { timeout(time: 1, unit: 'SECONDS') { node('linux') { sh 'sleep 600' } } } catch (e) { echo 'over it' }\nnode('linux') { " + sh("then", 10) + " }",
			map[string]int{"in": 20, "then": 10}, []string{"over it"}},
		{"declarative", "pipeline { agent { label 'linux' }\nstages { stage('One') { steps { " + sh("one", 15) + " } }\nstage('Two') { parallel { stage('L') { agent { label 'a' }\nsteps { " + sh("l", 15) + " } }\nstage('R') { steps { " + sh("r", 15) + " } } } } }\npost { always { " + sh("always", 5) + "\necho 'the end' } } }",
			map[string]int{"one": 15, "l": 15, "r": 15, "always": 5}, []string{"the end"}},
	}
}

var numberedLine = regexp.MustCompile(`(?m)^line (\d+) of (\S+)\r?$`)

// check compares what a build left in its log and with the oracle against what it should have.
func (s shape) check(oracle string, number int, log string) error {
	seen := map[string]int{}
	for _, m := range numberedLine.FindAllStringSubmatch(log, -1) {
		n, _ := strconv.Atoi(m[1])
		if seen[m[2]]++; n != seen[m[2]] {
			return fmt.Errorf("%s#%d: %s: line %d stands where line %d should", s.name, number, m[2], n, seen[m[2]])
		}
	}
	for step, lines := range s.steps {
		tag := fmt.Sprintf("jenkins-%s-%d.%s", s.name, number, step)
		if seen[tag] != lines {
			return fmt.Errorf("%s: the log has %d of %d lines", tag, seen[tag], lines)
		}
		noted, err := os.ReadFile(filepath.Join(oracle, tag))
		if err != nil || string(noted) != "start\nend\n" {
			return fmt.Errorf("%s: noted %q, %v", tag, noted, err)
		}
	}
	for _, want := range s.says {
		if n := strings.Count(log, want); n != 1 && want != "from jenkins-stash-" {
			return fmt.Errorf("%s#%d: the log has %q %d times", s.name, number, want, n)
		}
	}
	if s.name == "capture" {
		if noted, err := os.ReadFile(filepath.Join(oracle, fmt.Sprintf("jenkins-capture-%d.captured", number))); err != nil || string(noted) != "once\n" {
			return fmt.Errorf("capture#%d: noted %q, %v", number, noted, err)
		}
	}
	return nil
}

// submitter is a client that submits builds, two at a time, waits for their end and checks them, whatever becomes of the controller meanwhile.
type submitter struct {
	w      *world.World
	oracle string
	shapes []shape
	rnd    *rand.Rand

	mu       *sync.Mutex
	accepted map[string]int // builds of each job that were accepted
}

func (c *submitter) run(stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		type one struct {
			shape  shape
			number int
		}
		var mine []one
		for range 2 {
			s := c.shapes[c.rnd.IntN(len(c.shapes))]
			b, err := c.w.Client.StartBuild(context.Background(), s.name, api.BuildCreate{})
			if fault.Is(err, fault.Unavailable) {
				continue
			}
			if err != nil {
				return fmt.Errorf("submit %s: %w", s.name, err)
			}
			c.mu.Lock()
			c.accepted[s.name]++
			c.mu.Unlock()
			mine = append(mine, one{s, b.Number})
		}
		for _, o := range mine {
			if err := c.see(o.shape, o.number); err != nil {
				return err
			}
		}
		if len(mine) == 0 {
			<-time.After(20 * time.Millisecond) // the controller is away; its return has no event here
		}
	}
}

// see waits for the end of a build and checks it.
func (c *submitter) see(s shape, number int) error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		b, err := c.w.Client.Build(context.Background(), s.name, number)
		switch {
		case fault.Is(err, fault.Unavailable):
		case err != nil:
			return fmt.Errorf("%s#%d was accepted: %w", s.name, number, err)
		case b.State == "finished":
			log, err := c.log(s.name, number)
			if fault.Is(err, fault.Unavailable) {
				break
			}
			if err != nil {
				return err
			}
			if b.Result != "SUCCESS" {
				return fmt.Errorf("%s#%d: %s %s %s\n%s", s.name, number, b.Result, b.CauseKind, b.Message, log)
			}
			if err := s.check(c.oracle, number, log); err != nil {
				return fmt.Errorf("%w\n%s", err, log)
			}
			return nil
		}
		if time.Now().After(deadline) {
			log, _ := c.log(s.name, number)
			return fmt.Errorf("%s#%d does not end (%v)\n%s", s.name, number, err, log)
		}
		<-time.After(30 * time.Millisecond)
	}
}

func (c *submitter) log(job string, number int) (string, error) {
	r, err := c.w.Client.Log(context.Background(), job, number, 0, false)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return "", fault.With(fault.Unavailable, err)
	}
	return string(b), nil
}

// heart is a build whose one step says the time over and over.
func heart(oracle, label string) string {
	return "node('" + label + "') { sh '''#!/bin/sh\necho start >> " + oracle + "/heart." + label + "\nwhile [ ! -e " + oracle + "/stop ]; do date +'beat %s%N'; sleep 0.05; done''' }"
}

var beat = regexp.MustCompile(`beat (\d+)\n`)

// beatAfter waits until the log of a heart shows a beat after a moment.
func beatAfter(w *world.World, job string, since time.Time) {
	w.Await("a beat of "+job, func() bool {
		page, err := w.Client.LogLines(context.Background(), job, 1, 1, 1)
		if err == nil {
			page, err = w.Client.LogLines(context.Background(), job, 1, max(1, page.Total-3), 5)
		}
		if err != nil {
			return false
		}
		for _, l := range page.Lines {
			if m := beat.FindStringSubmatch(l.Text + "\n"); m != nil {
				if at, _ := strconv.ParseInt(m[1], 10, 64); time.Unix(0, at).After(since) {
					return true
				}
			}
		}
		return false
	})
}

// F2: the controller is killed again and again while clients submit builds: no accepted build is lost, each ends well, its steps
// are attached to again and started once, and its log is whole.
func TestF2ControllerKilled(t *testing.T) {
	n, from := *rounds, *seed
	if from == 0 {
		from = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d, %d rounds", from, n)
	rnd := rand.New(rand.NewPCG(from, 2))
	w := world.New(t)
	oracle := t.TempDir()
	for _, name := range []string{"a", "b"} {
		w.Join(name, "linux", "--executors", "5")
		w.Job("heart-"+name, heart(oracle, name))
		w.Build("heart-" + name)
		beatAfter(w, "heart-"+name, time.Time{})
	}
	all := shapes(oracle)
	for _, s := range all {
		w.Job(s.name, s.script)
	}

	accepted, mu := map[string]int{}, &sync.Mutex{}
	stop, failed := make(chan struct{}), make(chan error, 4)
	var clients sync.WaitGroup
	for i := range 4 {
		c := &submitter{w: w, oracle: oracle, shapes: all, rnd: rand.New(rand.NewPCG(from, uint64(i)+10)), mu: mu, accepted: accepted}
		clients.Go(func() {
			if err := c.run(stop); err != nil {
				failed <- err
			}
		})
	}
	var back []time.Duration
	for round := range n {
		select {
		case <-time.After(time.Duration(rnd.IntN(1500)) * time.Millisecond): // the random point
		case err := <-failed:
			t.Fatalf("round %d: %v", round, err)
		}
		w.KillController()
		for rnd.IntN(4) == 0 { // and at a random point of its start
			w.LaunchController()
			<-time.After(time.Duration(rnd.IntN(400)) * time.Millisecond)
			w.KillController()
		}
		w.StartController()
		began := time.Now()
		for _, name := range []string{"a", "b"} {
			beatAfter(w, "heart-"+name, began)
		}
		back = append(back, time.Since(began))
	}
	close(stop)
	clients.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	if err := os.WriteFile(filepath.Join(oracle, "stop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	total := endAll(t, w, all, oracle, accepted)
	for _, name := range []string{"a", "b"} {
		if b := w.Finish("heart-"+name, 1); b.Result != "SUCCESS" {
			t.Errorf("heart-%s: %s %s", name, b.Result, b.Message)
		}
		if n := strings.Count(read(t, filepath.Join(oracle, "heart."+name)), "start\n"); n != 1 {
			t.Errorf("heart-%s: the step was started %d times", name, n)
		}
	}
	if len(back) == 0 {
		return
	}
	slices.Sort(back)
	t.Logf("%d builds; steps attached again after p50 %s, max %s", total, back[len(back)/2].Round(time.Millisecond), back[len(back)-1].Round(time.Millisecond))
	if back[len(back)-1] > 30*time.Second {
		t.Errorf("a step was attached again only after %s", back[len(back)-1])
	}
}

// endAll waits for the end of every build there is, those included whose acceptance the client did not hear of, and checks them.
func endAll(t *testing.T, w *world.World, all []shape, oracle string, accepted map[string]int) int {
	t.Helper()
	total := 0
	for _, s := range all {
		job, err := w.Client.Job(w.Context(), s.name)
		if err != nil {
			t.Fatal(err)
		}
		last := 0
		if job.LastBuild != nil {
			last = job.LastBuild.Number
		}
		if last < accepted[s.name] {
			t.Errorf("%s: %d builds were accepted, %d are there", s.name, accepted[s.name], last)
		}
		total += last
		for number := 1; number <= last; number++ {
			if b := w.Finish(s.name, number); b.Result != "SUCCESS" {
				t.Errorf("%s#%d: %s %s", s.name, number, b.Result, b.Message)
			}
			if err := s.check(oracle, number, w.Log(s.name, number)); err != nil {
				t.Error(err)
			}
		}
	}
	return total
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

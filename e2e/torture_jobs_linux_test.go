package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
)

// daemonTime is what the daemons of builds sleep: by it they are told apart from all other processes.
const daemonTime = "73219"

// job is a kind of build that runs under torture, and what must be true of each.
type job struct {
	name, script string
	abort        bool // people abort it
	check        func(number int, log string) error
}

func (x *torture) jobs() []job {
	var all []job
	for _, s := range shapes(x.oracle) {
		all = append(all, job{name: s.name, script: s.script, check: func(n int, log string) error { return s.check(x.oracle, n, log) }})
	}
	here := shape{name: "here", script: "node('built-in') { sh '''" + numbered(x.oracle, "one", 60, "0.02") + "''' }", steps: map[string]int{"one": 60}}
	return append(all,
		job{name: here.name, script: here.script, check: func(n int, log string) error { return here.check(x.oracle, n, log) }},
		job{name: "again", script: again(x.oracle), check: func(n int, log string) error { return checkAgain(x.oracle, n, log) }},
		job{name: "daemons", script: daemons, check: func(_ int, log string) error {
			if strings.Count(log, "\nstarted them\n") != 1 {
				return fmt.Errorf("the log does not say once that daemons were started")
			}
			return nil
		}},
		job{name: "aborted", script: "node('linux') { sh '''#!/bin/sh\ntrap '' TERM\nsetsid sleep " + daemonTime + " &\nwhile :; do sleep 0.1; done''' }", abort: true,
			check: func(_ int, log string) error {
				if !strings.HasSuffix(log, "Finished: ABORTED\n") {
					return fmt.Errorf("the log does not end with the abort")
				}
				return nil
			}})
}

const retriedLines = 60

// again is a build whose step may be started again. It holds a lock while it lives: a second one beside it finds it taken.
func again(oracle string) string {
	return fmt.Sprintf(`retry(count: 100, conditions: [agent(), nonresumable()]) { node('linux') { sh '''#!/bin/sh
exec 9>>%[1]s/$BUILD_TAG.lock
flock -n 9 || echo overlap >> %[1]s/$BUILD_TAG.again
echo start >> %[1]s/$BUILD_TAG.again
i=1
while [ $i -le %[2]d ]; do echo "line $i of $BUILD_TAG.again"; i=$((i+1)); sleep 0.03; done
echo end >> %[1]s/$BUILD_TAG.again
''' } }`, oracle, retriedLines)
}

// checkAgain: attempts do not overlap (I3), the lines of each stand in order, and the last is whole.
func checkAgain(oracle string, number int, log string) error {
	tag := fmt.Sprintf("jenkins-again-%d.again", number)
	noted, err := os.ReadFile(filepath.Join(oracle, tag))
	if err != nil || !strings.HasPrefix(string(noted), "start\n") || !strings.HasSuffix(string(noted), "end\n") || strings.Contains(string(noted), "overlap") {
		return fmt.Errorf("%s: noted %q, %v", tag, noted, err)
	}
	at := 0
	for _, m := range numberedLine.FindAllStringSubmatch(log, -1) {
		n, _ := strconv.Atoi(m[1])
		if n != at+1 && n != 1 {
			return fmt.Errorf("%s: line %d stands after line %d", tag, n, at)
		}
		at = n
	}
	if at != retriedLines {
		return fmt.Errorf("%s: the last attempt has %d of %d lines", tag, at, retriedLines)
	}
	return nil
}

// daemons leave the step's group, its session and its parent, close what they have inherited, and drop their environment.
const daemons = `node('linux') { sh '''#!/bin/sh
(setsid sleep ` + daemonTime + ` >/dev/null 2>&1 </dev/null &)
(cd / && setsid env -i /bin/sh -c "(trap '' TERM HUP; /bin/sleep ` + daemonTime + ` & /bin/sleep ` + daemonTime + `) &" >/dev/null 2>&1 </dev/null)
nohup sleep ` + daemonTime + ` >/dev/null 2>&1 &
echo started them
''' }`

// one submits a build, waits for its end and checks it.
func (c *crew) one(j job, rnd *rand.Rand) error {
	b, err := c.w.Client.StartBuild(context.Background(), j.name, api.BuildCreate{})
	if fault.Is(err, fault.Unavailable) {
		<-time.After(50 * time.Millisecond) // the controller is away; its return has no event here
		return nil
	}
	if err != nil {
		return fmt.Errorf("submit %s: %w", j.name, err)
	}
	c.mu.Lock()
	c.accepted[j.name]++
	c.mu.Unlock()
	if j.abort {
		<-time.After(time.Duration(rnd.IntN(2000)) * time.Millisecond) // any point of its life
		if err := c.abort(j.name, b.Number); err != nil {
			return err
		}
	}
	return c.see(j, b.Number)
}

func (c *crew) abort(name string, number int) error {
	for {
		err := c.w.Client.Abort(context.Background(), name, number)
		if !fault.Is(err, fault.Unavailable) {
			return err
		}
		<-time.After(50 * time.Millisecond)
	}
}

// see waits for the end of a build: invariant I1.
func (c *crew) see(j job, number int) error {
	s := submitter{w: c.w}
	for deadline := time.Now().Add(4 * time.Minute); ; <-time.After(50 * time.Millisecond) {
		b, err := c.w.Client.Build(context.Background(), j.name, number)
		if err == nil && b.State == "finished" {
			var log string
			if log, err = s.log(j.name, number); err == nil {
				return c.right(j, b, log)
			}
		}
		if err != nil && !fault.Is(err, fault.Unavailable) {
			return fmt.Errorf("%s#%d was accepted: %w", j.name, number, err)
		}
		if time.Now().After(deadline) {
			log, _ := s.log(j.name, number)
			return fmt.Errorf("%s#%d does not end (%s, %v)\n%s", j.name, number, b.State, err, log)
		}
	}
}

// right: the build ended as it should, and its log and ledger say so.
func (c *crew) right(j job, b api.Build, log string) error {
	want := "SUCCESS"
	if j.abort {
		want = "ABORTED"
	}
	if b.Result != want {
		return fmt.Errorf("%s#%d: %s %s %s\n%s", j.name, b.Number, b.Result, b.CauseKind, b.Message, log)
	}
	if err := j.check(b.Number, log); err != nil {
		return fmt.Errorf("%s#%d: %w\n%s", j.name, b.Number, err, log)
	}
	return nil
}

// each calls f with every build there is, those included of whose acceptance nobody heard.
func (c *crew) each(t *testing.T, f func(j job, number int)) (total int) {
	t.Helper()
	for _, j := range c.jobs {
		got, err := c.w.Client.Job(c.w.Context(), j.name)
		if err != nil {
			t.Fatal(err)
		}
		last := 0
		if got.LastBuild != nil {
			last = got.LastBuild.Number
		}
		if last < c.accepted[j.name] {
			t.Errorf("%s: %d builds were accepted, %d are there", j.name, c.accepted[j.name], last)
		}
		total += last
		for n := 1; n <= last; n++ {
			f(j, n)
		}
	}
	return total
}

// check looks at every build again.
func (c *crew) check(t *testing.T) int {
	t.Helper()
	select {
	case err := <-c.failed:
		t.Fatal(err)
	default:
	}
	return c.each(t, func(j job, n int) {
		if j.abort { // one of whose acceptance nobody heard
			_ = c.w.Client.Abort(c.w.Context(), j.name, n)
		}
		if err := c.see(j, n); err != nil {
			t.Error(err)
		}
	})
}

// results of all builds.
func (c *crew) results(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	c.each(t, func(j job, n int) {
		b, err := c.w.Client.Build(c.w.Context(), j.name, n)
		if err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprintf("%s#%d", j.name, n)] = b.Result + " " + b.CauseKind
	})
	return all
}

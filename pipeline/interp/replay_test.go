package interp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// world is what effects act on. It outlives the controller: what was started goes on, and is found again.
type world struct {
	mu     sync.Mutex
	seed   uint64
	starts map[step.Address]int // Run calls in this life of the controller
	ever   map[step.Address]bool
	forgot map[step.Address]int
	t      func(format string, args ...any)
	// done and begun are what the journal held when this life began.
	done, begun map[step.Address]bool
}

func newWorld(seed uint64, fail func(string, ...any)) *world {
	return &world{seed: seed, t: fail, starts: map[step.Address]int{}, ever: map[step.Address]bool{}, forgot: map[step.Address]int{}}
}

func (w *world) life(seed uint64, entries []Entry) {
	w.seed, w.starts, w.done, w.begun = seed, map[step.Address]int{}, map[step.Address]bool{}, map[step.Address]bool{}
	for _, e := range entries {
		switch e.Kind {
		case Started:
			w.begun[e.Address] = true
		case Completed:
			w.done[e.Address] = true
		}
	}
}

// delay is how long an effect takes: it depends on the address and on the life.
func (w *world) delay(a step.Address) time.Duration {
	h := fnv.New64a()
	fmt.Fprint(h, w.seed, a)
	return time.Duration(h.Sum64()%1000+1) * time.Millisecond
}

func (w *world) act(ctx context.Context, a step.Address, name string) (any, error) {
	w.mu.Lock()
	w.starts[a]++
	if w.done[a] {
		w.t("effect %s (%s) was run again after it had completed", a, name)
	}
	if w.ever[a] && !w.begun[a] {
		w.t("effect %s (%s) acted before its start was journalled", a, name)
	}
	if w.starts[a] > 1 {
		w.t("effect %s (%s) was run twice in one life", a, name)
	}
	w.ever[a] = true
	w.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(w.delay(a)):
	}
	if strings.HasPrefix(name, "bad") {
		return nil, value.Abort(name + " failed")
	}
	return "did " + name, nil
}

func (w *world) steps() map[string]step.Step {
	steps := testSteps()
	steps["act"] = funcStep{step.Spec{Name: "act", Params: []step.Param{{Name: "name", Type: step.Str}}, Sole: "name"}, func(t step.Thread, c *step.Call) (value.Value, error) {
		raw, err := t.Do(step.Effect{Name: "act", Args: c.Args,
			Run:    func(ctx context.Context, a step.Address) (any, error) { return w.act(ctx, a, c.String("name")) },
			Forget: func(_ context.Context, a step.Address) { w.mu.Lock(); w.forgot[a]++; w.mu.Unlock() },
		})
		if err != nil {
			return nil, err
		}
		var s string
		return s, json.Unmarshal(raw, &s)
	}}
	steps["limit"] = funcStep{step.Spec{Name: "limit", Params: []step.Param{{Name: "ms", Type: step.Int}}, Sole: "ms", Block: true}, func(t step.Thread, c *step.Call) (value.Value, error) {
		return t.Interruptible(func(in step.Interrupter) (value.Value, error) {
			raw, err := t.Do(step.Effect{Name: "limit", Key: "deadline", Run: func(context.Context, step.Address) (any, error) {
				return time.Now().Add(time.Duration(c.Int("ms")) * time.Millisecond).UnixMilli(), nil
			}})
			if err != nil {
				return nil, err
			}
			var ms int64
			if err := json.Unmarshal(raw, &ms); err != nil {
				return nil, err
			}
			timer := time.AfterFunc(time.Until(time.UnixMilli(ms)), func() {
				in.Interrupt(&value.Exception{Class: value.FlowInterrupted, Message: "limit", Result: "ABORTED"})
			})
			defer timer.Stop()
			return t.Call(c.Body)
		})
	}}
	return steps
}

// drawScript draws a program: branches that share a list, effects that fail, bodies that are interrupted.
func drawScript(t *rapid.T, depth int, n *int) string {
	var b strings.Builder
	for range rapid.IntRange(1, 4-depth/2).Draw(t, "statements") {
		*n++
		id := *n
		kind := rapid.SampledFrom([]int{8, 0, 6, 7, 1, 4, 5, 8, 2, 9, 3}).Draw(t, "kind")
		if depth >= 3 && kind > 5 {
			kind = 0
		}
		switch kind {
		case 0, 1, 2:
			fmt.Fprintf(&b, "log << act('e%d'); ", id)
		case 3:
			fmt.Fprintf(&b, "act('bad%d'); ", id)
		case 4:
			fmt.Fprintf(&b, "log << \"%d:${log.size()}\"; echo \"at %d after ${log}\"; ", id, id)
		case 5:
			fmt.Fprintf(&b, "log << new Date().time + Math.random(); for (i in 0..2) { if (log.size() %% 2) { log << act(\"f%d-$i\") } }; ", id)
		case 6:
			fmt.Fprintf(&b, "try { %s } catch (e) { log << \"caught ${e.message}\" } finally { log << act('fin%d') }; ", drawScript(t, depth+1, n), id)
		case 7:
			fmt.Fprintf(&b, "limit(%d) { %s }; ", rapid.IntRange(1, 2500).Draw(t, "ms"), drawScript(t, depth+1, n))
		default:
			fmt.Fprintf(&b, "parallel(failFast: %v, ", rapid.Bool().Draw(t, "failFast"))
			for _, name := range []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "branches")] {
				fmt.Fprintf(&b, "%s: { %s }, ", name, drawScript(t, depth+1, n))
			}
			fmt.Fprintf(&b, "d: { log << 'd%d' }); ", id)
		}
	}
	return b.String()
}

// outcomeText is how a run ended, to be compared.
func outcomeText(err error) string {
	var ex *value.Exception
	if errors.As(err, &ex) {
		return ex.Class + ": " + ex.Message
	}
	return fmt.Sprint(err)
}

// lifetime runs the program on what earlier lives left.
func (w *world) lifetime(f *jenkinsfile.File, r *memoryRun, j *memoryJournal, abort time.Duration) error {
	p, err := New(Config{File: f, Run: r, SetEnv: r.setEnv, Steps: w.steps(), Journal: j, Replay: slices.Clone(j.entries)})
	if err != nil {
		return err
	}
	if abort > 0 {
		timer := time.AfterFunc(abort, func() {
			p.Abort(&value.Exception{Class: value.FlowInterrupted, Message: "abort", Result: "ABORTED"})
		})
		defer timer.Stop()
	}
	return p.Run(context.Background())
}

func TestReplayProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := 0
		src := "log = []; try { " + drawScript(rt, 0, &n) + " } finally { echo \"end ${log}\"; act('last') }"
		seed := rapid.Uint64().Draw(rt, "seed")
		abort := time.Duration(0)
		if rapid.IntRange(0, 2).Draw(rt, "aborted") == 0 {
			abort = time.Duration(rapid.IntRange(1, 3000).Draw(rt, "abort")) * time.Millisecond
		}
		f, err := jenkinsfile.Parse("WorkflowScript", src)
		if err != nil {
			rt.Fatalf("%v\n%s", err, src)
		}
		var failure error
		synctest.Test(t, func(t *testing.T) {
			fail := func(format string, args ...any) {
				if failure == nil {
					failure = fmt.Errorf("%s\n%s", fmt.Sprintf(format, args...), src)
				}
			}
			whole := &memoryJournal{}
			w := newWorld(seed, fail)
			w.life(seed, nil)
			first := outcomeText(w.lifetime(f, newMemoryRun(), whole, abort))
			if strings.Contains(first, "non-deterministic") {
				fail("%s", first)
			}
			for cut := 1; cut < len(whole.entries) && failure == nil; cut++ {
				crashAt(fail, f, seed, cut, abort)
			}
		})
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// crashAt ends the controller after an entry, resumes, and then replays the complete journal: nothing may run again, and all must be as it was.
func crashAt(fail func(string, ...any), f *jenkinsfile.File, seed uint64, cut int, abort time.Duration) {
	r, j := newMemoryRun(), &memoryJournal{cut: cut}
	w := newWorld(seed, func(format string, args ...any) {
		fail("cut %d: "+format, append([]any{cut}, args...)...)
	})
	w.life(seed, nil)
	if err := w.lifetime(f, r, j, abort); !errors.Is(err, errCrash) {
		return // effects that end at the same moment are journalled in any order: this time fewer entries came together
	}
	j.cut, r.env = 0, nil
	w.life(seed+uint64(cut), j.entries)
	if slices.ContainsFunc(j.entries, func(e Entry) bool { return e.Kind == Interrupted && e.Address == "abort" }) {
		abort = 0 // a second one would end the program at once
	}
	resumed := outcomeText(w.lifetime(f, r, j, abort))
	console := maps.Clone(r.streams)
	ran := len(w.starts)

	w.life(seed, j.entries)
	r.env = nil
	before := len(j.entries)
	again := outcomeText(w.lifetime(f, r, j, 0))
	switch {
	case strings.Contains(resumed, "non-deterministic"), strings.Contains(resumed, "console"):
		fail("cut %d: %s", cut, resumed)
	case resumed != again:
		fail("cut %d: resumed: %s\nreplayed: %s", cut, resumed, again)
	case len(w.starts) != 0 || len(j.entries) != before:
		fail("cut %d: the replay of a complete journal ran %v and wrote %d entries (%d effects before)", cut, w.starts, len(j.entries)-before, ran)
	}
	for a, text := range r.streams {
		if string(console[a]) != string(text) {
			fail("cut %d: console %s\n%s\nreplayed as\n%s", cut, a, console[a], text)
		}
	}
}

func TestStopAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := parse(t, `parallel(a: { act 'x'; act 'y' }, b: { try { act 'z' } finally { echo 'never on a stop' } }); echo 'done'`)
		r, j, w := newMemoryRun(), &memoryJournal{}, newWorld(7, t.Errorf)
		w.life(7, nil)
		ctx, cancel := context.WithCancel(t.Context())
		p, err := New(Config{File: f, Run: r, Steps: w.steps(), Journal: j})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(50*time.Millisecond, cancel)
		if err := p.Run(ctx); !errors.Is(err, ErrStopped) {
			t.Fatalf("ended with %v", err)
		}
		if strings.Contains(string(r.streams["b:1/b:b"]), "never") {
			t.Error("a finally block ran when the controller stopped")
		}
		w.life(8, j.entries)
		if err := w.lifetime(f, r, j, 0); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(r.text(), "done\n") {
			t.Errorf("console %q", r.text())
		}
		if len(w.forgot) != 3 {
			t.Errorf("forgot %v", w.forgot)
		}
	})
}

func TestAbort(t *testing.T) {
	abort := &value.Exception{Class: value.FlowInterrupted, Message: "Aborted by alice", Result: "ABORTED"}
	t.Run("once: finally runs normally", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(1, t.Errorf)
			w.life(1, nil)
			r, j := newMemoryRun(), &memoryJournal{}
			p, err := New(Config{File: parse(t, `try { while (true) { act 'x' } } finally { echo act('cleanup') }`), Run: r, Steps: w.steps(), Journal: j})
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(5*time.Second, func() { p.Abort(abort) })
			if err := p.Run(t.Context()); outcomeText(err) != outcomeText(abort) {
				t.Fatalf("ended with %v", err)
			}
			if !strings.HasSuffix(r.text(), "did cleanup\n") {
				t.Errorf("console %q", r.text())
			}
		})
	})
	t.Run("twice: ends at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(1, t.Errorf)
			w.life(1, nil)
			r, j := newMemoryRun(), &memoryJournal{}
			f := parse(t, `try { act 'x' } finally { while (true) { } }`)
			p, err := New(Config{File: f, Run: r, Steps: w.steps(), Journal: j, Limits: Limits{Steps: 1 << 60}})
			if err != nil {
				t.Fatal(err)
			}
			p.Abort(abort)
			go p.Abort(abort)
			if err := p.Run(t.Context()); outcomeText(err) != outcomeText(abort) {
				t.Fatalf("ended with %v", err)
			}
			if k := j.entries[len(j.entries)-1].Kind; k != Killed {
				t.Errorf("last entry is %s", k)
			}
			w.life(2, j.entries)
			if err := w.lifetime(f, r, j, 0); outcomeText(err) != outcomeText(abort) {
				t.Errorf("resumed, it ended with %v", err)
			}
		})
	})
	t.Run("a step that was lost to the farm can be caught", func(t *testing.T) {
		out, err := run(t, `try { lose() } catch (IOException e) { echo e.message }; lose()`, func(c *Config) {
			withSteps(c)
			c.Steps["lose"] = funcStep{step.Spec{Name: "lose"}, func(t step.Thread, c *step.Call) (value.Value, error) {
				_, err := t.Do(step.Effect{Name: "lose", Run: func(context.Context, step.Address) (any, error) { return nil, errors.New("no disk") }})
				return nil, err
			}}
		})
		var ex *value.Exception
		if err == nil || errors.As(err, &ex) || err.Error() != "no disk" || !strings.Contains(out, "no disk\n") {
			t.Fatalf("%q %v", out, err)
		}
	})
}

func TestDiverged(t *testing.T) {
	j := &memoryJournal{}
	r := newMemoryRun()
	start := func(src string) error {
		w := newWorld(1, t.Errorf)
		w.life(1, nil)
		return w.lifetime(parse(t, src), r, j, 0)
	}
	if err := start(`act 'one'; act 'two'`); err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{`act 'one'; act 'three'`, `act 'one'`, `sh 'one'; act 'two'`} {
		r = newMemoryRun()
		var d *Diverged
		if err := start(src); !errors.As(err, &d) || !strings.Contains(err.Error(), "non-deterministic pipeline, cannot resume") {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// TestInterruptedOnce resumes when the deadline of a body is long over: what runs after the interruption must not be interrupted again.
func TestInterruptedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := parse(t, `try { limit(1) { try { act 'x' } finally { log = act('cleanup') } } } catch (e) { echo e.message }; echo log`)
		whole := &memoryJournal{}
		w := newWorld(3, t.Errorf)
		w.life(3, nil)
		if err := w.lifetime(f, newMemoryRun(), whole, 0); err != nil {
			t.Fatal(err)
		}
		for cut := 1; cut < len(whole.entries); cut++ {
			r, j := newMemoryRun(), &memoryJournal{cut: cut}
			w := newWorld(3, t.Errorf)
			w.life(3, nil)
			if err := w.lifetime(f, r, j, 0); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			j.cut = 0
			w.life(4, j.entries)
			time.Sleep(time.Hour) // in the bubble: the controller stays away
			if err := w.lifetime(f, r, j, 0); err != nil {
				t.Fatalf("cut %d: %v", cut, err)
			}
			if !strings.HasSuffix(r.text(), "[Pipeline] echo\nlimit\n[Pipeline] echo\ndid cleanup\n") {
				t.Errorf("cut %d: console %q", cut, r.text())
			}
		}
	})
}

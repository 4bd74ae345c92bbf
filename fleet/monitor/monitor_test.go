package monitor

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

const gib = 1 << 30

func start() time.Time { return time.Date(2026, 3, 11, 12, 0, 0, 0, time.UTC) }

// well is a sample of a machine that feels well.
func well(at time.Time) fleet.Sample {
	return fleet.Sample{At: at, RoundTrip: 12 * time.Millisecond, Offset: 3 * time.Millisecond, OS: "linux", Arch: "amd64", Vitals: agent.Vitals{
		Clock: at, Disk: agent.Space{Path: "/srv", Free: 20 * gib, Total: 40 * gib}, Temp: agent.Space{Path: "/tmp", Free: 4 * gib, Total: 8 * gib},
		Memory: 10 * gib, MemoryAll: 16 * gib, Swap: gib, SwapAll: 2 * gib, Load: 0.5, CPUs: 4,
	}}
}

func newSet(t rapid.TB, farm map[string]fleet.Limit) *Set {
	t.Helper()
	s, err := NewSet(farm)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// watch judges a sample every ten seconds.
type watch struct {
	t    rapid.TB
	set  *Set
	node map[string]fleet.Limit
	now  time.Time
	last Judgement
}

func (w *watch) feel(change func(*fleet.Sample)) Judgement {
	w.now = w.now.Add(10 * time.Second)
	s := well(w.now)
	if change != nil {
		change(&s)
	}
	w.last = w.set.Judge(w.last.Verdicts, s, w.node)
	return w.last
}

// want checks a monitor's level and what follows from all.
func (w *watch) want(name string, level fleet.Level, action fleet.Action) {
	w.t.Helper()
	if v := w.last.Verdicts[name]; v.Level != level || w.last.Action != action {
		w.t.Fatalf("after %v %s is %q and the action %q, want %q and %q: %+v", w.now.Sub(start()), name, v.Level, w.last.Action, level, action, v)
	}
}

// S1-73
func TestAWellMachine(t *testing.T) {
	w := &watch{t: t, set: newSet(t, nil), now: start()}
	j := w.feel(nil)
	texts := map[string]string{}
	for name, v := range j.Verdicts {
		texts[name] = v.Text
		if v.Level != fleet.Good || v.Action != "" || v.Cause != "" || v.Since != w.now {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if d := cmp.Diff(map[string]string{
		"disk": "20.00 GiB of 40.00 GiB free on /srv", "temp": "4.00 GiB of 8.00 GiB free on /tmp",
		"swap": "1.00 GiB of 2.00 GiB swap free, 10.00 GiB of 16.00 GiB memory available", "clock": "3 ms ahead",
		"response": "12 ms", "architecture": "Linux (amd64)",
	}, texts); d != "" {
		t.Errorf("(-want +got): %s", d)
	}
	if j.Action != "" || j.Cause != nil {
		t.Errorf("%+v", j)
	}
}

// trip makes a monitor bad, or nearly, or good.
type trip struct {
	name            string
	bad, edge, good func(*fleet.Sample) // edge is within a tenth of the limit, on its good side
	action          fleet.Action
	cause           string
}

func trips() []trip {
	free := func(name string, n float64) func(*fleet.Sample) {
		return func(s *fleet.Sample) {
			switch name {
			case Disk:
				s.Vitals.Disk.Free = int64(n * gib)
			case Temp:
				s.Vitals.Temp.Free = int64(n * gib)
			default:
				s.Vitals.Swap = int64(n * gib)
			}
		}
	}
	off := func(d time.Duration) func(*fleet.Sample) { return func(s *fleet.Sample) { s.Offset = d } }
	return []trip{
		{Disk, free(Disk, 0.99), free(Disk, 1.05), free(Disk, 5), fleet.TakeOff, "Disk space is below threshold of 1.00 GiB. Only 1013.76 MiB out of 40.00 GiB left on /srv."},
		{Temp, free(Temp, 0.5), free(Temp, 1.05), free(Temp, 5), fleet.TakeOff, "Disk space is below threshold of 1.00 GiB. Only 512.00 MiB out of 8.00 GiB left on /tmp."},
		{Swap, free(Swap, 0.2), free(Swap, 0.26), free(Swap, 1), fleet.Warn, "Swap space is below threshold of 256.00 MiB. Only 204.80 MiB out of 2.00 GiB left."},
		{Clock, off(-7 * time.Second), off(-4900 * time.Millisecond), off(0), fleet.Warn, "The clock is 7.0 s behind, which is more than 5.0 s."},
	}
}

// S1-68, S1-69, S1-70, S1-71, S3-04: bad at once, good after a minute beyond the margin.
func TestBadAtOnceGoodAfterAMinute(t *testing.T) {
	for _, c := range trips() {
		t.Run(c.name, func(t *testing.T) {
			w := &watch{t: t, set: newSet(t, nil), now: start()}
			w.feel(c.good)
			w.want(c.name, fleet.Good, "")
			w.feel(c.bad)
			w.want(c.name, fleet.Bad, c.action)
			if got := w.last.Verdicts[c.name]; got.Cause != c.cause || got.Since != w.now {
				t.Errorf("cause %q, want %q", got.Cause, c.cause)
			}
			for range 20 {
				w.feel(c.edge) // better, but not by the margin
				w.want(c.name, fleet.Bad, c.action)
			}
			for range 6 {
				w.feel(c.good)
				w.want(c.name, fleet.Bad, c.action)
			}
			w.feel(c.edge) // which starts the minute again
			for range 6 {
				w.feel(c.good)
				w.want(c.name, fleet.Bad, c.action)
			}
			w.feel(c.good)
			w.want(c.name, fleet.Good, "")
		})
	}
}

// S1-74, S3-05: each can take the node off, and only be shown.
func TestActions(t *testing.T) {
	late := trip{name: Response, bad: func(s *fleet.Sample) { s.TimedOut = true; s.Vitals = agent.Vitals{} }}
	for _, c := range append(trips(), late) {
		for _, action := range []fleet.Action{fleet.Ignore, fleet.Warn, fleet.TakeOff, fleet.Disconnect} {
			w := &watch{t: t, set: newSet(t, map[string]fleet.Limit{c.name: {Action: action}}), now: start()}
			for range 5 {
				w.feel(c.bad)
			}
			w.want(c.name, fleet.Bad, action)
			off := action == fleet.TakeOff || action == fleet.Disconnect
			if j := w.last; j.By != c.name || off != (j.Cause != nil) {
				t.Errorf("%s %s: by %q, cause %+v", c.name, action, j.By, j.Cause)
			} else if off && (j.Cause.Kind != "monitor" || j.Cause.Text == "" || j.Cause.Text != j.Verdicts[c.name].Cause) {
				t.Errorf("%s %s: %+v", c.name, action, j.Cause)
			}
		}
		if c.good == nil {
			continue
		}
		w := &watch{t: t, set: newSet(t, nil), node: map[string]fleet.Limit{c.name: {Action: fleet.TakeOff}}, now: start()}
		w.feel(c.bad)
		w.want(c.name, fleet.Bad, fleet.TakeOff)
		for range 7 {
			w.feel(nil)
		}
		w.want(c.name, fleet.Good, "")
	}
}

func TestWarnings(t *testing.T) {
	w := &watch{t: t, set: newSet(t, nil), now: start()}
	w.feel(func(s *fleet.Sample) { s.Vitals.Disk.Free = 1.5 * gib })
	w.want(Disk, fleet.Warning, fleet.Warn)
	w = &watch{t: t, set: newSet(t, map[string]fleet.Limit{Disk: {Action: fleet.Ignore}}), now: start()}
	w.feel(func(s *fleet.Sample) { s.Vitals.Disk.Free = 1.5 * gib })
	w.want(Disk, fleet.Warning, "")
}

func TestOverrides(t *testing.T) {
	farm := map[string]fleet.Limit{Disk: {Bad: 10 * gib, Warn: 30 * gib, Action: fleet.Warn}}
	for _, c := range []struct {
		node  fleet.Limit
		level fleet.Level
		act   fleet.Action
	}{
		{fleet.Limit{}, fleet.Warning, fleet.Warn},
		{fleet.Limit{Bad: 5 * gib}, fleet.Good, ""}, // the farm's warning goes with its threshold
		{fleet.Limit{Bad: 25 * gib}, fleet.Bad, fleet.Warn},
		{fleet.Limit{Bad: 25 * gib, Action: fleet.TakeOff}, fleet.Bad, fleet.TakeOff},
		{fleet.Limit{Warn: 15 * gib}, fleet.Good, ""},
	} {
		w := &watch{t: t, set: newSet(t, farm), node: map[string]fleet.Limit{Disk: c.node}, now: start()}
		w.feel(nil)
		w.want(Disk, c.level, c.act)
	}
}

func TestSwapRule(t *testing.T) {
	for _, c := range []struct {
		free, all int64
		want      fleet.Level
	}{{0, 0, fleet.Good}, {100 << 20, gib, fleet.Bad}, {200 << 20, 512 << 20, fleet.Good}, {50 << 20, 512 << 20, fleet.Bad}, {gib, 64 * gib, fleet.Good}} {
		s := well(start())
		s.Vitals.Swap, s.Vitals.SwapAll = c.free, c.all
		if v, err := (swap{}).Judge(fleet.Verdict{}, s, fleet.Limit{}); err != nil || v.Level != c.want {
			t.Errorf("%d of %d: %+v, %v", c.free, c.all, v, err)
		}
	}
}

// A slow answer says little about the clock.
func TestClockAllowsForTheRoundTrip(t *testing.T) {
	s := well(start())
	s.Offset, s.RoundTrip = 6*time.Second, 4*time.Second
	if v, _ := (clock{}).Judge(fleet.Verdict{}, s, fleet.Limit{}); v.Level != fleet.Good || v.Value != 6000 {
		t.Errorf("%+v", v)
	}
}

// S1-72
func TestResponse(t *testing.T) {
	late := func(s *fleet.Sample) { s.TimedOut = true; s.Vitals = agent.Vitals{} }
	w := &watch{t: t, set: newSet(t, nil), now: start()}
	w.feel(nil)
	for range 4 {
		w.feel(late)
		w.want(Response, fleet.Good, "")
	}
	if v := w.last.Verdicts[Response]; v.Value != (12.0+4*5000)/5 || !strings.HasSuffix(v.Text, "4 of the last 5 timed out") {
		t.Errorf("%+v", v)
	}
	w.feel(late)
	w.want(Response, fleet.Bad, fleet.Disconnect)
	if j := w.last; j.Cause.Text != "Timed out for last 5 attempts" {
		t.Errorf("cause %q", j.Cause.Text)
	}
	w.feel(nil) // the next connection
	w.want(Response, fleet.Good, "")
	if v := w.last.Verdicts[Response]; v.Value != 12 {
		t.Errorf("old time-outs count: %+v", v)
	}

	w = &watch{t: t, set: newSet(t, map[string]fleet.Limit{Response: {Bad: 500, Action: fleet.TakeOff}}), now: start()}
	slow := func(s *fleet.Sample) { s.RoundTrip = 900 * time.Millisecond }
	for range 4 {
		w.feel(slow)
		w.want(Response, fleet.Good, "")
	}
	w.feel(slow)
	w.want(Response, fleet.Bad, fleet.TakeOff)
	for range 20 {
		w.feel(nil)
	}
	w.want(Response, fleet.Good, "")
}

func TestAHungFileSystem(t *testing.T) {
	w := &watch{t: t, set: newSet(t, nil), now: start()}
	hangs := func(s *fleet.Sample) {
		s.Vitals.Disk = agent.Space{Path: "/srv", Free: -1, Total: -1, Age: 2 * time.Minute}
	}
	w.feel(hangs)
	w.want(Disk, fleet.Bad, fleet.TakeOff)
	if got := w.last.Cause.Text; got != "The file system of /srv has not answered for 2 min." {
		t.Error(got)
	}
	for range 8 {
		w.feel(nil)
	}
	w.want(Disk, fleet.Good, "")
}

func TestWhatIsNotMeasuredStays(t *testing.T) {
	w := &watch{t: t, set: newSet(t, nil), now: start()}
	old := func(s *fleet.Sample) { s.Vitals = agent.Vitals{} }
	w.feel(old)
	if d := cmp.Diff([]string{"architecture", "response"}, keys(w.last.Verdicts)); d != "" {
		t.Error(d)
	}
	w.feel(trips()[0].bad)
	before := w.last.Verdicts[Disk]
	w.feel(old)
	w.want(Disk, fleet.Bad, fleet.TakeOff)
	if d := cmp.Diff(before, w.last.Verdicts[Disk]); d != "" {
		t.Error(d)
	}
	w.feel(func(s *fleet.Sample) { s.Vitals.Disk.Free, s.Vitals.Swap = -1, -1 })
	w.want(Disk, fleet.Bad, fleet.TakeOff)
}

func keys(m map[string]fleet.Verdict) (ks []string) {
	for _, name := range []string{"architecture", "clock", "disk", "response", "swap", "temp"} {
		if _, ok := m[name]; ok {
			ks = append(ks, name)
		}
	}
	return ks
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		l    fleet.Limit
		says string
	}{
		{"inodes", fleet.Limit{}, `monitors: "inodes": no such monitor: expected disk, temp, swap, clock, response, architecture`},
		{Disk, fleet.Limit{Action: "explode"}, `monitors.disk.action: "explode": expected`},
		{Disk, fleet.Limit{Bad: -1}, "monitors.disk: -1"},
		{Disk, fleet.Limit{Bad: 2 * gib, Warn: gib}, "monitors.disk.warn: 1.00 GiB would never be seen beside bad: 2.00 GiB"},
		{Clock, fleet.Limit{Bad: 1000, Warn: 2000}, "monitors.clock.warn: 2.0 s would never"},
	} {
		if _, err := NewSet(map[string]fleet.Limit{c.name: c.l}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %+v: %v, want …%s…", c.name, c.l, err, c.says)
		}
	}
	if err := newSet(t, nil).Check(map[string]fleet.Limit{Disk: {Bad: 1, Warn: 2}, Clock: {Bad: 2, Warn: 1}, Temp: {Bad: 1, Warn: 1}}); err != nil {
		t.Error(err)
	}
}

// Whatever samples say: a level lasts a minute before it is better, memory is bounded, JSON in between changes nothing.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &watch{t: t, set: newSet(t, nil), now: start()}
		turned := map[string]time.Time{}
		for range rapid.IntRange(1, 80).Draw(t, "samples") {
			before := w.last.Verdicts
			change := func(s *fleet.Sample) {
				if s.TimedOut = rapid.IntRange(0, 9).Draw(t, "late") == 0; s.TimedOut {
					s.Vitals = agent.Vitals{}
					return
				}
				s.Vitals.Disk.Free = rapid.Int64Range(0, 3*gib).Draw(t, "disk")
				s.Vitals.Swap = rapid.Int64Range(0, gib/2).Draw(t, "swap")
				s.Offset = time.Duration(rapid.IntRange(-9000, 9000).Draw(t, "offset")) * time.Millisecond
			}
			j := w.feel(change)
			text, err := json.Marshal(j.Verdicts)
			if err != nil {
				t.Fatal(err)
			}
			w.last.Verdicts = nil
			if err := json.Unmarshal(text, &w.last.Verdicts); err != nil {
				t.Fatal(err)
			}
			for name, v := range w.last.Verdicts {
				old, known := before[name]
				if len(v.State) > 2+4*most {
					t.Fatalf("%s remembers %d numbers", name, len(v.State))
				}
				if (v.Level == fleet.Bad) != (v.Cause != "") || v.Text == "" || math.IsNaN(v.Value) {
					t.Fatalf("%s: %+v", name, v)
				}
				if known && name != Response && weight(v.Level) < weight(old.Level) && w.now.Sub(turned[name]) < calm {
					t.Fatalf("%s is better after %v", name, w.now.Sub(turned[name]))
				}
				if !known || v.Level != old.Level {
					turned[name] = w.now
				}
			}
		}
	})
}

// A file system that is smaller than the usual threshold is bad when little of it is left, unless somebody says otherwise. S1-69
func TestSmallFileSystems(t *testing.T) {
	w := &watch{t: t, set: newSet(t, nil), now: start()}
	w.feel(func(s *fleet.Sample) { s.Vitals.Temp = agent.Space{Path: "/tmp", Free: 400 << 20, Total: 500 << 20} })
	w.want(Temp, fleet.Good, "")
	w.feel(func(s *fleet.Sample) { s.Vitals.Temp = agent.Space{Path: "/tmp", Free: 90 << 20, Total: 500 << 20} })
	w.want(Temp, fleet.Bad, fleet.TakeOff)
	w = &watch{t: t, set: newSet(t, map[string]fleet.Limit{Temp: {Bad: gib}}), now: start()}
	w.feel(func(s *fleet.Sample) { s.Vitals.Temp = agent.Space{Path: "/tmp", Free: 400 << 20, Total: 500 << 20} })
	w.want(Temp, fleet.Bad, fleet.TakeOff)
}

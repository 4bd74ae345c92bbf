package retain

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/fleet"
)

// world is a node that does as it is told, and work that comes and goes, on a clock of its own.
type world struct {
	now      time.Time
	r        fleet.Retention
	s        fleet.Occupation
	waiting  int           // items that only this node can take
	dial     time.Time     // when the launch under way succeeds; zero: none
	launch   time.Duration // how long one takes
	spans    []time.Duration
	removed  bool
	connects int
}

func (w *world) decide() fleet.Stay { return w.r.Decide(w.now, w.s) }

// settle does what the retention says until it says nothing new.
func (w *world) settle(t *rapid.T, mayCut bool) (again time.Time) {
	for range 20 {
		stay := w.decide()
		if again := w.decide(); fmt.Sprint(stay) != fmt.Sprint(again) && stay.Cause == nil {
			t.Fatalf("two answers: %+v and %+v", stay, again)
		}
		if !stay.Again.IsZero() && !stay.Again.After(w.now) {
			t.Fatalf("at %v ask again at %v", w.now, stay.Again)
		}
		if (!stay.Connect || !stay.Accept) && (stay.Cause == nil || stay.Cause.Text == "" || stay.Cause.Kind == "") {
			t.Fatalf("no cause: %+v", stay)
		}
		if (stay.Remove || w.s.Connected && !stay.Connect) && w.s.Busy > 0 && !mayCut {
			t.Fatalf("a busy node is taken off: %+v of %+v", stay, w.s)
		}
		switch {
		case stay.Remove:
			w.removed = true
			return time.Time{}
		case w.s.Connected && !stay.Connect:
			w.spans = append(w.spans, w.now.Sub(w.s.Since))
			w.s.Connected, w.s.Since, w.s.Busy, w.s.IdleSince = false, w.now, 0, time.Time{}
		case !w.s.Connected && stay.Connect && w.dial.IsZero():
			w.dial = w.now.Add(w.launch)
		case !w.s.Connected && !stay.Connect && !w.dial.IsZero():
			w.dial = time.Time{}
		case w.s.Connected && stay.Accept && w.waiting > 0 && w.s.Busy < 2:
			w.waiting--
			w.s.Busy++
			w.s.IdleSince = time.Time{}
		default:
			return stay.Again
		}
		if w.waiting == 0 {
			w.s.WantedSince = time.Time{}
		}
	}
	t.Fatalf("it does not settle: %+v", w.s)
	return time.Time{}
}

func (w *world) connected() {
	w.dial = time.Time{}
	w.connects++
	w.s.Connected, w.s.Since, w.s.IdleSince = true, w.now, w.now
}

func (w *world) finish() {
	if w.s.Busy > 0 {
		w.s.Busy--
		w.s.Done++
		if w.s.Busy == 0 {
			w.s.IdleSince = w.now
		}
	}
}

func (w *world) want() {
	w.waiting++
	if w.s.WantedSince.IsZero() {
		w.s.WantedSince = w.now
	}
}

func (w *world) breaks() {
	if w.s.Connected {
		w.s.Connected, w.s.Since, w.s.IdleSince = false, w.now, time.Time{}
	}
}

// run lets a time pass, waking up only when the retention asked to be, or something happened.
func (w *world) run(t *rapid.T, d time.Duration, mayCut bool) {
	end := w.now.Add(d)
	for range 100_000 {
		again := w.settle(t, mayCut)
		if w.removed {
			return
		}
		next := end
		for _, at := range []time.Time{again, w.dial} {
			if !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		w.now = next
		if !w.dial.IsZero() && !w.now.Before(w.dial) {
			w.connected()
		} else if w.now.Equal(end) {
			w.settle(t, mayCut)
			return
		}
	}
	t.Fatal("it is asked without end")
}

type kind struct {
	spec   fleet.RetentionSpec
	mayCut bool
	least  time.Duration // a connection ends by itself no earlier
	up     time.Duration // of a schedule
}

func kinds(t *rapid.T) kind {
	minutes := func(name string, from int) (string, time.Duration) {
		n := rapid.IntRange(from, 120).Draw(t, name)
		return fmt.Sprint(n), time.Duration(n) * time.Minute
	}
	k := kind{spec: fleet.RetentionSpec{Kind: rapid.SampledFrom([]string{"", Always, Demand, Schedule, Cloud, Once}).Draw(t, "kind"), Config: map[string]string{}}}
	switch k.spec.Kind {
	case Demand:
		k.spec.Config["inDemandDelay"], _ = minutes("wait", 0)
		k.spec.Config["idleDelay"], k.least = minutes("idle", 1)
	case Schedule:
		k.spec.Config["start"] = rapid.SampledFrom([]string{"0 * * * *", "0 8 * * *", "30 2 * * *", "0 8,9 * * *", "*/15 1-3 * * *"}).Draw(t, "start")
		k.spec.Config["timeZone"] = "Europe/Berlin"
		k.spec.Config["upTime"], k.up = minutes("up", 1)
		keep := rapid.Bool().Draw(t, "keep")
		k.spec.Config["keepWhenActive"] = fmt.Sprint(keep)
		k.mayCut = !keep
	case Cloud, Once:
		k.spec.Config["idle"], k.least = minutes("idle", 1)
	}
	return k
}

// A node is not taken off its work unless its schedule says so, is asked again only later, settles, and does not flap.
func TestInAWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := kinds(t)
		r, err := New(k.spec)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Date(2026, rapid.SampledFrom([]time.Month{3, 10}).Draw(t, "month"), 22, 0, 0, 0, 0, time.UTC)
		w := &world{now: start, r: r, launch: time.Duration(rapid.IntRange(1, 40).Draw(t, "launch")) * time.Second}
		w.s.Since = start
		breaks := 0
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			w.run(t, time.Duration(rapid.IntRange(0, 40_000).Draw(t, "seconds"))*time.Second, k.mayCut)
			if w.removed {
				break
			}
			switch rapid.IntRange(0, 5).Draw(t, "event") {
			case 0, 1:
				w.want()
			case 2, 3:
				w.finish()
			case 4:
				if w.s.Busy == 0 {
					w.breaks()
					breaks++
				}
			}
		}
		if w.removed != (w.removed && (k.spec.Kind == Cloud || k.spec.Kind == Once)) {
			t.Fatalf("%s removes a node", k.spec.Kind)
		}
		for _, span := range w.spans {
			if span < k.least {
				t.Fatalf("online for %v only, idle time is %v", span, k.least)
			}
		}
		if days := w.now.Sub(start)/(24*time.Hour) + 2; k.spec.Kind == Schedule && w.connects > int(days)*24+breaks {
			t.Fatalf("%d connections in %d days", w.connects, days)
		}
		if w.removed {
			return
		}
		// Left alone, it comes to rest: done with all it has, and wanted by nobody.
		w.waiting, w.s.WantedSince = 0, time.Time{}
		for w.s.Busy > 0 {
			w.finish()
		}
		w.run(t, 72*time.Hour, k.mayCut)
		switch k.spec.Kind {
		case "", Always:
			if !w.s.Connected {
				t.Fatal("always is off")
			}
		case Demand:
			if w.s.Connected {
				t.Fatal("demand is on, idle for three days")
			}
		case Cloud, Once:
			if !w.removed {
				t.Fatal("an idle cloud node is kept")
			}
		}
	})
}

// Whatever a demand node is told, work that waits is served, and it goes when idle: between going and coming back lies work.
func TestDemandServesWhatWaits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wait := time.Duration(rapid.IntRange(0, 30).Draw(t, "wait")) * time.Minute
		w := &world{now: noon(), launch: 10 * time.Second, r: demand{wait: wait, idle: time.Minute}}
		w.s.Since = w.now
		for n := range rapid.IntRange(1, 20).Draw(t, "items") {
			w.want()
			w.run(t, wait+w.launch, false)
			if w.waiting != 0 {
				t.Fatalf("item %d waits still", n)
			}
			w.finish()
			w.run(t, time.Duration(rapid.IntRange(0, 180).Draw(t, "pause"))*time.Second, false)
			if w.connects > n+1 {
				t.Fatalf("%d connections for %d items", w.connects, n+1)
			}
		}
	})
}

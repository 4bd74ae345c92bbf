package queue

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
)

// bench is a board of free nodes that is asked where an item goes.
type bench struct {
	*testing.T
	*board
	seq uint64
}

func newBench(t *testing.T, p Policy, nodes ...fleet.Status) *bench {
	t.Helper()
	r, err := p.compile()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t, newBoard(r), 0}
	for _, st := range nodes {
		b.setNode(st)
	}
	return b
}

func up(n fleet.NodeName, executors int, labels ...string) fleet.Status {
	st := fleet.Status{Node: fleet.Node{Name: n, Executors: executors}, State: fleet.Online, Assigned: append(labels, string(n))}
	slices.Sort(st.Assigned)
	return st
}

// runs says where work goes now; "" when it waits. It stays there until the next call for the same item, and is done then.
func (b *bench) runs(work, job string) fleet.NodeName {
	b.Helper()
	b.seq++
	w := &waiter{id: ItemID(fmt.Sprint(b.seq)), affinity: work, work: work, job: job, seq: b.seq}
	b.add(w, nil, "")
	for _, p := range b.place() {
		if p.item == w.id {
			return p.node
		}
	}
	b.remove(w)
	return ""
}

// done frees all.
func (b *bench) done() {
	for _, p := range b.places {
		for slot, id := range p.used {
			b.vacate(p.name, slot, id)
		}
	}
}

func (b *bench) took(work string, n fleet.NodeName, ds ...time.Duration) {
	for _, d := range ds {
		b.times.learn(work, n, d)
	}
}

// S1-64: the same node as before as long as it is free; another one while it is not; then back.
func TestTheLastNodeIsChosenAgain(t *testing.T) {
	b := newBench(t, Policy{}, up("a", 1), up("b", 1), up("c", 1))
	b.last.put("app", "b")
	for range 20 {
		if n := b.runs("app", "app"); n != "b" {
			t.Fatalf("on %s", n)
		}
		b.done()
	}
	b.occupy("b", 0, "other")
	if n := b.runs("app", "app"); n != "a" {
		t.Errorf("while b is busy: on %s", n)
	}
	b.done()
	if n := b.runs("app", "app"); n != "a" {
		t.Errorf("it is remembered where it ran last: on %s", n)
	}
}

// S1-65: long work leaves the controller's own machine, short work does not.
func TestLongWorkLeavesTheController(t *testing.T) {
	b := newBench(t, Policy{}, up(fleet.BuiltIn, 2), up("n1", 1))
	b.took("short", fleet.BuiltIn, time.Second)
	b.took("long", fleet.BuiltIn, 600*time.Second)
	for work, want := range map[string]fleet.NodeName{"short": fleet.BuiltIn, "long": "n1"} {
		b.last.put(work, fleet.BuiltIn)
		if n := b.runs(work, work); n != want {
			t.Errorf("%s: on %s, want %s", work, n, want)
		}
		b.done()
	}
	b.occupy("n1", 0, "other") // no weight keeps work waiting for a better node
	if n := b.runs("long", "long"); n != fleet.BuiltIn {
		t.Errorf("with nothing else free: on %q", n)
	}
}

// S1-66: measured speed moves long work off slow nodes, also off the one it ran on last; a far node comes after near ones.
func TestSpeedAndDistance(t *testing.T) {
	far := up("a", 4)
	far.RoundTrip = 300 * time.Millisecond
	b := newBench(t, Policy{}, far, up("fast", 4), up("slow", 4))
	b.took("known", "fast", 100*time.Second, 100*time.Second)
	b.took("known", "slow", 400*time.Second, 400*time.Second)
	b.took("blink", "fast", time.Second)
	b.took("blink", "slow", 4*time.Second)
	b.took("near", "fast", 100*time.Second)
	b.took("near", "slow", 130*time.Second)
	for work, want := range map[string]fleet.NodeName{"known": "fast", "blink": "slow", "near": "slow"} {
		b.last.put(work, "slow")
		if n := b.runs(work, work); n != want {
			t.Errorf("%s ran on slow last: now on %s, want %s", work, n, want)
		}
		b.done()
	}
	if n := b.runs("new", "new"); n != "fast" && n != "slow" {
		t.Errorf("new work: on %s, which is far", n)
	}
	// What ran on one node only is expected elsewhere by the nodes' speeds.
	for i := range 20 {
		w := fmt.Sprintf("w%d", i)
		b.took(w, "fast", 100*time.Second)
		b.took(w, "slow", 400*time.Second)
	}
	b.took("only", "slow", 400*time.Second)
	w, _ := b.times.works.get("only")
	if here := b.times.here(w, "fast", b.times.expected(w)); here < 90*time.Second || here > 200*time.Second {
		t.Errorf("on fast it is expected to take %v", here)
	}
}

func TestSpreadAndPack(t *testing.T) {
	for _, tc := range []struct {
		pack bool
		want fleet.NodeName
	}{{false, "b"}, {true, "a"}} {
		b := newBench(t, Policy{Pack: tc.pack}, up("a", 4), up("b", 4))
		b.occupy("a", 0, "other")
		if n := b.runs("x", "x"); n != tc.want {
			t.Errorf("pack %v: on %s, want %s", tc.pack, n, tc.want)
		}
	}
}

func TestWeights(t *testing.T) {
	off := newBench(t, Policy{Weights: Weights{Last: -1}}, up("a", 1), up("b", 1))
	off.last.put("x", "b")
	if n := off.runs("x", "x"); n != "a" {
		t.Errorf("without the term: on %s", n)
	}
	r, err := Policy{}.compile()
	if err != nil {
		t.Fatal(err)
	}
	c := candidate{node: fleet.BuiltIn, free: 1, executors: 4, last: true, controller: true, roundTrip: 105 * time.Millisecond, expected: 30 * time.Second, here: 15 * time.Second}
	want := [termCount]float64{lastTerm: 100, freeTerm: 2.5, speedTerm: 40, distanceTerm: -10, controllerTerm: -100}
	if got := r.terms(&c); got != want {
		t.Errorf("terms %v, want %v", got, want)
	}
	if s := r.score(&c); s != 32.5 {
		t.Errorf("score %v", s)
	}
	var said float64
	for _, x := range r.say(&c) {
		said += x.Points
		if x.Text == "" {
			t.Errorf("%s is not explained", x.Name)
		}
	}
	if said != 32.5 {
		t.Errorf("the terms that are said add up to %v", said)
	}
}

// A score is finite, does not depend on what it is not told of, and each term points its way.
func TestScoreProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Pack: rapid.Bool().Draw(t, "pack"), Long: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "long"))}
		r, err := p.compile()
		if err != nil {
			t.Fatal(err)
		}
		d := rapid.Int64Range(0, int64(1000*time.Hour))
		c := candidate{node: "n", executors: rapid.IntRange(1, 1000).Draw(t, "executors"), last: rapid.Bool().Draw(t, "last"),
			controller: rapid.Bool().Draw(t, "controller"), roundTrip: time.Duration(d.Draw(t, "trip")), expected: time.Duration(d.Draw(t, "expected"))}
		c.free = rapid.IntRange(0, c.executors).Draw(t, "free")
		if c.expected > 0 {
			c.here = time.Duration(1 + d.Draw(t, "here"))
		}
		score := r.score(&c)
		if math.IsNaN(score) || math.IsInf(score, 0) {
			t.Fatalf("%+v: score %v", c, score)
		}
		for name, better := range map[string]func(*candidate){
			"last":     func(c *candidate) { c.last = true },
			"agent":    func(c *candidate) { c.controller = false },
			"nearer":   func(c *candidate) { c.roundTrip /= 2 },
			"faster":   func(c *candidate) { c.here = (c.here + 1) / 2 },
			"loading":  func(c *candidate) { c.free = map[bool]int{true: 0, false: c.executors}[p.Pack] },
			"the same": func(*candidate) {},
		} {
			o := c
			better(&o)
			if s := r.score(&o); s < score {
				t.Fatalf("%s: %+v has %v, %+v has %v", name, o, s, c, score)
			}
		}
	})
}

// S1-14: rules of what can run where.
func TestAllow(t *testing.T) {
	b := newBench(t, Policy{Allow: map[fleet.NodeName][]string{"a": {"secure/**", "deploy"}, "b": {"team/*"}, "locked": {}}}, up("a", 9), up("b", 9), up("locked", 9))
	for job, want := range map[string]fleet.NodeName{"secure/x/y": "a", "deploy": "a", "team/app": "b", "team/app/deep": "", "other": "", "": ""} {
		if n := b.runs("", job); n != want {
			t.Errorf("%q: on %q, want %q", job, n, want)
		}
		b.done()
	}
	if len(b.classes) != 3 {
		t.Errorf("%d classes, expected one for each kind of rights", len(b.classes))
	}
}

func TestGlobs(t *testing.T) {
	for _, tc := range []struct {
		glob, job string
		want      bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "app", true}, {"*", "team/app", false}, {"**", "team/app", true}, {"**", "", true}, {"?", "é", true}, {"?", "/", false},
		{"team/*/deploy", "team/x/deploy", true}, {"team/*/deploy", "team/x/y/deploy", false}, {"team/**/deploy", "team/x/y/deploy", true},
		{"**/deploy", "x/deploy", true}, {"*a*b", "xaxab", true}, {"*a/**/c*", "xa/b/c/cd", true}, {"**a*", "x/ab/c", false}, {"**a*", "x/ab/cab", true},
	} {
		if got := globMatches(tc.glob, tc.job); got != tc.want {
			t.Errorf("%s matches %s: %v", tc.glob, tc.job, got)
		}
	}
}

// A glob means what the plain recursive reading of it says.
func TestGlobAgreesWithItsMeaning(t *testing.T) {
	var means func(g, s string) bool
	means = func(g, s string) bool {
		switch {
		case g == "":
			return s == ""
		case strings.HasPrefix(g, "**"):
			return means(g[2:], s) || s != "" && means(g, s[1:])
		case g[0] == '*':
			return means(g[1:], s) || s != "" && s[0] != '/' && means(g, s[1:])
		}
		return s != "" && (g[0] == s[0] || g[0] == '?' && s[0] != '/') && means(g[1:], s[1:])
	}
	rapid.Check(t, func(t *rapid.T) {
		g := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", "?", "*", "**"}), 0, 8).Draw(t, "glob"), "")
		s := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/"}), 0, 10).Draw(t, "job"), "")
		if strings.Contains(g, "***") {
			t.Skip("three stars")
		}
		if globMatches(g, s) != means(g, s) {
			t.Fatalf("%q matches %q: %v", g, s, globMatches(g, s))
		}
	})
}

func TestPolicyErrorsSayWhere(t *testing.T) {
	for want, p := range map[string]Policy{
		`limits["a &&"]`:       {Limits: map[string]int{"a &&": 1}},
		`limits["gpu"]: -1`:    {Limits: map[string]int{"gpu": -1}},
		`allow["n"][1]`:        {Allow: map[fleet.NodeName][]string{"n": {"a", ""}}},
		`allow: node name "?"`: {Allow: map[fleet.NodeName][]string{"?": nil}},
	} {
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", p, err, want)
		}
	}
	if err := (Policy{}).Check(); err != nil {
		t.Error(err)
	}
}

// A limit is of all nodes that its expression matches together.
func TestLimits(t *testing.T) {
	b := newBench(t, Policy{Limits: map[string]int{"licence": 3}}, up("a", 2, "licence"), up("b", 2, "licence"), up("c", 1))
	got := map[fleet.NodeName]int{}
	for range 6 {
		got[b.runs("", "")]++
	}
	if got["a"]+got["b"] != 3 || got["c"] != 1 || got[""] != 2 {
		t.Errorf("%v", got)
	}
	b.vacate("c", 0, b.places["c"].used[0])
	b.setNode(up("a", 2)) // its slots are not counted any more
	if n := b.runs("", ""); n == "" {
		t.Error("nothing may run, though the label went from a node")
	}
}

// S3-12: 200 items on 3 executors never run more than 3 at once.
func TestExecutorsAreALimit(t *testing.T) {
	b := newBench(t, Policy{}, up("n", 3))
	for i := range 200 {
		b.add(&waiter{id: ItemID(fmt.Sprint(i)), seq: uint64(i)}, nil, "")
	}
	ran := 0
	for b.length > 0 {
		ran += len(b.place())
		if used := len(b.places["n"].used); used > 3 {
			t.Fatalf("%d at once", used)
		}
		slot := ran % 3
		b.vacate("n", slot, b.places["n"].used[slot])
	}
	if ran != 200 {
		t.Errorf("%d ran", ran)
	}
}

// S1-63: a pinned item waits for its node, whatever is idle and however the scores stand.
func TestPinnedWaits(t *testing.T) {
	b := newBench(t, Policy{}, up("a", 1), up("b", 9))
	b.occupy("a", 0, "other")
	w := &waiter{id: "x", affinity: "app", seq: 1}
	b.last.put("app", "b")
	b.add(w, nil, "a")
	if got := b.place(); len(got) != 0 {
		t.Fatalf("placed %v", got)
	}
	b.vacate("a", 0, "other")
	if got := b.place(); len(got) != 1 || got[0].node != "a" {
		t.Errorf("placed %v", got)
	}
}

func TestTimesAreBounded(t *testing.T) {
	var a times
	for i := range 100 {
		for run := range 9 {
			a.learn("app", fleet.NodeName(fmt.Sprintf("n%d", i)), time.Duration(run+1)*time.Second)
		}
	}
	w, _ := a.works.get("app")
	if len(w.Nodes) != timedNodes || len(w.Nodes[0].Last) != timedRuns {
		t.Errorf("%d nodes with %d runs are kept", len(w.Nodes), len(w.Nodes[0].Last))
	}
	if d := w.on("n99"); d != 7*time.Second {
		t.Errorf("typical time %v, want the median of the last five", d)
	}
}

// What follows from a ledger's rows is near to what was known before the restart.
func TestSpeedsComeBack(t *testing.T) {
	var a, b times
	var rows []WorkTimes
	for i := range 10 {
		var w *WorkTimes
		for range 3 {
			w = a.learn(fmt.Sprint("w", i), "fast", 10*time.Second)
			w = a.learn(fmt.Sprint("w", i), "slow", 40*time.Second)
		}
		rows = append(rows, *w)
	}
	b.restore(rows)
	for n, known := range map[fleet.NodeName]bool{"fast": true, "slow": true, "new": false} {
		if was, is := a.speed(n), b.speed(n); math.Abs(was/is-1) > 0.1 || (is != 1) != known {
			t.Errorf("speed of %s was %v, is %v", n, was, is)
		}
	}
	if a.speed("fast") < 1.5*a.speed("slow") {
		t.Errorf("speeds %v and %v", a.speed("fast"), a.speed("slow"))
	}
}

func TestDecisionsAreBounded(t *testing.T) {
	var d decisions
	for i := range 3 * decisionsKept {
		d.add(build.ID{Job: "j", Number: i % 7}, LeaseRow{Grant: Grant{Item: ItemID(fmt.Sprint(i))}}, choice{}, nil)
	}
	d.add(build.ID{Job: "j", Number: 3}, LeaseRow{Grant: Grant{Item: "last", Epoch: 2}}, choice{}, nil)
	if len(d.of) != decisionsKept || len(d.order) != decisionsKept {
		t.Errorf("%d decisions of %d items are kept", len(d.order), len(d.of))
	}
	if id, ok := d.newest(build.ID{Job: "j", Number: 3}); !ok || id != "last" {
		t.Errorf("newest %q", id)
	}
	if _, ok := d.newest(build.ID{Job: "other"}); ok {
		t.Error("a decision of a build that there is not")
	}
}

// BenchmarkBurst is the worst turn: a farm of 1,000 free nodes with 4 executors, and 4,000 items of known works at once.
func BenchmarkBurst(bb *testing.B) {
	r, err := Policy{}.compile()
	if err != nil {
		bb.Fatal(err)
	}
	for bb.Loop() {
		bb.StopTimer()
		b := newBoard(r)
		for i := range 1000 {
			b.setNode(up(fleet.NodeName(fmt.Sprintf("n%d", i)), 4))
		}
		for i := range 4000 {
			work := fmt.Sprint(i % 500)
			b.times.learn(work, fleet.NodeName(fmt.Sprintf("n%d", i%1000)), time.Duration(i+1)*time.Second)
			b.add(&waiter{id: ItemID(fmt.Sprint(i)), affinity: work, work: work, seq: uint64(i)}, nil, "")
		}
		bb.StartTimer()
		if n := len(b.place()); n != 4000 {
			bb.Fatal(n)
		}
	}
}

package interp

import (
	"fmt"
	"testing"
)

// BenchmarkEval is the cost of one round of a loop: a comparison, an addition, a call of a method and of a closure.
func BenchmarkEval(b *testing.B) {
	src := fmt.Sprintf(`
def f(x) { x + 1 }
def c = { it * 2 }
def total = 0
for (int i = 0; i < %d; i++) {
    if (i %% 3 == 0) { total += f(i) } else { total -= c(i) }
}
`, b.N)
	c := Config{File: parse(b, src), Run: newMemoryRun(), Limits: Limits{Steps: 1 << 60, Bytes: 1 << 60}}
	p, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := p.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkEffect is the cost of one effect that does nothing, journalled in memory.
func BenchmarkEffect(b *testing.B) {
	f := parse(b, fmt.Sprintf(`for (int i = 0; i < %d; i++) { sh 'x' }`, b.N))
	p, err := New(Config{File: f, Run: newMemoryRun(), Steps: testSteps(), Journal: &memoryJournal{}})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if err := p.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReplay10000 resumes a run of 10,000 effects.
func BenchmarkReplay10000(b *testing.B) {
	f := parse(b, `for (int i = 0; i < 10000; i++) { def o = sh(script: "make $i", returnStdout: true); assert o.startsWith('out') }`)
	j := &memoryJournal{}
	r := newMemoryRun()
	start := func() {
		p, err := New(Config{File: f, Run: r, Steps: testSteps(), Journal: j, Replay: j.entries})
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	start()
	entries := len(j.entries)
	for b.Loop() {
		start()
	}
	if len(j.entries) != entries {
		b.Fatalf("%d entries, then %d", entries, len(j.entries))
	}
}

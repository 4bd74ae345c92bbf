package pipeline_test

import (
	"fmt"
	"testing"
)

// BenchmarkBuild is a whole build, from Trigger to the finished record, with the ledger in memory: a script that only prints,
// and one with an executor and ten no-op processes of a fake machine.
func BenchmarkBuild(b *testing.B) {
	steps := ""
	for i := range 10 {
		steps += fmt.Sprintf("sh '%d'\n", i)
	}
	for name, script := range map[string]string{"echo": `echo 'x'`, "node": "node('linux') {\n" + steps + "}"} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			w.start()
			w.job("job", script)
			for b.Loop() {
				w.finished(w.trigger("job"))
			}
		})
	}
}

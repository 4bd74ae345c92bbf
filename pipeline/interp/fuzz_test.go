package interp

import (
	"context"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
)

// FuzzRun evaluates what can be parsed: it may fail, but only as a script fails, and it must end.
func FuzzRun(f *testing.F) {
	for _, c := range goldenCases(f) {
		f.Add(c.src)
		for l := range strings.Lines(c.src) {
			f.Add(l)
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		file, err := jenkinsfile.Parse("WorkflowScript", src)
		if err != nil {
			return
		}
		p, err := New(Config{File: file, Run: newMemoryRun(), Steps: testSteps(), Limits: Limits{Steps: 20_000, Depth: 100, Collection: 10_000, String: 1 << 16, Bytes: 4 << 20}})
		if err != nil {
			return
		}
		if err := p.Run(context.Background()); err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatal(err)
		}
	})
}

package queue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

// S1-67: the policy is a file of weights.
func TestReadPolicy(t *testing.T) {
	got, err := queue.ReadPolicy([]byte(`
pack: true
long: 5m
weights: {last: 50, speed: -1}
limits:
  licence && linux: 3
allow:
  secure-1: [ops/**, deploy]
`))
	want := queue.Policy{Pack: true, Long: 5 * time.Minute, Weights: queue.Weights{Last: 50, Speed: -1}, Limits: map[string]int{"licence && linux": 3},
		Allow: map[fleet.NodeName][]string{"secure-1": {"ops/**", "deploy"}}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for _, empty := range []string{"", "# nothing\n", "{}"} {
		if p, err := queue.ReadPolicy([]byte(empty)); err != nil || cmp.Diff(queue.Policy{}, p) != "" {
			t.Errorf("%q: %+v, %v", empty, p, err)
		}
	}
	for text, said := range map[string]string{"wieghts: {}": "wieghts", "pack: 7": "[1:7]", "limits: {'a &&': 1}": "a &&", "allow: {n: ['']}": `allow["n"][0]`, "long: [": "["} {
		if _, err := queue.ReadPolicy([]byte(text)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

package filter

import (
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestAdmits(t *testing.T) {
	st := fleet.Status{Node: fleet.Node{Name: "b1", Description: "the Big one"}, State: fleet.Suspended, Assigned: []string{"b1", "linux", "old"},
		Machine: agent.Description{Hostname: "host7", OS: "linux", Arch: "arm64"}, Cause: &fleet.OfflineCause{Text: "new disk"}}
	for text, want := range map[string]bool{"": true, "linux && old": true, "linux && offline": false, "connected": true, "state:suspended && idle": true, "busy": false, "!b1": false} {
		f, err := Where(text)
		if err != nil || f.Admits(st, 0) != want {
			t.Errorf("%q: %v, expected %v (%v)", text, !want, want, err)
		}
	}
	for text, want := range map[string]bool{"BIG": true, "host7": true, "/arm": true, "disk": true, "old": true, "windows": false} {
		if (Filter{Text: text}).Admits(st, 0) != want {
			t.Errorf("text %q: expected %v", text, want)
		}
	}
	if (Filter{State: fleet.Online}).Admits(st, 0) || !(Filter{State: fleet.Suspended}).Admits(st, 0) {
		t.Error("by state")
	}
	if busy, _ := Where("busy"); !busy.Admits(st, 1) {
		t.Error("busy")
	}
	if _, err := Where("a &&"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	connecting, _ := Where("offline")
	if st.State = fleet.Connecting; !connecting.Admits(st, 0) {
		t.Error("a connecting node is not offline")
	}
}

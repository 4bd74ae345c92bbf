package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// doorkeeper is a launcher that lets a machine in when its key was approved.
type doorkeeper struct {
	*launcher
	key fleet.HostKey
}

func (d *doorkeeper) HostKeys(context.Context, fleet.Node) ([]fleet.HostKey, error) {
	return []fleet.HostKey{d.key}, nil
}

func (d *doorkeeper) Approve(_ context.Context, _ fleet.Node, fingerprint string) (fleet.HostKey, error) {
	if fingerprint != d.key.Fingerprint {
		return fleet.HostKey{}, fault.New(fault.Conflict, "not that one")
	}
	d.key.Approved = true
	d.set(nil)
	return d.key, nil
}

// S1-16: who approved a machine's key, and which it had before, is in the node's history and its log; the node connects at once, without
// waiting for its next attempt. What a person keeps disconnected stays so.
func TestApprove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := &doorkeeper{w.launcher, fleet.HostKey{Address: "a:22", Fingerprint: "SHA256:new", Before: "SHA256:old"}}
		d.set(errors.New("its host key awaits approval"))
		const waits = "This agent is offline because Outwork failed to launch the agent process on it: its host key awaits approval"
		w.begin(fleet.Config{MinBackoff: time.Hour, MaxBackoff: time.Hour, Launchers: map[string]fleet.Launcher{"door": d}})
		defer w.stop()
		w.put(fleet.Node{Name: "a", Executors: 1, Launcher: fleet.LauncherSpec{Kind: "door"}})
		w.put(fleet.Node{Name: "away", Executors: 1, Launcher: fleet.LauncherSpec{Kind: "door"}})
		w.put(fleet.Node{Name: "other", Executors: 1})
		w.ok(w.Disconnect(w.Context(), "away", fleet.ByUser("carol", "")))
		w.is("a", fleet.Offline, waits)

		if _, err := w.Approve(w.Context(), "a", "SHA256:old", "alice"); !fault.Is(err, fault.Conflict) {
			t.Errorf("%v", err)
		}
		w.is("a", fleet.Offline, waits)
		keys, err := w.HostKeys(w.Context(), "a")
		w.ok(err)
		k, err := w.Approve(w.Context(), "a", keys[0].Fingerprint, "alice")
		w.ok(err)
		if !k.Approved {
			t.Errorf("%+v", k)
		}
		w.is("a", fleet.Online, "")
		_, err = w.Approve(w.Context(), "away", "SHA256:new", "alice")
		w.ok(err)
		w.is("away", fleet.Offline, "Disconnected by carol")

		rs, err := w.History(w.Context(), "a")
		w.ok(err)
		if len(rs) != 3 || rs[0].State != fleet.Online || rs[1].Cause.By != "alice" || rs[1].Cause.Text != "Host key SHA256:new of a:22 approved by alice, in place of SHA256:old" {
			t.Errorf("%s", told(rs))
		}
		if _, err := w.Logins(w.Context(), fleet.Node{Name: "x", Launcher: fleet.LauncherSpec{Kind: "test"}}); !fault.Is(err, fault.Conflict) {
			t.Errorf("%v", err)
		}
		for name, kind := range map[fleet.NodeName]fault.Kind{"other": fault.Conflict, "nobody": fault.NotFound} {
			if _, err := w.HostKeys(w.Context(), name); !fault.Is(err, kind) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := w.Approve(w.Context(), name, "SHA256:new", "alice"); !fault.Is(err, kind) {
				t.Errorf("%s: %v", name, err)
			}
		}
		synctest.Wait()
	})
}

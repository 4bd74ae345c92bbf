//go:build unix

package ssh_test

import (
	"path/filepath"
	"testing"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/fault"
)

// S1-16: a machine that was installed anew is let in again when a person approves its new key, and then only with that; what it showed
// in between, or shows no more, cannot be approved. All is kept over restarts.
func TestApprovingAnotherKey(t *testing.T) {
	s := newSSHD(t, options{})
	file := filepath.Join(t.TempDir(), "host-keys.json")
	open := func() *ssh.Launcher {
		keys, err := ssh.NewHostKeyFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return launcher(t, ssh.Config{HostKeys: keys, HowToApprove: func(_ fleet.NodeName, k ssh.HostKey) string { return "approve " + k.Fingerprint }})
	}
	l := open()
	n := s.node("hostKey", "first-use", "pinnedKey", "")
	now := func() fleet.HostKey {
		t.Helper()
		keys, err := l.HostKeys(t.Context(), n)
		if err != nil || len(keys) != 1 {
			t.Fatalf("%+v, %v", keys, err)
		}
		return keys[0]
	}
	if keys, err := l.HostKeys(t.Context(), n); err != nil || len(keys) != 0 {
		t.Errorf("before the first visit: %+v, %v", keys, err)
	}
	connect(t, l, n, &buffer{}).Close()
	first := now()
	if !first.Approved || first.Algorithm != "ssh-ed25519" || first.Before != "" || first.Seen.IsZero() {
		t.Errorf("%+v", first)
	}
	if _, err := l.Approve(t.Context(), n, first.Fingerprint); !fault.Is(err, fault.Conflict) {
		t.Errorf("approved twice: %v", err)
	}

	oldKey, oldPub := s.read("host"), s.read("host.pub")
	refused := func() {
		t.Helper()
		_, err := l.Launch(t.Context(), n, &buffer{})
		if !fault.Is(err, fault.Denied) {
			t.Fatalf("%v", err)
		}
		wants(t, "error", says{err}, "HAS CHANGED", "approve "+now().Fingerprint)
	}
	s.exchangeHostKey()
	refused()
	second := now()
	if second.Approved || second.Before != first.Fingerprint || second.Fingerprint == first.Fingerprint {
		t.Errorf("%+v", second)
	}
	s.exchangeHostKey()
	refused()
	if _, err := l.Approve(t.Context(), n, second.Fingerprint); !fault.Is(err, fault.Conflict) {
		t.Errorf("approved what it does not show any more: %v", err)
	}

	// The old machine is back: nothing is left to approve.
	s.stop()
	s.put("host", oldKey)
	s.put("host.pub", oldPub)
	s.log = &buffer{}
	s.start(options{})
	connect(t, l, n, &buffer{}).Close()
	if k := now(); !k.Approved || k.Fingerprint != first.Fingerprint || k.Before != "" {
		t.Errorf("%+v", k)
	}

	s.exchangeHostKey()
	refused()
	l = open()
	fourth := now()
	if k, err := l.Approve(t.Context(), n, fourth.Fingerprint); err != nil || !k.Approved || k.Before != first.Fingerprint {
		t.Fatalf("%+v, %v", k, err)
	}
	l = open()
	connect(t, l, n, &buffer{}).Close()
	if k := now(); !k.Approved || k.Fingerprint != fourth.Fingerprint || k.Before != "" {
		t.Errorf("%+v", k)
	}
	if _, err := l.HostKeys(t.Context(), s.node()); !fault.Is(err, fault.Conflict) {
		t.Errorf("a pinned key is nothing to approve: %v", err)
	}
}

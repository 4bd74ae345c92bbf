package ssh

import (
	"context"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// HostKeys implements fleet.Approver: what is known of the hosts on the way that are known by their first use.
func (l *Launcher) HostKeys(ctx context.Context, n fleet.Node) (keys []fleet.HostKey, err error) {
	s, err := l.settings(n)
	if err != nil {
		return nil, err
	}
	var strategies []string
	for _, h := range s.hops {
		strategies = append(strategies, h.hostKey)
		if h.hostKey != firstUse {
			continue
		}
		k, err := l.cfg.HostKeys.HostKey(ctx, h.address())
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, k.shown(h))
	}
	if keys == nil && !strings.Contains(strings.Join(strategies, " "), firstUse) {
		return nil, fault.New(fault.Conflict, "node %s: nothing is approved here: its host key is known by %s; with hostKey=first-use and approve=true a key that is seen first awaits approval",
			n.Name, strings.Join(strategies, ", "))
	}
	return keys, nil
}

// shown is the key that a host showed last, as people are told of it.
func (k HostKey) shown(h hop) fleet.HostKey {
	now := k.awaiting()
	algorithm, _, _ := strings.Cut(now.Key, " ")
	out := fleet.HostKey{Hop: h.label, Address: k.Address, Algorithm: algorithm, Fingerprint: now.Fingerprint, Seen: now.Seen, Approved: k.Approved && k.Other == nil}
	if k.Other != nil {
		out.Before = k.Fingerprint
	}
	return out
}

// Approve implements fleet.Approver.
func (l *Launcher) Approve(ctx context.Context, n fleet.Node, fingerprint string) (fleet.HostKey, error) {
	keys, err := l.HostKeys(ctx, n)
	if err != nil {
		return fleet.HostKey{}, err
	}
	var awaiting []string
	for _, k := range keys {
		if k.Approved {
			continue
		}
		if k.Fingerprint == fingerprint {
			if err := Approve(ctx, l.cfg.HostKeys, k.Address, fingerprint); err != nil {
				return k, err
			}
			k.Approved = true
			return k, nil
		}
		awaiting = append(awaiting, k.Fingerprint)
	}
	if len(awaiting) == 0 {
		return fleet.HostKey{}, fault.New(fault.Conflict, "node %s: no host key awaits approval", n.Name)
	}
	return fleet.HostKey{}, fault.New(fault.Conflict, "node %s: %s awaits approval, not %s", n.Name, strings.Join(awaiting, " and "), fingerprint)
}

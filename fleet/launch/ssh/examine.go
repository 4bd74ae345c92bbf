package ssh

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// maxSkew is how much two clocks may differ before people should hear of it.
const maxSkew = 5 * time.Second

// Examine looks at the way to a machine: settings, dns, tcp, each jump host, the host's key, login, shell, disk, agent, clock.
func (l *Launcher) Examine(ctx context.Context, n fleet.Node, report func(fleet.Hop)) {
	see := &sight{tell: report}
	start := time.Now()
	s, err := l.settings(n)
	if err != nil {
		_ = see.fail(hop{}, "settings", start, err)
		return
	}
	c, err := l.credentials(ctx, s)
	if err != nil {
		_ = see.fail(hop{}, "settings", start, err)
		return
	}
	defer c.close()
	log := kit.NewLog(io.Discard, "SSH", nil)
	way, err := l.dial(ctx, s, c, log, see)
	if err != nil {
		return // sight has told it
	}
	defer way.Close()
	e := &examination{l: l, m: &machine{way: way, s: s, log: log}, see: see}
	for _, step := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{{"shell", e.shell}, {"disk", e.disk}, {"agent", e.agent}, {"clock", e.clock}} {
		start := time.Now()
		text, err := step.do(ctx)
		if err != nil {
			_ = see.fail(hop{}, step.name, start, err)
			return
		}
		see.pass(hop{}, step.name, start, text)
	}
}

// examination is what the last hops share.
type examination struct {
	l     *Launcher
	m     *machine
	see   *sight
	place place
	bin   dist.Binary
	err   error // why there is no binary
}

func (e *examination) shell(ctx context.Context) (string, error) {
	if err := e.m.detect(ctx); err != nil {
		return "", err
	}
	p := e.m.platform
	kind := map[shell]string{posix: "sh", commandCom: "cmd.exe", powerShell: "PowerShell"}[p.shell]
	return fmt.Sprintf("%s/%s, %s, user %s, home %s", p.os, p.arch, kind, p.user, p.home), nil
}

// disk looks at the folder, and makes none.
func (e *examination) disk(ctx context.Context) (string, error) {
	e.bin, e.err = e.l.binary(e.m.s, e.m.platform)
	if e.err != nil {
		e.bin = dist.Binary{Name: "outwork-agent"}
	}
	e.place = e.m.where(e.bin)
	if e.m.platform.shell != posix {
		return e.place.root + " (not looked at: Windows)", nil
	}
	said, r, err := e.m.script(ctx, e.m.looking(e.place))
	if err != nil {
		return "", err
	}
	if said == nil {
		return "", fault.New(fault.Unavailable, "look at %s: %s", e.place.path, orText(r.err, "the shell did not answer"))
	}
	e.place = e.place.found(said, e.bin)
	if !e.place.current && e.m.s.copy {
		if err := e.m.room(e.bin, e.place); err != nil {
			return "", err
		}
	}
	free := "an unknown amount"
	if e.place.free >= 0 {
		free = size(e.place.free)
	}
	return fmt.Sprintf("%s free in %s", free, said["dir"]), nil
}

func (e *examination) agent(context.Context) (string, error) {
	switch {
	case !e.m.s.copy && e.place.size == 0 && e.m.platform.shell == posix:
		return "", kit.Trouble(fault.NotFound, "put it there, or set copy=true", "there is no agent at %s, and copy is false", e.place.path)
	case !e.m.s.copy:
		return e.place.path + " is used as it is", nil
	case e.err != nil:
		return "", e.err
	case e.place.current:
		return e.place.path + " is up to date", nil
	}
	return fmt.Sprintf("%s/%s, %s: will be copied to %s", e.bin.OS, e.bin.Arch, size(e.bin.Size), e.place.path), nil
}

func (e *examination) clock(context.Context) (string, error) {
	p := e.m.platform
	if p.clock.IsZero() {
		return "not known", nil
	}
	// The machine's answer is cut to a whole second.
	skew := p.clock.Add(500 * time.Millisecond).Sub(p.asked).Round(time.Second)
	if skew.Abs() > maxSkew {
		return "", kit.Trouble(fault.Unavailable, "let it keep its time by NTP: files made there look younger or older than they are, and build tools go by that", "the clock of %s is off by %v", e.m.way.target, skew)
	}
	return fmt.Sprintf("%v off, as far as can be seen in whole seconds", skew.Abs()), nil
}

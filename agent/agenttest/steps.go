package agenttest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

func stepOutputAndCode(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	before := time.Now().Add(-time.Second)
	b.script(l, "a", text{"#!/bin/sh\necho out; echo err >&2; exit 7", "echo out\n>&2 echo err\nexit /b 7"})
	size := int64(len("out\nerr\n"))
	if b.bat {
		size += 2
	}
	out, e := b.wait(l, "a")
	if out != "out\nerr\n" || e.Code != 7 || e.Signal != "" || e.Stopped || e.Lost || e.Output != size || e.Dropped != 0 {
		b.Errorf("%q, %+v", out, e)
	}
	if e.Started.Before(before) || e.Ended.Before(e.Started) {
		b.Errorf("started %v, ended %v", e.Started, e.Ended)
	}
	if again, e2 := b.wait(l, "a"); again != out || e2.Code != 7 {
		b.Errorf("followed again: %q, %+v", again, e2)
	}
}

func stepShellFlags(b *bench) {
	b.needSh("flags -x and -e")
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "xe", text{sh: "echo one\nfalse\necho never"})
	out, e := b.wait(l, "xe")
	if out != "+ echo one\none\n+ false\n" || e.Code != 1 {
		b.Errorf("sh -xe: %q, %+v", out, e)
	}
}

func stepShebang(b *bench) {
	b.needSh("interpreter line")
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{sh: "#!/bin/sh -u\nfalse; echo on; echo $nothing_set"})
	out, e := b.wait(l, "s")
	if !strings.HasPrefix(out, "on\n") || strings.Contains(out, "+ ") || e.Code == 0 {
		b.Errorf("an interpreter line was not honoured: %q, %+v", out, e)
	}
}

func stepArgv(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	argv := []string{"printf", "%s|%s|%s|%s|%s", "a b", "$HOME", "*", "'", "%HOME%"}
	if b.bat {
		argv = append([]string{b.o.Tool, toolName, "print"}, argv[2:]...)
	}
	b.start(agent.StartRequest{Lease: l, Step: "s", Argv: argv})
	if out, e := b.wait(l, "s"); out != "a b|$HOME|*|'|%HOME%" || e.Code != 0 {
		b.Errorf("argv: %q, %+v", out, e)
	}
}

func stepRefusesBadRequests(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	for what, r := range map[string]agent.StartRequest{
		"no step":             {Lease: l, Script: []byte("true")},
		"a long step id":      {Lease: l, Step: agent.StepID(strings.Repeat("s", 513)), Script: []byte("true")},
		"script and argv":     {Lease: l, Step: "s", Script: []byte("true"), Argv: []string{"true"}},
		"neither":             {Lease: l, Step: "s"},
		"unknown interpreter": {Lease: l, Step: "s", Script: []byte("true"), Interpreter: "befunge"},
		"a folder above":      {Lease: l, Step: "s", Script: []byte("true"), Dir: "../.."},
		"a NUL in argv":       {Lease: l, Step: "s", Argv: []string{"a\x00b"}},
		"a bad variable":      {Lease: l, Step: "s", Script: []byte("true"), Env: map[string]string{"A=B": "c"}},
	} {
		b.wantKind("Start with "+what, b.m.Start(b.ctx(), r), fault.Invalid)
	}
	b.run(l, "s", text{"true", "rem"})
}

func stepProgramMissing(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.start(agent.StartRequest{Lease: l, Step: "s", Argv: []string{"no-such-program-here"}})
	out, e := b.wait(l, "s")
	if e.Code != 127 || e.Lost || !strings.Contains(out, "no-such-program-here") {
		b.Errorf("%q, %+v; want 127 and a line that names the program", out, e)
	}
}

func stepEnvironment(b *bench) {
	l, w := b.open(agent.OpenRequest{Env: map[string]string{"FROM_LEASE": "l", "BOTH": "lease"}})
	b.start(b.with(text{
		"#!/bin/sh\necho \"$FROM_LEASE $BOTH $MULTI\"; echo \"$PATH\" | cut -c1-11; echo \"$NEW\"; echo \"$HOME\"; test -w \"$HOME\" && test -w \"$TMPDIR\" && cat && type sleep >/dev/null && echo fine",
		"echo %FROM_LEASE% %BOTH% %MULTI%\necho %PATH:~0,11%\necho %NEW%\necho %HOME%\necho x> \"%HOME%\\w\" && echo x> \"%TMPDIR%\\w\" && cmd /c echo fine",
	}, agent.StartRequest{Lease: l, Step: "s",
		Env: map[string]string{"BOTH": "step", "MULTI": "a b\tc", "PATH+EXTRA": "/extra/path", "NEW+A": "only"}}))
	out, e := b.wait(l, "s")
	if want := "l step a b\tc\n/extra/path\nonly\n" + w.Home + "\nfine\n"; out != want || e.Code != 0 {
		b.Errorf("%q, want %q; %+v", out, want, e)
	}
	b.start(b.with(text{"#!/bin/sh\necho $HOME", "echo %HOME%"}, agent.StartRequest{Lease: l, Step: "own", Env: map[string]string{"HOME": "/mine"}}))
	if out, _ := b.wait(l, "own"); out != "/mine\n" {
		b.Errorf("a step's own HOME: %q", out)
	}
}

func stepDir(b *bench) {
	l, w := b.open(agent.OpenRequest{})
	abs := realpath(b.TempDir())
	for dir, want := range map[string]string{"": realpath(w.Path), "sub/dir": filepath.Join(realpath(w.Path), "sub", "dir"), abs: abs} {
		b.start(b.with(text{"#!/bin/sh\npwd -P", "cd"}, agent.StartRequest{Lease: l, Step: agent.StepID("in " + dir), Dir: dir}))
		if out, e := b.wait(l, agent.StepID("in "+dir)); out != want+"\n" || e.Code != 0 {
			b.Errorf("dir %q: ran in %q, %+v", dir, out, e)
		}
	}
}

func stepCapture(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.start(b.with(text{"printf 'kept\\n\\n'; echo seen >&2", "echo kept\necho.\n>&2 echo seen"}, agent.StartRequest{Lease: l, Step: "s", Capture: true}))
	out, e := b.wait(l, "s")
	if b.plain(e.Stdout) != "kept\n\n" || !strings.Contains(out, "seen\n") || strings.Contains(out, "\nkept") || e.Code != 0 {
		b.Errorf("output %q, stdout %q, %+v", out, e.Stdout, e.Code)
	}
}

func stepSignal(b *bench) {
	b.needSh("signals")
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{sh: "kill -KILL $$"})
	if _, e := b.wait(l, "s"); e.Code != 137 || e.Signal != "killed" || e.Stopped || e.Lost {
		b.Errorf("%+v, want 137, killed", e)
	}
}

func stepStartTwice(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	r := b.with(text{"#!/bin/sh\necho ran >> runs; while ! test -e go; do sleep 0.05; done; cat runs", "echo ran>> runs\nTOOL until go\ntype runs"},
		agent.StartRequest{Lease: l, Step: "s"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := b.m.Start(b.ctx(), r); err != nil {
				b.Errorf("Start: %v", err)
			}
		})
	}
	wg.Wait()
	if err := b.m.WriteFile(b.ctx(), l, "go", nil, 0); err != nil {
		b.Fatal(err)
	}
	out, e := b.wait(l, "s")
	if out != "ran\n" || e.Code != 0 {
		b.Errorf("started 8 times, ran as %q, %+v", out, e)
	}
	b.start(r)
	if out, _ := b.wait(l, "s"); out != "ran\n" {
		b.Errorf("started again after its end: %q", out)
	}
}

func stepForget(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "running", sleeper())
	f := b.tail(l, "running")
	b.until(f, "up")
	b.wantKind("Forget of a running step", b.m.Forget(b.ctx(), l, "running"), fault.Conflict)
	b.run(l, "s", text{"echo once >> runs", "echo once>> runs"})
	for range 2 {
		if err := b.m.Forget(b.ctx(), l, "s"); err != nil {
			b.Errorf("Forget: %v", err)
		}
	}
	_, err := b.m.Follow(b.ctx(), l, "s", 0, func(agent.Output) error { return nil })
	b.wantKind("Follow of a forgotten step", err, fault.NotFound)
	b.wantKind("Start of a forgotten step", b.m.Start(b.ctx(), b.with(text{"echo twice >> runs", "echo twice>> runs"}, agent.StartRequest{Lease: l, Step: "s"})), fault.Conflict)
	if got, err := b.m.ReadFile(b.ctx(), l, "runs", 0); err != nil || b.plain(got) != "once\n" {
		b.Errorf("runs: %q, %v", got, err)
	}
}

func stepUnknown(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	_, err := b.m.Follow(b.ctx(), l, "none", 0, func(agent.Output) error { return nil })
	b.wantKind("Follow", err, fault.NotFound)
	b.wantKind("Stop", b.m.Stop(b.ctx(), agent.StopRequest{Lease: l, Step: "none"}), fault.NotFound)
	if err := b.m.Forget(b.ctx(), l, "none"); err != nil {
		b.Errorf("Forget of an unknown step: %v", err)
	}
	b.wantKind("Start in an unknown lease", b.m.Start(b.ctx(), agent.StartRequest{Lease: agent.Lease{Item: "none", Epoch: 1}, Step: "s", Argv: []string{"true"}}), fault.NotFound)
}

func stepBackground(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{"#!/bin/sh\n( while ! test -e stop; do echo noise; sleep 0.05; done; echo done > ended ) &\necho main",
		"start /b \"\" TOOL noise stop ended\necho main"})
	out, e := b.wait(l, "s")
	if !strings.Contains(out, "main\n") || e.Code != 0 {
		b.Errorf("%q, %+v", out, e)
	}
	// The background process lives on, although its output goes nowhere any more.
	b.run(l, "next", text{"touch stop; i=0; while ! test -e ended; do i=$((i+1)); test $i -lt 200; sleep 0.05; done", "echo x> stop\nTOOL until ended"})
}

func stepMaxOutput(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.start(b.with(text{"#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x; echo after > after", "TOOL fill 300000\necho after> after"},
		agent.StartRequest{Lease: l, Step: "s", MaxOutput: 100000}))
	out, e := b.wait(l, "s")
	if len(out) != 100000 || e.Output != 100000 || e.Dropped != 200000 || e.Code != 0 {
		b.Errorf("%d bytes, %+v", len(out), e)
	}
	if _, err := b.m.Stat(b.ctx(), l, "after"); err != nil {
		b.Errorf("the step did not run to its end: %v", err)
	}
}

// stepDevStderr: a script that opens /dev/stderr for writing must not cut off what was printed before.
func stepDevStderr(b *bench) {
	b.needSh("/dev/stderr")
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{sh: "#!/bin/sh\necho one; echo two > /dev/stderr; echo three; echo four | tee /dev/stderr >/dev/null"})
	if out, e := b.wait(l, "s"); out != "one\ntwo\nthree\nfour\n" || e.Code != 0 {
		b.Errorf("%q, %+v", out, e)
	}
}

// polite is a step that says bye when it is asked to end.
func (b *bench) polite(l agent.Lease, s agent.StepID) agent.StartRequest {
	r := agent.StartRequest{Lease: l, Step: s, Argv: []string{b.o.Tool, toolName, "polite"}} // cmd.exe would ask a person
	if !b.bat {
		r.Argv, r.Script = nil, []byte("#!/bin/sh\ntrap 'echo bye; exit 3' TERM; echo up; sleep 600 & wait")
	}
	return r
}

func stopTerm(b *bench) {
	if b.o.NoTerm != "" {
		b.Skip(b.o.NoTerm)
	}
	l, _ := b.open(agent.OpenRequest{})
	b.start(b.polite(l, "s"))
	f := b.tail(l, "s")
	b.until(f, "up")
	if err := b.m.Stop(b.ctx(), agent.StopRequest{Lease: l, Step: "s", Reason: "Aborted by a test"}); err != nil {
		b.Fatal(err)
	}
	e := b.end(f)
	if f.text() != "up\nbye\n" || e.Code != 3 || !e.Stopped || e.Reason != "Aborted by a test" {
		b.Errorf("%q, %+v", f.text(), e)
	}
}

func stopKillsAfterGrace(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", stubborn())
	f := b.tail(l, "s")
	b.until(f, "up")
	if err := b.m.Stop(b.ctx(), agent.StopRequest{Lease: l, Step: "s", Grace: 300 * time.Millisecond}); err != nil {
		b.Fatal(err)
	}
	if e := b.end(f); e.Code != 137 || e.Signal != "killed" || !e.Stopped {
		b.Errorf("%+v", e)
	}
	b.script(l, "now", text{"#!/bin/sh\ntrap 'echo caught' TERM; echo up; while :; do sleep 1; done", "TOOL polite\necho caught"})
	f = b.tail(l, "now")
	b.until(f, "up")
	if err := b.m.Stop(b.ctx(), agent.StopRequest{Lease: l, Step: "now", Grace: -1}); err != nil {
		b.Fatal(err)
	}
	if e := b.end(f); e.Code != 137 || strings.Contains(f.text(), "caught") {
		b.Errorf("KILL at once: %+v, %q", e, f.text())
	}
}

func stopTwice(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", stubborn())
	f := b.tail(l, "s")
	b.until(f, "up")
	for _, grace := range []time.Duration{time.Hour, 200 * time.Millisecond} {
		if err := b.m.Stop(b.ctx(), agent.StopRequest{Lease: l, Step: "s", Grace: grace}); err != nil {
			b.Fatal(err)
		}
	}
	if e := b.end(f); e.Code != 137 {
		b.Errorf("the shorter grace did not win: %+v", e)
	}
	if err := b.m.Stop(b.ctx(), agent.StopRequest{Lease: l, Step: "s"}); err != nil {
		b.Errorf("Stop after the end: %v", err)
	}
	b.run(l, "done", text{"true", "rem"})
	if err := b.m.Stop(b.ctx(), agent.StopRequest{Lease: l, Step: "done", Reason: "late"}); err != nil {
		b.Errorf("Stop after the end: %v", err)
	}
	if _, e := b.wait(l, "done"); e.Stopped || e.Code != 0 {
		b.Errorf("a Stop after the end changed it: %+v", e)
	}
}

func closeEndsFollowers(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{"#!/bin/sh\necho up; sleep 600", sleeper().bat})
	f := b.tail(l, "s")
	b.until(f, "up")
	if err := b.m.Close(b.ctx(), l); err != nil {
		b.Fatal(err)
	}
	if e := b.end(f); !e.Stopped || e.Code == 0 {
		b.Errorf("%+v", e)
	}
}

func followFromOffset(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.run(l, "s", text{"printf 0123456789", "TOOL print 0123456789"})
	for _, off := range []int64{3, 10} {
		if got, _ := b.waitFrom(l, "s", off); got != "0123456789"[off:] {
			b.Errorf("from %d: %q", off, got)
		}
	}
	nop := func(agent.Output) error { return nil }
	_, err := b.m.Follow(b.ctx(), l, "s", -1, nop)
	b.wantKind("a negative offset", err, fault.Invalid)
	_, err = b.m.Follow(b.ctx(), l, "s", 11, nop)
	b.wantKind("an offset past the end", err, fault.Invalid)
}

func followLive(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{"#!/bin/sh\nfor i in 1 2 3; do echo line $i; while ! test -e go$i; do sleep 0.02; done; done",
		"for %%i in (1 2 3) do (\necho line %%i\nTOOL until go%%i\n)"})
	f := b.tail(l, "s")
	for i := 1; i <= 3; i++ {
		b.until(f, fmt.Sprintf("line %d\n", i))
		if err := b.m.WriteFile(b.ctx(), l, "go"+strconv.Itoa(i), nil, 0); err != nil {
			b.Fatal(err)
		}
	}
	if e := b.end(f); e.Code != 0 {
		b.Errorf("%+v", e)
	}
}

func numbered(from, to int) string {
	var s strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintln(&s, i)
	}
	return s.String()
}

func followLarge(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{"#!/bin/sh\nseq 1 300000", "TOOL lines 1 300000"})
	out, e := b.wait(l, "s")
	if out != numbered(1, 300000) {
		b.Errorf("300,000 lines came as %d bytes, %+v", len(out), e)
	}
}

func followManyReaders(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{"#!/bin/sh\nfor i in $(seq 1 100); do echo $i; test $((i % 20)) != 0 || sleep 0.05; done",
		"TOOL lines 1 40\nTOOL lines 41 60\nTOOL lines 61 100"})
	var tails []*tail
	for range 8 {
		tails = append(tails, b.tail(l, "s"))
	}
	for i, f := range tails {
		b.end(f)
		if f.text() != numbered(1, 100) {
			b.Errorf("reader %d got %q", i, f.text())
		}
	}
}

func followSinkError(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{"#!/bin/sh\necho up; sleep 600", sleeper().bat})
	full := errors.New("the sink is full")
	_, err := b.m.Follow(b.ctx(), l, "s", 0, func(agent.Output) error { return full })
	if !errors.Is(err, full) {
		b.Errorf("Follow returned %v", err)
	}
}

func followCanceled(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{"#!/bin/sh\necho up; while ! test -e go; do sleep 0.02; done; echo more", "echo up\nTOOL until go\necho more"})
	ctx, cancel := context.WithCancel(b.ctx())
	var line []byte
	_, err := b.m.Follow(ctx, l, "s", 0, func(o agent.Output) error {
		if line = append(line, o.Data...); strings.HasSuffix(string(line), "\n") {
			cancel()
		}
		return nil
	})
	b.wantKind("Follow whose caller left", err, fault.Canceled)
	if err := b.m.WriteFile(b.ctx(), l, "go", nil, 0); err != nil {
		b.Fatal(err)
	}
	if out, e := b.waitFrom(l, "s", int64(len(line))); out != "more\n" || e.Code != 0 {
		b.Errorf("the step after its follower left: %q, %+v", out, e)
	}
}

func slowFollower(b *bench) {
	l, _ := b.open(agent.OpenRequest{})
	b.script(l, "s", text{"#!/bin/sh\nseq 1 100000; echo over > over", "TOOL lines 1 100000\necho over> over"})
	hold := make(chan struct{})
	got := make(chan agent.Exit, 1)
	ctx := b.ctx()
	go func() {
		e, _ := b.m.Follow(ctx, l, "s", 0, func(agent.Output) error { <-hold; return nil })
		got <- e
	}()
	b.run(l, "watch", text{"i=0; while ! test -e over; do i=$((i+1)); test $i -lt 400 || exit 1; sleep 0.05; done", "TOOL until over"})
	close(hold)
	if e := <-got; e.Output != int64(len(numbered(1, 100000))) {
		b.Errorf("%+v", e)
	}
}

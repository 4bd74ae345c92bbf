package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
)

// bat starts a batch file as a step.
func bat(t testing.TB, m agent.Machine, l agent.Lease, s agent.StepID, text string, env map[string]string) {
	t.Helper()
	r := agent.StartRequest{Lease: l, Step: s, Interpreter: "bat", Script: []byte("@echo off\n" + text + "\n"), Env: env}
	if err := m.Start(soon(t), r); err != nil {
		t.Fatalf("Start %q: %v", s, err)
	}
}

// ran starts a batch file and returns its output, with unix' line ends, and its end.
func ran(t testing.TB, m agent.Machine, l agent.Lease, s agent.StepID, text string, env map[string]string) (string, agent.Exit) {
	t.Helper()
	bat(t, m, l, s, text, env)
	out, e := follow(t, m, l, s)
	return strings.ReplaceAll(out, "\r\n", "\n"), e
}

func TestBatchFiles(t *testing.T) {
	p := launch(t, host.Config{Root: filepath.Join(t.TempDir(), "a b (c) d@e")})
	defer closeAll(t, p)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	w := open(t, p, agent.OpenRequest{Lease: l, Job: "tëam/my app", Env: map[string]string{"Mixed": "case"}})
	for name, tt := range map[string]struct {
		text string
		env  map[string]string
		want string
		code int
	}{
		"labels and calls": {text: "call :sub one\ngoto end\n:sub\necho sub %1\nexit /b 0\n:end\necho end\nexit /b 4", want: "sub one\nend\n", code: 4},
		"negative code":    {text: "exit /b -1", code: -1},
		"exit":             {text: "exit 12", code: 12},
		"last command":     {text: "cmd /c exit 5", code: 5},
		"unicode":          {text: "echo %WORD%", env: map[string]string{"WORD": "grüße €"}, want: "grüße €\n"},
		"quotes":           {text: `echo "a & b" ^& %WORD%`, env: map[string]string{"WORD": "(c)"}, want: "\"a & b\" & (c)\n"},
		"cases of names":   {text: "echo %MIXED% %mixed% %One%", env: map[string]string{"oNE": "1"}, want: "case case 1\n"},
		"own folder":       {text: "cd\necho %PWD%", want: w.Path + "\n" + w.Path + "\n"},
		"stdin is empty":   {text: "set /p A=\necho more", want: "more\n"},
		"temporary folder": {text: "echo %TMP%\necho %TEMP%\necho %USERPROFILE%", want: w.Tmp + "\n" + w.Tmp + "\n" + w.Home + "\n"},
		"inherited":        {text: `if exist "%SystemRoot%\system32\cmd.exe" echo yes`, want: "yes\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, e := ran(t, p, l, agent.StepID(name), tt.text, tt.env); out != tt.want || e.Code != tt.code || e.Lost {
				t.Errorf("%q, %+v; want %q, %d", out, e, tt.want, tt.code)
			}
		})
	}
}

// A batch file and a program without its ending are found in the step's own PATH.
func TestProgramsOnThePathOfAStep(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir()})
	defer closeAll(t, p)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	w := open(t, p, agent.OpenRequest{Lease: l})
	if err := p.WriteFile(soon(t), l, "bin/greet.bat", []byte("@echo hello %1\r\n"), 0); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PATH+BIN": filepath.Join(w.Path, "bin")}
	for s, argv := range map[agent.StepID][]string{"bare": {"greet", "you"}, "ending": {"greet.bat", "you"}, "relative": {`bin\greet`, "you"}} {
		if err := p.Start(soon(t), agent.StartRequest{Lease: l, Step: s, Argv: argv, Env: env}); err != nil {
			t.Fatal(err)
		}
		if out, e := follow(t, p, l, s); out != "hello you\r\n" || e.Code != 0 {
			t.Errorf("%s: %q, %+v", s, out, e)
		}
	}
	if err := p.Start(soon(t), agent.StartRequest{Lease: l, Step: "none", Argv: []string{"greet"}}); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, p, l, "none"); e.Code != 127 || !strings.Contains(out, "greet") {
		t.Errorf("%q, %+v", out, e)
	}
}

// tree starts a step of four processes: its own child, one that left its parents' console, group and environment, and one whose
// parent has ended.
func tree(t *testing.T, p agent.Machine, l agent.Lease, s agent.StepID) []*holder {
	t.Helper()
	h := newHolders(t)
	bat(t, p, l, s, "start /b \"\" "+h.line(t, "child", "apart", "grandchild", "apart", "greatgrandchild")+"\necho up\n"+h.line(t, "main"), nil)
	var all []*holder
	for _, name := range []string{"child", "grandchild", "greatgrandchild", "main"} {
		all = append(all, h.await(t, name))
	}
	return all
}

// I6: a step's whole tree ends with it when it is stopped.
func TestStopEndsTheTree(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir(), CloseGrace: -1})
	defer closeAll(t, p)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	all, other := tree(t, p, l, "s"), tree(t, p, l, "other")
	if err := p.Stop(soon(t), agent.StopRequest{Lease: l, Step: "s", Grace: -1, Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	if out, e := follow(t, p, l, "s"); out != "up\r\n" || e.Code != 137 || e.Signal != "killed" || !e.Stopped || e.Reason != "enough" {
		t.Errorf("%q, %+v", out, e)
	}
	for _, o := range all {
		o.dies(t)
	}
	for _, o := range other {
		if !o.lives() {
			t.Errorf("%s of another step was ended too", o.name)
		}
	}
}

// I6: nothing of a lease is left when Close has returned, what a step left behind that has ended included.
func TestCloseEndsWhatStepsLeft(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir(), CloseGrace: -1})
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	all := tree(t, p, l, "s")
	h := newHolders(t)
	bat(t, p, l, "gone", "start /b \"\" "+h.line(t, "left", "apart", "below"), nil)
	all = append(all, h.await(t, "left"), h.await(t, "below"))
	if _, e := follow(t, p, l, "gone"); e.Code != 0 {
		t.Errorf("%+v", e)
	}
	for _, o := range all {
		if !o.lives() {
			t.Errorf("%s is gone", o.name)
		}
	}
	closeLease(t, p, l)
	for _, o := range all {
		if o.lives() {
			t.Errorf("%s lives after Close", o.name)
		}
	}
}

// F4: a shim that is killed takes its steps with it, and they are Lost.
func TestAKilledShimTakesItsSteps(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir()})
	defer func() { closeAll(t, p) }()
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	open(t, p, agent.OpenRequest{Lease: l})
	h := newHolders(t)
	// The program is the shim's own child, so its parent is the shim.
	if err := p.Start(soon(t), agent.StartRequest{Lease: l, Step: "s", Argv: []string{executable(t), holderName, h.addr, "main", "apart", "below"}}); err != nil {
		t.Fatal(err)
	}
	main, below := h.await(t, "main"), h.await(t, "below")
	shim, err := os.FindProcess(main.parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := shim.Kill(); err != nil {
		t.Fatal(err)
	}
	main.dies(t)
	below.dies(t)
	if wine() { // which now and then keeps the connection of a process that was killed: then the next agent finds out
		p = p.restart(t)
	}
	if _, e := follow(t, p, l, "s"); !e.Lost {
		t.Errorf("%+v", e)
	}
	if out, e := ran(t, p, l, "next", "echo on the next shim", nil); out != "on the next shim\n" || e.Code != 0 {
		t.Errorf("%q, %+v", out, e)
	}
}

// F1: an agent that is killed in the middle of a step finds it again: no second run, no byte lost or doubled. It is killed twice.
func TestF1AgentKilledInAStepOnWindows(t *testing.T) {
	root := t.TempDir()
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	h := newHolders(t)
	text := "@echo off\necho ran>> ledger\n"
	for i := 1; i <= 3; i++ {
		text += fmt.Sprintf("for /l %%%%i in (1,1,200) do echo line %d.%%%%i\n%s\n", i, h.line(t, fmt.Sprint("at", i)))
	}
	step := agent.StartRequest{Lease: l, Step: "s", Interpreter: "bat", Script: []byte(text + "exit /b 3\n")}
	c := fork(t, root)
	c.give(t, order{Open: &agent.OpenRequest{Lease: l, Job: "app"}})
	c.give(t, order{Start: &step})
	one := h.await(t, "at1")
	c.kill()
	_ = one.conn.Close()
	two := h.await(t, "at2") // the step has gone on without an agent

	c = fork(t, root)
	c.give(t, order{Start: &step})
	c.kill()
	_ = two.conn.Close()
	three := h.await(t, "at3")

	begun := time.Now()
	p := launch(t, host.Config{Root: root})
	defer closeAll(t, p)
	if err := p.Start(soon(t), step); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("found again after %v", took)
	}
	_ = three.conn.Close()
	out, e := follow(t, p, l, "s")
	var want strings.Builder
	for i := 1; i <= 3; i++ {
		for n := 1; n <= 200; n++ {
			fmt.Fprintf(&want, "line %d.%d\r\n", i, n)
		}
	}
	if out != want.String() || e.Code != 3 || e.Lost || e.Stopped || e.Dropped != 0 {
		t.Errorf("output of %d bytes, want %d; exit %+v", len(out), want.Len(), e)
	}
	if text, err := p.ReadFile(soon(t), l, "ledger", 0); err != nil || string(text) != "ran\r\n" {
		t.Errorf("ledger %q, %v: want one run", text, err)
	}
}

// F1: a step that ended while no agent was there has its exit and its output on disk.
func TestF1StepEndsWhileTheAgentIsDeadOnWindows(t *testing.T) {
	root, h := t.TempDir(), newHolders(t)
	l := agent.Lease{Item: t.Name(), Epoch: 1}
	c := fork(t, root)
	c.give(t, order{Open: &agent.OpenRequest{Lease: l, Job: "app"}})
	c.give(t, order{Start: &agent.StartRequest{Lease: l, Step: "s", Interpreter: "bat", Capture: true,
		Script: []byte("@" + h.line(t, "up") + "\n@echo out\n@echo err>&2\n@exit /b 42\n")}})
	up := h.await(t, "up")
	c.kill()
	_ = up.conn.Close()
	up.dies(t)
	p := launch(t, host.Config{Root: root})
	defer closeAll(t, p)
	if out, e := follow(t, p, l, "s"); out != "err\r\n" || string(e.Stdout) != "out\r\n" || e.Code != 42 || e.Lost {
		t.Errorf("%q, %+v", out, e)
	}
}

// What the agent keeps of its leases, and how its shims are reached, is for this user, the system and its administrators.
func TestTheAgentsFolderIsPrivate(t *testing.T) {
	p := launch(t, host.Config{Root: t.TempDir()})
	defer closeAll(t, p)
	open(t, p, agent.OpenRequest{Lease: agent.Lease{Item: t.Name(), Epoch: 1}})
	own := filepath.Join(p.cfg.Root, ".outwork")
	runs, err := os.ReadDir(filepath.Join(own, "run"))
	if err != nil || len(runs) == 0 {
		t.Fatal(runs, err)
	}
	for _, path := range []string{own, filepath.Join(own, "run", runs[0].Name())} {
		sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{";;;WD)", ";;;AU)", ";;;BU)", ";;;S-1-1-0)"} { // everyone, in the ways that Windows has for it
			if strings.Contains(sd.String(), who) {
				t.Errorf("%s: %s", path, sd)
			}
		}
	}
}

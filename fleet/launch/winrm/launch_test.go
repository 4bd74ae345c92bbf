//go:build unix

package winrm_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/winrm"
	"github.com/outwork-build/outwork/fleet/launch/winrm/winrmtest"
	"github.com/outwork-build/outwork/internal/fault"
)

// fails launches and expects an error of a kind that says all of says.
func fails(t *testing.T, w *world, n fleet.Node, kind fault.Kind, says ...string) *launchtest.Log {
	t.Helper()
	log := &launchtest.Log{}
	link, err := w.launcher(t, func(c *winrm.Config) { c.Again = time.Millisecond }).Launch(t.Context(), n, log)
	if err == nil {
		link.Close()
		t.Fatal("the launch succeeded")
	}
	if !fault.Is(err, kind) {
		t.Errorf("%v: of kind %v, expected %v", err, fault.Of(err), kind)
	}
	contains(t, "the error", err.Error(), says...)
	lacks(t, "the log", log.String(), testPassword)
	if st := w.state(serviceID); st == "running" {
		t.Error("the service runs after a launch that failed")
	}
	if open, _ := w.server.Shells(); open != 0 {
		t.Errorf("%d shells are left open", open)
	}
	return log
}

// S1-23: what goes wrong on the way to a machine is said with what to do about it.
func TestWhatKeepsAMachineAway(t *testing.T) {
	w := newWorld(t, false)
	set := func(config ...string) fleet.Node { return node(t, w.address, config...) }
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	fails(t, w, node(t, closed.Addr().String()), fault.Unavailable, "refuses connections", "winrm quickconfig")
	fails(t, w, set("host", "no-such-host.invalid"), fault.Unavailable, "no-such-host.invalid is not known", "check the setting host")
	fails(t, w, set("user", "nobody"), fault.Unauthenticated, "does not let nobody in", "check user and password")
	t.Setenv("OTHER_PASSWORD", "wrong-password")
	fails(t, w, set("password", "env:OTHER_PASSWORD"), fault.Unauthenticated, "does not let "+testUser+" in", "check user and password")
	fails(t, w, set("https", "true", "timeout", "30s"), fault.Unavailable, "does not speak TLS", "https=false")
	fails(t, w, node(t, strings.TrimPrefix(w.URL, "http://")), fault.Unauthenticated, "takes no NTLM") // the controller itself
	fails(t, w, node(t, deaf(t), "timeout", "50ms", "retries", "1", "retryWait", "1ms"), fault.Unavailable, "does not answer", "firewalls")

	secure := newWorld(t, true, func(c *winrmtest.Config) { c.NoNegotiate, c.NoBasic = false, true })
	sum := sha256.Sum256(secure.cert.Certificate().Raw)
	fails(t, secure, node(t, secure.address, "https", "true"), fault.Unauthenticated, "is not trusted", fmt.Sprintf("pinned=%x", sum))
	fails(t, secure, node(t, secure.address, "https", "true", "pinned", strings.Repeat("ab", 32)), fault.Unauthenticated, fmt.Sprintf("shows the certificate %x", sum), "somebody else answers")
	fails(t, secure, node(t, secure.address, "https", "true", "auth", "basic", "insecure", "true"), fault.Unauthenticated, "takes no basic", `service/auth @{Basic="true"}`)
	basic := newWorld(t, true, func(c *winrmtest.Config) { c.NoNegotiate, c.NoBasic = true, false })
	fails(t, basic, node(t, basic.address, "https", "true", "insecure", "true"), fault.Unauthenticated, "takes no NTLM", "auth=basic")

	denied := newWorld(t, false, func(c *winrmtest.Config) { c.Fault, c.FaultText = 5, "Access is denied." })
	fails(t, denied, node(t, denied.address), fault.Denied, "Access is denied.", "LocalAccountTokenFilterPolicy")
	quota := newWorld(t, false, func(c *winrmtest.Config) {
		c.Fault, c.FaultText = 2150859173, "The WS-Management service cannot process the request. This user is allowed a maximum number of 30 concurrent shells, which has been exceeded."
	})
	fails(t, quota, node(t, quota.address), fault.Exhausted, "30 concurrent shells", "winrm get winrm/config/winrs")
}

// S1-23: what goes wrong on the machine is said with what to do about it.
func TestWhatKeepsAnAgentAway(t *testing.T) {
	for name, x := range map[string]struct {
		change func(w *world)
		config []string
		kind   fault.Kind
		says   []string
	}{
		"disk full":      {func(w *world) { w.room = 400_000 }, nil, fault.Exhausted, []string{"free on drive C:", "make room"}},
		"another system": {func(w *world) { w.arch = "PDP11" }, nil, fault.Unavailable, []string{"not cmd.exe of a Windows that is known"}},
		"service cannot start": {func(w *world) {
			w.breaks["install"] = "start outwork-agent-win-1: The service did not respond to the start or control request in a timely fashion."
		}, nil, fault.Unavailable, []string{"timely fashion", "event log", `C:\ProgramData\Outwork\agents\win-1\agent.log`}},
		"wrong user of the service": {func(w *world) {
			w.breaks["install"] = "start outwork-agent-win-1: The service did not start due to a logon failure."
		}, []string{"runAs", `.\ci`, "runAsPassword", "env:WINRM_TEST_PASSWORD"}, fault.Denied, []string{"Log on as a service"}},
		"no administrator": {func(w *world) { w.breaks["uninstall"] = "reach the service manager: Access is denied." }, nil, fault.Denied, []string{"be an administrator"}},
		"somebody looks at the old service": {func(w *world) {
			w.breaks["install"] = "install: The specified service has been marked for deletion."
		}, nil, fault.Unavailable, []string{"close the Services window"}},
		"the agent never dials in": {func(w *world) { w.dials = "http://127.0.0.1:1" }, []string{"dialIn", "200ms"}, fault.Unavailable,
			[]string{"no agent has dialled within 200ms", "outwork-agent-win-1: running", "check that http://", "set url"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false)
			w.change(func() { x.change(w) })
			fails(t, w, node(t, w.address, x.config...), x.kind, x.says...)
		})
	}
}

// The program comes to the machine by what the machine has: curl, PowerShell, or WinRM alone; and not at all when it is current.
func TestBringingTheProgram(t *testing.T) {
	for name, x := range map[string]struct {
		lacks   []string
		config  []string
		fetches int
		says    string
	}{
		"curl":                       {nil, nil, 1, "> curl -fsSk"},
		"PowerShell":                 {[]string{"curl"}, nil, 1, "DownloadFile"},
		"nothing that fetches":       {[]string{"curl", "powershell"}, nil, 0, `> findstr "^" >`},
		"no certutil":                {[]string{"certutil"}, nil, 1, "Get-FileHash"},
		"by WinRM, without certutil": {[]string{"curl", "certutil"}, []string{"upload", "true"}, 0, "FromBase64String"},
		"by WinRM":                   {nil, []string{"upload", "true"}, 0, "> certutil -f -decode"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false)
			w.change(func() {
				for _, p := range x.lacks {
					w.lacks[p] = true
				}
			})
			n := node(t, w.address, x.config...)
			log := &launchtest.Log{}
			l := w.launcher(t)
			connect(t, l, n, log).Close()
			contains(t, "the log", log.String(), x.says)
			if w.fetches() != x.fetches {
				t.Errorf("fetched %d times, expected %d\n%s", w.fetches(), x.fetches, log)
			}
			log = &launchtest.Log{}
			connect(t, l, n, log).Close()
			contains(t, "the log of the second launch", log.String(), "is current")
			lacks(t, "the log of the second launch", log.String(), "curl", "findstr", "move")
			if files := files(t, w.path(`C:\ProgramData\Outwork\agents\win-1\bin`)); len(files) != 1 {
				t.Errorf("left in the folder: %v", files)
			}

			w.replace(t)
			log = &launchtest.Log{}
			connect(t, l, n, log).Close()
			contains(t, "the log after an update", log.String(), "move /y", ".old")
			if files := files(t, w.path(`C:\ProgramData\Outwork\agents\win-1\bin`)); len(files) != 2 {
				t.Errorf("left in the folder: %v", files)
			}
		})
	}
}

// Where cmd.exe reads no line for us, the credential comes by a file that does not stay.
func TestCredentialByFile(t *testing.T) {
	w := newWorld(t, false)
	w.change(func() { w.lacks["set"] = true })
	log := &launchtest.Log{}
	connect(t, w.launcher(t), node(t, w.address), log).Close()
	contains(t, "the log", log.String(), `--secret "@C:\ProgramData\Outwork\agents\win-1\install.tmp"`)
	lacks(t, "the log", log.String(), w.secretOf())
	lacks(t, "what was run", w.commands(), w.secretOf())
	if files := files(t, w.path(`C:\ProgramData\Outwork\agents\win-1`)); strings.Contains(strings.Join(files, " "), ".tmp") {
		t.Errorf("left in the folder: %v", files)
	}
}

// What comes from the controller's address and is not what the controller has is not run.
func TestForgedProgram(t *testing.T) {
	w := newWorld(t, false)
	good := w.controller.program
	forged := filepath.Join(t.TempDir(), "forged.exe")
	write(t, forged, "not the agent")
	w.controller.program.Path = forged
	agents := good
	n := node(t, w.address)
	log := &launchtest.Log{}
	l := w.launcher(t, func(c *winrm.Config) { c.Agents = only{agents} })
	connect(t, l, n, log).Close()
	contains(t, "the log", log.String(), "it is not taken", "Copying the agent's program")
	if w.fetches() != 2 {
		t.Errorf("fetched %d times", w.fetches())
	}
}

// After its link broke, the service runs on, and is waited for: nothing is done on the machine.
func TestBrokenLink(t *testing.T) {
	w := newWorld(t, false)
	l := w.launcher(t)
	n := node(t, w.address)
	conn := connect(t, l, n, &launchtest.Log{})
	d := describe(t, conn)
	before := w.commands()
	w.cut(t, conn.Done())
	log := &launchtest.Log{}
	conn = connect(t, l, n, log)
	if again := describe(t, conn); again.PID != d.PID {
		t.Errorf("process %d is another than %d\n%s", again.PID, d.PID, log)
	}
	contains(t, "the log", log.String(), "waiting up to")
	if after := w.commands(); after != before {
		t.Errorf("run meanwhile: %s", strings.TrimPrefix(after, before))
	}
	conn.Close()
	if st := w.state(serviceID); st != "stopped" {
		t.Errorf("the service is %s", st)
	}
}

// A node that is disconnected while its agent is waited for has no service that runs.
func TestDisconnectedWhileItDialsAgain(t *testing.T) {
	w := newWorld(t, false)
	l := w.launcher(t)
	n := node(t, w.address)
	conn := connect(t, l, n, &launchtest.Log{})
	w.shut(true) // the agent cannot come back
	w.cut(t, conn.Done())
	ctx, cancel := context.WithCancelCause(t.Context())
	log := &launchtest.Log{}
	go func() { log.AwaitSome(t); cancel(os.ErrDeadlineExceeded) }()
	if _, err := l.Launch(ctx, n, log); err == nil || !strings.Contains(err.Error(), os.ErrDeadlineExceeded.Error()) {
		t.Errorf("%v", err)
	}
	if st := w.state(serviceID); st != "stopped" {
		t.Errorf("the service is %s\n%s", st, log)
	}
}

// A service that was left running by a controller that died is taken over, also when its agent is dialling.
func TestLeftOver(t *testing.T) {
	w := newWorld(t, false)
	n := node(t, w.address)
	first := connect(t, w.launcher(t), n, &launchtest.Log{})
	d := describe(t, first)
	w.cut(t, first.Done())
	second := connect(t, w.launcher(t), n, &launchtest.Log{}) // of another controller: it knows nothing
	if again := describe(t, second); again.PID == d.PID {
		t.Error("the old process is there still")
	}
	second.Close()
}

// S1-23: when the node is deleted the service goes, and the credential.
func TestRemove(t *testing.T) {
	w := newWorld(t, false)
	l := w.launcher(t)
	n := node(t, w.address)
	log := &launchtest.Log{}
	if err := l.Remove(t.Context(), n, log); err != nil {
		t.Errorf("of a machine that has nothing: %v", err)
	}
	conn := connect(t, l, n, log)
	secrets := w.path(`C:\ProgramData\Outwork\agents\win-1\agent.env`)
	if b, err := os.ReadFile(secrets); err != nil || !strings.Contains(string(b), w.secretOf()) {
		t.Errorf("%q, %v", b, err)
	}
	if err := l.Remove(t.Context(), n, log); err != nil || w.state(serviceID) != "running" {
		t.Errorf("a node of the same name that is there again: %v, the service is %s", err, w.state(serviceID))
	}
	conn.Close()
	if err := l.Remove(t.Context(), n, log); err != nil {
		t.Error(err)
	}
	if st := w.state(serviceID); st != "missing" {
		t.Errorf("the service is %s", st)
	}
	if _, err := os.Stat(secrets); !os.IsNotExist(err) {
		t.Errorf("the credential is there: %v", err)
	}
	n.Launcher.Config["port"] = "1"
	if err := l.Remove(t.Context(), n, log); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "remove the agent's service of win-1") {
		t.Errorf("of a machine that is away: %v", err)
	}
}

// S1-23: the service runs as a given account.
func TestRunAs(t *testing.T) {
	w := newWorld(t, false)
	w.change(func() { w.looked = 1 })
	t.Setenv("RUN_AS_PASSWORD", "another horse")
	n := node(t, w.address, "runAs", `.\ci`, "runAsPassword", "env:RUN_AS_PASSWORD")
	log := &launchtest.Log{}
	connect(t, w.launcher(t), n, log).Close()
	w.change(func() {
		if w.runAs != `.\ci another horse` {
			t.Errorf("the service was installed for %q", w.runAs)
		}
	})
	contains(t, "the log", log.String(), `.\ci:(OI)(CI)M`, "marked for deletion")
	lacks(t, "the log", log.String(), "another horse")
	lacks(t, "what was run", w.commands(), "another horse")
	if files := files(t, w.path(`C:\ProgramData\Outwork\agents\win-1`)); strings.Contains(strings.Join(files, " "), "run-as") {
		t.Errorf("left in the folder: %v", files)
	}
}

// S1-23: outwork node doctor.
func TestExamine(t *testing.T) {
	w := newWorld(t, true)
	look := func(n fleet.Node) (all []string, last fleet.Hop) {
		w.trust(t, n)
		w.launcher(t).Examine(t.Context(), n, func(h fleet.Hop) { all, last = append(all, h.Name), h })
		return all, last
	}
	good := func(config ...string) fleet.Node {
		return node(t, w.address, append([]string{"https", "true", "ca", "CA"}, config...)...)
	}
	all, last := look(good())
	if got := strings.Join(all, " "); got != "settings tcp tls login shell disk agent controller" || !last.OK || !strings.Contains(last.Text, "answers there") {
		t.Errorf("%s: %+v", got, last)
	}
	if _, err := os.Stat(w.path(`C:\ProgramData`)); !os.IsNotExist(err) {
		t.Errorf("looking has changed the machine: %v", err)
	}
	t.Setenv("OTHER_PASSWORD", "wrong-password")
	for hop, n := range map[string]fleet.Node{
		"settings": good("port", "many"), "dns": good("host", "no-such-host.invalid"), "tcp": good("port", "1"), "tls": good("ca", ""),
		"login": good("password", "env:OTHER_PASSWORD"), "controller": good("url", "http://127.0.0.1:1"),
	} {
		if all, last := look(n); last.OK || last.Name != hop || last.Text == "" || (last.Hint == "" && hop != "settings") {
			t.Errorf("%s: %v, %+v", hop, all, last)
		}
	}
	for hop, change := range map[string]func(){"shell": func() { w.arch = "PDP11" }, "disk": func() { w.arch, w.room = "AMD64", 1000 }} {
		w.change(change)
		if all, last := look(good()); last.OK || last.Name != hop {
			t.Errorf("%s: %v, %+v", hop, all, last)
		}
	}
}

// One launcher sets many machines up at once, and ends all of them.
func TestManyMachines(t *testing.T) {
	w := newWorld(t, false)
	l := w.launcher(t)
	var all sync.WaitGroup
	for i := range 8 {
		m := newWorld(t, false) // for its machine
		n := node(t, m.address)
		n.Name = fleet.NodeName(fmt.Sprintf("win-%d", i))
		all.Go(func() {
			for range 2 {
				log := &launchtest.Log{}
				link, err := l.Launch(t.Context(), n, log)
				if err != nil {
					t.Errorf("%s: %v\n%s", n.Name, err, log)
					return
				}
				if st := m.state("outwork-agent-" + string(n.Name)); st != "running" {
					t.Errorf("%s: the service is %s", n.Name, st)
				}
				link.Close()
				if st := m.state("outwork-agent-" + string(n.Name)); st != "stopped" {
					t.Errorf("%s: the service is %s after the close", n.Name, st)
				}
			}
		})
	}
	all.Wait()
}

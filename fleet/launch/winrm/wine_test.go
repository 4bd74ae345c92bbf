//go:build linux

package winrm_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet/launch/launchtest"
	"github.com/outwork-build/outwork/fleet/launch/winrm"
	"github.com/outwork-build/outwork/fleet/launch/winrm/winrmtest"
)

// S1-23: the real agent, set up over WinRM in a Windows that is Wine: the commands are run by its cmd.exe, the service by its service
// manager, and the agent dials the controller. `make test-windows` runs it too.
func TestUnderWine(t *testing.T) {
	w := winrmtest.NewWine(t, testUser, testPassword, "ProgramData/Outwork/agents/win-1", "Agents of Outwork (x86)")
	dir := t.TempDir()
	winrmtest.BuildForWindows(t, filepath.Join(dir, "outwork-agent-windows-amd64.exe"), "github.com/outwork-build/outwork/cmd/outwork-agent")
	c := newController(t, binary(t, dir, "windows", "amd64"))
	l := c.launcher(t, func(c *winrm.Config) { c.Grace = time.Minute })
	n := node(t, w.Address)
	for _, upload := range []string{"", "true"} {
		n.Launcher.Config["upload"] = upload
		if upload != "" {
			n.RemoteRoot = `C:\Agents of Outwork (x86)\a & b`
		}
		log := &launchtest.Log{}
		start := time.Now()
		conn := connect(t, l, n, log)
		t.Logf("launched in %v, upload %q", time.Since(start), upload)
		d := describe(t, conn)
		if d.OS != "windows" || d.Arch != "amd64" {
			t.Errorf("the machine says %+v", d)
		}
		contains(t, "the service", w.Service(serviceID), "RUNNING")
		contains(t, "the log", log.String(), " certutil -hashfile ", "set /p OUTWORK_SECRET=&&call ", "Agent connected from 127.0.0.1")
		lacks(t, "the log", log.String(), c.secretOf(), testPassword)
		conn.Close()
		contains(t, "the service after the close", w.Service(serviceID), "STOPPED")

		log = &launchtest.Log{}
		start = time.Now()
		conn = connect(t, l, n, log)
		t.Logf("launched again in %v", time.Since(start))
		if again := describe(t, conn); again.PID == d.PID || again.Root != d.Root {
			t.Errorf("the machine says %+v, before %+v", again, d)
		}
		contains(t, "the log", log.String(), "is current")
		conn.Close()
		if err := l.Remove(t.Context(), n, log); err != nil {
			t.Errorf("remove: %v\n%s", err, log)
		}
		if st := w.Service(serviceID); strings.Contains(st, "RUNNING") || strings.Contains(st, "STOPPED") {
			t.Errorf("the service is there after the node is gone: %s", st)
		}
		if t.Failed() {
			t.Log(log)
		}
	}
	if c.fetches() != 1 {
		t.Errorf("the agent's program was fetched %d times, expected once", c.fetches())
	}
}

//go:build unix

package ssh_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/ssh"
	"github.com/outwork-build/outwork/internal/fault"
)

// onSmall is a node whose folder is on the small disk.
func (s *sshd) onSmall(settings ...string) fleet.Node {
	n := s.node(settings...)
	n.RemoteRoot = filepath.Join(s.dir, "small disk", "root")
	return n
}

// small is the small disk as sshd sees it.
func (s *sshd) small(elem ...string) string {
	return filepath.Join(append([]string{fmt.Sprintf("/proc/%d/root", s.cmd.Process.Pid), s.dir, "small disk"}, elem...)...)
}

// S1-18: a full disk is told as a full disk, before anything is written.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	s := newSSHD(t, options{mount: "size=1m"})
	l := launcher(t, ssh.Config{})
	_, err := l.Launch(t.Context(), s.onSmall(), &buffer{})
	if !fault.Is(err, fault.Exhausted) {
		t.Errorf("%v", err)
	}
	wants(t, "error", says{err}, "the disk of "+s.dir+"/small disk/root/bin/ is full", "are free", "the agent needs", "set the node's remote root")
	hops := examine(t, l, s.onSmall())
	if names(hops) != "dns tcp key login shell !disk" || !strings.Contains(hops[5].Text, "is full") {
		t.Errorf("%+v", hops)
	}
	// The binary alone elsewhere is enough.
	connect(t, l, s.onSmall("agentPath", filepath.Join(s.dir, "agent")), &buffer{}).Close()
}

// A disk that fills up while the agent is copied: sftp only says "failure", a shell more. Nothing is left on it.
func TestDiskFillsUp(t *testing.T) {
	needRoot(t)
	for _, noSFTP := range []bool{false, true} {
		s := newSSHD(t, options{noSFTP: noSFTP})
		asked := filepath.Join(s.dir, "asked")
		s.shadow(options{mount: "size=1m"}, map[string]string{"df": "if [ -e " + asked + " ]; then exec /bin/df \"$@\"; fi; : > " + asked}) // knows nothing when it is asked first
		_, err := launcher(t, ssh.Config{}).Launch(t.Context(), s.onSmall(), &buffer{})
		if !fault.Is(err, fault.Exhausted) {
			t.Errorf("noSFTP %v: %v", noSFTP, err)
		}
		wants(t, "error", says{err}, "is full")
		if left, err := os.ReadDir(s.small("root", "bin")); err != nil || len(left) > 0 {
			t.Errorf("noSFTP %v: left behind: %v, %v", noSFTP, left, err)
		}
	}
}

// S1-18: a disk that is read-only, and a folder that is on no such disk but cannot be made.
func TestReadOnly(t *testing.T) {
	needRoot(t)
	s := newSSHD(t, options{mount: "ro"})
	l := launcher(t, ssh.Config{})
	_, err := l.Launch(t.Context(), s.onSmall(), &buffer{})
	if !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	wants(t, "error", says{err}, "Read-only file system", "remote root")
	_, err = l.Launch(t.Context(), s.node("agentPath", filepath.Join(s.dir, "small disk", "agent")), &buffer{})
	if !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	wants(t, "error", says{err}, "may not write to")
	if hops := examine(t, l, s.onSmall()); names(hops) != "dns tcp key login shell !disk" {
		t.Errorf("%+v", hops)
	}
	file := s.put("file", "")
	n := s.node()
	n.RemoteRoot = file + "/root"
	_, err = l.Launch(t.Context(), n, &buffer{})
	wants(t, "error", says{err}, "Not a directory")
}

// A disk from which no program may be run.
func TestNoExec(t *testing.T) {
	needRoot(t)
	s := newSSHD(t, options{mount: "noexec"})
	l := launcher(t, ssh.Config{})
	_, err := tryConnect(t.Context(), l, s.onSmall(), &buffer{})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	wants(t, "error", says{err}, "Permission denied", "noexec", "agentPath")
}

// An examination says what will be copied, and changes nothing.
func TestExamine(t *testing.T) {
	s := newSSHD(t, options{})
	l := launcher(t, ssh.Config{})
	hops := examine(t, l, s.node())
	if names(hops) != allGood || !strings.Contains(hops[6].Text, "will be copied to") || !strings.Contains(hops[4].Text, "linux/") {
		t.Errorf("%+v", hops)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "root")); !os.IsNotExist(err) {
		t.Errorf("the examination made the folder: %v", err)
	}
	connect(t, l, s.node(), &buffer{}).Close()
	if hops = examine(t, l, s.node()); names(hops) != allGood || !strings.Contains(hops[6].Text, "up to date") {
		t.Errorf("%+v", hops)
	}
	if hops = examine(t, l, s.node("key", "file:/nonexistent")); names(hops) != "!settings" {
		t.Errorf("%+v", hops)
	}
	if hops = examine(t, launcher(t, ssh.Config{Agents: selfOnly("")}), s.node()); names(hops) != "dns tcp key login shell disk !agent" {
		t.Errorf("%+v", hops)
	}
}

// S1-54: a clock that is off is told.
func TestClock(t *testing.T) {
	s := newSSHD(t, options{})
	s.shadow(options{}, map[string]string{"date": "echo $(( $(/bin/date +%s) - 5400 ))"})
	hops := examine(t, launcher(t, ssh.Config{}), s.node())
	if names(hops) != "dns tcp key login shell disk agent !clock" || !strings.Contains(hops[7].Text, "is off by -1h") || !strings.Contains(hops[7].Hint, "NTP") {
		t.Errorf("%+v", hops)
	}
}

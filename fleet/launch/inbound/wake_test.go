package inbound_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
	"github.com/outwork-build/outwork/internal/fault"
)

// S1-34: the packet that wakes a machine, and a command of one's own.
func TestWake(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the command is written for sh")
	}
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := inbound.New(inbound.Config{})
	file := filepath.Join(t.TempDir(), "rung")
	n := fleet.Node{Name: "lab 1", Launcher: fleet.LauncherSpec{Config: map[string]string{
		"wakeOnLan": "00:11:22:aa:bb:cc@" + l.LocalAddr().String(), "wake": "echo \"$NODE_NAME\" > '" + file + "'; echo rang"}}}
	if err := h.Check(n); err != nil || !h.Wakes(n) || h.Wakes(fleet.Node{}) {
		t.Fatalf("%v", err)
	}
	var log bytes.Buffer
	if err := h.Wake(t.Context(), n, &log); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 200)
	if err := l.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	size, _, err := l.ReadFrom(buf)
	want := append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat([]byte{0, 0x11, 0x22, 0xaa, 0xbb, 0xcc}, 16)...)
	if err != nil || !bytes.Equal(buf[:size], want) {
		t.Errorf("%x, %v", buf[:size], err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "lab 1\n" || !strings.Contains(log.String(), "rang\n") {
		t.Errorf("%q, %v\n%s", b, err, &log)
	}
	n.Launcher.Config = map[string]string{"wake": "exit 3"}
	if err := h.Wake(t.Context(), n, &log); err == nil || err.Error() != "exit 3" {
		t.Errorf("%v", err)
	}
	for key, value := range map[string]string{"wake": " ", "wakeOnLan": "lab"} {
		n.Launcher.Config = map[string]string{key: value}
		if err := h.Check(n); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

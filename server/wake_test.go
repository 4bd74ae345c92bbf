package server_test

import (
	"net"
	"testing"
	"time"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/server/servertest"
)

// S1-34: a build that waits for a machine whose agent dials has the machine woken.
func TestABuildWakesAMachine(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := servertest.New(t)
	labels, config := []string{"lab"}, map[string]string{"wakeOnLan": "00:11:22:aa:bb:cc@" + l.LocalAddr().String()}
	if _, err := f.Client.CreateNode(f.Context(), api.NodeCreate{Name: "box", Labels: &labels, LauncherConfig: &config}); err != nil {
		t.Fatal(err)
	}
	f.Job("app", "node('lab') { echo 'hi' }")
	f.Build("app")
	if err := l.SetReadDeadline(time.Now().Add(servertest.Patience)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := l.ReadFrom(make([]byte, 200)); err != nil || n != 102 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

package inbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/hook"
)

// Settings of a node's LauncherSpec.Config. Both say how its machine is woken when work waits for it.
const (
	wakeCommand = "wake"      // command line that is run on the controller, with NODE_NAME
	wakeOnLAN   = "wakeOnLan" // the machine's MAC address, behind which @HOST:PORT may say where the packet goes; default @255.255.255.255:9
)

var (
	_ fleet.Waker   = (*Hub)(nil)
	_ fleet.Checker = (*Hub)(nil)
)

// Check says what is wrong with a node's settings. fault.Invalid.
func (h *Hub) Check(n fleet.Node) error {
	for _, key := range slices.Sorted(maps.Keys(n.Launcher.Config)) {
		value := n.Launcher.Config[key]
		switch key {
		case wakeCommand:
			if strings.TrimSpace(value) == "" || strings.ContainsRune(value, 0) {
				return fault.New(fault.Invalid, "node %s: launcher.config.wake: expected a command", n.Name)
			}
		case wakeOnLAN:
			if _, _, err := lan(value); err != nil {
				return fault.New(fault.Invalid, "node %s: launcher.config.wakeOnLan: %w", n.Name, err)
			}
		}
	}
	return nil
}

// Wakes implements fleet.Waker.
func (h *Hub) Wakes(n fleet.Node) bool {
	return n.Launcher.Config[wakeCommand] != "" || n.Launcher.Config[wakeOnLAN] != ""
}

// Wake implements fleet.Waker.
func (h *Hub) Wake(ctx context.Context, n fleet.Node, log io.Writer) error {
	if address := n.Launcher.Config[wakeOnLAN]; address != "" {
		if err := magic(ctx, address, log); err != nil {
			return err
		}
	}
	command := n.Launcher.Config[wakeCommand]
	if command == "" {
		return nil
	}
	fmt.Fprintf(log, "On the controller: %s\n", command)
	return hook.Hook{Command: command, Env: []string{"NODE_NAME=" + string(n.Name)}, Output: log}.Run(ctx)
}

// lan takes a setting apart: whose machine, and where its packet goes.
func lan(text string) (mac net.HardwareAddr, to string, err error) {
	text, to, _ = strings.Cut(text, "@")
	mac, err = net.ParseMAC(strings.TrimSpace(text))
	if err != nil || len(mac) != 6 {
		return nil, "", fmt.Errorf("%q: expected a MAC address such as 00:11:22:33:44:55, perhaps with @10.0.0.255:9", text)
	}
	if to == "" {
		to = "255.255.255.255:9"
	}
	if _, _, err := net.SplitHostPort(to); err != nil {
		return nil, "", fmt.Errorf("@%s: expected HOST:PORT", to)
	}
	return mac, to, nil
}

// magic sends the packet that wakes a machine: six bytes of ones, and its address sixteen times.
func magic(ctx context.Context, text string, log io.Writer) error {
	mac, to, err := lan(text)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", to) // Go allows broadcasts on every socket
	if err != nil {
		return fault.With(fault.Unavailable, err)
	}
	defer conn.Close()
	packet := append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(mac, 16)...)
	if _, err := conn.Write(packet); err != nil {
		return fault.With(fault.Unavailable, err)
	}
	fmt.Fprintf(log, "Sent the packet that wakes %s to %s\n", mac, to)
	return nil
}

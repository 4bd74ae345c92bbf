package text_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/text"
	"github.com/outwork-build/outwork/wire/wiretest"
)

// terminal opens a pseudo-terminal with the modes that a login finds, changed by mode.
func terminal(t testing.TB, mode func(*unix.Termios)) (master, tty *os.File) {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); tty.Close() })
	raw, err := tty.SyscallConn() // Fd would make the file block
	if err != nil {
		t.Fatal(err)
	}
	var modeErr error
	err = raw.Control(func(fd uintptr) {
		var m *unix.Termios
		if m, modeErr = unix.IoctlGetTermios(int(fd), unix.TCGETS); modeErr == nil {
			mode(m)
			modeErr = unix.IoctlSetTermios(int(fd), unix.TCSETS, m)
		}
	})
	if err != nil || modeErr != nil {
		t.Fatal(err, modeErr)
	}
	return master, tty
}

func rawMode(m *unix.Termios) {
	m.Iflag &^= unix.ICRNL | unix.IXON | unix.ISTRIP
	m.Oflag &^= unix.OPOST
	m.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG | unix.IEXTEN
}

// cooked is the mode of a line that a person types on, without the echo.
func cooked(m *unix.Termios) {
	m.Iflag |= unix.ICRNL | unix.IXON | unix.ISTRIP
	m.Oflag |= unix.OPOST | unix.ONLCR
	m.Lflag |= unix.ICANON | unix.ISIG | unix.IEXTEN
	m.Lflag &^= unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHONL
}

// onlcr changes line ends on the way out only.
func onlcr(m *unix.Termios) {
	rawMode(m)
	m.Oflag |= unix.OPOST | unix.ONLCR
	m.Iflag |= unix.INLCR
}

// A real terminal line, raw and in line mode with changed line ends. S1-108
func TestTerminal(t *testing.T) {
	for name, mode := range map[string]func(*unix.Termios){"raw": rawMode, "cooked": cooked, "onlcr inlcr": onlcr} {
		t.Run(name, func(t *testing.T) {
			master, tty := terminal(t, mode)
			near, far := dialled(t, master, tty)
			crosses(t, near, far)
		})
	}
}

func TestTerminalPassesTheSuite(t *testing.T) {
	wiretest.Run(t, func(t testing.TB) (wire.Link, wire.Link) {
		master, tty := terminal(t, cooked)
		return dialled(t, master, tty)
	})
}

// A terminal that echoes is found out. S1-108
func TestTerminalEchoes(t *testing.T) {
	master, tty := terminal(t, func(m *unix.Termios) { cooked(m); m.Lflag |= unix.ECHO })
	near, _ := dialled(t, master, tty)
	_, err := wire.Handshake(t.Context(), near, wire.Hello{})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "echoes") {
		t.Errorf("%v", err)
	}
}

// A login on a terminal: a shell that prints, and then the agent, as a program of its own.
func TestProgramOnATerminal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command("sh", "-c", `stty -echo; echo 'Last login: never'; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+l.Addr().String())
	master, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	joined(t, l, master, cmd)
}

// joined crosses a channel whose far end is a relay that dials l. cmd, if not nil, ends with the channel.
func joined(t *testing.T, l net.Listener, channel io.ReadWriteCloser, cmd *exec.Cmd) {
	t.Helper()
	if cmd != nil {
		ended := make(chan struct{})
		go func() { cmd.Wait(); close(ended) }()
		t.Cleanup(func() {
			kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
			defer kill.Stop()
			<-ended
		})
	}
	var log strings.Builder
	near, err := text.Await(t.Context(), channel, "the agent", &log)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	crosses(t, near, bare{far})
	if !strings.Contains(log.String(), "Last login: never") {
		t.Errorf("the log: %q", log.String())
	}
}

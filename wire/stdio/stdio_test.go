package stdio_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/stdio"
	"github.com/outwork-build/outwork/wire/wiretest"
)

// roleEnv makes the test binary the child of a test.
const roleEnv = "STDIO_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		goleak.VerifyTestMain(m)
	case "relay":
		relay()
	}
}

// relay joins the process' own stdio with two other pipes, so that a test holds both ends of a link that ends in a real child.
func relay() {
	l := stdio.Own()
	in, out := os.NewFile(3, "in"), os.NewFile(4, "out")
	ended := make(chan struct{}, 2)
	go func() { io.Copy(l, in); ended <- struct{}{} }()
	go func() { io.Copy(out, l); ended <- struct{}{} }()
	<-ended
	l.Close()
}

func pipes(t testing.TB) (near, far wire.Link) {
	a, b := pipe(t)
	c, d := pipe(t)
	near, far = stdio.New(a, d, "far"), stdio.New(c, b, "near")
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func pipe(t testing.TB) (*os.File, *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func TestPipes(t *testing.T) { wiretest.Run(t, pipes) }

func BenchmarkPipes(b *testing.B) { wiretest.Benchmark(b, pipes) }

func child(t testing.TB) (near, far wire.Link) {
	a, b := pipe(t)
	c, d := pipe(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=relay")
	cmd.ExtraFiles = []*os.File{a, d}
	cmd.Stderr = os.Stderr
	near, err := stdio.Start(cmd, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	d.Close()
	far = stdio.New(c, b, "relay")
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestChild(t *testing.T) { wiretest.Run(t, child) }

func BenchmarkChild(b *testing.B) { wiretest.Benchmark(b, child) }

func TestChildDies(t *testing.T) {
	var log bytes.Buffer
	cmd := exec.Command("sh", "-c", "echo out; echo err >&2; exit 3")
	cmd.Stderr = &log
	l, err := stdio.Start(cmd, 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(l)
	if string(out) != "out\n" || err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("read %q, %v", out, err)
	}
	l.Close()
	if log.String() != "err\n" {
		t.Errorf("log %q", log.String())
	}
}

// A grandchild that holds the pipes must hold up neither the end of the link nor Close.
func TestGrandchildHoldsThePipes(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & echo $!; exit 0")
	cmd.Stderr = &bytes.Buffer{}
	l, err := stdio.Start(cmd, 0)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	out, err := io.ReadAll(l)
	defer exec.Command("kill", strings.TrimSpace(string(out))).Run()
	if err != nil || len(out) == 0 {
		t.Errorf("read %q, %v", out, err)
	}
	l.Close()
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestCloseKillsAStubbornChild(t *testing.T) {
	cmd := exec.Command("sh", "-c", "trap '' TERM; echo ready; exec sleep 60")
	l, err := stdio.Start(cmd, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(l, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if cmd.ProcessState == nil || cmd.ProcessState.Success() {
		t.Errorf("state %v: expected a killed process", cmd.ProcessState)
	}
}

func TestStartNothing(t *testing.T) {
	if _, err := stdio.Start(exec.Command("/nonexistent/program"), 0); err == nil {
		t.Error("started")
	}
}

// What is not an agent says why it is none.
func TestNoAgent(t *testing.T) {
	l, err := stdio.Start(exec.Command("sh", "-c", "echo 'motd: welcome'; echo 'outwork: not found'; exit 127"), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wire.Handshake(t.Context(), l, wire.Hello{})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "127") {
		t.Errorf("handshake: %v", err)
	}
}

func TestBannerBeforeGreeting(t *testing.T) {
	near, far := pipes(t)
	go func() {
		io.WriteString(far, strings.Repeat("Welcome to OUTWORK-LINK\n", 100))
		wire.Handshake(t.Context(), far, wire.Hello{Name: "far"})
	}()
	g, err := wire.Handshake(t.Context(), near, wire.Hello{Name: "near"})
	if err != nil || g.Peer.Name != "far" {
		t.Errorf("%+v, %v", g, err)
	}
}

package shim

import (
	"bufio"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

func TestMain(m *testing.M) {
	Main()
	if path := os.Getenv("KEEP_FLEETING"); path != "" {
		f, err := makeFleeting(path)
		if err != nil {
			os.Exit(1)
		}
		_, _ = f.WriteString("here")
		_, _ = os.Stdout.WriteString("up\n")
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// aShim starts one and returns its process and the name of its file.
func aShim(t *testing.T) (*os.Process, string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "shim")
	proc, err := Spawn([]string{exe}, path, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proc.Kill()
		_, _ = proc.Wait()
	})
	return proc, path
}

func contactOf(t *testing.T, path string) (c contact) {
	t.Helper()
	f, err := OpenShared(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := json.NewDecoder(f).Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// hello reads a shim's greeting.
func hello(t *testing.T, conn net.Conn) {
	t.Helper()
	defer conn.Close()
	if m, err := Read(conn); err != nil || m.Kind != KindHello {
		t.Errorf("%+v, %v", m, err)
	}
}

// A shim listens to nobody who cannot read its file, and those who cannot do not keep it from those who can.
func TestTheGateLetsOnlyTheOwnerIn(t *testing.T) {
	_, path := aShim(t)
	c := contactOf(t, path)
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(first, Message{Kind: KindLease, Lease: "l", Folder: t.TempDir()}); err != nil { // without one it leaves with its agent
		t.Fatal(err)
	}
	hello(t, first)
	for range maxPending / 2 {
		silent, err := net.Dial("tcp", c.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	plain, err := net.Dial("tcp", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := Write(plain, Message{Kind: KindQuit}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(plain); err == nil && strings.Contains(string(got), KindHello) {
		t.Errorf("a shim told someone without the key %q", got)
	}
	if conn, err := enter(c.Addr, other); err == nil {
		t.Error("a shim proved to hold a key that it has not")
		_ = conn.Close()
	}
	// The same without minding what the shim proves.
	conf, err := holding(other)
	if err != nil {
		t.Fatal(err)
	}
	conf.VerifyConnection = nil
	conn, err := tls.Dial("tcp", c.Addr, conf)
	if err == nil {
		_ = Write(conn, Message{Kind: KindQuit})
		if m, err := Read(conn); err == nil {
			t.Errorf("a shim told one with another key %+v", m)
		}
		_ = conn.Close()
	}
	second, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, second)
}

// Whoever takes the port of a shim that is gone is not taken for it, and is not told anything.
func TestAnImpostorIsNoShim(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = Write(conn, Message{Kind: KindHello, Proto: Proto})
		got, _ := io.ReadAll(conn)
		heard <- string(got)
	}()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(contact{l.Addr().String(), key.Seed()})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "shim")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := Dial(path)
	if err == nil {
		_ = conn.Close()
		t.Fatal("an impostor was taken for the shim")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, windows.WSAECONNREFUSED) {
		t.Errorf("%v: says that the shim is gone, which nobody knows", err)
	}
	if got := <-heard; strings.Contains(got, string(key.Seed())) {
		t.Error("the impostor was told the key")
	}
}

// The file that leads to a shim goes with it, however it ends, and is nobody else's.
func TestTheContactGoesWithTheShim(t *testing.T) {
	proc, path := aShim(t)
	conn, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(conn, Message{Kind: KindLease, Lease: "l", Folder: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	hello(t, conn)
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	for entry := range strings.SplitSeq(sd.String(), "(") {
		if who := strings.TrimSuffix(entry[strings.LastIndex(entry, ";")+1:], ")"); strings.Contains(entry, ";") && who != "SY" && who != "BA" && who != user.User.Sid.String() {
			t.Errorf("%s may reach the shim: %s", who, sd)
		}
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = proc.Wait()
	if _, err := Dial(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the shim was killed, and is said to be there: %v", err)
	}
}

func TestAFleetingFileIsGoneWithItsProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fleeting")
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "KEEP_FLEETING="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatal(line, err)
	}
	f, err := OpenShared(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "here" {
		t.Errorf("%q, %v", got, err)
	}
	_ = f.Close()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its process: %v", err)
	}
}

// A step's end takes what is in its pipe, although others hold the pipe, and does not wait for them.
func TestAPumpThatOthersHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f, err := MakeStepFile(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := newSpool(path, OutputStart, 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	p, w, err := newPump(s)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for n := range 200 {
		text := strings.Repeat("x", n)
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
		want += n
		p.finish()
		if got := s.length(); got != int64(want) {
			t.Fatalf("%d bytes are in the spool, %d were written", got, want)
		}
	}
	if p.over() {
		t.Error("the pump has ended, and the pipe is open")
	}
	_ = w.Close()
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Error("the pump has not ended, and nobody holds the pipe")
	}
}

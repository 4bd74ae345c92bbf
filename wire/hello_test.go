package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// piped has no buffer at all: each write waits for its reader.
type piped struct {
	net.Conn
	noise int
}

func (piped) Peer() string { return "pipe" }
func (p piped) Noise() int { return p.noise }

func TestHandshake(t *testing.T) {
	cases := []struct {
		name      string
		near, far Hello
		agreed    int
		advice    [2]string // in the near and the far error
	}{
		{name: "same", near: Hello{}, far: Hello{}, agreed: Protocol},
		{name: "near newer by one", near: Hello{Protocol: 5, MinProtocol: 4}, far: Hello{Protocol: 4, MinProtocol: 3}, agreed: 4},
		{name: "far newer by one", near: Hello{Protocol: 4, MinProtocol: 3}, far: Hello{Protocol: 5, MinProtocol: 4}, agreed: 4},
		{name: "near newer by two", near: Hello{Protocol: 6, MinProtocol: 5}, far: Hello{Protocol: 4, MinProtocol: 3},
			advice: [2]string{"upgrade the peer", "upgrade this side"}},
		{name: "far newer by two", near: Hello{Protocol: 4, MinProtocol: 3}, far: Hello{Protocol: 6, MinProtocol: 5},
			advice: [2]string{"upgrade this side", "upgrade the peer"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.near.Version, c.far.Version = "1.0", "2.0"
			a, b := net.Pipe()
			type outcome struct {
				g   Greeting
				err error
			}
			far := make(chan outcome)
			go func() {
				g, err := Handshake(t.Context(), piped{Conn: b}, c.far)
				far <- outcome{g, err}
			}()
			g, err := Handshake(t.Context(), piped{Conn: a}, c.near)
			near := outcome{g, err}
			for i, o := range []outcome{near, <-far} {
				if c.agreed != 0 {
					if o.err != nil || o.g.Protocol != c.agreed {
						t.Errorf("side %d: protocol %d, %v; want %d", i, o.g.Protocol, o.err, c.agreed)
					}
					continue
				}
				if !fault.Is(o.err, fault.Incompatible) {
					t.Fatalf("side %d: %v (%v)", i, o.err, fault.Of(o.err))
				}
				for _, want := range []string{"1.0", "2.0", c.advice[i]} {
					if !strings.Contains(o.err.Error(), want) {
						t.Errorf("side %d: %q does not say %q", i, o.err, want)
					}
				}
			}
		})
	}
}

func TestHandshakeEndsWithContext(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		io.ReadFull(b, make([]byte, 10)) // part of the greeting, then silence
		cancel(why)
	}()
	_, err := Handshake(ctx, piped{Conn: a}, Hello{})
	if !fault.Is(err, fault.Unavailable) || !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("the link is open still")
	}
}

func TestReadHello(t *testing.T) {
	good, err := encodeHello(Hello{Protocol: 3, MinProtocol: 2, Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, in string
		noise    int
		kind     fault.Kind
		says     string // "" is success
	}{
		{name: "plain", in: string(good)},
		{name: "after noise", in: "motd\r\nOUTWORK" + string(good), noise: 100},
		{name: "noise where none is expected", in: "motd\n" + string(good), kind: fault.Incompatible, says: `it said "m"`},
		{name: "too much noise", in: strings.Repeat("x", 200) + string(good), noise: 100, kind: fault.Incompatible, says: "xxx"},
		{name: "nothing", in: "", kind: fault.Unavailable, says: "no greeting"},
		{name: "only noise", in: "bash: outwork: command not found\n", noise: 100, kind: fault.Unavailable, says: "command not found"},
		{name: "cut within", in: string(good[:20]), kind: fault.Unavailable, says: "within its greeting"},
		{name: "an HTTP server", in: "HTTP/1.1 400 Bad Request\r\n", kind: fault.Incompatible, says: "does not greet"},
		{name: "endless", in: magic + strings.Repeat("x", maxHello+1), kind: fault.Incompatible, says: "longer than"},
		{name: "no JSON", in: magic + "hello\n", kind: fault.Incompatible, says: `"hello"`},
		{name: "no protocol", in: magic + "{}\n", kind: fault.Incompatible, says: "protocol 0"},
		{name: "window upside down", in: magic + `{"protocol":1,"minProtocol":2}` + "\n", kind: fault.Incompatible, says: "minProtocol 2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := strings.NewReader(c.in + "rest")
			if strings.HasPrefix(c.says, "within") || c.in == "" || c.name == "only noise" {
				r = strings.NewReader(c.in)
			}
			h, err := readHello(r, c.noise)
			if c.says != "" {
				if err == nil || !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("got %+v, %v (%v); want %v that says %q", h, err, fault.Of(err), c.kind, c.says)
				}
				return
			}
			if err != nil || h.Protocol != 3 || h.Name != "n" {
				t.Fatalf("got %+v, %v", h, err)
			}
			if rest, _ := io.ReadAll(r); string(rest) != "rest" {
				t.Errorf("took bytes past the greeting: left %q", rest)
			}
		})
	}
}

func TestEncodeHelloRefusesTooMuch(t *testing.T) {
	if _, err := encodeHello(Hello{Name: strings.Repeat("n", maxHello)}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

// FuzzReadHello: whatever comes, the decoder reads a bounded number of bytes, and what it accepts is within limits.
func FuzzReadHello(f *testing.F) {
	good, _ := encodeHello(Hello{Protocol: 1, MinProtocol: 1, Features: []string{"a"}})
	f.Add(good, 0)
	f.Add(append([]byte("Welcome\n"), good...), 64)
	f.Add([]byte(magic+"{\"protocol\":-1}\n"), 0)
	f.Add([]byte(strings.Repeat(magic, 3)), 10)
	f.Fuzz(func(t *testing.T, in []byte, noise int) {
		noise = max(0, min(noise, 1<<16))
		r := bytes.NewReader(in)
		h, err := readHello(r, noise)
		if used := len(in) - r.Len(); used > noise+len(magic)+maxHello {
			t.Fatalf("read %d bytes", used)
		}
		if err != nil {
			if k := fault.Of(err); k != fault.Unavailable && k != fault.Incompatible {
				t.Fatalf("kind %v: %v", k, err)
			}
			return
		}
		if h.MinProtocol < 1 || h.Protocol < h.MinProtocol {
			t.Fatalf("accepted %+v", h)
		}
		if _, err := agree(Hello{Protocol: Protocol, MinProtocol: MinProtocol}, h); err != nil && !fault.Is(err, fault.Incompatible) {
			t.Fatal(err)
		}
	})
}

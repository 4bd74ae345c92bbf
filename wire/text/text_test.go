package text_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/text"
	"github.com/outwork-build/outwork/wire/wiretest"
)

// dialled joins two channels by text framing.
func dialled(t testing.TB, controller, agent io.ReadWriteCloser) (near, far wire.Link) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	type opened struct {
		link wire.Link
		err  error
	}
	announced := make(chan opened, 1)
	go func() {
		l, err := text.Announce(ctx, agent, "the controller")
		announced <- opened{l, err}
	}()
	near, err := text.Await(ctx, controller, "the agent", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	o := <-announced
	if o.err != nil {
		t.Fatal(o.err)
	}
	t.Cleanup(func() { o.link.Close() })
	return near, o.link
}

// channel is a loopback connection.
func channel(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		near.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func plain(t testing.TB) (wire.Link, wire.Link) {
	near, far := channel(t)
	return dialled(t, near, far)
}

func TestLink(t *testing.T) { wiretest.Run(t, plain) }

func BenchmarkLink(b *testing.B) { wiretest.Benchmark(b, plain) }

// spoiled does to what is written what a channel may do.
type spoiled struct {
	net.Conn
	spoil func([]byte) []byte
}

func (s *spoiled) Write(p []byte) (int, error) {
	if _, err := s.Conn.Write(s.spoil(bytes.Clone(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func each(f func(b byte) []byte) func() func([]byte) []byte {
	return func() func([]byte) []byte {
		return func(p []byte) (out []byte) {
			for _, b := range p {
				out = append(out, f(b)...)
			}
			return out
		}
	}
}

// insert puts what make returns after every so many bytes.
func insert(every int, make func(r *rand.Rand) string) func() func([]byte) []byte {
	return func() func([]byte) []byte {
		n, r := 0, rand.New(rand.NewPCG(1, 2))
		return func(p []byte) (out []byte) {
			for _, b := range p {
				out = append(out, b)
				if n++; n%every == 0 {
					out = append(out, make(r)...)
				}
			}
			return out
		}
	}
}

// What a channel may do to the bytes on it. S1-108
var harms = map[string]func() func([]byte) []byte{
	"nothing":                   each(func(b byte) []byte { return []byte{b} }),
	"eighth bit stripped":       each(func(b byte) []byte { return []byte{b & 0x7f} }),
	"eighth bit set":            each(func(b byte) []byte { return []byte{b | 0x80} }),
	"LF becomes CR LF":          each(func(b byte) []byte { return bytes.ReplaceAll([]byte{b}, []byte("\n"), []byte("\r\n")) }),
	"LF becomes CR":             each(func(b byte) []byte { return bytes.ReplaceAll([]byte{b}, []byte("\n"), []byte("\r")) }),
	"LF becomes CR NUL":         each(func(b byte) []byte { return bytes.ReplaceAll([]byte{b}, []byte("\n"), []byte("\r\x00")) }),
	"line ends vanish":          each(func(b byte) []byte { return bytes.ReplaceAll([]byte{b}, []byte("\n"), nil) }),
	"lines wrapped":             insert(80, func(*rand.Rand) string { return "\r\n" }),
	"NUL after each byte":       insert(1, func(*rand.Rand) string { return "\x00" }),
	"flow control and bells":    insert(7, func(*rand.Rand) string { return "\x11\x13\x07\x08" }),
	"telnet commands":           insert(31, func(r *rand.Rand) string { return telnetCommands[r.IntN(len(telnetCommands))] }),
	"telnet, eighth bit passed": insert(1, func(*rand.Rand) string { return "\xff\xf1" }),
}

var telnetCommands = []string{
	"\xff\xfb\x01", "\xff\xfd\x03", "\xff\xfe\x41", "\xff\xfc\x3c", // WILL ECHO, DO SGA, DONT 'A', WONT '<'
	"\xff\xf1", "\xff\xf9", "\xff\xf6", // NOP, GA, AYT
	"\xff\xfa\x18\x00xterm<A>\xff\xf0",     // SB TTYPE IS … SE
	"\xff\xfa\x1f\x00\xff\xff\x28\xff\xf0", // SB NAWS with a doubled 255
	"\xff\xff",
}

func TestHarms(t *testing.T) {
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			near, far := channel(t)
			l, other := dialled(t, &spoiled{near, harm()}, &spoiled{far, harm()})
			crosses(t, l, other)
		})
	}
}

// All of it at once passes the suite of links.
func TestAllHarms(t *testing.T) {
	wiretest.Run(t, func(t testing.TB) (wire.Link, wire.Link) {
		near, far := channel(t)
		all := func() func([]byte) []byte {
			wrap, telnet, bits := harms["lines wrapped"](), harms["telnet commands"](), harms["LF becomes CR"]()
			return func(p []byte) []byte { return telnet(wrap(bits(p))) }
		}
		return dialled(t, &spoiled{near, all()}, &spoiled{far, all()})
	})
}

// crosses greets, sends bytes both ways at once, and closes.
func crosses(t testing.TB, near, far wire.Link) {
	t.Helper()
	const size = 300 << 10
	greeted := make(chan error, 1)
	go func() { _, err := wire.Handshake(t.Context(), far, wire.Hello{}); greeted <- err }()
	if _, err := wire.Handshake(t.Context(), near, wire.Hello{}); err != nil {
		t.Fatal(err)
	}
	if err := <-greeted; err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i, ends := range [][2]wire.Link{{near, far}, {far, near}} {
		sent := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(i)}).Read(sent)
		all.Go(func() {
			if _, err := ends[0].Write(sent); err != nil {
				t.Errorf("write: %v", err)
			}
		})
		all.Go(func() {
			got := make([]byte, size)
			if n, err := io.ReadFull(ends[1], got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("read %d bytes, %v; the same: %v", n, err, bytes.Equal(got, sent))
				ends[0].Close() // lets the writer go
			}
		})
	}
	all.Wait()
	ended := make(chan error, 1)
	go func() { _, err := far.Read(make([]byte, 1)); ended <- err }()
	near.Close()
	if err := <-ended; err != io.EOF {
		t.Errorf("after the peer's close: %v", err)
	}
}

// Only printable ASCII and line ends are sent, and short lines: no flow control, no escape of a terminal, a modem or telnet.
func TestWhatIsSent(t *testing.T) {
	near, far := channel(t)
	var sent bytes.Buffer
	spy := func(p []byte) []byte { sent.Write(p); return p }
	l, other := dialled(t, &spoiled{near, spy}, far)
	all := make([]byte, 1<<16)
	for i := range all {
		all[i] = byte(i)
	}
	go l.Write(all)
	if _, err := io.ReadFull(other, make([]byte, len(all))); err != nil {
		t.Fatal(err)
	}
	l.Close()
	for line := range bytes.Lines(sent.Bytes()) {
		if len(line) > 254 {
			t.Errorf("a line of %d characters", len(line))
		}
		if i := bytes.IndexFunc(bytes.TrimSuffix(line, []byte("\n")), func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("~+^", r) }); i >= 0 {
			t.Errorf("character %q was sent", line[i])
		}
	}
}

// The banner of a login goes before the preamble, and into the log.
func TestBanner(t *testing.T) {
	near, far := channel(t)
	var log bytes.Buffer
	done := make(chan error, 1)
	go func() {
		io.WriteString(far, "\xff\xfd\x18\r\nDebian GNU/Linux 12\r\nlogin: ci\r\n<h1>motd</h1> =OUTWORK-TEXT-1\r\n$ ")
		_, err := text.Announce(t.Context(), far, "the controller")
		done <- err
	}()
	l, err := text.Await(t.Context(), near, "the agent", &log)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "Debian GNU/Linux 12\nlogin: ci") || strings.Contains(got, "OUTWORK-TEXT-1-AGENT") {
		t.Errorf("the log: %q", got)
	}
	far.Close()
}

// A message that somebody sends to all terminals between two lines is no data.
func TestMessageBetweenLines(t *testing.T) {
	near, far := channel(t)
	l, other := dialled(t, near, far)
	if _, err := io.WriteString(near, "\r\nBroadcast message from root@host (pts/0): going down\r\n=OUTWORK-TEXT-1-CONTROLLER=\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(other, got); err != nil || string(got) != "data" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDamage(t *testing.T) {
	cases := map[string]struct {
		spoil func(n int, p []byte) []byte // the nth write; 1 is the preamble
		says  string
	}{
		"a character changed":  {func(n int, p []byte) []byte { p[4] = "AB"[p[4]&1]; return p }, "checksum is wrong"},
		"a character lost":     {func(n int, p []byte) []byte { return append(p[:5], p[6:]...) }, "line 1 was damaged"},
		"a character inserted": {func(n int, p []byte) []byte { return append([]byte("<A"), p[1:]...) }, "line 1 was damaged"},
		"a line lost":          {func(n int, p []byte) []byte { return nil }, "line 2 came in its place"},
		"an end lost":          {func(n int, p []byte) []byte { return p[:len(p)-2] }, "cut off by the next"},
		"a line twice":         {func(n int, p []byte) []byte { return append(p, p...) }, "line 1 came in its place"},
		"case changed":         {func(n int, p []byte) []byte { return bytes.ToUpper(p) }, "damaged"},
		"nonsense":             {func(n int, p []byte) []byte { return []byte("<!>") }, "not base64"},
		"an endless line":      {func(n int, p []byte) []byte { return append([]byte("<"), bytes.Repeat([]byte("A"), 300)...) }, "longer than one can be"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			near, far := channel(t)
			n := 0
			l, other := dialled(t, &spoiled{near, func(p []byte) []byte {
				if n++; n == 3 { // 1 is the preamble, 2 the first line
					return c.spoil(n, p)
				}
				return p
			}}, far)
			for _, s := range []string{"first", "second", "third"} {
				if _, err := l.Write([]byte(s)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(other)
			if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: expected fault.Unavailable and %q", err, c.says)
			}
			if want := "firstsecond"; !strings.HasPrefix(want, string(got)) {
				t.Errorf("read %q", got)
			}
		})
	}
}

// A channel that is cut is no end in good order.
func TestCut(t *testing.T) {
	near, far := channel(t)
	_, other := dialled(t, near, far)
	near.Close()
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// A channel that echoes gives a side its own lines back. S1-108
func TestEcho(t *testing.T) {
	near, far := channel(t)
	go func() { // an echo that begins after the agent has announced itself
		io.WriteString(far, "=OUTWORK-TEXT-1-AGENT=\r\n")
		io.Copy(far, far)
	}()
	l, err := text.Await(t.Context(), near, "the agent", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = wire.Handshake(t.Context(), l, wire.Hello{})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "echoes") {
		t.Errorf("%v", err)
	}
	mute, mirror := channel(t)
	go io.Copy(mirror, mirror)
	if _, err := text.Announce(t.Context(), mute, "the controller"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "echoes") {
		t.Errorf("%v", err)
	}
}

func TestNoPeer(t *testing.T) {
	cases := map[string]struct {
		peer func(net.Conn)
		kind fault.Kind
		says string
	}{
		"not found":      {func(c net.Conn) { io.WriteString(c, "sh: outwork: not found\r\n"); c.Close() }, fault.Unavailable, "outwork: not found"},
		"a talker":       {func(c net.Conn) { io.CopyN(c, rand.NewChaCha8([32]byte{}), 1<<20); c.Close() }, fault.Incompatible, "does not speak as outwork does"},
		"without --text": {func(c net.Conn) { wire.Handshake(context.Background(), bare{c}, wire.Hello{}) }, fault.Invalid, "--stdio --text"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			near, far := channel(t)
			ended := make(chan struct{})
			go func() { c.peer(far); close(ended) }()
			_, err := text.Await(t.Context(), near, "the agent", nil)
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: expected %v and %q", err, c.kind, c.says)
			}
			<-ended
		})
	}
}

type bare struct{ net.Conn }

func (bare) Peer() string { return "peer" }

func TestContextEndsTheAttempt(t *testing.T) {
	near, _ := channel(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := text.Await(ctx, near, "the agent", nil); !fault.Is(err, fault.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestMain(m *testing.M) {
	if !relay() {
		goleak.VerifyTestMain(m)
	}
}

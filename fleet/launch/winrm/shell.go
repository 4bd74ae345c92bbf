package winrm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	wsman "github.com/masterzen/winrm"
	"github.com/masterzen/winrm/soap"

	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// shell is one on the machine. Commands run in it one after the other, each by cmd.exe.
type shell struct {
	c  *client
	id string
}

// result is what a command left.
type result struct {
	out  string
	err  string
	code int
}

// said is all it wrote, on one line.
func (r result) said() string { return strings.Join(strings.Fields(r.out+" "+r.err), " ") }

// farewell is how long a machine may take to hear that it can forget something. It would do so by itself after some hours.
const farewell = 5 * time.Second

// maxOutput bounds what is kept of a command's output, in bytes.
const maxOutput = 1 << 20

func (c *client) open(ctx context.Context) (*shell, error) {
	answer, err := c.post(ctx, wsman.NewOpenShellRequest(c.url, c.params).String())
	if err != nil {
		return nil, err
	}
	id, err := wsman.ParseOpenShellResponse(answer)
	if err == nil && id == "" {
		err = errors.New("no ShellId")
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "open a shell on %s: %w", c.s.address(), err)
	}
	return &shell{c, id}, nil
}

// close lets the machine forget the shell.
func (sh *shell) close() {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_, _ = sh.c.post(ctx, wsman.NewDeleteShellRequest(sh.c.url, sh.id, sh.c.params).String())
	sh.c.close()
}

// run runs a command line by cmd.exe and gives it what stdin has, if that is not nil. A command that ctx ends is ended on the machine.
func (sh *shell) run(ctx context.Context, line string, stdin io.Reader) (result, error) {
	answer, err := sh.c.post(ctx, sh.command(line, stdin != nil))
	if err != nil {
		return result{}, err
	}
	id, err := wsman.ParseExecuteCommandResponse(answer)
	if err == nil && id == "" {
		err = errors.New("no CommandId")
	}
	if err != nil {
		return result{}, fault.New(fault.Unavailable, "run a command on %s: %w", sh.c.s.address(), err)
	}
	defer sh.end(ctx, id)
	if stdin != nil {
		if err := sh.feed(ctx, id, stdin); err != nil {
			return result{}, err
		}
	}
	return sh.follow(ctx, id)
}

// command is the library's message but for WINRS_CONSOLEMODE_STDIN: a command that reads gets a pipe.
func (sh *shell) command(line string, reads bool) string {
	console := "TRUE"
	if reads {
		console = "FALSE"
	}
	m := soap.NewMessage()
	m.Header().To(sh.c.url).ReplyTo("http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous").
		MaxEnvelopeSize(sh.c.params.EnvelopeSize).Id(messageID()).Locale(sh.c.params.Locale).Timeout(sh.c.params.Timeout).
		Action("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command").
		ResourceURI("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd").ShellId(sh.id).
		AddOption(soap.NewHeaderOption("WINRS_CONSOLEMODE_STDIN", console)).
		AddOption(soap.NewHeaderOption("WINRS_SKIP_CMD_SHELL", "FALSE")).Build()
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(line)) // a Builder takes everything
	m.CreateElement(m.CreateBodyElement("CommandLine", soap.DOM_NS_WIN_SHELL), "Command", soap.DOM_NS_WIN_SHELL).SetContent(escaped.String())
	return m.String()
}

func messageID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// chunk is how much input one message carries beside its envelope, before base64.
const chunk = (envelope - 8<<10) / 4 * 3

func (sh *shell) feed(ctx context.Context, id string, stdin io.Reader) error {
	buf := make([]byte, chunk)
	for {
		n, err := io.ReadFull(stdin, buf)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return err
		}
		if _, err := sh.c.post(ctx, wsman.NewSendInputRequest(sh.c.url, sh.id, id, buf[:n], end, sh.c.params).String()); err != nil {
			return err
		}
		if end {
			return nil
		}
	}
}

// follow reads the output to the command's end.
func (sh *shell) follow(ctx context.Context, id string) (result, error) {
	var out, errs bytes.Buffer
	for {
		answer, err := sh.c.post(ctx, wsman.NewGetOutputRequest(sh.c.url, sh.id, id, "stdout stderr", sh.c.params).String())
		if f := (*soapFault)(nil); errors.As(err, &f) && f.quiet() {
			continue // it runs, and has said nothing
		}
		if err != nil {
			return result{}, err
		}
		ended, code, err := wsman.ParseSlurpOutputErrResponse(answer, &limited{&out}, &limited{&errs})
		if err != nil {
			return result{}, fault.New(fault.Unavailable, "output of a command on %s: %w", sh.c.s.address(), err)
		}
		if ended {
			return result{out.String(), errs.String(), code}, nil
		}
	}
}

// end lets go of a command, or ends it.
func (sh *shell) end(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_, _ = sh.c.post(ctx, wsman.NewSignalRequest(sh.c.url, sh.id, id, sh.c.params).String())
}

// limited keeps the beginning.
type limited struct{ *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), max(0, maxOutput-l.Len()))])
	return len(p), nil
}

// soapFault is how WS-Management says that something went wrong.
type soapFault struct {
	code int64  // of Windows; 0 when there is none
	text string // for people
}

func (f *soapFault) Error() string { return f.text }

// quiet says that a request for output was kept open for long enough.
func (f *soapFault) quiet() bool {
	return f.code == 2150858793 || strings.Contains(f.text, "OperationTimeout")
}

// faultOf reads a fault.
func faultOf(answer string, status int) error {
	var e struct {
		Text  string `xml:"Body>Fault>Reason>Text"`
		Fault struct {
			Code    int64  `xml:"Code,attr"`
			Message string `xml:"Message"`
		} `xml:"Body>Fault>Detail>WSManFault"`
	}
	f := &soapFault{}
	if err := xml.Unmarshal([]byte(answer), &e); err == nil {
		f.code, f.text = e.Fault.Code, strings.Join(strings.Fields(e.Text), " ")
		if m := strings.Join(strings.Fields(e.Fault.Message), " "); m != "" {
			f.text = m
		}
	}
	if f.text == "" {
		f.text = fmt.Sprintf("answer %d without a reason", status)
	}
	switch {
	case f.code == 5:
		return kit.Trouble(fault.Denied, "make the user a member of the machine's Administrators; a local one needs LocalAccountTokenFilterPolicy too", "%w", f)
	case strings.Contains(f.text, "concurrent"): // shells, users or operations
		return kit.Trouble(fault.Exhausted, "see `winrm get winrm/config/winrs` on the machine", "%w", f)
	}
	return fault.With(fault.Unavailable, f)
}

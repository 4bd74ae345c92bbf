package winrm

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/internal/fault"
)

// lock leaves a folder to administrators and the system. Others could put their own programs there for the service to run.
const lock = ` /inheritance:r /grant:r "*S-1-5-18:(OI)(CI)F" "*S-1-5-32-544:(OI)(CI)F"`

// bring sees to it that the agent's program is on the machine and returns where: at its place, or beside it when it is new.
func (m *machine) bring(ctx context.Context, b dist.Binary) (string, error) {
	m.place.verb = b.Verb
	have, err := m.hash(ctx, m.place.exe)
	if err != nil {
		return "", err
	}
	if have == b.SHA256 {
		m.log.Printf("The agent's program there is current (SHA-256 %s)", b.SHA256)
		return m.place.exe, nil
	}
	if err := m.room(ctx, b); err != nil {
		return "", err
	}
	if have == "" {
		if err := m.folders(ctx); err != nil {
			return "", err
		}
	}
	program := m.place.root + `\bin\outwork-agent-` + b.SHA256[:12] + `.new.exe`
	ctx, cancel := context.WithTimeoutCause(ctx, m.s.transfer, fault.New(fault.Unavailable, "the agent's program was not there within %v", m.s.transfer))
	defer cancel()
	if ok, err := m.fetch(ctx, b, program); ok || err != nil {
		return program, err
	}
	return program, m.upload(ctx, b, program)
}

// room refuses early what cannot end well.
func (m *machine) room(ctx context.Context, b dist.Binary) error {
	need := 2 * b.Size // the program that is there stays until the new one has been checked
	if m.s.upload {
		need += b.Size // and its text, for a while
	}
	free, err := m.free(ctx)
	if err == nil && free >= 0 && free < need {
		return m.full("%s free on drive %s: the agent needs %s", size(free), m.place.root[:2], size(need))
	}
	return err
}

// folders makes the agent's. A folder that is there keeps its permissions.
func (m *machine) folders(ctx context.Context) error {
	dirs := []string{m.place.top}
	if m.place.root != m.place.top {
		dirs = append(dirs, m.place.root)
	}
	for _, d := range dirs {
		line := "if not exist " + quote(d) + " (mkdir " + quote(d) + "&&icacls " + quote(d) + lock
		if m.s.runAs != "" {
			line += " " + quote(m.s.runAs+":(OI)(CI)M")
		}
		if err := m.must(ctx, "make "+d, line+")"); err != nil {
			return err
		}
	}
	bin := m.place.root + `\bin`
	return m.must(ctx, "make "+bin, "if not exist "+quote(bin)+" mkdir "+quote(bin))
}

// fetch has the machine get the program from the controller, whose word is not needed: what came is compared with the digest that is
// known here. It reports false when it must be copied.
func (m *machine) fetch(ctx context.Context, b dist.Binary, to string) (bool, error) {
	if m.s.upload {
		return false, nil
	}
	from := m.s.url + "/agent/windows/" + b.Arch
	m.log.Printf("The machine fetches the agent's program, %s, from %s", size(b.Size), from)
	for _, line := range []string{
		"curl -fsSk --connect-timeout 20 -o " + quote(to) + " " + quote(from),
		power("[Net.ServicePointManager]::SecurityProtocol='Tls12'; (New-Object Net.WebClient).DownloadFile(" + single(from) + "," + single(to) + ")"),
	} {
		start := time.Now()
		r, err := m.within(ctx, m.s.transfer, line, nil)
		if err != nil {
			return false, err
		}
		if r.code == 23 { // curl: it cannot write
			if err := m.room(ctx, b); err != nil {
				return false, err
			}
		}
		if r.code != 0 {
			continue
		}
		got, err := m.hash(ctx, to)
		if err != nil {
			return false, err
		}
		if got == b.SHA256 {
			m.log.Printf("It is there after %v", time.Since(start).Round(time.Millisecond))
			return true, nil
		}
		m.log.Printf("What came has SHA-256 %q, expected %s: it is not taken", got, b.SHA256)
	}
	m.log.Printf("It cannot fetch it")
	return false, nil
}

// upload copies the program over WinRM: as text through the stdin of a command, from which certutil makes the file.
func (m *machine) upload(ctx context.Context, b dist.Binary, to string) error {
	f, err := os.Open(b.Path)
	if err != nil {
		return fault.New(fault.Internal, "agent for windows/%s: %w", b.Arch, err)
	}
	defer f.Close()
	start, text := time.Now(), to+".b64"
	m.log.Printf("Copying the agent's program, %s, over WinRM", size(b.Size))
	r, err := m.within(ctx, m.s.transfer, `findstr "^" >`+quote(text), &lines{from: f, told: time.Now(), tell: func(n int64) {
		m.log.Printf("Copied %s of %s", size(n), size(b.Size))
	}})
	if err == nil && r.code != 0 {
		err = m.explain(r)
	}
	if err != nil {
		return fmt.Errorf("copy the agent: %w", err)
	}
	got := ""
	for _, line := range []string{
		"certutil -f -decode " + quote(text) + " " + quote(to),
		power("[IO.File]::WriteAllBytes(" + single(to) + ",[Convert]::FromBase64String([IO.File]::ReadAllText(" + single(text) + ")))"),
	} {
		if r, err = m.within(ctx, m.s.transfer, line, nil); err != nil {
			return fmt.Errorf("copy the agent: %w", err)
		}
		if r.code != 0 {
			continue
		}
		if got, err = m.hash(ctx, to); err != nil {
			return err
		}
		if got == b.SHA256 {
			m.log.Printf("It is there after %v", time.Since(start).Round(time.Millisecond))
			return m.must(ctx, "tidy up", "del "+quote(text))
		}
	}
	if err := m.room(ctx, b); err != nil {
		return err
	}
	if r.code != 0 {
		return fmt.Errorf("copy the agent: %w", m.explain(r))
	}
	return fault.New(fault.Unavailable, "copy the agent: what is there has SHA-256 %q, expected %s", got, b.SHA256)
}

// lines reads a file as base64 in lines, as programs of Windows take it.
type lines struct {
	from io.Reader
	tell func(bytes int64) // hears of progress, seldom
	told time.Time
	n    int64
	rest []byte
	err  error
}

// tellEvery is how often people hear of progress.
const tellEvery = 5 * time.Second

func (l *lines) Read(p []byte) (int, error) {
	for len(l.rest) == 0 && l.err == nil {
		buf := make([]byte, 57*512) // 57 bytes are a line of 76
		n, err := io.ReadFull(l.from, buf)
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		l.err = err
		for ; n > 0; n -= min(n, 57) {
			l.rest = append(base64.StdEncoding.AppendEncode(l.rest, buf[:min(n, 57)]), "\r\n"...)
			buf = buf[min(n, 57):]
			l.n += int64(min(n, 57))
		}
		if time.Since(l.told) > tellEvery {
			l.told = time.Now()
			l.tell(l.n)
		}
	}
	if len(l.rest) == 0 {
		return 0, l.err
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

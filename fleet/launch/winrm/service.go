package winrm

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

const (
	missing  = "there is no service" // agent/service says it
	deleting = "marked for deletion" // Windows, while somebody looks at a service that was removed
)

// agent is a command line of a program of ours. It does not begin with a quotation mark: cmd.exe /C would take the outermost away.
func (m *machine) agent(program, args string) string {
	if m.place.verb != "" {
		args = m.place.verb + " " + args
	}
	return "call " + quote(program) + " " + args + " --name " + m.s.service
}

// obey runs a verb of the service. It reports false when there is no service.
func (m *machine) obey(ctx context.Context, program, verb string) (bool, error) {
	r, err := m.within(ctx, m.s.timeout+patience, m.agent(program, verb), nil)
	if err != nil {
		return false, fmt.Errorf("%s the service: %w", verb, err)
	}
	if r.code == 0 {
		return true, nil
	}
	if strings.Contains(r.said(), missing) {
		return false, nil
	}
	return false, fmt.Errorf("%s the service: %w", verb, m.explain(r))
}

// clear ends and removes the service that may be there. program is one of ours, not necessarily the service's.
func (m *machine) clear(ctx context.Context, program string) error {
	_, err := m.obey(ctx, program, "uninstall")
	return err
}

// replace puts a new program in its place. Steps may run in the old one: a file in use can be renamed, but not overwritten.
func (m *machine) replace(ctx context.Context, program string) error {
	exe := m.place.exe
	if program == exe {
		return nil
	}
	old := strings.TrimSuffix(exe, ".exe") + "-" + time.Now().UTC().Format("20060102150405") + ".old"
	_, err := m.run(ctx, "del /q "+quote(m.place.root+`\bin\*.old`)+" 2>nul") // those in use stay
	if err != nil {
		return err
	}
	if err := m.must(ctx, "put the old program away", "if exist "+quote(exe)+" move /y "+quote(exe)+" "+quote(old)); err != nil {
		return err
	}
	return m.must(ctx, "put the new program in its place", "move /y "+quote(program)+" "+quote(exe))
}

// install makes the service and starts it. The credential comes by stdin: a command line can be read by others of the machine.
func (m *machine) install(ctx context.Context, credential string, runAs []byte) error {
	line := "install --url " + quote(m.s.url) + " --root " + quote(m.place.root) + m.s.options
	if m.s.runAs != "" {
		file, done, err := m.lend(ctx, "run-as.tmp", runAs)
		if err != nil {
			return err
		}
		defer done()
		line += " --user " + quote(m.s.runAs) + " --password-file " + quote(file)
	}
	for n := 1; ; n++ {
		r, err := m.within(ctx, m.s.timeout+patience, "set /p OUTWORK_SECRET=&&"+m.agent(m.place.exe, line), strings.NewReader(credential+"\r\n"))
		if err == nil && r.code != 0 && r.said() == "" { // cmd.exe has read nothing
			r, err = m.installByFile(ctx, line, credential)
		}
		if err != nil {
			return fmt.Errorf("install the service: %w", err)
		}
		switch {
		case r.code == 0:
			return nil
		case strings.Contains(r.said(), deleting) && n < 5 && pause(ctx, 500*time.Millisecond):
		default:
			return fmt.Errorf("install the service: %w", m.unserviceable(r))
		}
	}
}

// installByFile is install with the credential in a file.
func (m *machine) installByFile(ctx context.Context, line, credential string) (result, error) {
	file, done, err := m.lend(ctx, "install.tmp", []byte(credential))
	if err != nil {
		return result{}, err
	}
	defer done()
	return m.within(ctx, m.s.timeout+patience, m.agent(m.place.exe, line+" --secret "+quote("@"+file)), nil)
}

// lend writes a file into the agent's folder, which others cannot read, until done is called.
func (m *machine) lend(ctx context.Context, name string, text []byte) (file string, done func(), err error) {
	file = m.place.root + `\` + name
	done = func() { _, _ = m.run(context.WithoutCancel(ctx), "del "+quote(file)) }
	if err := m.put(ctx, file, text); err != nil {
		done()
		return "", nil, err
	}
	return file, done, nil
}

// put writes a file that nobody but administrators can read, as its folder.
func (m *machine) put(ctx context.Context, file string, text []byte) error {
	r, err := m.within(ctx, m.s.timeout, `findstr "^" >`+quote(file), io.MultiReader(strings.NewReader(string(text)), strings.NewReader("\r\n")))
	if err == nil && r.code != 0 {
		err = m.explain(r)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// unserviceable explains why there is no service now.
func (m *machine) unserviceable(r result) error {
	said := short(r.said())
	switch {
	case strings.Contains(said, deleting):
		return kit.Trouble(fault.Unavailable, "close the Services window on the machine: Windows removes the old service when nobody looks at it any more", "%s", said)
	case strings.Contains(said, "ogon failure"), strings.Contains(said, "account name is invalid"):
		return kit.Trouble(fault.Denied, "check runAs and runAsPassword; the user needs the right \"Log on as a service\" (secpol.msc, User Rights Assignment)", "%s", said)
	case strings.Contains(strings.ToLower(said), "access is denied"):
		return m.explain(r)
	case strings.Contains(said, "start "):
		return kit.Trouble(fault.Unavailable, "the service cannot start: the machine's event log (System, Service Control Manager) and "+m.place.root+`\agent.log say why; a virus scanner may keep the program from running`, "%s", said)
	}
	return m.explain(r)
}

// silent explains why no agent came: the agent's own log knows.
func (m *machine) silent(ctx context.Context) error {
	state := "its state is not known"
	if r, err := m.run(ctx, m.agent(m.place.exe, "status")); err == nil {
		state = r.said()
	}
	why := ""
	if r, err := m.run(ctx, `findstr "level=WARN level=ERROR" `+quote(m.place.root+`\agent.log`)); err == nil {
		all := strings.Split(strings.TrimSpace(r.out), "\n")
		for _, line := range all[max(0, len(all)-3):] {
			why += "; " + short(strings.TrimSpace(line))
		}
	}
	return kit.Trouble(fault.Unavailable, "check that "+m.s.url+" can be reached from the machine, or set url to an address that can",
		"no agent has dialled within %v: %s%s", m.s.dialIn, state, strings.TrimSuffix(why, "; "))
}

// stop ends the service, in good order.
func (m *machine) stop(ctx context.Context) error {
	_, err := m.obey(ctx, m.place.exe, "stop")
	return err
}

// remove leaves nothing that runs, and no credential.
func (m *machine) remove(ctx context.Context) error {
	have, err := m.run(ctx, "if exist "+quote(m.place.exe)+" echo yes")
	if err != nil || strings.TrimSpace(have.out) != "yes" {
		return err
	}
	if _, err := m.obey(ctx, m.place.exe, "uninstall"); err != nil {
		return err
	}
	return m.must(ctx, "remove the credential", "if exist "+quote(m.place.root+`\agent.env`)+" del "+quote(m.place.root+`\agent.env`))
}

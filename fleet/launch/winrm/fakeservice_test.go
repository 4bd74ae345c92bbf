//go:build unix

package winrm_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// service is an agent of a fake machine.
type service struct {
	argv  []string
	env   []string
	cmd   *exec.Cmd // nil: it is stopped
	ended chan struct{}
}

// agent is a verb of the agent's program.
func (r *run) agent(program string, args []string) int {
	f := r.f
	if _, err := os.Stat(f.path(program)); err != nil {
		return r.fail(1, "The system cannot find the path specified.")
	}
	flags := map[string]string{}
	for i := 1; i+1 < len(args); i += 2 {
		flags[args[i]] = args[i+1]
	}
	id := "outwork-agent-" + flags["--name"]
	f.mu.Lock()
	defer f.mu.Unlock()
	if says, broken := f.breaks[args[0]]; broken {
		return r.fail(1, "outwork-agent: %s", says)
	}
	s := f.services[id]
	if s == nil && args[0] != "install" && args[0] != "status" {
		return r.fail(1, "outwork-agent: %s %s: there is no service %s on this machine", args[0], id, id)
	}
	switch args[0] {
	case "install":
		if s != nil {
			return r.fail(1, "outwork-agent: service %s is there already", id)
		}
		if f.looked > 0 {
			f.looked--
			return r.fail(1, "outwork-agent: install %s: The specified service has been marked for deletion.", id)
		}
		if flags["--user"] != "" {
			b, err := os.ReadFile(f.path(flags["--password-file"]))
			if err != nil {
				return r.fail(1, "%v", err)
			}
			f.runAs = flags["--user"] + " " + strings.TrimRight(string(b), "\r\n")
		}
		if file, ok := strings.CutPrefix(flags["--secret"], "@"); ok {
			b, err := os.ReadFile(f.path(file))
			if err != nil {
				return r.fail(1, "%v", err)
			}
			r.env["OUTWORK_SECRET"] = strings.TrimSpace(string(b))
		}
		url := flags["--url"]
		if f.dials != "" {
			url = f.dials
		}
		s = &service{argv: []string{f.program, "--name", flags["--name"], "--url", url, "--root", f.path(flags["--root"])},
			env: append(os.Environ(), "OUTWORK_SECRET="+r.env["OUTWORK_SECRET"], "OUTWORK_NO_UPDATE=true")}
		f.services[id] = s
		log, err := os.Create(f.path(flags["--root"] + `\agent.log`))
		if err != nil {
			return r.fail(1, "%v", err)
		}
		defer log.Close()
		os.WriteFile(f.path(flags["--root"]+`\agent.env`), []byte("OUTWORK_SECRET="+r.env["OUTWORK_SECRET"]), 0o600)
		s.start(f.t, log)
	case "stop":
		s.stop()
	case "uninstall":
		s.stop()
		delete(f.services, id)
	case "status":
		fmt.Fprintf(r.out, "%s: running\r\n", id)
	}
	return 0
}

func (s *service) running() bool { return s.cmd != nil }

func (s *service) start(t testing.TB, log io.Writer) {
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.env, log, log
	s.ended = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		t.Error(err)
		close(s.ended)
		return
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(s.cmd, s.ended)
}

func (s *service) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(20*time.Second, func() { s.cmd.Process.Kill() })
	defer kill.Stop()
	<-s.ended
	s.cmd = nil
}
